// Package oslolog writes the log of the image service in the shape that
// OpenStack services log in, so that what reads their logs reads ours:
//
//	2015-03-02 12:44:12.438 1212 INFO glance.api [req-ID user project - - -] message key=value
//
// The assembly opens one [Log] and hands its handler to everybody as a
// slog.Logger; [Access] writes a line for each request. Who asked is taken
// from the context. The package has no opinion on what is worth a line, but
// it keeps every entry on one line, whatever a client managed to put into it.
package oslolog

import (
	"context"
	"encoding"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"glancectl/service/glance"
)

// NameKey is the key of an attribute that is not logged as such: its value
// replaces the logger's name on the line.
const NameKey = "logger"

// A Log is where the log goes. It may be written to, reopened and closed from
// several goroutines.
type Log struct {
	name  string // of loggers that have none
	level slog.Level
	pid   int

	mu   sync.Mutex
	sink sink
	due  bool // somebody is about to flush the sink
}

// A sink takes finished lines, one call for each. It may keep them until flush
// or close.
type sink interface {
	write(level slog.Level, t time.Time, line string) error
	flush() error
	reopen() error
	close() error
}

// Reopen begins a new file under the same name, after the old one was renamed.
// It does nothing for other logs. If that fails the old file stays in use.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sink.reopen()
}

// Close closes the log. Nothing may be logged afterwards.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sink.close()
}

// Logger returns a logger that writes to l.
func (l *Log) Logger() *slog.Logger { return slog.New(&handler{log: l, name: l.name}) }

// A handler is a slog.Handler with what WithAttrs and WithGroup gave it.
type handler struct {
	log    *Log
	name   string
	prefix string // of keys: the groups, each with a dot
	attrs  string // formatted, each with a space before it
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.log.level }

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.prefix += name + "."
	return &next
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	for _, a := range attrs {
		next.add(next.prefix, a)
	}
	return &next
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	line := *h
	r.Attrs(func(a slog.Attr) bool {
		line.add(line.prefix, a)
		return true
	})
	text := levelName(r.Level) + " " + line.name + " [" + who(ctx) + "] " + escape(r.Message) + line.attrs
	return h.log.put(r.Level, r.Time, text)
}

// put writes a line. Lines of the same moment go together: whoever is ready to
// log or to answer a request is let through first.
func (l *Log) put(level slog.Level, t time.Time, line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	urgent := level >= slog.LevelWarn
	if err := l.sink.write(level, t, line); err != nil || l.due && !urgent {
		return err
	}
	if !urgent {
		l.due = true
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
		l.due = false
	}
	return l.sink.flush()
}

// add appends an attribute to h; a group becomes one attribute for each of
// its members.
func (h *handler) add(prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	switch {
	case a.Equal(slog.Attr{}):
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			h.add(prefix, member)
		}
	case prefix+a.Key == NameKey:
		h.name = v.String()
	default:
		h.attrs += " " + escape(prefix+a.Key) + "=" + quote(text(v))
	}
}

// text returns a value the way it wants to be shown: a type that masks itself
// for one encoder is masked here too.
func text(v slog.Value) string {
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			return x.Error()
		case encoding.TextMarshaler:
			if text, err := x.MarshalText(); err == nil {
				return string(text)
			}
		}
	}
	return v.String()
}

// who is the part of a line in brackets.
func who(ctx context.Context) string {
	c := glance.CallerFrom(ctx)
	if c.RequestID == "" {
		return "-"
	}
	or := func(s string) string {
		if s == "" {
			return "-"
		}
		return escape(s)
	}
	return escape(c.RequestID) + " " + or(c.UserID) + " " + or(c.ProjectID) + " - - -"
}

// levelName is what Python calls a level.
func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARNING"
	}
	return "ERROR"
}

// appendStamp appends how a line begins that has no other time and process on it.
func appendStamp(b []byte, t time.Time, pid int) []byte {
	if t.IsZero() {
		return b
	}
	b = append(t.AppendFormat(b, "2006-01-02 15:04:05.000"), ' ')
	return append(strconv.AppendInt(b, int64(pid), 10), ' ')
}

// quote puts a value that is not one plain word into quotes.
func quote(s string) string {
	word := s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r == ' ' || r == '"' || r == '=' || !unicode.IsPrint(r)
	})
	if word {
		return s
	}
	return strconv.Quote(s)
}

// plain reports whether s is printable ASCII, as most is.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// escape makes s one line of printable text.
func escape(s string) string {
	if plain(s) {
		return s
	}
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if unicode.IsPrint(r) && !(r == utf8.RuneError && size == 1) {
			b.WriteString(s[:size])
		} else {
			quoted := strconv.Quote(s[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}
