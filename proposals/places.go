package proposals

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// A claim is a directory on the nodes that the service is given, or a
// configuration file that is put there.
type claim struct {
	what string // in words
	path string
	attr *hcl.Attribute
	free string // a path that would do
}

// claim remembers that an attribute of the block at block gives the service
// the directory dir.
func (r *roleReader) claim(block, what, dir string, a *hcl.Attribute) {
	if dir != "" { // otherwise a mistake has been reported
		r.dirs = append(r.dirs, newClaim(block, what, dir, a))
	}
}

func newClaim(block, what, name string, a *hcl.Attribute) claim {
	return claim{what: what, path: name, attr: a, free: strings.Trim(spec(block).attr(a.Name).Default, `"`)}
}

// claimLogs is claim for the directory of a log file. Those that were left
// out share one directory, which is claimed once.
func (r *roleReader) claimLogs(element string, a *hcl.Attribute, file string) {
	c := newClaim("role."+element, "the directory of "+element+"'s log_file", path.Dir(file), a)
	if !r.written(c) && slices.ContainsFunc(r.dirs, func(o claim) bool { return o.attr.Name == a.Name && o.path == c.path }) {
		return
	}
	r.dirs = append(r.dirs, c)
}

// written reports whether a stands in the proposal. What is not there has
// its default.
func (r *roleReader) written(c claim) bool { return r.origins[c.attr] != nil }

// checkPlaces reports directories and configuration files that the service
// cannot have, on any of its nodes.
func (r *roleReader) checkPlaces() {
	if r.onMachines() {
		r.dirs = slices.DeleteFunc(r.dirs, func(c claim) bool {
			if c.what == lockPlace { // reported as the working directory
				return machinePlace(path.Dir(c.path)) != ""
			}
			return r.refused(c, machinePlace(c.path))
		})
		r.configs = slices.DeleteFunc(r.configs, func(c claim) bool {
			return r.refused(c, machineFile(c.path))
		})
	}
	told := map[*hcl.Attribute]bool{} // one mistake at a place is enough
	for i, c := range r.dirs {
		if c.what != lockPlace && (within(c.path, configDirectory) || within(configDirectory, c.path)) {
			r.refused(c, "shares "+configDirectory+" with the configuration")
		}
		for j, other := range r.dirs {
			if c.what != other.what && mixes(c, other) && !(mixes(other, c) && j < i) {
				r.shared(c, other, told)
			}
		}
	}
	for _, c := range r.configs {
		for _, dir := range r.dirs {
			if (dir.what == imagesPlace || dir.what == cachePlace) && within(c.path, dir.path) {
				r.shared(dir, c, told)
			}
		}
	}
	r.checkInTheWay()
}

// checkInTheWay reports files where a directory is to be.
func (r *roleReader) checkInTheWay() {
	for name, file := range r.files {
		for _, dir := range r.dirs {
			if !within(dir.path, name) {
				continue
			}
			at := file.place
			if at.Filename == "" {
				at = dir.attr.Expr.Range()
			}
			r.errorf(at, "Give the file another name.", "%s is in the way of %s", file.what, dir.what)
			break
		}
	}
}

// onMachines reports whether a node of the role has its paths in the
// machine's own root, and not below a directory that is nobody else's.
func (r *roleReader) onMachines() bool {
	return len(r.g.Nodes) == 0 || slices.ContainsFunc(r.g.Nodes, func(name string) bool { return r.p.Node(name).Root == "" })
}

// refused reports c, with the reason why, if there is one.
func (r *roleReader) refused(c claim, why string) bool {
	if why == "" {
		return false
	}
	r.errorf(c.attr.Expr.Range(), fmt.Sprintf("Name a place that is the service's own, such as %q.", c.free),
		"%s %s: %s", c.what, why, shown(c.attr, fmt.Sprintf("%q", c.path)))
	return true
}

// shared reports that inner is in the directory outer, where somebody wrote
// one of them, unless something is told about that place already.
func (r *roleReader) shared(outer, inner claim, told map[*hcl.Attribute]bool) {
	at := inner
	if !r.written(inner) {
		at = outer
	}
	if told[at.attr] {
		return
	}
	told[at.attr] = true
	words := "is in"
	if inner.path == outer.path {
		words = "is also"
	}
	r.errorf(at.attr.Expr.Range(), "Give each a directory of its own: "+reasons[outer.what], "%s %s %s: %s",
		inner.what, words, outer.what, shown(at.attr, fmt.Sprintf("%q", at.path)))
}

// What the directories of the service are called.
const (
	workingPlace  = "the working directory"
	pidPlace      = "the directory of the process ids"
	imagesPlace   = "the directory of the images"
	cachePlace    = "the directory of the cache"
	databasePlace = "the directory of the database"
	lockPlace     = "the directory of the lock files"
)

// reasons say why nothing else may be in a directory.
var reasons = map[string]string{
	imagesPlace: "what is there is taken for image data.",
	cachePlace:  "the pruner removes files from the cache.",
	pidPlace:    "it is made anew when the machine starts.",
	lockPlace:   "what is there is thrown away.",
}

// mixes reports whether data would be mixed because inner is in outer.
func mixes(outer, inner claim) bool {
	if !within(inner.path, outer.path) {
		return false
	}
	switch outer.what {
	case imagesPlace, cachePlace:
		return inner.what != lockPlace // it is in the working directory, which is reported
	case pidPlace, lockPlace:
		return slices.Contains([]string{workingPlace, imagesPlace, cachePlace, databasePlace}, inner.what)
	}
	return false
}

// configDirectory is where the configuration is.
const configDirectory = "/etc/glance"

// wholeTrees are the machine's with all that is below them.
var wholeTrees = []string{
	"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys", "/usr",
	"/run/lock", "/run/user", "/var/backups", "/var/mail",
}

// privateTrees are people's. The units of the service keep it out of them.
var privateTrees = []string{"/home", "/root"}

// sharedDirs are the machine's; what is below them may be a service's own.
var sharedDirs = []string{
	"/", "/media", "/mnt", "/opt", "/run", "/srv", "/tmp", "/var", "/var/cache", "/var/lib", "/var/local", "/var/log",
	"/var/opt", "/var/spool", "/var/tmp",
}

// perService are the shared directories in which each service has a
// directory of its name, and otherServices names that are taken.
var (
	perService    = []string{"/run", "/var/cache", "/var/lib", "/var/log", "/var/spool"}
	otherServices = []string{
		"NetworkManager", "apt", "ceph", "cinder", "cloud", "containerd", "cron", "dbus", "docker", "dpkg", "glancectl",
		"journal", "keystone", "libvirt", "mariadb", "memcached", "mysql", "mysqld", "neutron", "nova", "postgresql", "rabbitmq", "redis",
		"rpm", "rsyslog", "sshd", "sudo", "swift", "systemd", "udev",
	}
)

// machinePlace says why a directory cannot be the service's, or "".
func machinePlace(dir string) string {
	if slices.Contains(sharedDirs, realPath(dir)) {
		return "is a directory of the machine"
	}
	return inMachinePlace(dir)
}

func inMachinePlace(name string) string {
	for _, tree := range wholeTrees {
		switch {
		case name == tree:
			return "is a directory of the machine"
		case within(name, tree):
			return "is in " + tree + ", which is the machine's"
		}
	}
	for _, tree := range privateTrees {
		if within(name, tree) {
			return "is in " + tree + ", where the service does not get"
		}
	}
	for _, parent := range perService {
		for _, other := range otherServices {
			if dir := path.Join(parent, other); within(name, dir) {
				return "is in " + dir + ", which is another service's"
			}
		}
	}
	return ""
}

// machineFile says why a configuration file cannot be called name, or "".
func machineFile(name string) string {
	if rest, ok := strings.CutPrefix(name, "/etc/"); ok {
		if first, _, _ := strings.Cut(rest, "/"); strings.Contains(strings.ToLower(first), "glance") {
			return ""
		}
	}
	if dir := path.Dir(name); slices.Contains(sharedDirs, realPath(dir)) {
		return "is in " + dir + ", which is the machine's"
	}
	return inMachinePlace(name)
}

// within reports whether name is dir or below it.
func within(name, dir string) bool {
	return dir == "/" || strings.HasPrefix(realPath(name)+"/", realPath(dir)+"/")
}

// realPath returns name without the two links that every machine has.
func realPath(name string) string {
	for link, target := range map[string]string{"/var/run": "/run", "/var/lock": "/run/lock"} {
		if rest, ok := strings.CutPrefix(name+"/", link+"/"); ok {
			return path.Join(target, rest)
		}
	}
	return name
}
