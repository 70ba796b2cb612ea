# Every attribute of the language, each with a value that is not its default.

variable "password" {
  type        = string
  default     = "a-password"
  sensitive   = true
  description = "One for all."
}

locals {
  port = 9393
}

proposal "full" {
  description = "Everything"
  inventory   = "inventory.toml"

  ssh {
    user            = "deploy"
    port            = 2222
    private_key     = "id_test"
    known_hosts     = "~/known"
    host_keys       = "accept-new"
    connect_timeout = "5s"
    command_timeout = "2m"
  }

  node "db" { address = "db.example.org" }
  node "auth" { address = "10.77.0.5" }
  node "here" {
    connection = "local"
    init       = "process"
    root       = "root"
    ssh {
      port = 2022
    }
  }

  mysql "main" {
    node    = "db"
    address = "10.77.0.99"
    port    = 3307
    socket  = "/tmp/mysql.sock"
    admin {
      user     = "maker"
      password = var.password
    }
  }

  mysql "second" { node = "auth" }

  rabbitmq "main" {
    node    = "db"
    address = "mq.example.org"
    port    = 5673
  }
  rabbitmq "second" { node = "auth" }

  keystone "files" {
    node     = "auth"
    auth_url = "http://10.77.0.5:5000/"
    region   = "Zurich"
    admin { openrc = "/root/openrc" }
  }
  keystone "clouds" {
    node     = "auth"
    auth_url = "https://auth.example.org/identity/v3"
    admin {
      clouds_yaml = "/root/clouds.yaml"
      cloud       = "lab"
    }
  }
  keystone "fields" {
    auth_url = "http://10.77.0.5:5000/v3"
    admin {
      username       = "root"
      password       = var.password
      project        = "ops"
      user_domain    = "Users"
      project_domain = "Projects"
    }
  }

  role "glance-server" {
    nodes             = ["image-1", "here"]
    user              = "images"
    group             = "imagegroup"
    working_directory = "/srv/glance"
    pid_directory     = "/run/images"
    notifier_strategy = "rabbit"
    use_syslog        = true
    images            = ["https://example.org/cirros.img", "inventory.toml"]
    delayed_delete    = true
    scrub_time        = "12h"

    backing "file" {
      directory = "/srv/images"
      default   = true
    }
    backing "swift" {
      auth_address     = "https://swift.example.org:8080/v1.0"
      user             = "store"
      key              = var.password
      container        = "images"
      create_container = true
    }

    cache {
      enabled       = true
      management    = true
      directory     = "/srv/cache"
      grace_period  = 60
      stall_timeout = "1h"
      max_size      = "1.5GiB"
      extra_to_free = 0.5
    }

    database "mysql" {
      instance     = "second"
      name         = "images"
      user         = "imageuser"
      password     = var.password
      idle_timeout = 600
    }

    rabbitmq {
      instance     = "second"
      virtual_host = "/images"
      user         = "notifier"
      password     = var.password
    }

    keystone {
      instance         = "clouds"
      service_user     = "imageservice"
      service_password = var.password
      service_project  = "services"
      service_role     = "service"
      domain           = "Services"
      public_host      = "images.example.org"
      internal_host    = "10.77.0.100"
      admin_host       = "10.77.0.101"
    }

    api {
      port        = local.port
      bind_to_all = false
      debug       = true
      verbose     = false
      log_file    = "/var/log/images/api.log"
      config_file = "/etc/glance-images/api.conf"
      paste_file  = "/etc/glance-images/api.ini"
      workers     = 3

      enable_v1_api = false
    }
    registry {
      port        = local.port + 1
      bind_to_all = true
      debug       = true
      verbose     = false
      log_file    = "/var/log/images/registry.log"
      config_file = "/etc/glance-images/registry.conf"
      paste_file  = "/etc/glance-images/registry.ini"
      workers     = 2
    }

    scrubber {
      schedule    = "*/5 1-3 * jan,mar-dec mon-fri"
      user        = "root"
      timeout     = "1h"
      jitter      = 30
      debug       = true
      verbose     = false
      log_file    = "/var/log/images/scrubber.log"
      config_file = "/etc/glance-images/scrubber.conf"
    }
    reaper {
      schedule    = "6 * * * *"
      user        = "root"
      timeout     = "1h"
      jitter      = 30
      debug       = true
      verbose     = false
      log_file    = "/var/log/images/reaper.log"
      config_file = "/etc/glance-images/reaper.conf"
    }
    prefetcher {
      schedule    = "26 * * * *"
      user        = "root"
      timeout     = "1h"
      jitter      = 30
      debug       = true
      verbose     = false
      log_file    = "/var/log/images/prefetcher.log"
      config_file = "/etc/glance-images/prefetcher.conf"
    }
    pruner {
      schedule    = "46 * * * *"
      user        = "root"
      timeout     = "1h"
      jitter      = 30
      debug       = true
      verbose     = false
      log_file    = "/var/log/images/pruner.log"
      config_file = "/etc/glance-images/pruner.conf"
    }

    config "glance-api" {
      section "DEFAULT" {
        public_endpoint = "https://images.example.org"
        image_size_cap  = 1099511627776
        show            = true
      }
      section "cors" {
        allowed_origin = ["https://a.example.org", "https://b.example.org"]
        shared_secret  = "hush-hush"
        from_variable  = "x${var.password}"
      }
    }
  }
}

# What the first one cannot have at the same time.
proposal "small" {
  node "image-9" { address = "10.77.0.29" }
  keystone "main" {
    auth_url = "http://10.77.0.5:5000/v3"
    admin {
      username = "root"
      password = var.password
    }
  }
  role "glance-server" {
    nodes = ["image-9"]
    backing "swift" {
      default = true
    }
    backing "file" {}
    database "sqlite" {
      connection   = "sqlite:////srv/glance/glance.sqlite"
      idle_timeout = 60
    }
    keystone { enabled = false }
  }
}
