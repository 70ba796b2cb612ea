package qemuimg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glancectl/service/glance"
)

const id = glance.ID("71c675ab-d94f-49cd-a114-e12490b328d9")

// dir is an Area in a directory.
type dir string

func (d dir) Temp(id glance.ID) (*os.File, error) { return os.CreateTemp(string(d), string(id)+"-*") }

func (d dir) File(url string) (string, error) {
	return filepath.Join(string(d), strings.TrimPrefix(url, "file:///")), nil
}

// files returns what is in the directory.
func (d dir) files(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(string(d))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// fake returns a program that is a shell script.
func fake(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "qemu-img")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func opener(data string) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(data)), nil }
}

func newConverter(t *testing.T, format string, area dir, o Options) *Converter {
	t.Helper()
	c, err := New(format, area, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// read returns what was made, and removes it.
func read(t *testing.T, made glance.Converted) string {
	t.Helper()
	var got string
	for range 2 {
		rc, err := made.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(rc)
		if err = errors.Join(err, rc.Close()); err != nil {
			t.Fatal(err)
		}
		got = string(data)
	}
	if err := made.Remove(); err != nil {
		t.Error(err)
	}
	return got
}

// The program is told the formats, gets files by their absolute paths and
// nothing of the environment.
func TestCommand(t *testing.T) {
	t.Setenv("SECRET", "of the service")
	area := dir(t.TempDir())
	program := fake(t, `[ $# = 8 ] && [ "$1 $2 $3 $4 $5 $6" = "convert -q -f vpc -O raw" ] || { echo "arguments $*"; exit 1; }
case "$7" in /*) ;; *) echo "input $7"; exit 1;; esac
case "$8" in /*) ;; *) echo "output $8"; exit 1;; esac
[ -z "$SECRET" ] || { echo "environment"; exit 1; }
[ "$(pwd)" = / ] || exit 1
{ echo converted; cat "$7"; } >"$8"
`)
	var log bytes.Buffer
	c := newConverter(t, "raw", area, Options{Program: program, Log: slog.New(slog.NewTextHandler(&log, nil))})
	made, err := c.Convert(t.Context(), glance.Conversion{ID: id, Format: "vhd", MaxSize: 1 << 20, Open: opener("data")})
	if err != nil {
		t.Fatalf("%v: %s", err, &log)
	}
	if files := area.files(t); len(files) != 1 {
		t.Errorf("there are %v; want the data alone", files)
	}
	if got := read(t, made); got != "converted\ndata" {
		t.Errorf("converted is %q", got)
	}
	if err := os.WriteFile(filepath.Join(string(area), "staged"), []byte("staged"), 0o600); err != nil {
		t.Fatal(err)
	}
	made, err = c.Convert(t.Context(), glance.Conversion{ID: id, Format: "vhd", MaxSize: 1 << 20, URL: "file:///staged"})
	if err != nil {
		t.Fatalf("%v: %s", err, &log)
	}
	if got := read(t, made); got != "converted\nstaged" {
		t.Errorf("converted is %q", got)
	}
	if files := area.files(t); len(files) != 1 || files[0] != "staged" {
		t.Errorf("there are %v; want the staged data alone", files)
	}
}

// The program runs within its limits, from the beginning.
func TestLimits(t *testing.T) {
	program := fake(t, `sed -n 's/^Max \([a-z ]*[a-z]\)  *\([0-9]*\)  *\2 .*/\1 \2/p' /proc/self/limits >"$8"`)
	c := newConverter(t, "raw", dir(t.TempDir()), Options{Program: program, Memory: 1000000000})
	made, err := c.Convert(t.Context(), glance.Conversion{ID: id, Format: "qcow2", VirtualSize: 512 << 20, MaxSize: 4096, Open: opener("")})
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, made)
	for _, want := range []string{"cpu time 34\n", "file size 4096\n", "core file size 0\n", "open files 64\n", "address space 1000000000\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("limits are %q; want %q", got, want)
		}
	}
}

// What fails leaves nothing, and the owner of the image is told what he can
// do something about.
func TestFailures(t *testing.T) {
	for _, test := range []struct {
		name, script, format string
		job                  glance.Conversion
		kind                 error
		text, log            string
	}{
		{name: "the program fails", script: `echo x >"$8"; echo "secret path" >&2; exit 1`, kind: glance.ErrInvalid,
			text: "The image could not be converted from qcow2 to raw.", log: "exit status 1: secret path"},
		{name: "the program talks", script: `yes >&2 & sleep 0.05; kill $!; exit 3`, kind: glance.ErrInvalid,
			text: "The image could not be converted from qcow2 to raw.", log: "exit status 3: y"},
		{name: "too large", script: `head -c 100000 /dev/zero >"$8"`, job: glance.Conversion{MaxSize: 4096}, kind: glance.ErrInvalid,
			text: "The image could not be converted from qcow2 to raw.", log: "exit status"},
		{name: "in circles", script: `while :; do :; done`, kind: glance.ErrInvalid,
			text: "The image could not be converted from qcow2 to raw.", log: "signal: killed"},
		{name: "another format", format: "iso", kind: glance.ErrInvalid, text: "Images of disk_format iso cannot be converted."},
		{name: "no program", script: "-", kind: glance.ErrUnavailable, text: "The image cannot be converted: qemu-img is not installed."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			area, program := dir(t.TempDir()), "/nowhere/qemu-img"
			if test.script != "-" {
				program = fake(t, test.script)
			}
			var log bytes.Buffer
			c := newConverter(t, "raw", area, Options{Program: program, Log: slog.New(slog.NewTextHandler(&log, nil))})
			job := test.job
			job.ID, job.Format, job.Open = id, "qcow2", opener("data")
			if test.format != "" {
				job.Format = test.format
			}
			if job.MaxSize == 0 {
				job.MaxSize = 1 << 20
			}
			_, err := c.Convert(t.Context(), job)
			refusal, ok := errors.AsType[*glance.Refusal](err)
			if !ok || !errors.Is(err, test.kind) || refusal.Message != test.text {
				t.Errorf("Convert: %v; want %s", err, test.text)
			}
			if !strings.Contains(log.String(), test.log) || log.Len() > 3*maxOutput {
				t.Errorf("log is %d bytes: %.1000s; want %s", log.Len(), &log, test.log)
			}
			if files := area.files(t); len(files) != 0 {
				t.Errorf("it leaves %v", files)
			}
		})
	}
}

// A conversion that is broken off ends, with all that it has started.
func TestBrokenOff(t *testing.T) {
	area := dir(t.TempDir())
	begun := filepath.Join(t.TempDir(), "begun")
	c := newConverter(t, "raw", area, Options{Program: fake(t, `mkfifo `+begun+`.fifo; sleep 1000 & echo $$ >`+begun+`; cat `+begun+`.fifo`)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := c.Convert(ctx, glance.Conversion{ID: id, Format: "qcow2", MaxSize: 1 << 20, Open: opener("data")})
		done <- err
	}()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if data, _ := os.ReadFile(begun); len(data) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the program does not begin")
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Convert: %v; want %v", err, context.Canceled)
	}
	if files := area.files(t); len(files) != 0 {
		t.Errorf("it leaves %v", files)
	}
}

// Data that cannot be read is not converted.
func TestInputFails(t *testing.T) {
	area := dir(t.TempDir())
	broken := errors.New("broken")
	c := newConverter(t, "raw", area, Options{Program: fake(t, `echo x >"$8"`)})
	_, err := c.Convert(t.Context(), glance.Conversion{ID: id, Format: "qcow2", MaxSize: 1 << 20, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("x"), errorReader{broken})), nil
	}})
	if !errors.Is(err, broken) || len(area.files(t)) != 0 {
		t.Errorf("Convert: %v, leaves %v", err, area.files(t))
	}
	if _, err := New("iso", area, Options{}); err == nil {
		t.Error("New to a format that nobody makes succeeds")
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// installed says whether the program itself can be tested. Where everything
// must have been tested it must be there.
func installed(t *testing.T) bool {
	t.Helper()
	_, err := exec.LookPath("qemu-img")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("qemu-img is not installed: apt-get install qemu-utils")
	}
	if err != nil {
		t.Log("not tested with the program itself: qemu-img is not installed")
	}
	return err == nil
}

// TestProgram converts between all formats with the program itself, within the
// limits that hold in service.
func TestProgram(t *testing.T) {
	if !installed(t) {
		return
	}
	const size = 2 << 20
	raw := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		copy(raw[i:], fmt.Sprintf("block %d", i))
	}
	area := dir(t.TempDir())
	for from := range formats {
		t.Run(from, func(t *testing.T) {
			data := string(raw)
			if from != "raw" {
				made, err := newConverter(t, from, area, Options{}).Convert(t.Context(),
					glance.Conversion{ID: id, Format: "raw", VirtualSize: size, MaxSize: 1 << 30, Open: opener(data)})
				if err != nil {
					t.Fatal(err)
				}
				if data = read(t, made); data == string(raw) {
					t.Fatal("it is not converted")
				}
			}
			made, err := newConverter(t, "raw", area, Options{}).Convert(t.Context(),
				glance.Conversion{ID: id, Format: from, VirtualSize: size, MaxSize: 1 << 30, Open: opener(data)})
			if err != nil {
				t.Fatal(err)
			}
			// Some formats round the size of the disk up.
			if got := read(t, made); !strings.HasPrefix(got, string(raw)) || strings.Trim(got[size:], "\x00") != "" {
				t.Error("converted to and fro the data is another")
			}
			// A disk that does not fit is refused before it fills the node's.
			_, err = newConverter(t, "raw", area, Options{}).Convert(t.Context(),
				glance.Conversion{ID: id, Format: from, VirtualSize: size, MaxSize: size / 2, Open: opener(data)})
			if !errors.Is(err, glance.ErrInvalid) {
				t.Errorf("a disk that is too large: %v", err)
			}
		})
	}
	if files := area.files(t); len(files) != 0 {
		t.Errorf("it leaves %v", files)
	}
	// What is not of the format it is said to be is not looked at as another.
	_, err := newConverter(t, "raw", area, Options{}).Convert(t.Context(),
		glance.Conversion{ID: id, Format: "qcow2", VirtualSize: size, MaxSize: 1 << 30, Open: opener(string(raw))})
	if !errors.Is(err, glance.ErrInvalid) {
		t.Errorf("raw data that is called qcow2: %v", err)
	}
}
