// Package policy decides who may do what, by rules that a site can change.
//
// The rules are written in the language of oslo.policy and stand in files of
// YAML or JSON; what a file leaves out is as in the table of this package. An
// [Engine] answers [glance.Images] as its Policy, and [Protections] do so for
// custom properties. The package knows callers and images and nothing of how
// they came here, neither HTTP nor Keystone, and it asks nobody else: rules
// that want a remote server to decide are refused.
package policy

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"glancectl/service/glance"
)

// Options say where rules come from. The zero value is the defaults alone.
type Options struct {
	// Files are the places where the file of rules may be; the first that
	// there is counts. Required says that there must be one.
	Files    []string
	Required bool
	// Dirs are directories of more files; their rules replace those of the
	// file, in the order of their names. One that is not there is empty.
	Dirs []string

	// Fallback is the rule that answers for rules which nobody wrote; empty
	// means default.
	Fallback string
	// Legacy lets through, for rules that no file has, also what the defaults
	// of older releases let through (enforce_new_defaults = False). Whatever
	// the rules say, an image is then changed by its owner or an admin only.
	Legacy bool
	// AnyScope takes tokens that are for a domain or for the whole deployment
	// where a token for a project is meant (enforce_scope = False).
	AnyScope bool

	Log *slog.Logger     // nil means nobody is told
	Now func() time.Time // nil means time.Now
}

const (
	// patience is how long the rules are used before the files are looked at
	// again.
	patience = time.Second
	// settled is how old a file must be to be read. An editor may be in the
	// middle of writing a younger one, and half a file opens what the other
	// half closes.
	settled = 100 * time.Millisecond
)

// An Engine answers by rules, and by new ones soon after the files changed.
// Files that have become wrong leave the rules as they are; that is logged as
// an error, once. It is safe for concurrent use.
type Engine struct {
	o     Options
	rules atomic.Pointer[ruleset]
	look  atomic.Int64 // when to look at the files again, Unix nanoseconds

	mu     sync.Mutex // of what follows
	seen   string     // what the files looked like when they were last read
	found  bool       // there was a file
	needed []reference
}

// Open reads the files and returns an engine that answers by them. All
// mistakes are reported at once, one line each, with the file, the line where
// it can be known, and the rule.
func Open(o Options) (*Engine, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &Engine{o: o}
	s := survey(o)
	rules, err := e.read(s)
	if err != nil {
		return nil, err
	}
	e.use(rules, s)
	e.look.Store(o.Now().Add(patience).UnixNano())
	return e, nil
}

// Allows implements glance.Policy. A caller without an identity may read what
// the rules let it read, and change nothing whatever they say.
func (e *Engine) Allows(c glance.Caller, r glance.Rule, t glance.Target) bool {
	rules := e.current()
	d, known := defaults[string(r)]
	switch {
	case known && !d.helper && !e.o.AnyScope && (c.System || c.DomainID != ""):
		return false
	case c.Anonymous && d.writes():
		return false
	case e.o.Legacy && !d.guard.passes(&c, &t):
		return false
	}
	return rules.allows(string(r), &query{caller: c, target: t})
}

// Admin returns whether c is an admin by the rule context_is_admin, whatever c
// itself says. An anonymous caller never is.
func (e *Engine) Admin(c glance.Caller) bool {
	c.Admin = false
	return !c.Anonymous && e.current().allows(contextIsAdmin, &query{caller: c})
}

// current returns the rules, having looked at the files if it is time to.
func (e *Engine) current() *ruleset {
	if now := e.o.Now(); now.UnixNano() >= e.look.Load() && e.mu.TryLock() {
		e.refresh(now)
		e.mu.Unlock()
	}
	return e.rules.Load()
}

// refresh reads the files if they are not what they were. The lock is held.
func (e *Engine) refresh(now time.Time) {
	e.look.Store(now.Add(patience).UnixNano())
	s := survey(e.o)
	if s.stamp == e.seen {
		return
	}
	if age := now.Sub(s.newest); age >= 0 && age < settled {
		e.look.Store(now.Add(settled).UnixNano())
		return
	}
	rules, err := e.read(s)
	if err != nil {
		e.seen = s.stamp // said once is enough
		e.o.Log.Error("the policy rules cannot be read; the old ones hold", slog.Any("error", err))
		return
	}
	e.use(rules, s)
	e.o.Log.Info("read the policy rules again")
}

// read makes rules of the files that s found.
func (e *Engine) read(s surveyed) (*ruleset, error) {
	if s.err == nil && e.found && s.file == "" {
		s.err = fmt.Errorf("%s: the file is gone", e.o.Files[0])
	}
	if s.err != nil {
		return nil, s.err
	}
	written, err := readAll(s.paths())
	if err != nil {
		return nil, err
	}
	return build(written, e.o, e.needed)
}

// use makes rules the ones that count.
func (e *Engine) use(rules *ruleset, s surveyed) {
	e.seen, e.found = s.stamp, s.file != ""
	e.rules.Store(rules)
	for _, text := range rules.warnings {
		e.o.Log.Warn(text)
	}
}

// need makes it a mistake if a rule is not there, now or later.
func (e *Engine) need(refs []reference) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.rules.Load().have(refs); err != nil {
		return err
	}
	e.needed = append(e.needed, refs...)
	return nil
}
