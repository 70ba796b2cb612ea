package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
	"glancectl/proposals"
	"glancectl/roles"
)

func (a *app) validateVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "validate FILE",
		Short: "find every mistake in a proposal",
		Long: `Validate reads a proposal, or a directory of *.hcl, and reports every mistake in
it at once, with its place and what to do about it. It contacts nobody.`,
		RunE: func(_ *cobra.Command, args []string) error { return a.validate(args[0]) },
	}
	a.proposalFlags(c)
	return c
}

// validate says of every proposal at path, or of the one that --proposal
// names, whether it is valid.
func (a *app) validate(path string) error {
	all, err := a.loadAll(path)
	if err != nil {
		return err
	}
	if a.proposal != "" || len(all) == 0 {
		p, err := a.choose(all, path)
		if err != nil {
			return err
		}
		all = []*proposals.Proposal{p}
	}
	for _, p := range all {
		if _, err := roles.Expand(p, roles.Options{Secrets: roles.Generate(p, roles.Secrets{})}); err != nil {
			return &coded{exitInvalid, err}
		}
		nodes := 0
		if p.Glance != nil {
			nodes = len(p.Glance.Nodes)
		}
		a.view.Show(view.Answer{Text: fmt.Sprintf("%s: proposal %s is valid: glance-server on %d of %d nodes.",
			path, p.Name, nodes, len(p.Nodes))})
	}
	return nil
}
