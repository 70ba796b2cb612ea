package roles

import (
	"path"
	"strings"
	"time"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/machine"
)

// schemaTimeout is how long the tables may take: a large catalog of an older
// release is changed in place.
const schemaTimeout = time.Hour

// installStage puts the program and everything around it on the image nodes.
func installStage(sites []site) (provision.Stage, error) {
	stage := provision.Stage{Name: "install"}
	for _, s := range sites {
		resources, err := s.install()
		if err != nil {
			return stage, err
		}
		stage.Targets = append(stage.Targets, s.target(resources...))
	}
	return stage, nil
}

// install returns the resources of the node in the order they need each
// other: owners, directories, the program, files.
func (s site) install() ([]provision.Resource, error) {
	files, err := s.installed()
	if err != nil {
		return nil, err
	}
	var rs []provision.Resource
	if s.systemd() {
		rs = append(rs,
			machine.Group{Name: s.g.Group},
			machine.User{Name: s.g.User, Group: s.g.Group, Home: s.path(s.g.WorkingDirectory), Shell: "/usr/sbin/nologin"},
		)
	}
	rs = append(rs, s.directories()...)
	rs = append(rs, s.binary())
	for _, name := range s.m.Programs {
		rs = append(rs, machine.Link{
			Path:   s.path(s.m.program(name)),
			Target: relative(s.m.ProgramDirectory, s.m.Binary),
		})
	}
	for _, f := range files {
		rs = append(rs, f.resource())
	}
	return append(rs, s.absent()...), nil
}

func (f file) resource() machine.File {
	return machine.File{
		Path: f.Path, Mode: f.Mode, Owner: f.Owner, Group: f.Group, Content: f.Content,
		Secrets: f.secrets, INI: f.options, SecretKeys: f.secretKeys,
	}
}

func (s site) binary() machine.Binary {
	return machine.Binary{
		Path: s.path(s.m.Binary), Owner: s.root(), Group: s.root(), Mode: 0o755, Source: s.o.Service,
	}
}

// absent are the files that an earlier version of the proposal put here and
// this one does not want: cron files of jobs without a cache, and the
// credentials of a Swift that is no longer used.
func (s site) absent() []provision.Resource {
	var rs []provision.Resource
	if s.swiftBacking() == nil {
		rs = append(rs, machine.Absent{Path: s.path(s.swiftFile())})
	}
	if !s.systemd() {
		return rs
	}
	for _, j := range s.m.Jobs {
		if !s.scheduled(j) {
			rs = append(rs, machine.Absent{Path: s.path(s.cronFile(j))})
		}
	}
	return rs
}

// relative returns the target of a link in dir that leads to name.
func relative(dir, name string) string {
	up := ""
	for dir != "/" && !below(name, dir) {
		dir = path.Dir(dir)
		up += "../"
	}
	return up + strings.TrimPrefix(strings.TrimPrefix(name, dir), "/")
}

// schemaStage brings the tables up to date before any daemon uses them: on
// one node for all when they share a database, and then no daemon begins
// without it; on each when each has its own, and then a failure is that
// node's alone.
func schemaStage(sites []site) (provision.Stage, error) {
	stage := provision.Stage{Name: "schema"}
	for _, s := range sites {
		shared := s.g.Database.Type == proposals.DatabaseMySQL
		stage.Once, stage.Required = shared, shared
		conf := s.path(path.Join(s.m.ConfigDirectory, "glance-manage.conf"))
		manage := []string{s.path(s.m.program("glance-manage")), "--config-file", conf, "db"}
		stage.Targets = append(stage.Targets, s.target(machine.Command{
			Name:  "glance-manage db sync",
			Check: append(manage[:len(manage):len(manage)], "check"),
			Run:   append(manage[:len(manage):len(manage)], "sync"),
			User:  s.user(),
			// The check was asked of the old program with the old file.
			Watch:   []string{s.binary().ID(), machine.File{Path: conf}.ID()},
			Timeout: schemaTimeout,
		}))
	}
	return stage, nil
}
