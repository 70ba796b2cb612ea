package proposals

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// defaultRole is a role about which nothing is said but its nodes.
func defaultRole(nodes ...string) *GlanceServer {
	element := func(name string) Element {
		return Element{Verbose: true, LogFile: "/var/log/glance/" + name + ".log", ConfigFile: "/etc/glance/glance-" + name + ".conf"}
	}
	job := func(name, schedule string) Job {
		return Job{Element: element(name), Schedule: schedule, User: "glance"}
	}
	return &GlanceServer{
		Nodes:            nodes,
		User:             "glance",
		Group:            "glance",
		WorkingDirectory: "/var/lib/glance",
		PIDDirectory:     "/var/run/glance",
		NotifierStrategy: "noop",
		Backings:         []Backing{{Type: "file", Default: true, Directory: "/var/lib/glance/images"}},
		DefaultBacking:   "file",
		Cache: Cache{
			Directory:    "/var/lib/glance/image-cache",
			GracePeriod:  time.Hour,
			StallTimeout: 24 * time.Hour,
			MaxSize:      10 << 30,
			ExtraToFree:  0.20,
		},
		Database:    Database{Type: DatabaseSQLite, Connection: "sqlite:////var/lib/glance/glance.sqlite", IdleTimeout: time.Hour},
		API:         Daemon{Element: element("api"), Port: 9292, BindToAll: true, PasteFile: "/etc/glance/glance-api-paste.ini"},
		EnableV1API: true,
		Registry:    Daemon{Element: element("registry"), Port: 9191, PasteFile: "/etc/glance/glance-registry-paste.ini"},
		Scrubber:    job("scrubber", "1 * * * *"),
		Reaper:      job("reaper", "5 * * * *"),
		Pruner:      job("pruner", "45 * * * *"),

		Prefetcher: job("prefetcher", "25 * * * *"),
	}
}

func defaultNode(name, address string) *Node {
	return &Node{Name: name, Address: address, Connect: ConnectSSH, Init: InitSystemd,
		SSH: SSH{User: "root", Port: 22, HostKeys: "strict", ConnectTimeout: 10 * time.Second, CommandTimeout: 10 * time.Minute}}
}

func TestMinimalDefaults(t *testing.T) {
	want := &Proposal{Name: "small", Nodes: []*Node{defaultNode("image-1", "10.77.0.21")}, Glance: defaultRole("image-1")}
	got := load(t, "testdata/valid/minimal.hcl", Options{Env: environment()})
	if diff := cmp.Diff(want, got, sameSecrets, ignorePlaces); diff != "" {
		t.Errorf("minimal.hcl (-want +got):\n%s", diff)
	}
}

func TestDesignDefaults(t *testing.T) {
	role := defaultRole("image-1", "image-2")
	role.Cache.Enabled = true
	role.Database = Database{Type: DatabaseMySQL, Instance: "main", Name: "glance", User: "glance", IdleTimeout: time.Hour}
	role.Keystone = &RoleKeystone{
		Instance: "main", ServiceUser: "glance", ServicePassword: NewSecret("from the environment"), ServiceProject: "service",
		ServiceRole: "admin", Domain: "Default",
		PublicHost: "10.77.0.21", InternalHost: "10.77.0.21", AdminHost: "10.77.0.21",
	}
	role.Config = []ConfigFile{{Name: "glance-api", Sections: []ConfigSection{{Name: "DEFAULT", Options: []ConfigOption{{Key: "workers", Value: "4"}}}}}}
	want := &Proposal{
		Name:        "production",
		Description: "Image service, Zurich",
		Nodes: []*Node{
			defaultNode("db-node", "10.77.0.4"), defaultNode("auth-node", "10.77.0.5"),
			defaultNode("image-1", "10.77.0.21"), defaultNode("image-2", "10.77.0.22"),
		},
		MySQL: []*MySQL{{Name: "main", Node: "db-node", Address: "10.77.0.4", Port: 3306, Socket: "/run/mysqld/mysqld.sock"}},
		Keystone: []*Keystone{{Name: "main", Node: "auth-node", AuthURL: "http://10.77.0.5:5000/v3", Region: "RegionOne",
			Admin: KeystoneAdmin{Openrc: "/root/openrc", Project: "admin", UserDomain: "Default", ProjectDomain: "Default"}}},
		Glance: role,
	}
	got := load(t, "testdata/valid/design.hcl", Options{Env: environment("GLANCE_SERVICE_PASSWORD", "from the environment")})
	if diff := cmp.Diff(want, got, sameSecrets, ignorePlaces); diff != "" {
		t.Errorf("design.hcl (-want +got):\n%s", diff)
	}
}

// TestInstancesAreFound leaves database and keystone out of the role.
func TestInstancesAreFound(t *testing.T) {
	p := loadText(t, `
proposal "p" {
  node "a" { address = "10.0.0.1" }
  mysql "one" { node = "a" }
  mysql "two" { node = "a" }
  keystone "three" {
    node     = "a"
    auth_url = "http://10.0.0.1:5000"
    admin { openrc = "/root/openrc" }
  }
  role "glance-server" { nodes = ["a"] }
}`, Options{Env: environment()})
	if got := p.Glance.Database; got.Type != DatabaseMySQL || got.Instance != "one" {
		t.Errorf("Database = %+v; want mysql on the first instance", got)
	}
	if got := p.Glance.Keystone; got == nil || got.Instance != "three" {
		t.Errorf("Keystone = %+v; want instance three", got)
	}
}

func TestFullValues(t *testing.T) {
	all, diags := Load([]string{"testdata/valid/full.hcl"}, Options{Env: environment("HOME", "/home/me")})
	if len(diags) > 0 || len(all) != 2 {
		t.Fatalf("%d proposals and\n%s", len(all), text(t, diags))
	}
	p := all[0]
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"scrub time", p.Glance.ScrubTime, 12 * time.Hour},
		{"size", p.Glance.Cache.MaxSize, int64(3 << 29)},
		{"port from a local value", p.Glance.Registry.Port, 9394},
		{"key below home", p.Node("db").SSH.KnownHosts, "/home/me/known"},
		{"key beside the proposal", p.Node("db").SSH.PrivateKey, "testdata/valid/id_test"},
		{"node's own port", p.Node("here").SSH.Port, 2022},
		{"proposal's user", p.Node("here").SSH.User, "deploy"},
		{"local address", p.Node("here").Address, "127.0.0.1"},
		{"inventory's user", p.Node("image-1").SSH.User, "admin"},
		{"inventory's table", p.Node("image-2").SSH.HostKeys, "strict"},
		{"last of the inventory", p.Nodes[len(p.Nodes)-1].Name, "image-2"},
		{"Keystone without a version", p.Keystone[0].AuthURL, "http://10.77.0.5:5000/v3"},
		{"database's address", p.MySQL[0].Address, "10.77.0.99"},
		{"preloaded file", p.Glance.Images[1], "testdata/valid/inventory.toml"},
		{"default backing", p.Glance.DefaultBacking, "file"},
		{"default backing of the other", all[1].Glance.DefaultBacking, "swift"},
		{"Keystone switched off", all[1].Glance.Keystone == nil, true},
	} {
		if test.got != test.want {
			t.Errorf("%s = %v; want %v", test.what, test.got, test.want)
		}
	}
	want := []ConfigSection{
		{Name: "DEFAULT", Options: []ConfigOption{
			{Key: "public_endpoint", Value: "https://images.example.org"},
			{Key: "image_size_cap", Value: "1099511627776"},
			{Key: "show", Value: "True"},
		}},
		{Name: "cors", Options: []ConfigOption{
			{Key: "allowed_origin", Value: "https://a.example.org"},
			{Key: "allowed_origin", Value: "https://b.example.org"},
			{Key: "shared_secret", Value: "hush-hush", Sensitive: true},
			{Key: "from_variable", Value: "xa-password", Sensitive: true},
		}},
	}
	if diff := cmp.Diff(want, p.Glance.Config[0].Sections); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}
