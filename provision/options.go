package provision

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"
)

// Connect opens a connection to a node. Errors are best a *ConnectError.
type Connect func(ctx context.Context, node string) (Host, error)

// Options are the settings of [Observe], [Apply] and [Lock]. All but
// Proposal may be left at their zero values.
type Options struct {
	Proposal string // the name, for receipts and locks

	// Root returns the directory below which a node's receipt and lock are;
	// nil or "" means /.
	Root func(node string) string

	// What receipts remember of the proposal and of this program.
	Digest   string
	Revision string
	Modified bool
	Version  string

	Operation string        // what a lock says is going on: "apply", "destroy"
	Parallel  int           // nodes worked on at once; 0 means 10
	NoVerify  bool          // do not observe again after an apply
	CheckTime time.Duration // for a target's checks to pass; 0 means 30 s
	Events    func(Event)   // is told what happens, one event at a time

	// Of Lock: how often it gives a sign of life (0 means every 10 s), and
	// who is told, with a *LockedError, that somebody else took it over.
	Heartbeat time.Duration
	Lost      func(error)
}

// proposalName is what may become part of a path on a node.
var proposalName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

func (o *Options) check() error {
	if !proposalName.MatchString(o.Proposal) {
		return fmt.Errorf("proposal name %q: letters, digits, '_', '-' and '.' only", o.Proposal)
	}
	return nil
}

func (o *Options) root(node string) string {
	if o.Root == nil {
		return ""
	}
	if r := o.Root(node); r != "/" {
		return r
	}
	return ""
}

// state is the directory on a node of what is remembered between applies.
func (o *Options) state(node string) string {
	return o.root(node) + "/var/lib/glancectl/" + o.Proposal
}

func (o *Options) parallel() int {
	if o.Parallel <= 0 {
		return 10
	}
	return o.Parallel
}

// An EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	StageStarted  EventKind = "stage_start"
	StageDone     EventKind = "stage_done"
	ObserveDone   EventKind = "observe_done"
	TargetStarted EventKind = "target_start"
	TargetDone    EventKind = "target_done"
	TargetFailed  EventKind = "target_failed"
	TargetSkipped EventKind = "target_skipped"
	StepStarted   EventKind = "step_start"
	StepDone      EventKind = "step_done"
	StepFailed    EventKind = "step_failed"
	CheckStarted  EventKind = "check_start"
	CheckPassed   EventKind = "check_passed"
	CheckFailed   EventKind = "check_failed"
	LockTaken     EventKind = "lock_taken"  // Step tells from whom a dead one was taken over
	LockFailed    EventKind = "lock_failed" // a node that cannot be reached is not locked
)

// An Event is one thing that happened during Observe, Apply or Lock.
type Event struct {
	Kind   EventKind
	Time   time.Time
	Stage  string
	Host   string
	Target string
	Step   string  // id of the change, or name of the check
	Change *Change // of steps
	Err    error
}

// teller passes events on, one at a time.
type teller struct {
	mu sync.Mutex
	to func(Event)
}

func (t *teller) tell(e Event) {
	if t.to == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Time = time.Now()
	t.to(e)
}

// dial connects to a node and makes sure that the error says which.
func dial(ctx context.Context, connect Connect, node string) (Host, error) {
	h, err := connect(ctx, node)
	if err == nil {
		return h, nil
	}
	var ce *ConnectError
	if errors.As(err, &ce) {
		return nil, err
	}
	return nil, &ConnectError{Node: node, Err: err}
}

// A Pool keeps one connection to each node, so that locking, observing and
// applying do not log in three times. Its Connect may be used by several
// goroutines at once; Close closes all connections.
type Pool struct {
	connect Connect
	mu      sync.Mutex
	hosts   map[string]*pooled
}

// NewPool returns a pool of connections that connect opens.
func NewPool(connect Connect) *Pool {
	return &Pool{connect: connect, hosts: make(map[string]*pooled)}
}

// pooled is a Host that stays open when its user closes it.
type pooled struct {
	Host
	mu sync.Mutex // held while connecting
}

func (p *pooled) Close() error { return nil }

// Near passes the question on.
func (p *pooled) Near() bool { return isNear(p.Host) }

// lively is a Host that knows when its connection is lost.
type lively interface{ Alive() bool }

// Connect is a Connect that opens a connection only when there is none.
func (p *Pool) Connect(ctx context.Context, node string) (Host, error) {
	p.mu.Lock()
	h, ok := p.hosts[node]
	if !ok {
		h = new(pooled)
		p.hosts[node] = h
	}
	p.mu.Unlock()

	h.mu.Lock()
	defer h.mu.Unlock()
	if l, ok := h.Host.(lively); ok && !l.Alive() {
		h.Host.Close()
		h.Host = nil
	}
	if h.Host == nil {
		host, err := p.connect(ctx, node)
		if err != nil {
			return nil, err
		}
		h.Host = host
	}
	// A value of its own: the pool may replace its Host later.
	return &pooled{Host: h.Host}, nil
}

// Close closes all connections.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for node, h := range p.hosts {
		h.mu.Lock()
		if h.Host != nil {
			errs = append(errs, h.Host.Close())
		}
		h.mu.Unlock()
		delete(p.hosts, node)
	}
	return errors.Join(errs...)
}
