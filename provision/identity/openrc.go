package identity

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var errNotClouds = errors.New("not a clouds.yaml")

var assignment = regexp.MustCompile(`^(OS_[A-Z0-9_]+)=`)

// parseOpenrc returns the OS_ variables that a shell would have after reading
// text, as far as no shell is needed: nothing is executed, and a variable
// that would need it is an error, because half the credentials are worse than
// none. Other lines are passed over. Errors begin with the line's number and
// never show a value.
func parseOpenrc(text string) (map[string]string, error) {
	values := map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		words, err := splitLine(line)
		for _, w := range words {
			m := assignment.FindStringSubmatch(w.text)
			if m == nil {
				continue
			}
			if w.expands {
				return nil, fmt.Errorf("%d: %s needs a shell to find its value: write the value itself", i+1, m[1])
			}
			values[m[1]] = w.text[len(m[0]):]
		}
		if err != nil && strings.Contains(line, "OS_") {
			return nil, fmt.Errorf("%d: %w", i+1, err)
		}
	}
	return values, nil
}

// A word of a shell line, its quotes taken away.
type word struct {
	text    string
	expands bool // it has a $ or ` that the shell would act on
}

// splitLine splits a line as a shell does. Separators of commands count as
// spaces.
func splitLine(line string) ([]word, error) {
	var words []word
	var b strings.Builder
	started, expands := false, false
	end := func() {
		if started {
			words = append(words, word{b.String(), expands})
		}
		b.Reset()
		started, expands = false, false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case strings.IndexByte(" \t\r;&|", c) >= 0:
			end()
			continue
		case c == '#' && !started:
			return words, nil
		case c == '\'':
			n := strings.IndexByte(line[i+1:], '\'')
			if n < 0 {
				return words, errors.New("a quote is not closed on the line")
			}
			b.WriteString(line[i+1 : i+1+n])
			i += n + 1
		case c == '"':
			n, live, err := doubleQuoted(line[i+1:], &b)
			if err != nil {
				return words, err
			}
			expands = expands || live
			i += n + 1
		case c == '\\' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		default:
			expands = expands || c == '$' || c == '`'
			b.WriteByte(c)
		}
		started = true
	}
	end()
	return words, nil
}

// doubleQuoted writes what stands before the closing quote of s to b. It
// returns the quote's position, and whether there is something to expand.
func doubleQuoted(s string, b *strings.Builder) (n int, expands bool, err error) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i, expands, nil
		case c == '\\' && i+1 < len(s) && strings.IndexByte("\"\\$`", s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		default:
			expands = expands || c == '$' || c == '`'
			b.WriteByte(c)
		}
	}
	return 0, false, errors.New("a quote is not closed on the line")
}
