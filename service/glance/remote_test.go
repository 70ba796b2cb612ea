package glance_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

// A region is a Peer with one image.
type region struct {
	glance.Description
	err   error // of Describe
	data  io.Reader
	asked glance.Source
	token glance.Token
}

func (r *region) Describe(ctx context.Context, s glance.Source) (*glance.Description, error) {
	r.asked, r.token = s, glance.CallerFrom(ctx).Token
	d := r.Description
	return &d, r.err
}

func (r *region) Fetch(_ context.Context, s glance.Source) (io.ReadCloser, error) {
	if s != r.asked {
		return nil, errors.New("another image is fetched than was described")
	}
	return io.NopCloser(r.data), nil
}

const remote = "71c675ab-d94f-49cd-a114-e12490b328d9"

var transfer = glance.ImportRequest{
	Method: glance.GlanceDownload, From: glance.Source{Region: "Two", Image: remote, Interface: "public"},
	Body: []byte(`{"method":{"name":"glance-download"}}`),
}

// neighbour returns an importer beside a region that has an image of four bytes.
func neighbour(t *testing.T, o glance.Options) (*importer, *region) {
	t.Helper()
	there := &region{data: strings.NewReader("abcd"), Description: glance.Description{
		Status: glance.Active, DiskFormat: p("qcow2"), ContainerFormat: p("bare"), Size: p(int64(4)),
		Properties: map[string]string{"hw_disk_bus": "scsi", "os_type": "linux", "secret": "x", "hw_cpu": "y", "os_glance_stage_host": "z"},
	}}
	h := newImporter(t, o)
	o.Import = h.offered()
	o.Import.Methods = append(o.Import.Methods, glance.GlanceDownload)
	o.Import.Peer, o.Import.Copied = there, []string{"hw_", "os_"}
	images, err := glance.New(h.catalog, []glance.Backend{{Store: h.store}}, h.options(o))
	if err != nil {
		t.Fatal(err)
	}
	h.Images = images
	return h, there
}

// nameless has neither formats nor data.
func nameless(d *glance.Draft) {
	d.DiskFormat, d.ContainerFormat, d.Properties = nil, nil, map[string]string{"hw_disk_bus": "ide", "own": "1"}
}

func TestGlanceDownload(t *testing.T) {
	h, there := neighbour(t, glance.Options{Properties: letters{}}) // who may create what has a c in its name
	im := h.create(t, nameless)
	ctx := glance.WithCaller(t.Context(), glance.Caller{ProjectID: "t1", UserID: "u", Roles: []string{"member"}, Token: "secret"})
	if err := h.Import(ctx, im.ID, transfer); err != nil {
		t.Fatal(err)
	}
	task := h.finish(t, im.ID)
	if task.Status != glance.TaskSuccess || strings.Contains(string(task.Input)+task.Message, "secret") {
		t.Fatalf("task is %+v, %s", task, task.Input)
	}
	if there.asked != transfer.From || there.token != "secret" {
		t.Errorf("asked was for %+v with token %q", there.asked, string(there.token))
	}
	got := h.get(t, im.ID)
	if got.Status != glance.Active || *got.Size != 4 || *got.DiskFormat != "qcow2" || *got.ContainerFormat != "bare" {
		t.Errorf("image is %+v", got)
	}
	want := map[string]string{"hw_disk_bus": "ide", "own": "1", "hw_cpu": "y", glance.ImportingStores: "", glance.FailedStores: ""}
	if diff := cmp.Diff(want, got.Properties); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	if data, err := h.read(as(t, "member t1"), im.ID, 0, -1); data != "abcd" || err != nil {
		t.Errorf("data is %q, %v", data, err)
	}
	if h.staging.Len() != 0 {
		t.Error("data stays staged")
	}
}

// What fails leaves the image as it was, with its own formats and properties.
func TestGlanceDownloadFails(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(there *region)
		text   string
	}{
		{"not active", func(r *region) { r.Status = glance.Queued }, "Source image status should be active instead of queued"},
		{"no size", func(r *region) { r.Size = nil }, "Size attribute of remote image " + remote + " could not be determined."},
		{"too large", func(r *region) { r.Size = p(int64(1001)) }, "The provided image is too large."},
		{"no formats", func(r *region) { r.DiskFormat, r.ContainerFormat = nil, nil }, "Properties disk_format, container_format must be set prior to saving data."},
		{"a format that nobody has", func(r *region) { r.DiskFormat = p("zip") }, "Invalid disk format 'zip' for image."},
		{"too many properties", func(r *region) {
			for i := range 9 {
				r.Properties["hw_"+strings.Repeat("x", i+1)] = ""
			}
		}, "The limit has been exceeded on the number of allowed image properties. Attempted: 13, Maximum: 5"},
		{"refused", func(r *region) {
			r.err = &glance.Refusal{Kind: glance.ErrNotFound, Message: "public glance endpoint not found for region Two"}
		},
			"public glance endpoint not found for region Two"},
		{"broken", func(r *region) { r.err = errors.New("secret") }, "Task failed due to Internal Error"},
		{"less data", func(r *region) { r.data = strings.NewReader("abc") }, "Task TASK failed because downloaded data size 3 is different from expected 4"},
		{"more data", func(r *region) { r.data = strings.NewReader("abcde") }, "Task TASK failed because downloaded data size 5 is different from expected 4"},
		{"breaks off", func(r *region) { r.data = iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("abcd"))) }, "The download broke off before its end."},
		{"other data", func(r *region) { r.DiskFormat = p("iso") }, "Image disk_format iso does not match stream data qcow2"},
	} {
		h, there := neighbour(t, glance.Options{MaxSize: 1000, PropertyQuota: 5, Inspector: &sniffer{Verdict: glance.Verdict{Format: "qcow2"}}})
		test.change(there)
		im := h.create(t, nameless)
		if err := h.Import(as(t, "member t1"), im.ID, transfer); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		task := h.finish(t, im.ID)
		if want := strings.Replace(test.text, "TASK", task.ID, 1); task.Status != glance.TaskFailure || task.Message != want {
			t.Errorf("%s: task is %+v; want it failed: %s", test.name, task, want)
		}
		got := h.get(t, im.ID)
		want := map[string]string{"hw_disk_bus": "ide", "own": "1", glance.ImportingStores: "", glance.FailedStores: ""}
		if diff := cmp.Diff(want, got.Properties); got.Status != glance.Queued || got.DiskFormat != nil || got.ContainerFormat != nil || got.Size != nil || diff != "" {
			t.Errorf("%s: image is %+v, properties (-want +got):\n%s", test.name, got, diff)
		}
		if h.staging.Len() != 0 || h.store.Len() != 0 {
			t.Errorf("%s: data stays behind", test.name)
		}
	}
}

func TestGlanceDownloadRefused(t *testing.T) {
	h, _ := neighbour(t, glance.Options{})
	queued, active, staged := h.create(t, nameless).ID, h.active(t, "x").ID, h.stage(t, "x").ID
	from := func(region, image string) glance.Source {
		return glance.Source{Region: region, Image: image, Interface: "public"}
	}
	for _, test := range []struct {
		name string
		who  string
		id   glance.ID
		from glance.Source
		want error
		text string
	}{
		{"no region", "member t1", queued, from("", remote), glance.ErrInvalid, "'glance_region' needs to be set for glance-download method"},
		{"no image", "member t1", queued, from("Two", ""), glance.ErrInvalid, "'glance_image_id' needs to be set for glance-download method"},
		{"no ID", "member t1", queued, from("Two", "../../x"), glance.ErrInvalid, "Remote image id does not look like a UUID: ../../x"},
		{"active", "member t1", active, from("", ""), glance.ErrConflict, "Image with status active cannot be target for import"},
		{"staged", "member t1", staged, from("", ""), glance.ErrConflict, "Image needs to be in 'queued' state to use 'glance-download' method"},
		{"a reader", "reader t1", queued, from("Two", remote), glance.ErrForbidden, "You are not authorized to complete modify_image action."},
	} {
		r := transfer
		r.From = test.from
		says(t, test.name, h.Import(as(t, test.who), test.id, r), test.want, test.text)
	}
	o := h.offered()
	o.Methods = []string{glance.GlanceDownload}
	if _, err := glance.New(h.catalog, []glance.Backend{{Store: h.store}}, glance.Options{Import: o}); err == nil {
		t.Error("New without a peer succeeds")
	}
}
