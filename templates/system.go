package templates

import (
	"path"
	"slices"
	"strings"
)

// Unit is what a systemd unit of a daemon says.
type Unit struct {
	Description      string
	User             string
	Group            string
	WorkingDirectory string
	Argv             []string
	// Reads are the files and Writes the directories that the daemon uses. It
	// can write nowhere else.
	Reads  []string
	Writes []string
	Port   int
}

// Service returns the systemd unit of a daemon that reports when it is ready.
// Everything that it has no use for is closed to it.
func Service(u Unit) []byte {
	return text("daemon.service.tmpl", struct {
		Unit
		ProtectHome string
		PrivateTmp  string
		Privileged  bool
	}{
		Unit:        u,
		ProtectHome: u.protectHome(),
		PrivateTmp:  u.privateTmp(),
		Privileged:  u.Port < 1024,
	})
}

// protectHome hides the homes of people, unless the service was put into one.
func (u Unit) protectHome() string {
	if u.uses("/home", "/root", "/run/user") {
		return "read-only" // ReadWritePaths opens what is to be written
	}
	return "yes"
}

// privateTmp gives the daemon a /tmp of its own, unless its data are in the
// one of all.
func (u Unit) privateTmp() string {
	if u.uses("/tmp", "/var/tmp") {
		return "no"
	}
	return "yes"
}

// uses reports whether the daemon reads or writes anything below one of dirs.
func (u Unit) uses(dirs ...string) bool {
	for _, p := range slices.Concat(u.Reads, u.Writes, u.Argv, []string{u.WorkingDirectory}) {
		for _, dir := range dirs {
			if p == dir || strings.HasPrefix(p, dir+"/") {
				return true
			}
		}
	}
	return false
}

// Cron is what the cron file of a job says.
type Cron struct {
	Description string
	Schedule    string // five fields
	User        string
	Argv        []string
}

// CronFile returns a file for /etc/cron.d.
func CronFile(c Cron) []byte {
	return text("job.cron.tmpl", c)
}

// Logs are the log files of a node and who writes them.
type Logs struct {
	Files []string
	User  string
	Group string
}

// Logrotate returns a file for /etc/logrotate.d. Each file is moved away and
// a new one opened, so that no line is lost between a copy and its truncation.
func Logrotate(l Logs) []byte {
	return text("glance.logrotate.tmpl", l)
}

// RuntimeDir is the directory that the daemons keep their process ids in.
type RuntimeDir struct {
	Dir   string
	User  string
	Group string
}

// Tmpfiles returns a file for /etc/tmpfiles.d that makes the directory again
// after every boot.
func Tmpfiles(r RuntimeDir) []byte {
	// systemd-tmpfiles complains about every boot with /var/run in it.
	if rest, ok := strings.CutPrefix(path.Clean(r.Dir), "/var/run/"); ok {
		r.Dir = "/run/" + rest
	}
	return text("glance.tmpfiles.tmpl", r)
}
