package machine

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"

	"glancectl/provision"
)

// mask stands for a secret in a diff.
const mask = "(sensitive)"

// secretKey finds the values of options that hold secrets by their name.
// The secrets of an older content are known only so.
var secretKey = regexp.MustCompile(`(?im)^(\s*[\w.-]*(?:password|passwd|secret|token|api_key|store_key|user_key|private_key|^key)[\w.-]*\s*[=:][ \t]*)(\S.*)$`)

// urlPassword finds the password in a URL such as a database connection.
var urlPassword = regexp.MustCompile(`([a-zA-Z][\w+.-]*://[^\s:/@]*:)([^\s/]+)(@)`)

// diff is the unified diff from what is at a path to content, without
// secrets, and with a line that says so when only a secret differs.
func diff(path string, fact provision.FileFact, content []byte, secrets []string) string {
	if !isText(content) || !isText(fact.Content) {
		return fmt.Sprintf("binary, %d bytes -> %d bytes\n", fact.Size, len(content))
	}
	if fact.IsRegular() && fact.Content == nil && fact.Size > provision.MaxContent {
		return fmt.Sprintf("%d bytes -> %d bytes\n", fact.Size, len(content))
	}
	from, to := hide(string(fact.Content), secrets), hide(string(content), secrets)
	name := path
	if fact.SHA256 == "" {
		name = "/dev/null"
	}
	d := udiff.Unified(name, path, from, to)
	if leaks(string(fact.Content), string(content), from, to) {
		d += "\n(sensitive value changed)"
	}
	return d
}

// leaks reports whether the contents differ in a line where the masked ones
// do not.
func leaks(a, b, maskedA, maskedB string) bool {
	if a == "" || a == b {
		return false
	}
	if maskedA == maskedB {
		return true
	}
	return !slices.Equal(secretValues(a), secretValues(b))
}

// secretValues are the secrets that can be told by their place.
func secretValues(s string) []string {
	var v []string
	for _, re := range []*regexp.Regexp{secretKey, urlPassword} {
		for _, m := range re.FindAllStringSubmatch(s, -1) {
			v = append(v, m[2])
		}
	}
	return v
}

// hide masks secrets: the known ones anywhere, the unknown ones by the
// option or URL they are in.
func hide(s string, secrets []string) string {
	known := slices.Clone(secrets)
	// A secret that is part of another must not uncover the rest of it.
	slices.SortFunc(known, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, k := range known {
		if k != "" {
			s = strings.ReplaceAll(s, k, mask)
		}
	}
	s = urlPassword.ReplaceAllString(s, "${1}"+mask+"${3}")
	return secretKey.ReplaceAllString(s, "${1}"+mask)
}

func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsRune(b, 0)
}
