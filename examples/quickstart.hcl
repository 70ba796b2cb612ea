# The image service on this machine, for a first look: no root, no systemd, no
# Keystone; metadata in SQLite, images in files, everything below one directory.
#
#   glancectl apply examples/quickstart.hcl

proposal "quickstart" {
  description = "Image service on this machine"

  node "this-machine" {
    connection = "local"
    init       = "process"
    root       = "../quickstart"
  }

  role "glance-server" {
    nodes = ["this-machine"]

    # Nobody is asked for a password, so nobody else may connect.
    api { bind_to_all = false }
  }
}
