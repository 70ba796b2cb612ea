package view

import (
	"sync"
	"time"

	"glancectl/provision"
)

// Progress shows what goes on while it goes on: on a terminal a few lines that
// are drawn over, elsewhere a line every ten seconds, in JSON every event.
type Progress struct {
	v     *View
	begun time.Time

	mu    sync.Mutex
	phase string
	stop  chan struct{}
	wait  sync.WaitGroup
}

// Progress returns a Progress that shows nothing before Begin.
func (v *View) Progress() *Progress { return &Progress{v: v, begun: v.o.Now()} }

// Took is the time since the Progress was made.
func (p *Progress) Took() time.Duration { return p.v.o.Now().Sub(p.begun) }

// Beats of the two ways to show progress.
const (
	redraw    = 200 * time.Millisecond
	heartbeat = 10 * time.Second
)

// Begin starts to show progress. The phase is what is shown while no target
// is at work; "" is nothing.
func (p *Progress) Begin(phase string) {
	p.End()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = phase
	p.v.update(func(l *live) {
		if phase != "" {
			l.begin(phase, "")
		}
	})
	stop := make(chan struct{})
	p.stop = stop
	p.wait.Go(func() { p.v.keepAlive(stop) })
}

// End takes the progress off the screen. It may be called again.
func (p *Progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop == nil {
		return
	}
	close(p.stop)
	p.stop = nil
	p.wait.Wait()
	p.v.update(func(l *live) { l.jobs = nil })
}

// Work shows that a target is worked on, until done is called.
func (p *Progress) Work(target, step string) (done func()) {
	p.v.update(func(l *live) { l.begin(target, step) })
	return func() { p.v.update(func(l *live) { l.end(target) }) }
}

// update changes what is drawn.
func (v *View) update(change func(*live)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.live.clear()
	change(&v.live)
	v.live.draw()
}

// keepAlive redraws, or prints a line now and then, until stop is closed.
func (v *View) keepAlive(stop chan struct{}) {
	beat := heartbeat
	if v.live.on {
		beat = redraw
	}
	t := time.NewTicker(beat)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		if v.live.on {
			v.update(func(*live) {})
			continue
		}
		v.mu.Lock()
		text := v.live.beat()
		v.mu.Unlock()
		if text != "" {
			v.Show(Notice{Text: text})
		}
	}
}

// Event shows one event of package provision.
func (p *Progress) Event(e provision.Event) {
	p.v.update(func(l *live) {
		switch e.Kind {
		case provision.TargetStarted:
			l.begin(e.Target, "")
		case provision.StepStarted, provision.CheckStarted:
			l.begin(e.Target, e.Step)
		case provision.TargetDone, provision.TargetFailed, provision.CheckPassed, provision.CheckFailed:
			l.end(e.Target)
		}
	})
	if p.v.o.JSON || worthALine(e) {
		p.v.Show(happening{e})
	}
}

// worthALine reports whether people get a line that stays.
func worthALine(e provision.Event) bool {
	switch e.Kind {
	case provision.TargetDone, provision.TargetFailed, provision.TargetSkipped,
		provision.CheckPassed, provision.CheckFailed, provision.LockFailed:
		return true
	case provision.LockTaken:
		return e.Step != ""
	}
	return false
}

// A happening is an event as a record.
type happening struct {
	e provision.Event
}

func (r happening) talk() bool { return true }

func (r happening) lines() []line {
	body := struct {
		Time   time.Time        `json:"time"`
		Stage  string           `json:"stage,omitempty"`
		Node   string           `json:"node,omitempty"`
		Target string           `json:"target,omitempty"`
		Step   string           `json:"step,omitempty"`
		Action provision.Action `json:"action,omitempty"`
		Error  string           `json:"error,omitempty"`
	}{Time: r.e.Time, Stage: r.e.Stage, Node: r.e.Host, Target: r.e.Target, Step: r.e.Step}
	if r.e.Change != nil {
		body.Action = r.e.Change.Action
	}
	if r.e.Err != nil {
		body.Error = r.e.Err.Error()
	}
	return []line{{string(r.e.Kind), body}}
}

func (r happening) text(p *paper) {
	e := r.e
	switch e.Kind {
	case provision.TargetDone:
		p.print("  %s %s: %s\n", p.in(green, "done"), e.Target, e.Stage)
	case provision.TargetFailed:
		p.print("  %s %s: %s\n", p.in(red, "failed"), e.Target, e.Stage)
	case provision.TargetSkipped:
		p.print("  %s %s: %s\n", p.in(yellow, "skipped"), e.Target, e.Stage)
	case provision.CheckPassed:
		p.print("  %s %s: %s\n", p.in(green, "done"), e.Target, e.Step)
	case provision.CheckFailed:
		p.print("  %s %s: %s\n", p.in(red, "failed"), e.Target, e.Step)
	case provision.LockFailed:
		p.print("  %s %s: not locked, it cannot be reached\n", p.in(yellow, "skipped"), e.Host)
	case provision.LockTaken:
		p.print("  lock on %s taken over from %s, which gave no sign of life\n", e.Host, e.Step)
	}
}
