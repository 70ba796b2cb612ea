package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// doubleDashes returns args with `-flag` written as `--flag` wherever a verb
// has a long flag of that name, because people who know HCL tools type
// `-var` and `-check`. What follows `--` stays as it is.
func doubleDashes(root *cobra.Command, args []string) []string {
	known := map[string]bool{}
	note := func(f *pflag.Flag) { known[f.Name] = len(f.Name) > 1 }
	root.PersistentFlags().VisitAll(note)
	for _, c := range root.Commands() {
		c.Flags().VisitAll(note)
	}
	out := make([]string, len(args))
	for i, a := range args {
		if a == "--" {
			copy(out[i:], args[i:])
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(a, "-"), "=")
		if strings.HasPrefix(a, "-") && known[name] {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}
