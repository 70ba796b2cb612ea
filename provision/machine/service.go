package machine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"glancectl/provision"
)

// A Unit is a systemd unit that is enabled and active.
type Unit struct {
	Name string
	// Watch are ids of resources of the same machine. The unit is restarted
	// when one of them changes, when an apply was cut off while changing
	// one, and when a watched file is newer than the process that runs.
	Watch []string
}

// ID implements provision.Resource.
func (r Unit) ID() string { return provision.ID(provision.KindUnit, r.Name) }

// Queries implements provision.Resource.
func (r Unit) Queries() []provision.Query {
	return append(watchQueries(r.Watch), provision.UnitQuery{Name: r.Name})
}

// Observe implements provision.Resource.
func (r Unit) Observe(_ context.Context, _ provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	u, ok := f.Units[r.Name]
	if !ok {
		return nil, fmt.Errorf("unit %s: systemd does not run here", r.Name)
	}
	if u.LoadState == "masked" {
		return nil, fmt.Errorf("unit %s: masked: systemctl unmask it first", r.Name)
	}
	active := u.Active == "active" || u.Active == "reloading"
	enabled := !slices.Contains([]string{"disabled", "", "bad"}, u.Enabled)
	e := f.Entry(r.ID())
	ch := provision.Change{
		ID: r.ID(), Action: provision.Update, Hash: r.Name,
		Record: &provision.Entry{Hash: r.Name, Created: !active && !enabled},
		Ops:    []provision.Op{provision.StartUnit{Name: r.Name, Restart: active}},
	}
	if e == nil {
		ch.Record.Before = before(active, u)
	}
	reason, newer := stale(f, r.Watch, u.Started)
	switch {
	case !active:
		if e == nil {
			ch.Action = provision.Create
		}
		ch.Summary = fmt.Sprintf("start %s (%s)", r.Name, u.Active)
		ch.Drifted = e != nil && e.Settled()
	case newer:
		ch.Action = provision.Restart
		ch.Summary = fmt.Sprintf("restart %s: %s", r.Name, reason)
	case u.NeedReload:
		ch.Action = provision.Restart
		ch.Summary = fmt.Sprintf("restart %s: systemd has not read its unit file", r.Name)
	case !enabled:
		ch.Summary = fmt.Sprintf("enable %s", r.Name)
		ch.Drifted = e != nil && e.Settled()
		ch.Ops = []provision.Op{provision.StartUnit{Name: r.Name}}
	default:
		return nil, nil
	}
	return []provision.Change{ch}, nil
}

// before is what a receipt remembers of a unit that was not ours.
func before(active bool, u provision.UnitFact) string {
	var words []string
	if active {
		words = append(words, provision.WasActive)
	}
	if strings.HasPrefix(u.Enabled, "enabled") {
		words = append(words, provision.WasEnabled)
	}
	return strings.Join(words, " ")
}

// watchQueries ask for the files among watched ids.
func watchQueries(watch []string) []provision.Query {
	var qs []provision.Query
	for _, id := range watch {
		if p, ok := strings.CutPrefix(id, provision.ID(provision.KindFile, "")); ok {
			qs = append(qs, provision.FileQuery{Path: p})
		}
	}
	return qs
}

// slack is how much newer than a process a file must be. systemd tells the
// start of a process to the second.
const slack = time.Second

// stale reports whether something started at a time does not know the
// present state of what it watches, and why.
func stale(f *provision.Facts, watch []string, started time.Time) (string, bool) {
	if id, ok := watching(f, watch); ok {
		return id + " changes", true
	}
	for _, id := range watch {
		if e := f.Entry(id); e != nil && e.Pending != "" {
			return "an apply was cut off while it changed " + id, true
		}
		p, ok := strings.CutPrefix(id, provision.ID(provision.KindFile, ""))
		if !ok {
			continue
		}
		if fact, ok := f.Files[p]; ok && fact.Ctime.After(started.Add(slack)) {
			return p + " is newer than the process", true
		}
	}
	return "", false
}

// A Process is a program that runs, for machines without systemd and for
// people who are not root.
type Process struct {
	Name    string
	Argv    []string
	PIDFile string
	LogFile string // gets its output
	Env     []string
	Watch   []string // as in Unit
}

// ID implements provision.Resource.
func (r Process) ID() string { return provision.ID(provision.KindProcess, r.PIDFile) }

// Queries implements provision.Resource.
func (r Process) Queries() []provision.Query {
	return append(watchQueries(r.Watch), provision.ProcessQuery{PIDFile: r.PIDFile})
}

// Observe implements provision.Resource.
func (r Process) Observe(_ context.Context, _ provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	if len(r.Argv) == 0 {
		return nil, fmt.Errorf("process %s: %w", r.Name, errors.New("no command"))
	}
	hash := sum([]byte(provision.QuoteAll(slices.Concat(r.Argv, r.Env))))
	e := f.Entry(r.ID())
	ch := provision.Change{
		ID: r.ID(), Action: provision.Create, Hash: hash,
		Summary: "start " + r.Name,
		Record:  &provision.Entry{Hash: hash, Created: true},
	}
	p, running := f.Processes[r.PIDFile]
	if running {
		reason, newer := stale(f, r.Watch, p.Started)
		switch {
		case newer:
		case e != nil && e.Hash != hash, !slices.Equal(p.Argv, r.Argv) && e == nil:
			reason = "its command changes"
		default:
			return nil, nil
		}
		ch.Action = provision.Restart
		ch.Summary = fmt.Sprintf("restart %s: %s", r.Name, reason)
		ch.Ops = []provision.Op{provision.StopProcess{PIDFile: r.PIDFile, PID: p.PID, Ticks: p.Ticks}}
	} else {
		ch.Drifted = e != nil && e.Settled()
		if e != nil {
			ch.Action = provision.Update
		}
	}
	ch.Ops = append(ch.Ops, provision.StartProcess{Argv: r.Argv, Env: r.Env, PIDFile: r.PIDFile, LogFile: r.LogFile})
	return []provision.Change{ch}, nil
}

// A Command is something that a program of the machine brings about.
type Command struct {
	Name string
	// Check exits with 0 when there is nothing to do. It changes nothing.
	// Without Check, Run runs only when something watched changes.
	Check []string
	Run   []string
	User  string // who runs both; "" is root, or whoever applies
	// Watch are ids of resources of the same machine: Run runs when one of
	// them changes, whatever Check says.
	Watch   []string
	Timeout time.Duration // of Run
}

// ID implements provision.Resource.
func (r Command) ID() string { return "command:" + r.Name }

// Queries implements provision.Resource.
func (r Command) Queries() []provision.Query {
	if len(r.Check) == 0 {
		return nil
	}
	qs := []provision.Query{r.check()}
	if r.User != "" {
		qs = append(qs, provision.UserQuery{Name: r.User})
	}
	return qs
}

func (r Command) check() provision.CommandQuery {
	return provision.CommandQuery{Argv: r.Check, User: r.User}
}

// Observe implements provision.Resource.
func (r Command) Observe(_ context.Context, _ provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	ch := provision.Change{
		ID: r.ID(), Action: provision.Run, Summary: r.Name,
		Ops: []provision.Op{provision.Exec{Argv: r.Run, User: r.User, Timeout: r.Timeout}},
	}
	if id, ok := watching(f, r.Watch); ok {
		ch.Summary += ": " + id + " changes"
		return []provision.Change{ch}, nil
	}
	if len(r.Check) == 0 {
		return nil, nil
	}
	c, ok := f.Commands[r.check().Key()]
	_, user := f.Users[r.User]
	switch {
	case ok && c.Status == 0:
		return nil, nil
	case ok && !c.Missing() && (user || r.User == ""):
		ch.Summary += ": " + c.String()
	}
	return []provision.Change{ch}, nil
}
