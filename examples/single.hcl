# One node on its own: metadata in SQLite, images in files, no Keystone.
# Everybody who can connect is an administrator, so the service is bound to the
# node's own address, which is to be on a private network.

proposal "single" {
  node "image-1" { address = "10.77.0.21" }

  role "glance-server" {
    nodes = ["image-1"]
    api { bind_to_all = false }
  }
}
