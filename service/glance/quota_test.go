package glance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"glancectl/service/glance"
)

func TestStorageQuota(t *testing.T) {
	for _, test := range []struct {
		name string
		data io.Reader
		size int64 // announced
		want string
	}{
		{"fits", strings.NewReader("0123"), 4, ""},
		{"fits, not announced", strings.NewReader("0123"), 0, ""},
		{"too large", strings.NewReader("01234"), 5, "Image exceeds the storage quota: The size of the data 5 will exceed the limit. 4 bytes remaining."},
		{"too large, not announced", strings.NewReader("01234"), 0, "Image exceeds the storage quota: The size of the data 5 will exceed the limit. 4 bytes remaining."},
		{"more than announced", strings.NewReader("01234"), 3, "Image exceeds the storage quota: The size of the data 5 will exceed the limit. 4 bytes remaining."},
	} {
		h := newHouse(t, glance.Options{StorageQuota: 10})
		h.active(t, "012345")
		im := h.create(t)
		err := h.Upload(as(t, "member t1"), im.ID, test.data, glance.UploadOptions{Size: test.size})
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		is(t, test.name, err, glance.ErrTooLarge)
		if err != nil && err.Error() != test.want {
			t.Errorf("%s: %v; want %s", test.name, err, test.want)
		}
		if got := h.get(t, im.ID); got.Status != glance.Queued || got.Size != nil || h.store.Len() != 1 {
			t.Errorf("%s: image is %s, the store has %d objects; want it queued and 1", test.name, got.Status, h.store.Len())
		}
	}
}

// The quota is that of the caller's project, and a full one lets nothing of
// unknown size begin.
func TestStorageQuotaOfAProject(t *testing.T) {
	h := newHouse(t, glance.Options{StorageQuota: 6})
	h.active(t, "012345")
	mine := h.create(t)
	err := h.Upload(as(t, "member t1"), mine.ID, strings.NewReader(""), glance.UploadOptions{})
	if want := "Image exceeds the storage quota: The size of the data None will exceed the limit. 0 bytes remaining."; err == nil || err.Error() != want {
		t.Errorf("Upload to a full project: %v; want %s", err, want)
	}
	other, err := h.Create(as(t, "member t2"), glance.Draft{DiskFormat: p("raw"), ContainerFormat: p("bare")})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Upload(as(t, "member t2"), other.ID, strings.NewReader("012345"), glance.UploadOptions{}); err != nil {
		t.Errorf("Upload to another project: %v", err)
	}
}

// Data that becomes active at the same time counts, and so does what was
// stored while an image was on its way: at the end only what fits is left.
func TestStorageQuotaHoldsAtTheEnd(t *testing.T) {
	h := newHouse(t, glance.Options{StorageQuota: 10})
	const n = 4
	var ready, done sync.WaitGroup
	ready.Add(n)
	errs := make([]error, n)
	for i := range n {
		im := h.create(t)
		done.Go(func() {
			// All have been let in before the first is read to its end.
			r := io.MultiReader(strings.NewReader("0123"), hook(func() { ready.Done(); ready.Wait() }))
			errs[i] = h.Upload(as(t, "member t1"), im.ID, r, glance.UploadOptions{Size: 4})
		})
	}
	done.Wait()
	refused := 0
	for _, err := range errs {
		if errors.Is(err, glance.ErrTooLarge) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != 2 || h.store.Len() != 2 {
		t.Errorf("%d of %d uploads are refused, and the store has %d objects; want 2 and 2", refused, n, h.store.Len())
	}
}

// To delete an image while its data comes makes no room for more than the
// quota: its data does not stay.
func TestStorageQuotaAndDelete(t *testing.T) {
	h := newHouse(t, glance.Options{StorageQuota: 10})
	im := h.create(t)
	r := io.MultiReader(strings.NewReader("012345"), hook(func() {
		if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
			t.Error(err)
		}
		h.active(t, "0123456789")
	}))
	is(t, "Upload", h.Upload(as(t, "member t1"), im.ID, r, glance.UploadOptions{}), glance.ErrTooLarge)
	if got := h.get(t, im.ID); got.Status != glance.Deleted || h.store.Len() != 1 {
		t.Errorf("image is %s, and the store has %d objects; want it deleted and that of the second image alone", got.Status, h.store.Len())
	}
}

func TestStorageQuotaOfImports(t *testing.T) {
	h := newImporter(t, glance.Options{StorageQuota: 10})
	h.active(t, "012345")
	h.web.data["http://x/y"] = strings.NewReader("01234")
	im := h.create(t)
	if err := h.Import(as(t, "member t1"), im.ID, glance.ImportRequest{Method: glance.WebDownload, URI: "http://x/y"}); err != nil {
		t.Fatal(err)
	}
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.failed(t, im.ID, "The size of the data 5 will exceed the limit. 4 bytes remaining.")
}

// failed checks that the import of an image failed, and left nothing.
func (h *importer) failed(t *testing.T, id glance.ID, message string) {
	t.Helper()
	tasks, err := h.ImageTasks(as(t, "admin t1"), id)
	if err != nil || len(tasks) != 1 || tasks[0].Status != glance.TaskFailure || !strings.Contains(tasks[0].Message, message) {
		t.Errorf("tasks are %+v, %v; want one that failed with %q", tasks, err, message)
	}
	if got := h.get(t, id); got.Status != glance.Queued || h.staging.Len() != 0 {
		t.Errorf("image is %s, and %d are staged; want it queued and none", got.Status, h.staging.Len())
	}
}

// A caps are limits in a map, for every project.
type caps map[glance.Resource]int64

func (c caps) Limits(context.Context, string) (map[glance.Resource]int64, error) { return c, nil }

func over(r glance.Resource, limit, used, more int64) string {
	return fmt.Sprintf("The request returned a 413 Request Entity Too Large. This generally means that rate limiting or a quota threshold was breached.\n\n"+
		"The response body:\nProject t1 is over a limit for [Resource %s is over limit of %d due to current usage %d and delta %d]", r, limit, used, more)
}

// roomy are limits that are never met.
func roomy() caps {
	return caps{glance.ImageSizeTotal: 1000, glance.ImageStageTotal: 1000, glance.ImageCountTotal: 1000, glance.ImageCountUploading: 1000}
}

func TestLimits(t *testing.T) {
	const mib = 1 << 20
	limits := roomy()
	h := newImporter(t, glance.Options{Limits: limits})
	ctx := as(t, "member t1")
	put := func(im *glance.Image, n int) error {
		return h.Upload(ctx, im.ID, strings.NewReader(strings.Repeat("x", n)), glance.UploadOptions{})
	}
	check := func(what string, err error, want string) {
		t.Helper()
		if want == "" && err != nil || want != "" && (!errors.Is(err, glance.ErrTooLarge) || err.Error() != want) {
			t.Errorf("%s: %v; want %q", what, err, want)
		}
	}
	draft := func() glance.Draft { return glance.Draft{DiskFormat: p("raw"), ContainerFormat: p("bare")} }

	limits[glance.ImageCountTotal] = 2
	first, err := h.Create(ctx, draft())
	check("the first image", err, "")
	second, err := h.Create(ctx, draft())
	check("the second image", err, "")
	_, err = h.Create(ctx, draft())
	check("the third image", err, over(glance.ImageCountTotal, 2, 2, 1))
	_, err = h.Create(as(t, "member t2"), draft())
	check("another project's image", err, "")

	// What is within the limit when it begins may go over it, once.
	limits[glance.ImageSizeTotal] = 1
	check("an upload", put(first, 3*mib), "")
	check("an upload over the limit", put(second, 1), over(glance.ImageSizeTotal, 1, 3, 0))
	check("an import over the limit", h.Import(ctx, second.ID, glance.ImportRequest{Method: glance.WebDownload, URI: "http://x/y"}), over(glance.ImageSizeTotal, 1, 3, 0))

	limits[glance.ImageSizeTotal], limits[glance.ImageCountUploading] = 1000, 0
	check("an upload too many", put(second, 1), over(glance.ImageCountUploading, 0, 1, 0))
	check("a stage too many", h.Stage(ctx, second.ID, strings.NewReader("x"), glance.UploadOptions{}), over(glance.ImageCountUploading, 0, 1, 0))
	if got := h.get(t, second.ID); got.Status != glance.Queued {
		t.Errorf("image is %s; want it queued again", got.Status)
	}

	limits[glance.ImageCountUploading], limits[glance.ImageStageTotal] = 1000, 0
	check("a stage", h.Stage(ctx, second.ID, strings.NewReader(strings.Repeat("x", mib)), glance.UploadOptions{}), "")
	limits[glance.ImageCountTotal] = 1000
	third := h.create(t)
	check("a stage over the limit", h.Stage(ctx, third.ID, strings.NewReader("x"), glance.UploadOptions{}), over(glance.ImageStageTotal, 0, 1, 0))

	limits[glance.ImageSizeTotal] = 3
	check("an import", h.Import(ctx, second.ID, glance.ImportRequest{Method: glance.GlanceDirect}), "")
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.failed(t, second.ID, over(glance.ImageSizeTotal, 3, 3, 1))

	shares, err := h.Usage(ctx)
	if want := fmt.Sprint([]glance.Share{{Resource: glance.ImageSizeTotal, Limit: 3, Used: 3}, {Resource: glance.ImageStageTotal}, {Resource: glance.ImageCountTotal, Limit: 1000, Used: 3},
		{Resource: glance.ImageCountUploading, Limit: 1000}}); err != nil || fmt.Sprint(shares) != want {
		t.Errorf("Usage = %v, %v; want %s", shares, err, want)
	}
}

func TestNoLimits(t *testing.T) {
	if shares, err := newHouse(t, glance.Options{}).Usage(as(t, "member t1")); err != nil || len(shares) > 0 {
		t.Errorf("Usage = %v, %v; want nothing", shares, err)
	}
	if _, err := glance.New(struct{ glance.Catalog }{}, []glance.Backend{{Store: &faulty{}}}, glance.Options{StorageQuota: 1}); err == nil {
		t.Error("a quota over a catalog that cannot count: no error")
	}
}

func TestNothingAllowed(t *testing.T) {
	h := newHouse(t, glance.Options{TagQuota: glance.NothingAllowed})
	_, err := h.Create(as(t, "member t1"), glance.Draft{Tags: []string{"a"}})
	is(t, "Create with a tag", err, glance.ErrTooLarge)
	if _, err := h.Create(as(t, "member t1"), glance.Draft{Properties: map[string]string{"a": "b"}}); err != nil {
		t.Errorf("Create with a property: %v", err)
	}
}

// Data that is elsewhere counts as well.
func TestStorageQuotaOfLocations(t *testing.T) {
	h, _ := placed(t, glance.Options{StorageQuota: 7})
	im := h.create(t)
	if _, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{add("-", at("http://a/1")...)}); err != nil {
		t.Fatal(err)
	}
	_, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{add("-", at("http://a/2")...)})
	const want = "The size of the data 4 will exceed the limit. 3 bytes remaining."
	if !errors.Is(err, glance.ErrTooLarge) || err.Error() != "Denying attempt to upload image because it exceeds the quota: "+want {
		t.Errorf("a second location: %v", err)
	}
	other := h.create(t)
	if _, err := h.AddLocation(as(t, "admin t1"), other.ID, glance.LocationRequest{URL: "http://a/1"}); err != nil {
		t.Fatal(err)
	}
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.failed(t, other.ID, want)
}
