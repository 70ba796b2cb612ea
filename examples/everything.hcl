# Everything that there is, turned on: both versions of the API with the
# registry behind the first, Keystone, notifications to a RabbitMQ, syslog,
# several stores, the cache and its management, delayed deletes, all jobs,
# sealed locations and quotas; two image nodes with one database and one
# directory of images, each with a cache of its own.
#
#   export GLANCE_SERVICE_PASSWORD=... GLANCE_METADATA_KEY=...
#   glancectl plan -var cache_size=50GiB examples/everything.hcl
#
# /srv/glance is to be the same on both nodes: NFS version 4, CephFS or the like.

variable "service_password" {
  type      = string
  sensitive = true
  default   = env("GLANCE_SERVICE_PASSWORD", "")
}

# 16, 24 or 32 bytes: what the locations of images are sealed with.
variable "metadata_key" {
  type      = string
  sensitive = true
  default   = env("GLANCE_METADATA_KEY", "change-me-before-the-first-image")
}

variable "cache_size" {
  type    = string
  default = "10GiB"
}

variable "scrub_time" {
  type    = string
  default = "12h"
}

variable "jitter" {
  type    = string
  default = "2m"
}

locals {
  images  = "/srv/glance/images"
  stores  = "fast:file, archive:file, web:http"
  fast    = "${local.images}/fast"
  archive = "${local.images}/archive"
}

proposal "everything" {
  description = "Image service with everything turned on"

  node "db-node" { address = "10.77.0.4" }
  node "auth-node" { address = "10.77.0.5" }
  node "mq-node" { address = "10.77.0.7" }
  node "image-1" { address = "10.77.0.21" }
  node "image-2" { address = "10.77.0.22" }

  mysql "main" { node = "db-node" }

  keystone "main" {
    node     = "auth-node"
    auth_url = "http://10.77.0.5:5000/v3"
    region   = "RegionOne"
    admin { openrc = "/root/openrc" }
  }

  rabbitmq "main" { node = "mq-node" }

  role "glance-server" {
    nodes             = ["image-1", "image-2"]
    notifier_strategy = "rabbit"
    use_syslog        = true
    delayed_delete    = true
    scrub_time        = var.scrub_time

    # Its directory is made for the two stores below.
    backing "file" { directory = local.images }

    cache {
      enabled       = true
      management    = true
      directory     = "/var/lib/glance/image-cache"
      grace_period  = "1h"
      stall_timeout = "24h"
      max_size      = var.cache_size
      extra_to_free = 0.25
    }

    database "mysql" {
      instance     = "main"
      idle_timeout = "1h"
    }

    keystone {
      instance         = "main"
      service_password = var.service_password
    }

    rabbitmq {
      instance     = "main"
      virtual_host = "glance"
      user         = "glance"
    }

    api { enable_v1_api = true }
    registry { port = 9191 }

    # Two nodes with the same schedule do not get in each other's way; the
    # jitter only spreads what they ask of the database and the stores.
    scrubber {
      schedule = "1 * * * *"
      timeout  = "50m"
      jitter   = var.jitter
    }
    reaper {
      schedule = "5 * * * *"
      timeout  = "50m"
      jitter   = var.jitter
    }
    prefetcher {
      schedule = "25 * * * *"
      timeout  = "50m"
      jitter   = var.jitter
    }
    pruner {
      schedule = "45 * * * *"
      timeout  = "50m"
      jitter   = var.jitter
    }

    config "glance-api" {
      section "DEFAULT" {
        enabled_backends        = local.stores
        metadata_encryption_key = var.metadata_key
        syslog_log_facility     = "LOG_LOCAL3"
        image_size_cap          = 1099511627776
        user_storage_quota      = "500GB"
        image_property_quota    = 32
        image_tag_quota         = 32
        image_member_quota      = 32
        image_location_quota    = 4
      }
      section "glance_store" { default_backend = "fast" }
      section "fast" {
        filesystem_store_datadir = local.fast
        store_description        = "Where new images go"
        weight                   = 100
      }
      section "archive" {
        filesystem_store_datadir = local.archive
        store_description        = "What is kept for long"
      }
      section "web" { store_description = "Images that stay where they are" }
    }

    # The jobs that read and remove data find it as the API does.
    config "glance-scrubber" {
      section "DEFAULT" {
        enabled_backends        = local.stores
        metadata_encryption_key = var.metadata_key
      }
      section "glance_store" { default_backend = "fast" }
      section "fast" { filesystem_store_datadir = local.fast }
      section "archive" { filesystem_store_datadir = local.archive }
    }
    config "glance-prefetcher" {
      section "DEFAULT" {
        enabled_backends        = local.stores
        metadata_encryption_key = var.metadata_key
      }
      section "glance_store" { default_backend = "fast" }
      section "fast" { filesystem_store_datadir = local.fast }
      section "archive" { filesystem_store_datadir = local.archive }
    }
  }
}
