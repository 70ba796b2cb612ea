package cron

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"glancectl/provision"
)

const (
	// stopTime is how long a job has to end when it is told to.
	stopTime = 10 * time.Second
	// beat is how often something is said to a shell, so that it is noticed
	// when nobody listens any more.
	beat = 5 * time.Second
)

// command runs a script that begins a job and waits for its end. A signal
// would not reach the job, because SSH servers pass none on for root, so the
// order to end comes by the script's input, behind the script. Who has to be
// ended and that all has ended is heard from what the script prints.
func command(ctx context.Context, h provision.Host, script string) (printed string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	inner, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	in, feed := io.Pipe()
	heard := &listener{begun: make(chan struct{}), ended: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		give(ctx, feed, script, heard, giveUp)
		feed.Close()
	})
	_, err = h.Run(inner, provision.Cmd{Argv: []string{"sh", "-s"}, Stdin: in, Stdout: heard, Endless: true})
	in.Close()
	heard.end()
	wg.Wait()
	return heard.b.String(), err
}

// give writes the script and then, until the job has ended, a blank line now
// and then. When ctx ends it gives the order to end the job, and some time
// later it gives up.
func give(ctx context.Context, w io.Writer, script string, heard *listener, giveUp func()) {
	t := time.NewTicker(beat)
	defer t.Stop()
	stop, late := ctx.Done(), (<-chan time.Time)(nil)
	var begun <-chan struct{} // set when the job is to be told to end
	_, err := io.WriteString(w, script)
	for err == nil {
		select {
		case <-heard.ended:
			return
		case <-t.C:
			_, err = io.WriteString(w, "\n")
		case <-stop:
			stop, late, begun = nil, time.After(stopTime), heard.begun
		case <-begun:
			begun = nil
			_, err = io.WriteString(w, "stop "+heard.pid+"\n")
		case <-late:
			giveUp()
			return
		}
	}
}

// A listener keeps what a script prints.
type listener struct {
	mu    sync.Mutex
	b     bytes.Buffer
	line  int           // where the last line begins
	pid   string        // of the job; set before begun is closed
	begun chan struct{} // closed when the job has begun
	ended chan struct{} // closed when the script has said all
	once  sync.Once
}

// Write implements io.Writer.
func (l *listener) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Write(b)
	for {
		line, _, whole := bytes.Cut(l.b.Bytes()[l.line:], []byte("\n"))
		if !whole {
			return len(b), nil
		}
		l.line += len(line) + 1
		if pid, ok := bytes.CutPrefix(line, []byte(pidMark+" ")); ok && l.pid == "" {
			l.pid = string(pid)
			close(l.begun)
		}
		if string(line) == endMark {
			l.end()
		}
	}
}

// end says that there is nothing more to wait for.
func (l *listener) end() { l.once.Do(func() { close(l.ended) }) }
