package provision

import (
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// A Query is a question about a machine. The kinds are [FileQuery],
// [UserQuery], [GroupQuery], [UnitQuery], [ProcessQuery], [CommandQuery],
// [LockQuery] and [ClockQuery].
type Query interface {
	query()
}

// A FileQuery asks about the file, directory or link at Path.
type FileQuery struct {
	Path string
	// Content asks for the content too, if it is at most MaxContent long and
	// its SHA-256 is not Unless. Nobody has to send what is known already.
	Content bool
	Unless  string
	// Empty asks whether a directory is empty.
	Empty bool
}

// MaxContent is the size in bytes up to which a FileQuery gets the content.
const MaxContent = 1 << 20

// A UserQuery asks about a user.
type UserQuery struct{ Name string }

// A GroupQuery asks about a group.
type GroupQuery struct{ Name string }

// A UnitQuery asks about a systemd unit.
type UnitQuery struct{ Name string }

// A ProcessQuery asks about the process whose number is in a file.
type ProcessQuery struct{ PIDFile string }

// A CommandQuery asks how a command ends. The command must not change
// anything; it runs as User, or as the observing user when User is "" or
// the observing user is not root.
type CommandQuery struct {
	Argv []string
	User string
}

// A LockQuery asks who holds the lock (flock) of a file.
type LockQuery struct{ Path string }

// A ClockQuery asks what time it is there, by which clock.
type ClockQuery struct{}

// Key is the command's name in Facts.Commands.
func (q CommandQuery) Key() string { return q.User + ":" + quoteAll(q.Argv) }

func (FileQuery) query()    {}
func (UserQuery) query()    {}
func (GroupQuery) query()   {}
func (UnitQuery) query()    {}
func (ProcessQuery) query() {}
func (CommandQuery) query() {}
func (LockQuery) query()    {}
func (ClockQuery) query()   {}

// Facts are the answers to queries. What does not exist is not in its map,
// except for units: systemd answers for every name.
type Facts struct {
	Arch string // as Go names it: amd64, arm64
	OS   string // the ID of /etc/os-release, such as debian
	UID  int    // who observes and applies: 0 is root

	Files     map[string]FileFact    // by path
	Users     map[string]UserFact    // by name
	Groups    map[string]GroupFact   // by name
	Units     map[string]UnitFact    // by the name in the query; empty without systemd
	Processes map[string]ProcessFact // by PID file; only those that run
	Commands  map[string]CommandFact // by CommandQuery.Key
	Locks     map[string]int         // by path: the process that holds it; only of those that are held

	// Now is the time there, in its zone, if a ClockQuery was asked.
	Now time.Time

	Receipt *Receipt // nil when this proposal was never applied here
	State   string   // the directory of the receipt on the machine
	Root    string   // what State is below; "" is /

	now      time.Time // on the machine, if a ProcessQuery or a ClockQuery was asked
	changing func(id string) bool
}

// Changing reports whether an earlier resource of the same machine is about
// to change in this plan.
func (f *Facts) Changing(id string) bool {
	return f.changing != nil && f.changing(id)
}

// Entry returns what the receipt says about id, and nil when it says nothing.
func (f *Facts) Entry(id string) *Entry {
	if f.Receipt == nil {
		return nil
	}
	return f.Receipt.Entry(id)
}

// A FileFact is what is at a path.
type FileFact struct {
	Type    fs.FileMode // the type bits: 0 a regular file, fs.ModeDir, fs.ModeSymlink, ...
	Mode    fs.FileMode // permission bits, with setuid, setgid and sticky
	Owner   string
	Group   string
	Size    int64
	Mtime   time.Time
	Ctime   time.Time
	Inode   uint64
	SHA256  string // of regular files that could be read, in hex
	Target  string // of links
	Content []byte // as asked for
	Empty   bool   // as asked for
}

// IsRegular reports whether there is a regular file.
func (f FileFact) IsRegular() bool { return f.Type == 0 }

// IsDir reports whether there is a directory.
func (f FileFact) IsDir() bool { return f.Type == fs.ModeDir }

// IsLink reports whether there is a symbolic link.
func (f FileFact) IsLink() bool { return f.Type == fs.ModeSymlink }

// Attrs are mode and owner the way receipts and summaries write them:
// "0640 root:glance", or "0640" when owners are not looked after.
func Attrs(mode fs.FileMode, owner, group string) string {
	if owner == "" && group == "" {
		return fmt.Sprintf("%04o", octal(mode))
	}
	return fmt.Sprintf("%04o %s:%s", octal(mode), owner, group)
}

// octal is mode as chmod takes it.
func octal(mode fs.FileMode) uint32 {
	n := uint32(mode.Perm())
	for _, bit := range []struct {
		mode fs.FileMode
		n    uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if mode&bit.mode != 0 {
			n |= bit.n
		}
	}
	return n
}

// A UserFact is one line of the user database.
type UserFact struct {
	Name, Home, Shell string
	UID, GID          int
}

// A GroupFact is one line of the group database.
type GroupFact struct {
	Name string
	GID  int
}

// A UnitFact is what systemd says about a unit.
type UnitFact struct {
	LoadState  string // loaded, not-found, masked, ...
	Active     string // active, inactive, failed, activating, ...
	Sub        string // running, dead, ...
	Enabled    string // enabled, disabled, static, ...
	NeedReload bool   // the unit file is newer than what systemd knows
	MainPID    int
	Started    time.Time // of the main process, to the second; zero if never
}

// A ProcessFact is a process that runs.
type ProcessFact struct {
	PID     int
	Argv    []string
	Started time.Time
	// Ticks is the kernel's own mark of the start: with PID it names the
	// process for ever.
	Ticks string
}

// A CommandFact is how a command ended.
type CommandFact struct {
	Status int // 126 and 127: it could not be started
	Output string
}

// Missing reports whether the command could not be started at all.
func (c CommandFact) Missing() bool { return c.Status == 126 || c.Status == 127 }

// String is the last line of the output, or the status when there is none.
func (c CommandFact) String() string {
	if l := lastLine(c.Output); l != "" {
		return l
	}
	return fmt.Sprintf("exit status %d", c.Status)
}

// lastLine is the last line of s that is not blank.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
