# Two image nodes that share a MariaDB and a Keystone, with the image cache on.
#
#   export GLANCE_SERVICE_PASSWORD=...
#   glancectl plan examples/production.hcl
#   glancectl apply examples/production.hcl
#
# The store of images is a directory, so on two nodes it has to be a shared one
# (NFS, CephFS) before both can serve the same image.

variable "service_password" {
  type      = string
  sensitive = true
  default   = env("GLANCE_SERVICE_PASSWORD", "")
}

proposal "production" {
  description = "Image service, Zurich"

  ssh {
    user        = "root"
    private_key = "~/.ssh/id_ed25519"
  }

  node "db-node" { address = "10.77.0.4" }
  node "auth-node" { address = "10.77.0.5" }
  node "image-1" { address = "10.77.0.21" }
  node "image-2" { address = "10.77.0.22" }

  mysql "main" { node = "db-node" }

  keystone "main" {
    node     = "auth-node"
    auth_url = "http://10.77.0.5:5000/v3"
    region   = "RegionOne"
    admin { openrc = "/root/openrc" }
  }

  role "glance-server" {
    nodes = ["image-1", "image-2"]

    backing "file" { directory = "/var/lib/glance/images" }

    cache {
      enabled  = true
      max_size = "10GiB"
    }

    database "mysql" { instance = "main" }

    # Left out, or empty: a password is generated and kept on the nodes.
    keystone {
      instance         = "main"
      service_password = var.service_password
    }

    api { port = 9292 }
    registry { port = 9191 }
    scrubber { schedule = "1 * * * *" }
    pruner { schedule = "45 * * * *" }

    config "glance-api" {
      section "DEFAULT" { workers = 4 }
    }
  }
}
