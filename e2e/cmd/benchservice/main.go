// Command benchservice measures the image service beside the original and
// prints a table: `make bench-service`. It needs root on Debian.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"glancectl/e2e/benchservice"
)

func main() {
	o := benchservice.Options{Out: os.Stdout, Log: os.Stderr}
	flag.StringVar(&o.Bin, "glancectl", "bin/glancectl", "the program that deploys the service")
	flag.BoolVar(&o.Alone, "alone", false, "measure the service without what it is compared with")
	flag.IntVar(&o.Rounds, "rounds", 0, "how often a figure is taken (3)")
	only := flag.String("only", "", "the parts to run, with commas (all)")
	flag.Parse()
	if *only != "" {
		o.Only = strings.Split(*only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if o.Bin, err = filepath.Abs(o.Bin); err == nil { // it is run elsewhere
		err = benchservice.Run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchservice:", err)
		os.Exit(1)
	}
}
