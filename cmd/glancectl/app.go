package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
	"glancectl/provision"
)

// An app is one run of glancectl.
type app struct {
	streams
	view *view.View

	// flags of every verb
	json     bool
	vars     []string
	varFiles []string
	proposal string

	// flags of the verbs that contact nodes
	parallelism   int
	serviceBinary string
	nodes         []string // of the verbs of jobs: --node; none is all

	checkTime time.Duration // for the services to answer after an apply; 0: the usual
}

// run runs glancectl with args and returns its exit code.
func run(ctx context.Context, args []string, s streams) int {
	return (&app{streams: s}).run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	args = doubleDashes(root, args)
	a.json = wantsJSON(args) // for mistakes on the command line, too
	a.newView()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	code := exitCode(err)
	if !a.view.Complete() && code == exitOK {
		code = exitError
	}
	if err == nil || err.Error() == "" {
		return code
	}
	problem := view.Problem{Err: err, Advice: advice(err), Code: code}
	if code == exitInterrupted && errors.Is(err, context.Canceled) {
		problem.Err = errors.New("interrupted")
	}
	a.view.Show(problem)
	return code
}

// wantsJSON reports whether args have --json, before anybody parses them.
func wantsJSON(args []string) bool {
	json := false
	for _, a := range args {
		if a == "--" {
			break
		}
		name, value, given := strings.Cut(a, "=")
		if name != "--json" {
			continue
		}
		on, err := strconv.ParseBool(value)
		json = !given || err != nil || on
	}
	return json
}

// newView makes the view that the flags ask for.
func (a *app) newView() {
	a.view = view.New(view.Options{
		Out: a.out, Err: a.err, JSON: a.json,
		Colour: a.colour, Terminal: a.terminal, Version: programVersion(),
	})
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "glancectl",
		Short: "deploy the OpenStack image service that a proposal describes",
		Long: `glancectl brings machines to the state that a proposal describes: nodes that run
an OpenStack image service, its database and its place in a Keystone.

  glancectl init              write a proposal to start from
  glancectl validate FILE     find every mistake in it
  glancectl plan FILE         see what would change
  glancectl apply FILE        make it so`,
		Version:       programVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q; `glancectl --help` lists them", args[0])
			}
			return nil
		},
		PersistentPreRun: func(*cobra.Command, []string) {
			a.newView()
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetVersionTemplate("glancectl {{.Version}}\n")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON lines")
	root.AddCommand(a.initVerb(), a.validateVerb(), a.fmtVerb(), a.renderVerb(),
		a.planVerb(), a.applyVerb(), a.statusVerb(), a.jobVerb(), a.destroyVerb(), a.versionVerb())
	return root
}

// proposalFlags gives a verb the flags with which a proposal is read.
func (a *app) proposalFlags(c *cobra.Command) {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s: name one proposal, a file or a directory, not %d; `glancectl %s --help` says more", c.Name(), len(args), c.Name())
		}
		return nil
	}
	c.Flags().StringArrayVar(&a.vars, "var", nil, "set a variable: NAME=VALUE (repeatable)")
	c.Flags().StringArrayVar(&a.varFiles, "var-file", nil, "read variables from a file (repeatable)")
	c.Flags().StringVar(&a.proposal, "proposal", "", "the proposal to work on, when there are several")
}

// nodeFlags gives a verb the flags with which nodes are worked on.
func (a *app) nodeFlags(c *cobra.Command) {
	a.connectFlags(c)
	c.Flags().StringVar(&a.serviceBinary, "service-binary", "", "install this glanced instead of the one inside glancectl")
}

// connectFlags gives a verb the flags with which nodes are contacted.
func (a *app) connectFlags(c *cobra.Command) {
	a.proposalFlags(c)
	c.Flags().IntVar(&a.parallelism, "parallelism", 10, "how many nodes are worked on at once")
}

func (a *app) versionVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			a.view.Show(view.Version{Glancectl: programVersion(), Go: goVersion(), Services: bundled()})
		},
	}
}

// programVersion is what the linker was told, or what Go knows of the build.
func programVersion() string {
	if version != "devel" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		return info.Main.Version
	}
	return version
}

// advice says what a person can do about err where the error does not.
func advice(err error) string {
	var locked *provision.LockedError
	switch {
	case errors.As(err, &locked):
		return fmt.Sprintf("Wait until it is done. If that glancectl is gone, its lock counts as stale a minute after its last sign of life (%s ago), and the next apply takes it over.",
			locked.Age.Round(1e9))
	case errors.Is(err, context.Canceled):
		return "What was written is whole. The next apply finishes the work."
	}
	return ""
}
