package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
	"glancectl/proposals"
	"glancectl/roles"
)

func (a *app) renderVerb() *cobra.Command {
	var dir, node string
	var secrets bool
	c := &cobra.Command{
		Use:   "render FILE",
		Short: "show the files as they would land",
		Long: `Render writes the files of each image node as an apply would put them there, to
standard output or below a directory. It contacts nobody, so a password that
an apply generates reads GENERATED-AT-APPLY.`,
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := a.load(args[0])
			if err != nil {
				return err
			}
			return a.render(p, dir, node, secrets)
		},
	}
	a.proposalFlags(c)
	c.Flags().StringVarP(&dir, "output", "o", "", "write the files below DIR/NODE instead of to standard output")
	c.Flags().StringVar(&node, "node", "", "only the files of this node")
	c.Flags().BoolVar(&secrets, "show-secrets", false, "show the passwords that the proposal gives; needs -o")
	return c
}

func (a *app) render(p *proposals.Proposal, dir, node string, secrets bool) error {
	if secrets && dir == "" {
		return errors.New("render: --show-secrets needs -o: passwords are written to files, not to the terminal")
	}
	if p.Glance == nil {
		return noRole(p)
	}
	nodes := p.Glance.Nodes
	if node != "" {
		if !slices.Contains(nodes, node) {
			return unknown("node", node, nodes)
		}
		nodes = []string{node}
	}
	for _, name := range nodes {
		files, err := roles.Render(p, name, roles.Options{ShowSecrets: secrets})
		if err != nil {
			return &coded{exitInvalid, err}
		}
		for _, f := range files {
			if dir == "" {
				a.view.Show(view.File{Node: name, Path: f.Path, Mode: fmt.Sprintf("%04o", f.Mode.Perm()), Owner: f.Owner, Group: f.Group, Content: string(f.Content)})
				continue
			}
			if err := writeBelow(filepath.Join(dir, name), f); err != nil {
				return err
			}
		}
		if dir != "" {
			a.view.Show(view.Answer{Text: fmt.Sprintf("%s: %d files", filepath.Join(dir, name), len(files))})
		}
	}
	return nil
}

// writeBelow writes a rendered file below dir, for its owner's eyes only if
// it is not for everybody's on the node.
func writeBelow(dir string, f roles.RenderedFile) error {
	name := filepath.Join(dir, f.Path)
	mode := fs.FileMode(0o700)
	if f.Mode&0o004 != 0 {
		mode = 0o755
	}
	if err := os.MkdirAll(filepath.Dir(name), mode); err != nil {
		return err
	}
	return writeFile(name, f.Content, f.Mode.Perm())
}
