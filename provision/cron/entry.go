package cron

import (
	"errors"
	"strings"
	"time"
)

// An Entry is what cron is told about a job.
type Entry struct {
	Schedule string // five fields
	User     string
	Argv     []string
	Env      []string  // NAME=VALUE, what it is given beside what cron gives all
	Since    time.Time // since when it is so
}

// errByHand is why an entry is not carried out.
var errByHand = errors.New("was changed by hand: the next apply undoes that")

// readEntry reads a file of /etc/cron.d with one job, whose command is plain
// words, as glancectl writes it. Of another it tells what can be told.
func readEntry(text []byte) (e Entry, err error) {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, value, isEnv := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
			continue
		case isEnv && !strings.ContainsAny(name, " \t*"):
			e.Env = append(e.Env, name+"="+strings.Trim(value, `"`))
			continue
		case e.Schedule != "":
			e.Argv = nil
			return e, errByHand // a second job
		}
		fields, rest := cutFields(line, 6)
		if len(fields) < 6 {
			return e, errByHand
		}
		e.Schedule, e.User = strings.Join(fields[:5], " "), fields[5]
		e.Argv = words(rest)
	}
	if len(e.Argv) == 0 {
		return e, errByHand
	}
	return e, nil
}

// cutFields returns the first n words of a line and what is behind them.
func cutFields(line string, n int) (fields []string, rest string) {
	rest = line
	for len(fields) < n && rest != "" {
		i := strings.IndexAny(rest, " \t")
		if i < 0 {
			return append(fields, rest), ""
		}
		fields, rest = append(fields, rest[:i]), strings.TrimLeft(rest[i:], " \t")
	}
	return fields, rest
}

// words splits a command into the words that cron's shell would make of it.
// There are none if that shell would do anything else.
func words(s string) (argv []string) {
	// Cron makes a line break of a percent sign, unless it is told not to.
	plain := strings.ReplaceAll(s, `\%`, "")
	if strings.Contains(plain, "%") {
		return nil
	}
	s = strings.ReplaceAll(s, `\%`, "%")
	var word strings.Builder
	begun := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ' || c == '\t':
			if begun {
				argv = append(argv, word.String())
				word.Reset()
				begun = false
			}
		case c == '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return nil
			}
			word.WriteString(s[i+1 : i+1+end])
			i += end + 1
			begun = true
		case c == '\\' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
			begun = true
		case strings.IndexByte("\"$`!*?[]{}()<>|&;#~\\", c) >= 0:
			return nil
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		argv = append(argv, word.String())
	}
	return argv
}

// now returns argv without the wait before a run that is spread over a while.
func now(argv []string) []string {
	var out []string
	for i := 0; i < len(argv); i++ {
		if argv[i] == "--jitter" {
			i++
			continue
		}
		out = append(out, argv[i])
	}
	return out
}
