// Package provision brings machines, and the services on them, to a wanted
// state. It observes, compares, and changes only what differs.
//
// It knows machines, databases and identity services as targets of
// resources; it knows nothing of images, of the proposal's language, or of
// how anything is printed. Package roles hands it the targets.
//
// A plan is made through a [Reader], which has no method that changes
// anything, so a plan cannot change a machine. The same [Change] values that
// a plan shows are what an apply executes.
package provision

import (
	"context"
	"io"
	"net"
	"time"
)

// A Host is a machine that can run commands. Implementations are dumb: one
// call is one round trip, nothing is retried, nothing is interpreted.
// A Host may be used by several goroutines at once.
type Host interface {
	// Name is the node's name in the proposal.
	Name() string
	// Run runs one command to its end. A command that ends with a status
	// other than 0 is a Result, not an error; an error means that it is not
	// known what the command did. When ctx ends, Run returns soon and the
	// remote process is told to end.
	Run(ctx context.Context, c Cmd) (Result, error)
	// Pipe starts argv and returns its standard input and output as one
	// stream. Closing the stream ends the process.
	Pipe(ctx context.Context, argv []string) (net.Conn, error)
	// Dial connects from the machine: "tcp" or "unix".
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	Close() error
}

// A Cmd is one command. Secrets go to Stdin, never to Argv.
type Cmd struct {
	Argv  []string
	Stdin io.Reader
	// Stdout, if set, gets the standard output as it comes; Result.Stdout
	// stays empty then.
	Stdout io.Writer
	// Endless: it ends when it ends, or when ctx does; a limit that a Host has
	// for all commands does not hold.
	Endless bool
	// Longer is how much more time than that limit it has.
	Longer time.Duration
}

// MaxOutput is how much of a command's output a Result keeps.
const MaxOutput = 8 << 20

// A Result is how a command ended. Stdout and Stderr are cut at MaxOutput.
type Result struct {
	Status int
	Stdout []byte
	Stderr []byte
}

// A Reader is what observing may use of a machine.
type Reader interface {
	Name() string
	// Look answers all queries in one round trip.
	Look(ctx context.Context, queries []Query) (*Facts, error)
	// Dial connects from the machine, for looking at a service on it.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Pipe runs a program on the machine that only passes bytes on, such as
	// a relay to a socket that root alone may open.
	Pipe(ctx context.Context, argv []string) (net.Conn, error)
}

// A Writer is what applying may use of a machine.
type Writer interface {
	Reader
	// Do executes ops in order, in as few round trips as it can, and calls
	// done after each. It stops at the first that fails and returns a
	// *StepError that names it.
	Do(ctx context.Context, ops []Op, done func(i int)) error
}

// A Resource is one thing, or a few that belong together, on one target.
type Resource interface {
	// ID names the resource on its target, such as "file:/etc/glance/glance-api.conf".
	ID() string
	// Queries are the machine facts that Observe wants to find in its Facts.
	Queries() []Query
	// Observe compares what is with what is wanted and returns the changes
	// that are needed, none when all is as wanted. It never changes anything.
	Observe(ctx context.Context, r Reader, f *Facts) ([]Change, error)
}

// An Action is what a change does to its resource.
type Action string

// The actions.
const (
	Create  Action = "create"
	Update  Action = "update"
	Delete  Action = "delete"
	Restart Action = "restart"
	Run     Action = "run"
)

// A Change is one difference and the way to remove it.
type Change struct {
	ID      string // of the resource, or of a part of it
	Action  Action
	Summary string // one line for people: "database glance", "mode 0644 -> 0640"
	Diff    string // unified diff of a file's text, secrets masked; "" when there is none
	Drifted bool   // the machine was changed since the last apply, not the proposal
	// Proposed: the machine is as the last apply left it, and the proposal wants
	// it otherwise now.
	Proposed bool
	Hash     string // what the receipt remembers of the new content; "" for nothing

	// Record is the receipt's whole entry, for resources of which it has to
	// remember more than a Hash. Nil and no Hash: nothing is remembered, and
	// a Delete is forgotten.
	Record *Entry

	// How to make it so: Ops for a machine, executed in batches, or Do for
	// everything else. After either, Observe finds nothing.
	Ops []Op
	Do  func(ctx context.Context, w Writer) error
	// Beside: of changes with Do, it needs nothing of the one before it, and
	// both are made at the same time.
	Beside bool
}

// A Target is a machine and the resources on it, in the order they are applied.
type Target struct {
	Host      string // the node's name
	Name      string // what plans call it: "image-1", "mysql main on db-node"
	Resources []Resource
	Checks    []Check
}

// A Check is asked after the target was changed, until it passes or the
// time is up.
type Check struct {
	Name string // "glance-api answers on port 9292"
	// Ask returns nil when the check passes. It changes nothing.
	Ask func(ctx context.Context, r Reader) error
	// Logs are commands whose output helps to understand a failure, such as
	// the last lines of a unit's journal.
	Logs []Cmd
}

// A Stage is a group of targets that are worked on side by side. The next
// stage begins when all of them are done.
type Stage struct {
	Name    string // "database", "keystone", "nodes", "schema", "services"
	Targets []Target
	// Required: when one target fails, no later stage begins.
	Required bool
	// Once: only the first target that can be reached is worked on.
	Once bool
	// Beside: it needs nothing of the stage before it, and both are worked on
	// at the same time.
	Beside bool
}
