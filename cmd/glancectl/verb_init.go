package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
	"glancectl/proposals"
)

func (a *app) initVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "init [FILE]",
		Short: "write a commented proposal to start from",
		Long: `Init writes a commented proposal to FILE, proposal.hcl when none is named. It
never replaces a file.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := "proposal.hcl"
			if len(args) == 1 {
				name = args[0]
			}
			return a.initialise(name)
		},
	}
}

func (a *app) initialise(name string) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s: %w; init does not replace a file", name, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	base, _, _ := strings.Cut(filepath.Base(name), ".")
	if err := writeFile(name, proposals.Init(base), 0o644); err != nil {
		return err
	}
	a.view.Show(view.Answer{Text: name + " is written. Change it to your needs, then: glancectl validate " + name})
	return nil
}
