// Package benchservice measures the image service against what it replaces
// and against what the machine can do: `make bench-service`.
//
// One run starts a lab with MariaDB, Keystone, the service as glancectl
// deploys it, the original OpenStack Glance with two workers and an nginx,
// puts the same load on each in turn and prints a table. Every figure stands
// beside one that was taken in the same run, because machines differ and are
// never quiet; the figures are medians of several rounds.
package benchservice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"glancectl/e2e/lab"
)

// Options say what is measured. Bin and Out are required.
type Options struct {
	Bin    string    // the glancectl
	Out    io.Writer // for the table
	Log    io.Writer // for what is going on; nil means nobody is told
	Alone  bool      // do not start what the service is compared with
	Only   []string  // names of parts; nil means all
	Rounds int       // how often a figure is taken; 0 means 3
}

// A server is a target whose processes are known.
type server struct {
	target
	name, node, unit string
	others           []string // units that do some of its work
}

type bench struct {
	*site
	o      Options
	begun  time.Time
	rounds int
	ours   server
	peer   *server // OpenStack Glance; nil: it is not compared with
	files  *server // nginx, likewise
	data   *block
	rows   []row
}

// parts are what a run consists of, in order.
var parts = []struct {
	name string
	run  func(*bench, context.Context) error
}{
	{"metadata", (*bench).metadata},
	{"pages", (*bench).pages},
	{"data", (*bench).transfers},
	{"cache", (*bench).cacheRows},
	{"prune", (*bench).pruneRows},
	{"memory", (*bench).memoryRows},
}

// Run measures and prints the table. It needs root on Debian.
func Run(ctx context.Context, o Options) (err error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	if _, err := os.Stat(o.Bin); err != nil {
		return err
	}
	b := &bench{o: o, begun: time.Now(), rounds: o.Rounds, data: newBlock()}
	if b.rounds == 0 {
		b.rounds = 3
	}
	b.say("starting the machines")
	l, err := lab.Start(ctx, lab.Config{ImageNodes: 1, Keystone: true, Database: true, Peer: !o.Alone, Nginx: true, Log: o.Log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	b.site = &site{Lab: l, bin: o.Bin, password: newPassword()}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, p := range parts {
		if len(o.Only) > 0 && !contains(o.Only, p.name) {
			continue
		}
		if err := p.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	_, err = fmt.Fprintf(o.Out, "\n%s", table(b.rows))
	return err
}

// prepare deploys the service and starts what it is compared with.
func (b *bench) prepare(ctx context.Context) error {
	b.say("deploying the service")
	if err := b.deploy(ctx); err != nil {
		return err
	}
	if err := b.login(ctx); err != nil {
		return err
	}
	// What the lab gives its database is too little for a fair comparison.
	if err := b.feed(ctx, lab.DatabaseNode, "mysql", `SET GLOBAL innodb_buffer_pool_size = 512 * 1024 * 1024`); err != nil {
		return err
	}
	b.ours = b.glanced()
	if b.o.Alone {
		return nil
	}
	b.say("starting OpenStack Glance and nginx")
	theirs, err := b.original(ctx)
	if err != nil {
		return err
	}
	files, err := b.nginx(ctx)
	b.peer, b.files = &theirs, &files
	return err
}

// say tells what is going on.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.o.Log, "%5.0f s  %s\n", time.Since(b.begun).Seconds(), fmt.Sprintf(format, args...))
}

func (b *bench) add(r row) { b.rows = append(b.rows, r) }
