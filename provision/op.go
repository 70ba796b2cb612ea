package provision

import (
	"fmt"
	"io"
	"io/fs"
	"time"
)

// An Op is one act on a machine. Ops are data: a Writer renders those that
// follow each other into one script and runs it in one session. Every op is
// whole or not at all, or may be repeated without harm; an op whose Owner
// and Group are "" leaves the owner alone.
type Op interface {
	fmt.Stringer
	// render writes the commands that do the op. They run with set -e, with
	// nothing on their input and umask 022.
	render(s *script)
}

// PutFile makes Path a regular file with Content.
type PutFile struct {
	Path         string
	Content      []byte
	Mode         fs.FileMode
	Owner, Group string
	// Original, if set, is where a copy of what is at Path now is kept,
	// unless there is one already.
	Original string
	// Parents makes the missing directories above Path, for root alone.
	Parents bool
}

// Upload makes Path a regular file with the content that Open yields as a
// gzip stream, or Plain, if it is given, as it is.
type Upload struct {
	Path         string
	Mode         fs.FileMode
	Owner, Group string
	Original     string // as in PutFile
	SHA256       string // of the content, in hex
	Size         int64  // of the content
	Open         func() (io.ReadCloser, error)
	Plain        func() (io.ReadCloser, error) // for a machine that is near; nil: use Open
	BLAKE2b      func() (string, error)        // of what Plain yields, in hex; nil: SHA256 will do
}

// MakeDir makes a directory, whose parent exists, and sets its mode and owner.
type MakeDir struct {
	Path         string
	Mode         fs.FileMode
	Owner, Group string
}

// SetAttrs sets mode and owner.
type SetAttrs struct {
	Path         string
	Mode         fs.FileMode
	Owner, Group string
}

// MakeLink makes Path a symbolic link to Target.
type MakeLink struct {
	Path, Target string
	Original     string // as in PutFile
}

// Remove removes a file or link; it may be gone already.
type Remove struct {
	Path     string
	Original string // as in PutFile
}

// RemoveDir removes a directory if it is empty, or with everything in it.
type RemoveDir struct {
	Path string
	All  bool
}

// Restore puts the copy at Original back to Path, or only removes Path when
// there is no copy.
type Restore struct {
	Path, Original string
}

// AddGroup adds a system group.
type AddGroup struct{ Name string }

// AddUser adds a system user without password, or changes the one there is.
type AddUser struct {
	Name, Group, Home, Shell string
	Modify                   bool
}

// RemoveUser removes a user, and ends what still runs as that user; it may be
// gone already.
type RemoveUser struct{ Name string }

// RemoveGroup removes a group; it may be gone already.
type RemoveGroup struct{ Name string }

// Exec runs a command, as User if that is set and root runs the script.
type Exec struct {
	Argv    []string
	User    string
	Timeout time.Duration // 0: 10 minutes
}

// StartUnit enables a unit and starts it, or starts it anew. A unit that
// does not become active is a failure that carries the end of its journal.
type StartUnit struct {
	Name    string
	Restart bool
}

// StopUnit stops and disables a unit; it may be gone already.
type StopUnit struct{ Name string }

// ReviveUnit starts a unit anew with the files that are there now, or stops
// it, and enables or disables it. A unit that does not become active is a
// failure that carries the end of its journal.
type ReviveUnit struct {
	Name            string
	Active, Enabled bool
}

// ReloadUnits makes systemd read its unit files.
type ReloadUnits struct{}

// StartProcess starts a program that goes on without us, and writes its
// number to PIDFile. A program that ends at once is a failure that carries
// the end of LogFile.
type StartProcess struct {
	Argv    []string
	Env     []string
	PIDFile string
	LogFile string
}

// StopProcess ends a process: asks, waits, and kills. Only the process that
// was observed is touched, not another that got its number.
type StopProcess struct {
	PIDFile string
	PID     int
	Ticks   string
}

func (o PutFile) String() string      { return "write " + o.Path }
func (o MakeDir) String() string      { return "make directory " + o.Path }
func (o SetAttrs) String() string     { return "set " + Attrs(o.Mode, o.Owner, o.Group) + " on " + o.Path }
func (o MakeLink) String() string     { return "link " + o.Path + " to " + o.Target }
func (o Remove) String() string       { return "remove " + o.Path }
func (o RemoveDir) String() string    { return "remove directory " + o.Path }
func (o Restore) String() string      { return "restore " + o.Path }
func (o AddGroup) String() string     { return "add group " + o.Name }
func (o RemoveUser) String() string   { return "remove user " + o.Name }
func (o RemoveGroup) String() string  { return "remove group " + o.Name }
func (o Exec) String() string         { return "run " + quoteAll(o.Argv) }
func (o StopUnit) String() string     { return "stop and disable " + o.Name }
func (o ReviveUnit) String() string   { return "put back " + o.Name }
func (ReloadUnits) String() string    { return "systemctl daemon-reload" }
func (o StartProcess) String() string { return "start " + o.Argv[0] }
func (o StopProcess) String() string  { return fmt.Sprintf("stop process %d", o.PID) }

func (o AddUser) String() string {
	if o.Modify {
		return "change user " + o.Name
	}
	return "add user " + o.Name
}

func (o StartUnit) String() string {
	if o.Restart {
		return "restart " + o.Name
	}
	return "start " + o.Name
}
