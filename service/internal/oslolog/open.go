package oslolog

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"time"

	"glancectl/service/internal/ownership"
)

// Options say what is logged where. The zero value logs warnings and errors to
// standard error.
type Options struct {
	Name  string // of loggers that have none, such as glance.api
	Level slog.Level
	// File is appended to, and made with mode 0640 if it is missing. When it is
	// renamed or removed the next warning, or other line a tenth of a second
	// later, begins a new one. A line is the system's before the call that logs it
	// returns, unless another call is about to write it with its own. "" means
	// Stderr.
	File string
	// Syslog sends the log to the system's log as well as to File; without a
	// File only there.
	Syslog   bool
	Facility string    // LOG_USER, LOG_LOCAL0, ...; "" means LOG_USER
	Socket   string    // of syslog; "" means /dev/log
	Stderr   io.Writer // nil means os.Stderr
	PID      int       // 0 means this process
}

// Level is the level that the options debug and verbose mean.
func Level(debug, verbose bool) slog.Level {
	switch {
	case debug:
		return slog.LevelDebug
	case verbose:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// Open opens a log. The caller closes it.
func Open(o Options) (*Log, error) {
	l := &Log{name: o.Name, level: o.Level, pid: o.PID}
	if l.pid == 0 {
		l.pid = os.Getpid()
	}
	var sinks sinks
	if o.File != "" {
		f := &file{path: o.File, pid: l.pid}
		if err := f.reopen(); err != nil {
			return nil, fmt.Errorf("log_file: %w", err)
		}
		sinks = append(sinks, f)
	}
	if o.Syslog {
		s, err := dial(o)
		if err != nil {
			return nil, errors.Join(err, sinks.close())
		}
		sinks = append(sinks, s)
	}
	if len(sinks) == 0 {
		if o.Stderr == nil {
			o.Stderr = os.Stderr
		}
		sinks = append(sinks, &stream{w: o.Stderr, pid: l.pid})
	}
	l.sink = sinks
	return l, nil
}

// sinks all get every line.
type sinks []sink

func (s sinks) write(level slog.Level, t time.Time, line string) error {
	return s.each(func(s sink) error { return s.write(level, t, line) })
}
func (s sinks) flush() error  { return s.each(sink.flush) }
func (s sinks) reopen() error { return s.each(sink.reopen) }
func (s sinks) close() error  { return s.each(sink.close) }

func (s sinks) each(f func(sink) error) error {
	var errs []error
	for _, one := range s {
		errs = append(errs, f(one))
	}
	return errors.Join(errs...)
}

// A stream is a log that somebody else opened.
type stream struct {
	w   io.Writer
	pid int
}

func (s *stream) write(_ slog.Level, t time.Time, line string) error {
	_, err := s.w.Write(append(append(appendStamp(nil, t, s.pid), line...), '\n'))
	return err
}
func (s *stream) flush() error  { return nil }
func (s *stream) reopen() error { return nil }
func (s *stream) close() error  { return nil }

// A file is a log that is rotated by renaming it.
type file struct {
	path   string
	pid    int
	f      *os.File
	info   os.FileInfo // of f when it was opened
	looked time.Time   // whether path still is f
	lines  []byte      // that are to be written
}

// lookEvery is how long lines that are no warnings may go to a file that was
// renamed: to look takes nearly as long as to write one.
const lookEvery = 100 * time.Millisecond

func (f *file) write(level slog.Level, t time.Time, line string) error {
	if since := t.Sub(f.looked); level >= slog.LevelWarn || since < 0 || since >= lookEvery {
		f.looked = t
		now, err := os.Stat(f.path)
		if err != nil || !os.SameFile(now, f.info) {
			// The line is not lost if a new file cannot be made: f.f is still open.
			_ = f.reopen()
		}
	}
	f.lines = append(append(appendStamp(f.lines, t, f.pid), line...), '\n')
	return nil
}

func (f *file) flush() error {
	if len(f.lines) == 0 {
		return nil
	}
	_, err := f.f.Write(f.lines)
	f.lines = f.lines[:0]
	return err
}

func (f *file) reopen() error {
	next, err := ownership.Open(f.path, os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	info, err := next.Stat()
	if err != nil {
		return errors.Join(err, next.Close())
	}
	old := f.f
	f.f, f.info = next, info
	if old != nil {
		return old.Close()
	}
	return nil
}

func (f *file) close() error { return errors.Join(f.flush(), f.f.Close()) }

// A system is the log daemon of the machine. It puts time and process on the
// lines itself.
type system struct{ w *syslog.Writer }

// facilities are the names that Python has for them.
var facilities = map[string]syslog.Priority{
	"": syslog.LOG_USER, "LOG_USER": syslog.LOG_USER, "LOG_KERN": syslog.LOG_KERN, "LOG_MAIL": syslog.LOG_MAIL,
	"LOG_DAEMON": syslog.LOG_DAEMON, "LOG_AUTH": syslog.LOG_AUTH, "LOG_SYSLOG": syslog.LOG_SYSLOG,
	"LOG_LPR": syslog.LOG_LPR, "LOG_NEWS": syslog.LOG_NEWS, "LOG_UUCP": syslog.LOG_UUCP, "LOG_CRON": syslog.LOG_CRON,
	"LOG_AUTHPRIV": syslog.LOG_AUTHPRIV, "LOG_FTP": syslog.LOG_FTP, "LOG_LOCAL0": syslog.LOG_LOCAL0,
	"LOG_LOCAL1": syslog.LOG_LOCAL1, "LOG_LOCAL2": syslog.LOG_LOCAL2, "LOG_LOCAL3": syslog.LOG_LOCAL3,
	"LOG_LOCAL4": syslog.LOG_LOCAL4, "LOG_LOCAL5": syslog.LOG_LOCAL5, "LOG_LOCAL6": syslog.LOG_LOCAL6,
	"LOG_LOCAL7": syslog.LOG_LOCAL7,
}

func dial(o Options) (*system, error) {
	facility, ok := facilities[o.Facility]
	if !ok {
		return nil, fmt.Errorf("syslog_log_facility: %q is no facility", o.Facility)
	}
	if o.Socket == "" {
		o.Socket = "/dev/log"
	}
	w, err := syslog.Dial("unixgram", o.Socket, facility|syslog.LOG_INFO, o.Name)
	if err != nil {
		return nil, fmt.Errorf("use_syslog: %w", err)
	}
	return &system{w}, nil
}

func (s *system) write(level slog.Level, _ time.Time, line string) error {
	switch {
	case level < slog.LevelInfo:
		return s.w.Debug(line)
	case level < slog.LevelWarn:
		return s.w.Info(line)
	case level < slog.LevelError:
		return s.w.Warning(line)
	}
	return s.w.Err(line)
}
func (s *system) flush() error  { return nil }
func (s *system) reopen() error { return nil }
func (s *system) close() error  { return s.w.Close() }
