package roles

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"glancectl/provision"
	"glancectl/provision/machine"
)

// A dir is a directory that the service writes to, by its path in the
// proposal.
type dir struct {
	path  string
	what  string      // what the proposal calls it
	mode  fs.FileMode // 0 means 0750
	data  bool        // it holds what users put there
	scrap bool        // what it holds is of no use without the service
	image bool        // it is for image data alone
	logs  bool        // it holds logs
	log   string      // it is for this log file alone
}

// dirs are the directories that the service writes to, each one once.
func (s site) dirs() []dir {
	g := s.g
	all := []dir{{path: g.WorkingDirectory, what: "working_directory"}}
	if sqlite := s.sqliteFile(); sqlite != "" {
		all = append(all, dir{path: path.Dir(sqlite), what: "the directory of the SQLite database", data: true})
	}
	if d := s.fileBacking(); d != "" {
		all = append(all, dir{path: d, what: "directory of the file backing", data: true, image: true})
	}
	if g.Cache.Enabled {
		all = append(all, dir{path: g.Cache.Directory, what: "directory of the cache", image: true, scrap: true})
	}
	all = append(all,
		dir{path: path.Join(g.WorkingDirectory, "lock"), what: "the lock directory", scrap: true},
		dir{path: path.Join(g.WorkingDirectory, "staging"), what: "the staging directory", scrap: true},
		dir{path: g.PIDDirectory, what: "pid_directory", mode: 0o755, scrap: true},
	)
	for _, e := range s.elements() {
		all = append(all, dir{
			path: path.Dir(e.LogFile), what: "the directory of log_file " + e.LogFile, log: e.LogFile, logs: true,
		})
	}
	var once []dir
	for _, d := range all {
		d.path = path.Clean(d.path)
		if d.mode == 0 {
			d.mode = 0o750
		}
		at := slices.IndexFunc(once, func(o dir) bool { return o.path == d.path })
		if at < 0 {
			once = append(once, d)
			continue
		}
		// It is for several things now.
		o := &once[at]
		o.data = o.data || d.data
		o.scrap = o.scrap && d.scrap
		o.logs = o.logs && d.logs
		o.image = o.image && d.image
		if o.log != d.log {
			o.log = ""
		}
	}
	return once
}

// directories returns the resources for what the service writes to and for
// its own directories of programs and configuration. Directories above them
// that are missing are made on the way; those that are there stay as they
// are, and so does a directory that one configuration file was put into.
func (s site) directories() []provision.Resource {
	rs := []provision.Resource{
		machine.Dir{Path: path.Dir(s.path(s.m.Binary)), Owner: s.root(), Group: s.root(), Mode: 0o755},
		machine.Dir{Path: s.path(s.m.ConfigDirectory), Owner: s.root(), Group: s.group(), Mode: 0o750},
	}
	for _, d := range s.dirs() {
		rs = append(rs, machine.Dir{
			Path: s.path(d.path), Owner: s.user(), Group: s.group(), Mode: d.mode, Data: d.data, Scratch: d.scrap, Logs: d.logs,
		})
	}
	return rs
}

// below reports whether name is below dir.
func below(name, dir string) bool {
	return strings.HasPrefix(name, path.Join(dir, "/")+"/") || path.Clean(dir) == "/"
}
