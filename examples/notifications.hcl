# One node that tells a RabbitMQ what happens to images. The virtual host, the
# user and its permissions are made with rabbitmqctl on mq-node; the password is
# generated and kept on the image node.

proposal "notifications" {
  node "mq-node" { address = "10.77.0.7" }
  node "image-1" { address = "10.77.0.21" }

  rabbitmq "main" { node = "mq-node" }

  role "glance-server" {
    nodes             = ["image-1"]
    notifier_strategy = "rabbit"
    use_syslog        = true

    rabbitmq {
      instance     = "main"
      virtual_host = "glance"
      user         = "glance"
    }
    api { bind_to_all = false }
  }
}
