package provision

import (
	"fmt"
	"strings"
	"time"
)

// A ConnectError says why a node could not be reached or did not let us in.
type ConnectError struct {
	Node    string
	Address string
	Err     error
}

func (e *ConnectError) Error() string {
	if e.Address == "" {
		return fmt.Sprintf("connect %s: %v", e.Node, e.Err)
	}
	return fmt.Sprintf("connect %s (%s): %v", e.Node, e.Address, e.Err)
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// A StepError says which step failed on which node.
type StepError struct {
	Node   string
	Step   string // the id of the resource; "" below the engine
	Op     string // "write /etc/glance/glance-api.conf"; "" when the step is not an Op
	Status int    // how the op ended; 0 when that is not known
	Log    string // the last lines of its output
	Err    error  // the cause when there is more than a status

	index int // of the Op in its batch
}

func (e *StepError) Error() string {
	var b strings.Builder
	b.WriteString(e.Node)
	for _, s := range []string{e.Step, e.Op} {
		if s != "" {
			b.WriteString(": " + s)
		}
	}
	switch {
	case e.Err != nil:
		fmt.Fprintf(&b, ": %v", e.Err)
	case lastLine(e.Log) != "":
		fmt.Fprintf(&b, ": exit status %d: %s", e.Status, lastLine(e.Log))
	default:
		fmt.Fprintf(&b, ": exit status %d", e.Status)
	}
	return strings.TrimPrefix(b.String(), ": ") // of a node without a name
}

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// A LockedError says that somebody else is working on the same proposal.
type LockedError struct {
	Node   string
	Path   string // of the lock on the node
	Holder Holder
	Age    time.Duration // since its last sign of life, by the node's clock
}

// A Holder is who holds a lock.
type Holder struct {
	ID        string    `json:"id"`
	Who       string    `json:"who"`
	Host      string    `json:"host"`
	PID       int       `json:"pid"`
	Operation string    `json:"operation"`
	Started   time.Time `json:"started"`
}

func (e *LockedError) Error() string {
	h := e.Holder
	if h == (Holder{}) {
		return fmt.Sprintf("lock %s on %s: held, and it does not say by whom", e.Path, e.Node)
	}
	return fmt.Sprintf("lock %s on %s: held by %s@%s (%s, process %d) since %s",
		e.Path, e.Node, h.Who, h.Host, h.Operation, h.PID, h.Started.Format(time.RFC3339))
}

// A CheckError says that a target does not work after it was changed.
type CheckError struct {
	Node  string
	Check string
	Logs  string // what the check's log commands printed
	Err   error
}

func (e *CheckError) Error() string {
	return fmt.Sprintf("%s: check %q: %v", e.Node, e.Check, e.Err)
}

// Unwrap returns the cause.
func (e *CheckError) Unwrap() error { return e.Err }
