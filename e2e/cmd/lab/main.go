// Command lab runs the machines of the end-to-end tests for a person.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"glancectl/e2e/lab"
)

const usage = `usage: lab VERB

  up [-n N]   start db-node, auth-node and N image nodes (2); they run until down
  status      say what is up and how to log in
  down        end it, and remove what a killed test left
  images      build the images that are missing
  clean       down, and remove the images`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("lab "+args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	n := flags.Int("n", 2, "image nodes")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "up":
		return up(ctx, *n, stdout, stderr)
	case "status":
		return status(stdout)
	case "down":
		return lab.Down(ctx, stderr)
	case "images":
		return lab.Build(ctx, stderr)
	case "clean":
		return lab.Clean(ctx, stderr)
	}
	return errors.New(usage)
}

func up(ctx context.Context, n int, stdout, stderr io.Writer) error {
	l, err := lab.Start(ctx, lab.Config{ImageNodes: n, Database: true, Keystone: true, Detach: true, Log: stderr})
	if err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return err
	}
	return status(stdout)
}

func status(stdout io.Writer) error {
	info, err := lab.Status()
	if err != nil {
		return err
	}
	if info == nil {
		fmt.Fprintln(stdout, "no lab is up")
		return nil
	}
	for _, n := range info.Nodes {
		fmt.Fprintf(stdout, "%-10s %-12s %s\n", n.Name, n.Address, n.SSH)
	}
	fmt.Fprintf(stdout, "\nkey          %s (root, and %s who may sudo)\nknown hosts  %s\n", info.Key, lab.Operator, info.KnownHosts)
	for _, n := range info.Nodes {
		if n.Name == lab.KeystoneNode {
			fmt.Fprintf(stdout, "keystone     %s, %s:%s, %s:%s\n", lab.AuthURL, n.Name, lab.AdminOpenrc, n.Name, lab.DemoOpenrc)
		}
	}
	if info.Detached {
		fmt.Fprintln(stdout, "\nmake lab-down ends it")
	}
	return nil
}
