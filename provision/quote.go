package provision

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// plain are words that a shell takes as they are.
var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./-]+$`)

// Quote returns s as one word of a POSIX shell. It is the only place where
// that is done. Words that mean themselves stay as they are.
func Quote(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// QuoteAll returns argv as words of a POSIX shell.
func QuoteAll(argv []string) string { return quoteAll(argv) }

func quoteAll(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = Quote(a)
	}
	return strings.Join(words, " ")
}

// checkPath refuses paths that the line-based answers of a machine could
// not carry back unchanged.
func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("path %q: not absolute", p)
	case strings.HasSuffix(p, " "), strings.ContainsRune(p, '\\'), strings.ContainsFunc(p, unicode.IsControl):
		return fmt.Errorf("path %q: backslashes, control characters and a blank at the end are not supported", p)
	}
	return nil
}
