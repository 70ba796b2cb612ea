package e2e

import (
	"strings"
	"testing"
	"text/template"
)

// The secrets that tests plant in proposals and look for everywhere else.
const (
	planted   = "Planted-Service-5f1c9b7e"
	plantedDB = "Planted-Database-a83d02c4"
	// In an option of a config block, before and after it is changed.
	plantedNote = "Planted-Option-77c1e0d2"
	plantedNew  = "Planted-Changed-0be4f9a1"
)

// A draft is a proposal of a test.
type draft struct {
	Name       string
	Nodes      []string
	KnownHosts string
	User       string // of SSH
	Cache      bool
	Workers    int    // in a config block; 0: none
	ScrubTime  int    // seconds
	Admin      string // a block: how the database is administered
	Delayed    bool
	Generated  bool   // leave the passwords out
	Extra      string // in the role block
}

var draftText = template.Must(template.New("proposal").Funcs(template.FuncMap{"join": strings.Join}).Parse(`
variable "service_password" {
  type      = string
  sensitive = true
  default   = env("PLANTED")
}
variable "database_password" {
  type      = string
  sensitive = true
  default   = env("PLANTED_DB")
}

variable "note" {
  type      = string
  sensitive = true
  default   = env("PLANTED_NOTE")
}

proposal "{{.Name}}" {
  description = "End-to-end test"
  ssh {
    user        = "{{or .User "root"}}"
    private_key = "{{.Key}}"
    known_hosts = "{{.KnownHosts}}"
  }
{{- range .Addresses}}
  node "{{.Name}}" { address = "{{.Address}}" }
{{- end}}
  mysql "main" {
    node = "db-node"
    {{.Admin}}
  }
  keystone "main" {
    node     = "auth-node"
    auth_url = "http://10.77.0.5:5000/v3"
    region   = "RegionOne"
    admin { openrc = "/root/openrc" }
  }
  role "glance-server" {
    nodes          = ["{{join .Nodes "\", \""}}"]
    delayed_delete = {{.Delayed}}
    scrub_time     = {{.ScrubTime}}
    database "mysql" {
      instance = "main"
      {{if not .Generated}}password = var.database_password{{end}}
    }
    keystone {
      instance         = "main"
      {{if not .Generated}}service_password = var.service_password{{end}}
    }
    cache {
      enabled  = {{.Cache}}
      max_size = "64MiB"
    }
    scrubber {
      schedule = "* * * * *"
      timeout  = "10m"
    }
    config "glance-scrubber" {
      section "site" { note = var.note }
    }
{{- if .Workers}}
    config "glance-api" {
      section "DEFAULT" { workers = {{.Workers}} }
    }
{{- end}}
    {{.Extra}}
  }
}
`))

// propose writes the draft as NAME.hcl and returns the file's name.
func (s *site) propose(t testing.TB, d draft) string {
	t.Helper()
	if d.KnownHosts == "" {
		d.KnownHosts = s.KnownHosts()
	}
	type address struct{ Name, Address string }
	data := struct {
		draft
		Key       string
		Addresses []address
	}{draft: d, Key: s.Key()}
	for _, n := range s.Lab.Nodes() {
		data.Addresses = append(data.Addresses, address{n.Name, n.Address})
	}
	var b strings.Builder
	if err := draftText.Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	s.Write(t, d.Name+".hcl", b.String())
	return d.Name + ".hcl"
}
