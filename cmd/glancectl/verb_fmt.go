package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
	"glancectl/proposals"
)

func (a *app) fmtVerb() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "fmt [FILE...]",
		Short: "lay proposals out in the one way",
		Long: `Fmt rewrites the named files, and every *.hcl in the named directories (this
directory when none is named), in the one layout of proposals. It prints the
names of the files it changed. Comments stay.`,
		RunE: func(_ *cobra.Command, args []string) error { return a.format(args, check) },
	}
	c.Flags().BoolVar(&check, "check", false, "change nothing; exit 3 if a file is not formatted")
	return c
}

func (a *app) format(args []string, check bool) error {
	if len(args) == 0 {
		args = []string{"."}
	}
	var files []string
	for _, arg := range args {
		found, err := proposalFiles(arg)
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	unformatted := false
	for _, name := range slices.Compact(files) {
		changed, err := formatFile(name, check)
		if err != nil {
			return &coded{exitInvalid, err}
		}
		if changed {
			unformatted = true
			a.view.Show(view.Answer{Text: name})
		}
	}
	if unformatted && check {
		return &coded{code: exitUnformatted}
	}
	return nil
}

// proposalFiles returns name, or the *.hcl in it if it is a directory.
func proposalFiles(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	files, err := filepath.Glob(filepath.Join(name, "*.hcl"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: no *.hcl in it: %w", name, fs.ErrNotExist)
	}
	return files, err
}

// formatFile formats a file, unless check is set, and reports whether it was
// not formatted. The file is replaced whole or not at all.
func formatFile(name string, check bool) (changed bool, err error) {
	old, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	text, err := proposals.Format(old, name)
	if err != nil || bytes.Equal(old, text) || check {
		return err == nil && !bytes.Equal(old, text), err
	}
	return true, replaceFile(name, text)
}

// replaceFile writes data beside name and renames it, keeping name's mode. What
// a symbolic link leads to is replaced, not the link.
func replaceFile(name string, data []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	return writeFile(name, data, info.Mode().Perm())
}

// writeFile makes name a file with data, whole or not at all.
func writeFile(name string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".glancectl-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
