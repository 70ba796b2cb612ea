package proposals

import (
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Init returns a commented proposal called name to start from. It is valid
// as it is; its addresses are from a range that is nobody's.
func Init(name string) []byte {
	return []byte(strings.Replace(starter, "NAME", string(hclwrite.TokensForValue(cty.StringVal(name)).Bytes()), 1))
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
