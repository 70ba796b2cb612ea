package glance_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"glancectl/service/glance"
)

// gzipped returns data as gzip packs it.
func gzipped(t *testing.T, data string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// zipped returns a zip archive of files: names and data in turn.
func zipped(t *testing.T, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// unpacker returns an importer that unpacks, for images of up to 100,000
// bytes.
func unpacker(t *testing.T) *importer {
	h := newImporter(t, glance.Options{})
	images, err := glance.New(h.catalog, []glance.Backend{{Store: h.store}}, glance.Options{
		MaxSize: 100_000, NewID: func() glance.ID { return glance.ID(glance.NewUUID()) },
		Import: glance.ImportOptions{
			Methods: []string{glance.GlanceDirect, glance.WebDownload}, Tasks: h.tasks, Staging: h.staging, Fetcher: h.web,
			Unpack: true, Inject: map[string]string{"os_distro": "x"}, Spared: []string{"admin"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Images = images
	return h
}

func TestUnpack(t *testing.T) {
	data := strings.Repeat("0123456789", 5_000)
	packed := gzipped(t, data)
	archive := zipped(t, "disk/", "", "disk/image.raw", data)
	encrypted := []byte(archive)
	for _, magic := range []string{"PK\x03\x04", "PK\x01\x02"} {
		flags := map[string]int{"PK\x03\x04": 6, "PK\x01\x02": 8}[magic]
		for at := 0; ; at++ {
			next := bytes.Index(encrypted[at:], []byte(magic))
			if next < 0 {
				break
			}
			at += next
			encrypted[at+flags] |= 1
		}
	}
	h := unpacker(t)
	for _, test := range []struct {
		name, container, data, want string
		message                     string // of a failure
	}{
		{"gzip", "bare", packed, data, ""},
		{"gzip in two parts", "bare", packed + packed, data + data, ""},
		{"zip", "bare", archive, data, ""},
		{"not packed", "bare", data, data, ""},
		{"lha", "bare", "\x24\x00-lh5-data", "", "LHA archives cannot be unpacked; pack the image with gzip or zip."},
		{"lha without packing", "bare", "\x24\x00-lhd-data", "", "LHA archives cannot be unpacked; pack the image with gzip or zip."},
		{"larc", "bare", "\x24\x00-lzs-", "", "LHA archives cannot be unpacked; pack the image with gzip or zip."},
		{"nearly lha", "bare", "\x24\x00-lh5 -ltr-", "\x24\x00-lh5 -ltr-", ""},
		{"lha to stay packed", "compressed", "\x24\x00-lh5-data", "\x24\x00-lh5-data", ""},
		{"nothing", "bare", "", "", ""},
		{"short", "bare", "\x1f\x8b", "\x1f\x8b", ""},
		{"to stay packed", "compressed", packed, packed, ""},
		{"damaged gzip", "bare", packed[:len(packed)-20], "", "The packed data is damaged."},
		{"damaged head of gzip", "bare", "\x1f\x8b\xff\xff\xff", "", "The packed data is damaged."},
		{"damaged zip", "bare", archive[:len(archive)-20], "", "The packed data is damaged."},
		{"damaged data in zip", "bare", strings.Replace(archive, archive[100:110], "----------", 1), "", "The packed data is damaged."},
		{"two files", "bare", zipped(t, "a", "x", "b", "y"), "", "The archive holds 2 files; an image is one."},
		{"no file", "bare", "PK\x03\x04", "", "The packed data is damaged."},
		{"encrypted", "bare", string(encrypted), "", "The archive is encrypted."},
		{"bomb of gzip", "bare", gzipped(t, strings.Repeat("0", 100_001)), "", "The provided image is too large."},
		{"bomb of zip", "bare", zipped(t, "a", strings.Repeat("0", 10_000_000)), "", "The provided image is too large."},
	} {
		for _, method := range []glance.ImportRequest{direct, download} {
			im := h.create(t, func(d *glance.Draft) { d.ContainerFormat = &test.container })
			h.web.data["http://x/y"] = strings.NewReader(test.data)
			if method.Method == glance.GlanceDirect {
				if err := h.Stage(as(t, "member t1"), im.ID, strings.NewReader(test.data), glance.UploadOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.Import(as(t, "member t1"), im.ID, method); err != nil {
				t.Fatal(err)
			}
			task := h.finish(t, im.ID)
			if test.message != "" {
				if task.Status != glance.TaskFailure || task.Message != test.message || h.get(t, im.ID).Status != glance.Queued {
					t.Errorf("%s, %s: task is %+v; want it failed: %s", test.name, method.Method, task, test.message)
				}
				continue
			}
			got, err := h.read(as(t, "member t1"), im.ID, 0, -1)
			if task.Status != glance.TaskSuccess || got != test.want || err != nil {
				t.Errorf("%s, %s: task is %+v, %d bytes, %v; want %d", test.name, method.Method, task, len(got), err, len(test.want))
			}
		}
	}
	if n := h.staging.Len(); n != 0 {
		t.Errorf("%d objects stay staged", n)
	}
}

func TestInject(t *testing.T) {
	h := unpacker(t)
	for who, want := range map[string]string{"member t1": "x", "admin t1": ""} {
		im := h.stage(t, "abc", func(d *glance.Draft) { d.Properties = map[string]string{"a": "b"} })
		if err := h.Import(as(t, who), im.ID, direct); err != nil {
			t.Fatal(err)
		}
		h.finish(t, im.ID)
		im = h.get(t, im.ID)
		if im.Properties["os_distro"] != want || im.Properties["a"] != "b" {
			t.Errorf("image of %s has %v; want os_distro %q", who, im.Properties, want)
		}
	}
}
