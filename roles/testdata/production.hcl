# The proposal that docs/architecture.md explains the language with.

variable "service_password" {
  type      = string
  sensitive = true
  default   = env("GLANCE_SERVICE_PASSWORD")
}

proposal "production" {
  description = "Image service, Zurich"

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
    nodes             = ["image-1", "image-2"]
    working_directory = "/var/lib/glance"
    pid_directory     = "/var/run/glance"
    notifier_strategy = "noop"
    use_syslog        = false

    backing "file" { directory = "/var/lib/glance/images" }

    cache {
      enabled       = true
      directory     = "/var/lib/glance/image-cache"
      grace_period  = 3600
      stall_timeout = 86400
      max_size      = "10GiB"
    }

    database "mysql" {
      instance     = "main"
      idle_timeout = 3600
    }

    keystone {
      instance         = "main"
      service_user     = "glance"
      service_password = var.service_password
    }

    api {
      port        = 9292
      bind_to_all = true
      debug       = false
      verbose     = true
      workers     = 4
    }
    registry { port = 9191 }
    scrubber { schedule = "1 * * * *" }
    pruner { schedule = "45 * * * *" }

    config "glance-api" {
      section "DEFAULT" { image_size_cap = 1073741824 }
    }
  }
}
