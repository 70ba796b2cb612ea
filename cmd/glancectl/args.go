package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// doubleDashes returns args with `-flag` written as `--flag` wherever a verb
// has a long flag of that name, because people who know HCL tools type
// `-var` and `-check`. What follows `--` stays as it is.
func doubleDashes(root *cobra.Command, args []string) []string {
	var has func(c *cobra.Command, name string) bool
	has = func(c *cobra.Command, name string) bool {
		return c.Flags().Lookup(name) != nil ||
			slices.ContainsFunc(c.Commands(), func(sub *cobra.Command) bool { return has(sub, name) })
	}
	known := func(name string) bool {
		return len(name) > 1 && (root.PersistentFlags().Lookup(name) != nil || has(root, name))
	}
	out := make([]string, len(args))
	for i, a := range args {
		if a == "--" {
			copy(out[i:], args[i:])
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(a, "-"), "=")
		if strings.HasPrefix(a, "-") && known(name) {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}
