package machine

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"

	"glancectl/provision"
)

// mask stands for a secret in a diff.
const mask = "(sensitive)"

// secretKey finds the values of options that hold secrets by their name.
// The secrets of an older content are known only so.
var secretKey = regexp.MustCompile(`(?im)^(\s*[\w.-]*(?:password|passwd|secret|token|api_key|store_key|user_key|private_key|^key)[\w.-]*\s*[=:][ \t]*)(\S.*)$`)

// urlPassword finds the password in a URL such as a database connection.
var urlPassword = regexp.MustCompile(`([a-zA-Z][\w+.-]*://[^\s:/@]*:)([^\s/]+)(@)`)

// diff is the unified diff from what is at the path to the content, without
// secrets, and with a line that says so when only a secret differs.
func (r File) diff(c compared) string {
	fact, before := c.fact, r
	if c.entry != nil && c.entry.Masked != "" { // what was a secret stays one
		before.SecretKeys = append(strings.Split(c.entry.Masked, "\n"), r.SecretKeys...)
	}
	if !isText(r.Content) || !isText(fact.Content) {
		return fmt.Sprintf("binary, %d bytes -> %d bytes\n", fact.Size, len(r.Content))
	}
	if fact.IsRegular() && fact.Content == nil && fact.Size > provision.MaxContent {
		return fmt.Sprintf("%d bytes -> %d bytes\n", fact.Size, len(r.Content))
	}
	old, content := string(fact.Content), string(r.Content)
	from, to := before.hide(old), r.hide(content)
	name := r.Path
	if fact.SHA256 == "" {
		name = "/dev/null"
	}
	// Its first line is a command that nobody has called.
	_, after, _ := strings.Cut(string(diff.Diff(name, []byte(from), r.Path, []byte(to))), "\n")
	d := after
	// A secret may differ in a line that is the same when masked.
	if old != "" && old != content && (from == to || !slices.Equal(before.secretValues(old), before.secretValues(content))) {
		d += "\n(sensitive value changed)"
	}
	return d
}

// secretValues are the secrets that can be told by their place.
func (r File) secretValues(s string) []string {
	var v []string
	for _, re := range []*regexp.Regexp{secretKey, urlPassword} {
		for _, m := range re.FindAllStringSubmatch(s, -1) {
			v = append(v, m[2])
		}
	}
	if r.INI {
		mapOptions(s, func(option, value string) string {
			if slices.Contains(r.SecretKeys, option) {
				v = append(v, value)
			}
			return value
		})
	}
	return v
}

// hide masks secrets in an old or the new content: the known ones anywhere,
// the unknown ones by the option or URL they are in.
func (r File) hide(s string) string {
	known := slices.Clone(r.Secrets)
	// A secret that is part of another must not uncover the rest of it.
	slices.SortFunc(known, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, k := range known {
		if k != "" {
			s = strings.ReplaceAll(s, k, mask)
		}
	}
	s = urlPassword.ReplaceAllString(s, "${1}"+mask+"${3}")
	s = secretKey.ReplaceAllString(s, "${1}"+mask)
	if r.INI {
		s = r.hideOptions(s)
	}
	return s
}

// hideOptions masks the values of secret options, and of those that the new
// content does not have.
func (r File) hideOptions(s string) string {
	wanted := make(map[string]bool)
	mapOptions(string(r.Content), func(option, value string) string {
		wanted[option] = !slices.Contains(r.SecretKeys, option)
		return value
	})
	return mapOptions(s, func(option, value string) string {
		if wanted[option] {
			return value
		}
		return mask
	})
}

// mapOptions returns an INI text with every value that is not empty replaced
// by what change makes of it, one line of a value at a time.
func mapOptions(text string, change func(option, value string) string) string {
	section, option := "", ""
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		body := strings.TrimRight(line, " \t\r\n")
		at := len(body) - len(strings.TrimLeft(body, " \t")) // where the value is
		switch {
		case at == len(body), body[at] == '#', body[at] == ';':
			continue
		case at > 0: // the value of the line before goes on
		case body[0] == '[':
			section, option = strings.Trim(body, "[]"), ""
			continue
		default:
			option = ""
			if at = strings.IndexAny(body, "=:"); at >= 0 {
				option = section + "/" + strings.TrimSpace(body[:at])
				at = len(body) - len(strings.TrimLeft(body[at+1:], " \t"))
			}
		}
		if option != "" && at < len(body) {
			lines[i] = body[:at] + change(option, body[at:]) + line[len(body):]
		}
	}
	return strings.Join(lines, "")
}

func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsRune(b, 0)
}
