package oslolog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
	"glancectl/service/internal/oslolog"
)

var noon = time.Date(2015, 3, 2, 12, 44, 12, 438e6, time.UTC)

// logTo returns a handler that writes to b as process 1212.
func logTo(t *testing.T, b *bytes.Buffer, level slog.Level) slog.Handler {
	t.Helper()
	l, err := oslolog.Open(oslolog.Options{Name: "glance.api", Level: level, Stderr: b, PID: 1212})
	if err != nil {
		t.Fatal(err)
	}
	return l.Logger().Handler()
}

// A masked value does not show itself to any encoder.
type masked string

func (masked) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// A report shows its counts.
type report struct{ done int }

func (r report) LogValue() slog.Value { return slog.GroupValue(slog.Int("done", r.done)) }

func TestLines(t *testing.T) {
	known := glance.WithCaller(t.Context(), glance.Caller{RequestID: "req-1", UserID: "u1", ProjectID: "p1"})
	anonymous := glance.WithCaller(t.Context(), glance.Caller{RequestID: "req-2", Anonymous: true})
	for _, test := range []struct {
		ctx   context.Context
		level slog.Level
		msg   string
		attrs []slog.Attr
		want  string
	}{
		{t.Context(), slog.LevelInfo, "started", nil, "INFO glance.api [-] started"},
		{known, slog.LevelDebug, "who", nil, "DEBUG glance.api [req-1 u1 p1 - - -] who"},
		{anonymous, slog.LevelWarn, "who", nil, "WARNING glance.api [req-2 - - - - -] who"},
		{t.Context(), slog.LevelError, "bad", []slog.Attr{slog.Any("error", errors.New("no such thing"))},
			`ERROR glance.api [-] bad error="no such thing"`},
		{t.Context(), slog.LevelInfo, "types", []slog.Attr{
			slog.Int("n", -1), slog.Bool("b", true), slog.Duration("d", time.Second), slog.Time("t", noon),
			slog.String("empty", ""), slog.String("eq", "a=b"), slog.Any("list", []string{"x"}),
		}, `INFO glance.api [-] types n=-1 b=true d=1s t=2015-03-02T12:44:12.438Z empty="" eq="a=b" list=[x]`},
		{t.Context(), slog.LevelInfo, "groups", []slog.Attr{
			slog.Group("image", slog.String("id", "i"), slog.Group("data", slog.Int("size", 1))), slog.Any("run", report{3}), {},
		}, "INFO glance.api [-] groups image.id=i image.data.size=1 run.done=3"},
		{t.Context(), slog.LevelInfo, "named", []slog.Attr{slog.String(oslolog.NameKey, "glance.event"), slog.Int("n", 1)},
			"INFO glance.event [-] named n=1"},
		{t.Context(), slog.LevelInfo, "masked", []slog.Attr{slog.Any("key", masked("planted"))}, "INFO glance.api [-] masked key=(secret)"},
		{t.Context(), slog.LevelInfo, "two\nlines\x1b[0m \"q\" é \xff \ufffd", []slog.Attr{slog.String("a\nb", "c\nd")},
			`INFO glance.api [-] two\nlines\x1b[0m "q" é \xff ` + "\ufffd" + ` a\nb="c\nd"`},
	} {
		var b bytes.Buffer
		r := slog.NewRecord(noon, test.level, test.msg, 0)
		r.AddAttrs(test.attrs...)
		if err := logTo(t, &b, slog.LevelDebug).Handle(test.ctx, r); err != nil {
			t.Errorf("Handle(%q): %v", test.msg, err)
		}
		want := "2015-03-02 12:44:12.438 1212 " + test.want + "\n"
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("Handle(%q) (-want +got):\n%s", test.msg, diff)
		}
	}
}

func TestLoggersShareNothing(t *testing.T) {
	var b bytes.Buffer
	base := slog.New(logTo(t, &b, slog.LevelInfo)).With(slog.String("a", "1"))
	group := base.WithGroup("g").With(slog.String("b", "2"))
	named := base.With(slog.String(oslolog.NameKey, "other"))
	group.Info("one", slog.String("c", "3"))
	base.Info("two")
	named.Info("three")
	base.Debug("four: below the level")
	var got []string
	for line := range strings.Lines(b.String()) {
		_, rest, _ := strings.Cut(line, " 1212 ")
		got = append(got, strings.TrimSpace(rest))
	}
	want := []string{"INFO glance.api [-] one a=1 g.b=2 g.c=3", "INFO glance.api [-] two a=1", "INFO other [-] three a=1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestLevel(t *testing.T) {
	for _, test := range []struct {
		debug, verbose bool
		want           slog.Level
	}{
		{false, false, slog.LevelWarn},
		{false, true, slog.LevelInfo},
		{true, false, slog.LevelDebug},
		{true, true, slog.LevelDebug},
	} {
		if got := oslolog.Level(test.debug, test.verbose); got != test.want {
			t.Errorf("Level(%v, %v) = %v; want %v", test.debug, test.verbose, got, test.want)
		}
	}
}

func TestFileIsFollowedWhenItIsRotated(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "api.log")
	l, err := oslolog.Open(oslolog.Options{Name: "n", File: path, PID: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o137 != 0 {
		t.Errorf("mode of the log = %v, %v; want at most 0640", info.Mode(), err)
	}
	log := l.Logger()
	rename := func(to string) {
		if err := os.Rename(path, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	log.Warn("first")
	rename("api.log.1")
	log.Warn("second") // noticed without a signal
	rename("api.log.2")
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("after Reopen: %v", err)
	}
	log.Warn("third")
	for name, want := range map[string]string{"api.log.1": "first", "api.log.2": "second", "api.log": "third"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), want) {
			t.Errorf("%s = %q, %v; want the %s line", name, text, err, want)
		}
	}
}

// Where a line belongs that is no warning is looked up from time to time.
func TestFileIsFollowedInTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.log")
	l, err := oslolog.Open(oslolog.Options{Name: "n", File: path, PID: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	say := func(after time.Duration, level slog.Level, text string) {
		t.Helper()
		if err := l.Logger().Handler().Handle(t.Context(), slog.NewRecord(noon.Add(after), level, text, 0)); err != nil {
			t.Error(err)
		}
	}
	say(0, slog.LevelInfo, "one")
	for n, last := range []string{"three", "four", "five"} {
		if err := os.Rename(path, fmt.Sprint(path, n)); err != nil {
			t.Fatal(err)
		}
		switch n {
		case 0:
			say(99*time.Millisecond, slog.LevelInfo, "two")
			say(100*time.Millisecond, slog.LevelInfo, "three")
		case 1:
			say(101*time.Millisecond, slog.LevelWarn, "four")
		case 2:
			say(-time.Hour, slog.LevelInfo, "five") // the clock was put back
		}
		got, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(string(got), "[-] "+last+"\n") || strings.Count(string(got), "\n") != 1 {
			t.Errorf("the new file has %q, %v; want %q", got, err, last)
		}
	}
	if got, err := os.ReadFile(path + "0"); err != nil || !strings.HasSuffix(string(got), "[-] two\n") || strings.Count(string(got), "\n") != 2 {
		t.Errorf("the first file has %q, %v; want one and two", got, err)
	}
}

func TestLineIsKeptWhenNoFileCanBeMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := oslolog.Open(oslolog.Options{File: filepath.Join(dir, "a.log")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	gone := dir + ".old"
	if err := os.Rename(dir, gone); err != nil {
		t.Fatal(err)
	}
	l.Logger().Error("still here")
	if err := l.Reopen(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Reopen = %v; want ErrNotExist", err)
	}
	text, err := os.ReadFile(filepath.Join(gone, "a.log"))
	if err != nil || !strings.Contains(string(text), "still here") {
		t.Errorf("the old file has %q, %v", text, err)
	}
}

func TestFileTakesLinesFromMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	l, err := oslolog.Open(oslolog.Options{Name: "n", File: path, Level: slog.LevelInfo})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				level := slog.LevelWarn
				if j%2 == 0 {
					level = slog.LevelInfo
				}
				l.Logger().Log(t.Context(), level, fmt.Sprintf("%d-%d", i, j))
				if j%10 == 0 {
					if err := l.Reopen(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	text, err := os.ReadFile(path) // before it is closed: no line waits for that
	if n := strings.Count(string(text), " n [-] "); err != nil || n != 400 {
		t.Errorf("%d lines, %v; want 400", n, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestSyslog(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l, err := oslolog.Open(oslolog.Options{Name: "glance.api", Level: slog.LevelDebug, Syslog: true, Facility: "LOG_LOCAL1", Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, test := range []struct {
		level    slog.Level
		priority int
	}{
		{slog.LevelDebug, 17<<3 | 7}, {slog.LevelInfo, 17<<3 | 6}, {slog.LevelWarn, 17<<3 | 4}, {slog.LevelError, 17<<3 | 3},
	} {
		l.Logger().Log(t.Context(), test.level, "hello")
		b := make([]byte, 1024)
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(b)
		got := string(b[:n])
		head, tail := fmt.Sprintf("<%d>", test.priority), fmt.Sprintf(" glance.api[%d]: ", os.Getpid())
		if err != nil || !strings.HasPrefix(got, head) || !strings.Contains(got, tail) || !strings.HasSuffix(got, " glance.api [-] hello\n") {
			t.Errorf("at level %v the datagram is %q, %v; want %s...%s...", test.level, got, err, head, tail)
		}
	}
}

func TestOpenReportsWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		o    oslolog.Options
		want string
	}{
		{oslolog.Options{File: filepath.Join(dir, "none", "a.log")}, "log_file: open " + dir + "/none/a.log: no such file or directory"},
		{oslolog.Options{File: filepath.Join(dir, "a.log"), Syslog: true, Socket: filepath.Join(dir, "log")},
			"use_syslog: dial unixgram " + dir + "/log: connect: no such file or directory"},
		{oslolog.Options{Syslog: true, Facility: "LOG_X"}, `syslog_log_facility: "LOG_X" is no facility`},
	} {
		if _, err := oslolog.Open(test.o); err == nil || err.Error() != test.want {
			t.Errorf("Open(%+v) = %v; want %s", test.o, err, test.want)
		}
	}
}
