package glance_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"glancectl/service/glance"
)

// A press is a Converter to raw that writes data in capitals.
type press struct {
	err     error
	job     glance.Conversion
	staged  glance.Staging
	pressed atomic.Int64 // that are not removed
}

func (*press) Format() string           { return "raw" }
func (*press) Reads(format string) bool { return format == "qcow2" || format == "iso" }

func (c *press) Convert(ctx context.Context, job glance.Conversion) (glance.Converted, error) {
	c.job = job
	if c.err != nil {
		return nil, c.err
	}
	open := job.Open
	if job.URL != "" {
		open = func(ctx context.Context) (io.ReadCloser, error) { return c.staged.Open(ctx, job.URL, 0, -1) }
	}
	data, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer data.Close()
	b, err := io.ReadAll(data)
	c.pressed.Add(1)
	return &print{strings.ToUpper(string(b)), c}, err
}

type print struct {
	text string
	c    *press
}

func (p *print) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(p.text)), nil }
func (p *print) Remove() error                { p.c.pressed.Add(-1); return nil }

// A finder is an inspector that finds qcow2 where data begins with q, and knows
// what is dangerous and how large a disk is by the letter behind it.
type finder struct{}

func (finder) Inspect() glance.Inspection { return new(finding) }
func (finder) Knows(string) bool          { return true }

type finding struct{ head []byte }

func (f *finding) Write(p []byte) (int, error) {
	f.head = append(f.head, p...)
	return len(p), nil
}

func (f *finding) Verdict() glance.Verdict {
	v := glance.Verdict{Format: "raw", VirtualSize: int64(len(f.head))}
	switch s := string(f.head); {
	case strings.HasPrefix(s, "q!"), strings.HasPrefix(s, "Q!"):
		v = glance.Verdict{Format: "qcow2", Unsafe: errors.New("a backing file")}
	case strings.HasPrefix(s, "qx"):
		v = glance.Verdict{Format: "qcow2", VirtualSize: 100_001}
	case strings.HasPrefix(s, "q"):
		v = glance.Verdict{Format: "qcow2", VirtualSize: 7}
	case strings.HasPrefix(s, "g"):
		v.Format = "gpt"
	}
	return v
}

func TestConversion(t *testing.T) {
	for _, test := range []struct {
		name, disk, container string
		data                  string
		err                   error
		text                  string // of a failure
		stored                string
		format                string
		staged                bool // the data is converted where it is
	}{
		{name: "converted", disk: "qcow2", container: "bare", data: "qcow", stored: "QCOW", format: "raw", staged: true},
		{name: "converted after it was unpacked", disk: "qcow2", container: "bare", data: gzipped(t, "qcow"), stored: "QCOW", format: "raw"},
		{name: "as it is to be", disk: "raw", container: "bare", data: "abcd", stored: "abcd", format: "raw"},
		{name: "with partitions", disk: "raw", container: "bare", data: "gpt", stored: "gpt", format: "raw"},
		{name: "in a container", disk: "qcow2", container: "ova", data: "qcow", text: "Images of container_format ova cannot be converted."},
		{name: "of another kind", disk: "aki", container: "bare", data: "kernel", text: "Images of disk_format aki cannot be converted."},
		{name: "not what it is called", disk: "iso", container: "bare", data: "qcow", text: "Image disk_format iso does not match stream data qcow2"},
		{name: "nothing of what it is called", disk: "qcow2", container: "bare", data: "abcd", text: "Image disk_format qcow2 does not match stream data raw"},
		{name: "dangerous", disk: "qcow2", container: "bare", data: "q!cow", text: "Image failed safety checks: a backing file"},
		{name: "dangerous when unpacked", disk: "qcow2", container: "bare", data: gzipped(t, "q!cow"), text: "Image failed safety checks: a backing file"},
		{name: "a disk that is too large", disk: "qcow2", container: "bare", data: "qxcow", text: "The provided image is too large."},
		{name: "damaged packing", disk: "qcow2", container: "bare", data: "\x1f\x8b\xff\xff", text: "The packed data is damaged."},
		{name: "without the program", disk: "qcow2", container: "bare", data: "qcow",
			err: &glance.Refusal{Kind: glance.ErrUnavailable, Message: "The image cannot be converted: qemu-img is not installed."}, text: "The image cannot be converted: qemu-img is not installed."},
	} {
		h := newImporter(t, glance.Options{})
		converter := &press{err: test.err, staged: h.staging}
		o := h.offered()
		o.Converter, o.Unpack = converter, true
		images, err := glance.New(h.catalog, []glance.Backend{{Store: h.store}}, h.options(glance.Options{
			MaxSize: 100_000, Import: o, Inspector: finder{},
		}))
		if err != nil {
			t.Fatal(err)
		}
		h.Images = images
		im := h.stage(t, test.data, func(d *glance.Draft) { d.DiskFormat, d.ContainerFormat = &test.disk, &test.container })
		if err := h.Import(as(t, "member t1"), im.ID, direct); err != nil {
			t.Fatal(err)
		}
		task := h.finish(t, im.ID)
		if err := h.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := h.get(t, im.ID)
		if converter.pressed.Load() != 0 || h.staging.Len() != 0 {
			t.Errorf("%s: data stays behind", test.name)
		}
		if test.text != "" {
			if task.Status != glance.TaskFailure || task.Message != test.text || now.Status != glance.Queued || *now.DiskFormat != test.disk || h.store.Len() != 0 {
				t.Errorf("%s: task is %+v, image %+v; want it failed: %s", test.name, task, now, test.text)
			}
			continue
		}
		got, err := h.read(as(t, "member t1"), im.ID, 0, -1)
		if task.Status != glance.TaskSuccess || got != test.stored || err != nil || *now.DiskFormat != test.format || *now.VirtualSize != int64(len(got)) {
			t.Errorf("%s: task is %+v, image %+v with %q, %v; want %s with %q", test.name, task, now, got, err, test.format, test.stored)
		}
		if test.disk == "qcow2" && (converter.job.Format != "qcow2" || converter.job.ID != im.ID || converter.job.MaxSize != 100_000 ||
			converter.job.VirtualSize != 7 || (converter.job.URL != "") != test.staged) {
			t.Errorf("%s: job is %+v", test.name, converter.job)
		}
	}
}

// What comes of a conversion is looked at as anything else that is stored.
func TestConvertedIsInspected(t *testing.T) {
	h := newImporter(t, glance.Options{})
	o := h.offered()
	o.Converter = &press{staged: h.staging}

	images, err := glance.New(h.catalog, []glance.Backend{{Store: h.store}}, h.options(glance.Options{Import: o, Inspector: lowercase{}}))
	if err != nil {
		t.Fatal(err)
	}
	h.Images = images
	im := h.stage(t, "q!cow", func(d *glance.Draft) { d.DiskFormat = p("qcow2") })
	if err := h.Import(as(t, "member t1"), im.ID, direct); err != nil {
		t.Fatal(err)
	}
	if task := h.finish(t, im.ID); task.Message != "Image failed safety checks: a backing file" {
		t.Errorf("task is %+v", task)
	}
	if h.store.Len() != 0 {
		t.Error("the data is stored")
	}
	if _, err := glance.New(h.catalog, []glance.Backend{{Store: h.store}}, glance.Options{Import: o}); err == nil {
		t.Error("New with a converter and without an inspector succeeds")
	}
}

// lowercase is a finder that takes what is dangerous for harmless as long as it
// is in small letters.
type lowercase struct{ finder }

func (lowercase) Inspect() glance.Inspection { return &lower{} }

type lower struct{ finding }

func (l *lower) Verdict() glance.Verdict {
	if v := l.finding.Verdict(); v.Unsafe == nil || l.head[0] == 'Q' {
		return v
	}
	return glance.Verdict{Format: "qcow2", VirtualSize: 7}
}
