# A fleet whose nodes stand in an inventory file, with images in Swift, and with
# what changes from site to site in variables.
#
#   glancectl plan -var region=RegionTwo examples/fleet.hcl

variable "region" {
  type    = string
  default = "RegionOne"
}

variable "swift_key" {
  type      = string
  sensitive = true
  default   = env("GLANCE_SWIFT_KEY", "change-me-before-use")
}

locals {
  image_nodes = [for n in range(1, 3) : "image-${n}"]
}

proposal "fleet" {
  description = "Image service of ${var.region}"
  inventory   = "fleet.toml"

  mysql "main" { node = "db-node" }

  keystone "main" {
    node     = "auth-node"
    auth_url = "http://10.77.0.5:5000/v3"
    region   = var.region
    admin { openrc = "/root/openrc" }
  }

  role "glance-server" {
    nodes          = local.image_nodes
    delayed_delete = true
    scrub_time     = "12h"

    backing "swift" {
      auth_address     = "10.77.0.31:8080/v1.0"
      user             = "service:glance"
      key              = var.swift_key
      container        = "glance"
      create_container = true
    }

    scrubber {
      schedule = "17 */2 * * *"
      timeout  = "1h"
      jitter   = "5m"
    }
  }
}
