package glance_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"glancectl/service/glance"
)

// A sniffer is an inspector that says what it is told to say. It knows raw,
// gpt, qcow2 and iso.
type sniffer struct {
	glance.Verdict
	begun int
	seen  bytes.Buffer
}

func (s *sniffer) Inspect() glance.Inspection {
	s.begun++
	s.seen.Reset()
	return &sniffing{s}
}

func (s *sniffer) Knows(format string) bool {
	return strings.Contains(" raw gpt qcow2 iso ", " "+format+" ")
}

type sniffing struct{ s *sniffer }

func (s *sniffing) Write(p []byte) (int, error) { return s.s.seen.Write(p) }

func (s *sniffing) Verdict() glance.Verdict { return s.s.Verdict }

const (
	mismatch = "Image disk_format %s does not match stream data "
	unsafe   = "Image failed safety checks: qcow2: has a backing file"
)

// TestJudge has every row of the decision about data that was looked at.
func TestJudge(t *testing.T) {
	const size = 4 // of the data
	bad := errors.New("qcow2: has a backing file")
	for _, test := range []struct {
		name, declared string
		container      string // empty means bare
		found          glance.Verdict
		any            bool   // AnyFormat
		refusal        string // empty means that the image is active
		virtual        int64  // 0 means unknown
		warns          bool
	}{
		{name: "what was declared", declared: "qcow2", found: glance.Verdict{Format: "qcow2", VirtualSize: 99}, virtual: 99},
		{name: "no size", declared: "iso", found: glance.Verdict{Format: "iso"}},
		{name: "raw", declared: "raw", found: glance.Verdict{Format: "raw", VirtualSize: size}, virtual: size},
		{name: "raw with partitions", declared: "raw", found: glance.Verdict{Format: "gpt", VirtualSize: size}, virtual: size},
		{name: "raw with partitions that are tolerated", declared: "raw", found: glance.Verdict{Format: "gpt", VirtualSize: size, Doubt: bad}, virtual: size, warns: true},
		{name: "partitions, declared as such", declared: "gpt", found: glance.Verdict{Format: "gpt", VirtualSize: size}, virtual: size},
		{name: "raw that is something else", declared: "raw", found: glance.Verdict{Format: "qcow2", VirtualSize: 99}, virtual: size, warns: true},
		{name: "unknown", declared: "ami", found: glance.Verdict{Format: "raw", VirtualSize: size}},
		{name: "unknown that is something else", declared: "ami", found: glance.Verdict{Format: "qcow2", VirtualSize: 99}, refusal: mismatch + "qcow2"},
		{name: "unknown with partitions", declared: "ploop", found: glance.Verdict{Format: "gpt", VirtualSize: size}, refusal: mismatch + "gpt"},
		{name: "noise", declared: "qcow2", found: glance.Verdict{Format: "raw", VirtualSize: size}, refusal: mismatch + "raw"},
		{name: "another format", declared: "qcow2", found: glance.Verdict{Format: "iso", VirtualSize: 99}, refusal: mismatch + "iso"},
		{name: "partitions in place of it", declared: "iso", found: glance.Verdict{Format: "gpt", VirtualSize: size}, refusal: mismatch + "gpt"},
		{name: "another format, any will do", declared: "qcow2", found: glance.Verdict{Format: "iso", VirtualSize: 99}, any: true, warns: true},
		{name: "noise, anything will do", declared: "qcow2", found: glance.Verdict{Format: "raw", VirtualSize: size}, any: true, warns: true},
		{name: "dangerous", declared: "qcow2", found: glance.Verdict{Format: "qcow2", Unsafe: bad}, refusal: unsafe},
		{name: "dangerous and declared raw", declared: "raw", found: glance.Verdict{Format: "qcow2", Unsafe: bad}, refusal: unsafe},
		{name: "dangerous and declared unknown", declared: "ami", found: glance.Verdict{Format: "qcow2", Unsafe: bad}, refusal: unsafe},
		{name: "dangerous, any will do", declared: "iso", found: glance.Verdict{Format: "qcow2", Unsafe: bad}, any: true, refusal: unsafe},
		{name: "in a container", declared: "qcow2", container: "ovf", found: glance.Verdict{Format: "qcow2", Unsafe: bad}},
		{name: "raw in a container", declared: "raw", container: "ovf", found: glance.Verdict{Format: "raw", VirtualSize: size}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			s := &sniffer{Verdict: test.found}
			h := newHouse(t, glance.Options{Inspector: s, AnyFormat: test.any, Log: slog.New(slog.NewTextHandler(&log, nil)),
				DiskFormats: []string{"raw", "qcow2", "iso", "gpt", "ami", "ploop"}})
			im := h.create(t, func(d *glance.Draft) {
				d.DiskFormat = p(test.declared)
				if test.container != "" {
					d.ContainerFormat = p(test.container)
				}
			})
			h.events.take()
			err := h.Upload(as(t, "member t1"), im.ID, strings.NewReader("data"), glance.UploadOptions{})
			if got := s.seen.String(); test.container == "" && got != "data" || test.container != "" && s.begun != 0 {
				t.Errorf("the inspector saw %q in container %q", got, test.container)
			}
			if test.refusal != "" {
				is(t, "Upload", err, glance.ErrWrongFormat)
				if want := strings.ReplaceAll(test.refusal, "%s", test.declared); err.Error() != want {
					t.Errorf("Upload: %q; want %q", err, want)
				}
				h.isFresh(t, im.ID)
				if got, want := h.events.take(), "image.update, image.prepare, image.update, image.upload failed"; got != want {
					t.Errorf("events = %s; want %s", got, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := h.get(t, im.ID)
			if got.Status != glance.Active || (got.VirtualSize == nil) != (test.virtual == 0) || got.VirtualSize != nil && *got.VirtualSize != test.virtual {
				t.Errorf("image is %s, virtual size %v; want active, %d", got.Status, got.VirtualSize, test.virtual)
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned != test.warns {
				t.Errorf("log is %q; want a warning: %t", &log, test.warns)
			}
		})
	}
}

// An image whose data was refused takes other data.
func TestUploadAfterRefusal(t *testing.T) {
	s := &sniffer{Verdict: glance.Verdict{Format: "raw"}}
	h := newHouse(t, glance.Options{Inspector: s})
	im := h.create(t, func(d *glance.Draft) { d.DiskFormat = p("qcow2") })
	ctx := as(t, "member t1")
	is(t, "Upload", h.Upload(ctx, im.ID, strings.NewReader("noise"), glance.UploadOptions{}), glance.ErrWrongFormat)
	s.Format = "qcow2"
	if err := h.Upload(ctx, im.ID, strings.NewReader("disk"), glance.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := h.read(ctx, im.ID, 0, -1); err != nil || got != "disk" {
		t.Errorf("the image has %q, %v; want what was not refused", got, err)
	}
}

// Data that is refused and cannot be deleted does no harm but takes room, and
// the log says so.
func TestRefusedDataStaysBehind(t *testing.T) {
	var log bytes.Buffer
	store := &stuck{err: errors.New("disk on fire")}
	h := newHouse(t, glance.Options{
		Inspector: &sniffer{Verdict: glance.Verdict{Format: "raw"}}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	}, store)
	store.Store = h.store
	im := h.create(t, func(d *glance.Draft) { d.DiskFormat = p("qcow2") })
	is(t, "Upload", h.Upload(as(t, "member t1"), im.ID, strings.NewReader("noise"), glance.UploadOptions{}), glance.ErrWrongFormat)
	if got := h.get(t, im.ID); got.Status != glance.Queued || len(got.Locations) != 0 {
		t.Errorf("image is %s with locations %v; want queued with none", got.Status, got.Locations)
	}
	if !strings.Contains(log.String(), "disk on fire") {
		t.Errorf("log is %q; want the error", &log)
	}
}

// When an image is deleted while its data arrives, that is what the uploader
// is told, whatever the data was; when the upload is broken off, there is no
// verdict.
func TestNoVerdict(t *testing.T) {
	s := &sniffer{Verdict: glance.Verdict{Format: "qcow2"}}
	h := newHouse(t, glance.Options{Inspector: s})
	im := h.create(t, func(d *glance.Draft) { d.DiskFormat = p("qcow2") })
	r := io.MultiReader(strings.NewReader("01234"), hook(func() {
		if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
			t.Error(err)
		}
	}), strings.NewReader("56789"))
	is(t, "Upload", h.Upload(as(t, "member t1"), im.ID, r, glance.UploadOptions{}), glance.ErrGone)
	if n := h.store.Len(); n != 0 {
		t.Errorf("the store keeps %d objects; want none", n)
	}
	s.Unsafe = errors.New("bad")
	im = h.create(t)
	r = io.MultiReader(strings.NewReader("01234"), hook(func() {}), &cut{})
	is(t, "Upload", h.Upload(as(t, "member t1"), im.ID, r, glance.UploadOptions{}), glance.ErrInvalid)
	h.isFresh(t, im.ID)
}

// A cut is a connection that ends.
type cut struct{}

func (*cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
