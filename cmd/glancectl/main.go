// Command glancectl deploys the image service that a proposal describes: it
// plans, applies, watches over and takes away, on one node or many.
//
// main is wiring; each verb has a file of its own, and package view prints.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// version is set by the linker.
var version = "devel"

func main() {
	// Whoever stops reading does not stop an apply in the middle.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends it at once
	code := run(ctx, os.Args[1:], osStreams())
	stop()
	os.Exit(code)
}

// streams are what a run of glancectl reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
	// terminal tells whether a person sits at in and err, who can be asked
	// and to whom progress is shown; colour whether out takes it.
	terminal bool
	colour   bool
}

func osStreams() streams {
	tty := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	_, noColour := os.LookupEnv("NO_COLOR")
	return streams{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		env:      os.LookupEnv,
		terminal: tty(os.Stdin) && tty(os.Stderr),
		colour:   tty(os.Stdout) && !noColour && os.Getenv("TERM") != "dumb",
	}
}
