// Package qemuimg converts disk images with the program qemu-img: a
// [glance.Converter].
//
// The service opens one if imported images are to be converted. The program
// reads what strangers have made, so it is told which format that is and never
// finds out for itself, gets no shell, nothing of the service's environment and
// no more memory, time and room than the data deserves, and dies with the
// service. Whether the data is safe to open is decided before, by whoever looked
// at it. What the program writes lies beside the staged data, under names that
// whoever cleans up there knows.
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
	"runtime"
	"syscall"

	"glancectl/service/glance"
)

// An Area is where staged data is.
type Area interface {
	// Temp makes an empty file beside the data of an image.
	Temp(id glance.ID) (*os.File, error)
	// File returns the absolute path of staged data.
	File(url string) (string, error)
}

// Options are the optional settings of New. The zero value is ready to use.
type Options struct {
	Program string       // a name or a path; empty means qemu-img
	Memory  uint64       // address space in bytes; 0 means 1 GiB
	Log     *slog.Logger // is told why something fails; nil means nobody is
}

// A Converter is a glance.Converter.
type Converter struct {
	format string
	area   Area
	o      Options
}

var _ glance.Converter = (*Converter)(nil)

// formats are the names that the program has for disk formats.
var formats = map[string]string{
	"qcow2": "qcow2",
	"raw":   "raw",
	"vdi":   "vdi",
	"vhd":   "vpc",
	"vhdx":  "vhdx",
	"vmdk":  "vmdk",
}

// New returns a converter to a disk format. It does not look for the program:
// it may be installed later. It is an error if the format is none that the
// program makes.
func New(format string, area Area, o Options) (*Converter, error) {
	if formats[format] == "" {
		return nil, fmt.Errorf("format %q: nothing can be converted to it", format)
	}
	if o.Program == "" {
		o.Program = "qemu-img"
	}
	if o.Memory == 0 {
		o.Memory = 1 << 30
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Converter{format, area, o}, nil
}

// Format implements glance.Converter.
func (c *Converter) Format() string { return c.format }

// Reads implements glance.Converter.
func (c *Converter) Reads(diskFormat string) bool { return formats[diskFormat] != "" }

// Convert implements glance.Converter.
func (c *Converter) Convert(ctx context.Context, job glance.Conversion) (glance.Converted, error) {
	program, err := c.command(ctx, job)
	if err != nil {
		return nil, err
	}
	if !c.Reads(job.Format) {
		return nil, refuse(glance.ErrInvalid, "Images of disk_format %s cannot be converted.", job.Format)
	}
	from, done, err := c.input(ctx, job)
	if err != nil {
		return nil, fmt.Errorf("convert image %s: %w", job.ID, err)
	}
	defer done()
	to, err := c.area.Temp(job.ID)
	if err != nil {
		return nil, fmt.Errorf("convert image %s: %w", job.ID, err)
	}
	made := made{to}
	program = append(program, "convert", "-q", "-f", formats[job.Format], "-O", formats[c.format], from, to.Name())
	if err := run(exec.CommandContext(ctx, program[0], program[1:]...)); err != nil {
		c.o.Log.InfoContext(ctx, "an image is not converted", "image", job.ID, "from", job.Format, "to", c.format, "error", err)
		err = refuse(glance.ErrInvalid, "The image could not be converted from %s to %s.", job.Format, c.format)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, errors.Join(err, made.Remove())
	}
	return made, nil
}

const (
	// baseCPU is how many seconds the program may compute whatever the data is,
	// and perCPU how many bytes of the disk are worth another. Unpacking takes
	// a fraction of that; a header that sends the program in circles ends soon.
	baseCPU = 2
	perCPU  = 16 << 20

	openFiles = 64
)

// command returns the beginning of a command that runs the program within its
// limits. They must hold before it begins, and a process cannot set them for
// what it starts: another program does.
func (c *Converter) command(ctx context.Context, job glance.Conversion) ([]string, error) {
	var paths []string
	for _, name := range []string{"prlimit", c.o.Program} {
		path, err := exec.LookPath(name)
		if err != nil {
			c.o.Log.ErrorContext(ctx, "images cannot be converted", "error", err)
			return nil, refuse(glance.ErrUnavailable, "The image cannot be converted: %s is not installed.", filepath.Base(name))
		}
		paths = append(paths, path)
	}
	return []string{
		paths[0],
		fmt.Sprintf("--cpu=%d", baseCPU+job.VirtualSize/perCPU),
		fmt.Sprintf("--as=%d", c.o.Memory),
		fmt.Sprintf("--fsize=%d", job.MaxSize),
		fmt.Sprintf("--nofile=%d", openFiles),
		"--core=0",
		"--", paths[1],
	}, nil
}

func refuse(kind error, format string, args ...any) error {
	return &glance.Refusal{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// input returns a file with the data, and what to do when it is not needed any
// more.
func (c *Converter) input(ctx context.Context, job glance.Conversion) (path string, done func(), err error) {
	if job.URL != "" {
		path, err = c.area.File(job.URL)
		return path, func() {}, err
	}
	data, err := job.Open(ctx)
	if err != nil {
		return "", nil, err
	}
	defer data.Close()
	f, err := c.area.Temp(job.ID)
	if err != nil {
		return "", nil, err
	}
	if _, err := io.Copy(f, data); err != nil {
		return "", nil, errors.Join(err, made{f}.Remove())
	}
	return f.Name(), func() { made{f}.Remove() }, nil // what stays is cleared away with the staged data
}

// maxOutput is how much of what the program says is kept for the log.
const maxOutput = 4 << 10

// run runs a program.
func run(cmd *exec.Cmd) error {
	said := &head{left: maxOutput}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.Dir = "/"
	// One arena: each thread's own would count as memory that nobody uses.
	cmd.Env = []string{"LANG=C", "MALLOC_ARENA_MAX=1", "PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// The program dies with the thread that started it, which must not end
	// before the service does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.kept))
	}
	return nil
}

// A head keeps the beginning of what is written to it.
type head struct {
	kept []byte
	left int
}

func (h *head) Write(p []byte) (int, error) {
	keep := min(h.left, len(p))
	h.left -= keep
	h.kept = append(h.kept, p[:keep]...)
	return len(p), nil
}

// made is a file that was made beside the staged data. It is kept open, as a
// sign that its maker lives.
type made struct{ f *os.File }

// Open implements glance.Converted.
func (m made) Open() (io.ReadCloser, error) { return os.Open(m.f.Name()) }

// Remove implements glance.Converted.
func (m made) Remove() error { return errors.Join(os.Remove(m.f.Name()), m.f.Close()) }
