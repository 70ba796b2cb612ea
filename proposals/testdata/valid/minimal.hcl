proposal "small" {
  node "image-1" { address = "10.77.0.21" }
  role "glance-server" { nodes = ["image-1"] }
}
