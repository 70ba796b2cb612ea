package roles

import (
	"time"

	"glancectl/proposals"
	"glancectl/provision/machine"
)

// The proposals that the tests expand. Together they use every attribute.

// production is the example of the design: two image nodes, MySQL, Keystone,
// a cache.
func production() *proposals.Proposal {
	p := &proposals.Proposal{
		Name:        "production",
		Description: "Image service, Zurich",
		Nodes: []*proposals.Node{
			node("db-node", "10.77.0.4"), node("auth-node", "10.77.0.5"),
			node("image-1", "10.77.0.21"), node("image-2", "10.77.0.22"),
		},
		MySQL: []*proposals.MySQL{{
			Name: "main", Node: "db-node", Address: "10.77.0.4", Port: 3306, Socket: "/run/mysqld/mysqld.sock",
		}},
		Keystone: []*proposals.Keystone{{
			Name: "main", Node: "auth-node", AuthURL: "http://10.77.0.5:5000/v3", Region: "RegionOne",
			Admin: proposals.KeystoneAdmin{
				Openrc: "/root/openrc", Project: "admin", UserDomain: "Default", ProjectDomain: "Default",
			},
		}},
		Glance: glance("image-1", "image-2"),
		File:   "production.hcl",
		Digest: "0123",
	}
	g := p.Glance
	g.Database = proposals.Database{
		Type: proposals.DatabaseMySQL, Instance: "main", Name: "glance", User: "glance", IdleTimeout: time.Hour,
	}
	g.Keystone = &proposals.RoleKeystone{
		Instance: "main", ServiceUser: "glance", ServicePassword: proposals.NewSecret("service/secret"),
		ServiceProject: "service", ServiceRole: "admin", Domain: "Default",
		PublicHost: "10.77.0.21", InternalHost: "10.77.0.21", AdminHost: "10.77.0.21",
	}
	g.Cache.Enabled = true
	g.API.Workers = 4
	g.Config = []proposals.ConfigFile{{
		Name: "glance-api",
		Sections: []proposals.ConfigSection{{
			Name:    "DEFAULT",
			Options: []proposals.ConfigOption{{Key: "image_size_cap", Value: "1073741824"}},
		}},
	}}
	return p
}

// swift keeps its images in Swift and administers its peers with accounts.
func swift() *proposals.Proposal {
	p := production()
	p.Name = "swift"
	p.MySQL[0].AdminUser = "root"
	p.MySQL[0].AdminPassword = proposals.NewSecret("rootsecret")
	p.Keystone[0].Admin = proposals.KeystoneAdmin{
		Username: "admin", Password: proposals.NewSecret("adminsecret"),
		CloudsYAML: "/root/clouds.yaml", Cloud: "main",
		Project: "admin", UserDomain: "Default", ProjectDomain: "Default",
	}
	g := p.Glance
	g.Backings = append(g.Backings, proposals.Backing{
		Type: "swift", AuthAddress: "http://10.77.0.6:8080/v1.0",
		User: "glance", Key: proposals.NewSecret("swiftsecret"), Container: "glance",
	})
	g.DefaultBacking = "swift"
	g.Database.Password = proposals.NewSecret("p@ss/w$rd")
	g.DelayedDelete = true
	g.ScrubTime = 12 * time.Hour
	g.Cache.Management = true
	g.Registry.BindToAll = true
	for _, j := range []*proposals.Job{&g.Scrubber, &g.Reaper, &g.Pruner, &g.Prefetcher} {
		j.Timeout, j.Jitter = time.Hour, 30*time.Second
	}
	return p
}

// single is what a proposal with one node and nothing else gives.
func single() *proposals.Proposal {
	p := &proposals.Proposal{
		Name:   "single",
		Nodes:  []*proposals.Node{node("image-1", "10.77.0.21")},
		Glance: glance("image-1"),
	}
	p.Glance.Database = proposals.Database{
		Type: proposals.DatabaseSQLite, Connection: "sqlite:////var/lib/glance/glance.sqlite", IdleTimeout: time.Hour,
	}
	return p
}

// quickstart runs on the calling machine below one directory.
func quickstart() *proposals.Proposal {
	p := single()
	p.Name = "quickstart"
	n := p.Nodes[0]
	n.Name, n.Address = "here", "127.0.0.1"
	n.Connect, n.Init, n.Root = proposals.ConnectLocal, proposals.InitProcess, "/srv/quick start"
	p.Glance.Nodes = []string{"here"}
	p.Glance.Cache.Enabled = true
	return p
}

func node(name, address string) *proposals.Node {
	return &proposals.Node{
		Name: name, Address: address, Connect: proposals.ConnectSSH, Init: proposals.InitSystemd,
		SSH: proposals.SSH{User: "root", Port: 22, HostKeys: "strict"},
	}
}

// glance is the role with all defaults.
func glance(nodes ...string) *proposals.GlanceServer {
	element := func(name string) proposals.Element {
		return proposals.Element{
			Verbose: true, LogFile: "/var/log/glance/" + name + ".log", ConfigFile: "/etc/glance/glance-" + name + ".conf",
		}
	}
	daemon := func(name string, port int, all bool) proposals.Daemon {
		return proposals.Daemon{
			Element: element(name), Port: port, BindToAll: all, PasteFile: "/etc/glance/glance-" + name + "-paste.ini",
		}
	}
	job := func(name, schedule string) proposals.Job {
		return proposals.Job{Element: element(name), Schedule: schedule, User: "glance"}
	}
	return &proposals.GlanceServer{
		Nodes: nodes,
		User:  "glance", Group: "glance",
		WorkingDirectory: "/var/lib/glance", PIDDirectory: "/var/run/glance",
		NotifierStrategy: "noop",
		Backings:         []proposals.Backing{{Type: "file", Default: true, Directory: "/var/lib/glance/images"}},
		DefaultBacking:   "file",
		Cache: proposals.Cache{
			Directory: "/var/lib/glance/image-cache", GracePeriod: time.Hour, StallTimeout: 24 * time.Hour,
			MaxSize: 10 << 30, ExtraToFree: 0.2,
		},
		API: daemon("api", 9292, true), EnableV1API: true, Registry: daemon("registry", 9191, false),
		Scrubber: job("scrubber", "1 * * * *"), Reaper: job("reaper", "5 * * * *"),
		Pruner: job("pruner", "45 * * * *"), Prefetcher: job("prefetcher", "25 * * * *"),
	}
}

// samples are all proposals of this file by name.
func samples() map[string]func() *proposals.Proposal {
	return map[string]func() *proposals.Proposal{
		"production": production, "swift": swift, "single": single, "quickstart": quickstart,
	}
}

// options are what the tests expand with: passwords that are always the same.
func options() Options {
	return Options{
		Secrets: Secrets{
			DatabasePassword: proposals.NewSecret("generated-database-password"),
			ServicePassword:  proposals.NewSecret("generated-service-password"),
			BrokerPassword:   proposals.NewSecret("generated-broker-password"),
		},
		Service: func(arch string) (machine.Payload, error) {
			return machine.Payload{SHA256: "feed", Size: 1}, nil
		},
	}
}
