package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// live is the part of a terminal that is drawn over: a line for each target
// that is worked on. Elsewhere it prints a line every ten seconds.
type live struct {
	w     io.Writer
	on    bool
	now   func() time.Time
	jobs  []job
	drawn int // lines on the screen
}

// A job is a target that is worked on.
type job struct {
	name  string
	step  string
	since time.Time
}

// maxLive is how many targets are shown at once.
const maxLive = 12

// begin adds or changes a job.
func (l *live) begin(name, step string) {
	i := slices.IndexFunc(l.jobs, func(j job) bool { return j.name == name })
	if i < 0 {
		l.jobs = append(l.jobs, job{name: name, step: step, since: l.now()})
		return
	}
	l.jobs[i].step = step
}

// end removes a job.
func (l *live) end(name string) {
	l.jobs = slices.DeleteFunc(l.jobs, func(j job) bool { return j.name == name })
}

// clear takes the drawn lines off the screen.
func (l *live) clear() {
	if l.drawn > 0 {
		fmt.Fprintf(l.w, "\x1b[%dA\x1b[J", l.drawn)
		l.drawn = 0
	}
}

// draw puts the jobs on the screen.
func (l *live) draw() {
	if !l.on {
		return
	}
	for i, j := range l.jobs {
		if i == maxLive {
			fmt.Fprintf(l.w, "  and %d more\n", len(l.jobs)-maxLive)
			l.drawn++
			break
		}
		fmt.Fprintf(l.w, "  %-14s %5s  %s\n", j.name, since(l.now().Sub(j.since)), short(j.step, 54))
		l.drawn++
	}
}

// beat is what is said where nothing can be drawn over.
func (l *live) beat() string {
	if len(l.jobs) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("still at work:")
	for i, j := range l.jobs {
		if i == maxLive {
			fmt.Fprintf(&b, " and %d more", len(l.jobs)-maxLive)
			break
		}
		fmt.Fprintf(&b, " %s [%s %s]", j.name, j.step, since(l.now().Sub(j.since)))
	}
	return b.String()
}

// short cuts s in the middle.
func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n/2-1]) + "…" + string(r[len(r)-(n-n/2):])
}
