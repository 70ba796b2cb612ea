package proposals

import (
	"regexp"
	"strconv"
	"strings"
)

// Init returns a commented proposal called name to start from. It is valid
// as it is, also when name is not: then what is not allowed in a name is
// replaced. Its addresses are from a range that is nobody's.
func Init(name string) []byte {
	return []byte(strings.Replace(starter, "NAME", strconv.Quote(validName(name)), 1))
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// validName returns name if it may be one, or one that is close to it.
func validName(name string) string {
	name = strings.TrimLeft(notInName.ReplaceAllString(name, "-"), "._-")
	name = strings.TrimRight(name[:min(len(name), 63)], "-")
	if name == "" {
		return "glance"
	}
	return name
}

const starter = `# What the image service is to look like. Change the addresses, then:
#
#   glancectl validate FILE   finds mistakes, contacts nobody
#   glancectl plan FILE       shows what would change on the nodes
#   glancectl apply FILE      changes it
#
# Every block and attribute is described in docs/proposal.md.

proposal NAME {
  description = "Image service"

  # How to log in to the nodes. The user needs sudo without a password,
  # unless it is root.
  ssh {
    user = "root"
    # private_key = "~/.ssh/id_ed25519"
  }

  node "image-1" { address = "192.0.2.21" }
  # node "image-2" { address = "192.0.2.22" }

  # With a MySQL or MariaDB server several nodes share one database. Without
  # this block the service keeps its metadata in an SQLite file.
  # node "db" { address = "192.0.2.4" }
  # mysql "main" { node = "db" }

  # With a Keystone the service asks for tokens. Without this block everybody
  # who reaches the port is an administrator.
  # node "auth" { address = "192.0.2.5" }
  # keystone "main" {
  #   node     = "auth"
  #   auth_url = "http://192.0.2.5:5000/v3"
  #   admin { openrc = "/root/openrc" }
  # }

  role "glance-server" {
    nodes = ["image-1"]

    backing "file" {
      directory = "/var/lib/glance/images"
    }

    # A cache pays off when image data is far away, as with Swift.
    cache {
      enabled  = false
      max_size = "10GiB"
    }

    api {
      port = 9292
    }
  }
}
`
