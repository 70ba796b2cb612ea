package service_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancectl/service"
)

// sample returns an image that qemu-img or another such program made.
func sample(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("internal/inspect/testdata", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// upload makes an image of a format and uploads data to it. It returns the
// answer to that, and the image as it is then.
func (d *daemon) upload(diskFormat, data string) (a answer, im image) {
	d.t.Helper()
	decode := func(body string) {
		if err := json.Unmarshal([]byte(body), &im); err != nil {
			d.t.Fatalf("%s: %v", body, err)
		}
	}
	decode(d.want(201, "", "POST", "/v2/images", `{"disk_format": "`+diskFormat+`", "container_format": "bare"}`).body)
	a = d.call("PUT", "/v2/images/"+im.ID+"/file", data, "Content-Type", "application/octet-stream", "Accept", "application/json")
	decode(d.want(200, "", "GET", "/v2/images/"+im.ID, "").body)
	return a, im
}

type image struct {
	ID, Status  string
	Size        *int64
	VirtualSize *int64 `json:"virtual_size"`
}

// stored counts the files with image data.
func (s *site) stored() int {
	s.t.Helper()
	entries, err := os.ReadDir(s.path("images"))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(entries)
}

// TestFormatsOverHTTP uploads disks of every format, as what they are.
func TestFormatsOverHTTP(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	for _, test := range []struct {
		declared, sample string
		virtual          int64
	}{
		{"qcow2", "qcow2-v2", 10 << 20},
		{"qcow2", "qcow2-v3", 10 << 20},
		{"vdi", "vdi", 10 << 20},
		{"vhd", "vhd", 10514432},
		{"vhd", "vhd-fixed", 1079296},
		{"vhdx", "vhdx", 10 << 20},
		{"vmdk", "vmdk-sparse", 10 << 20},
		{"vmdk", "vmdk-stream", 10 << 20},
		{"iso", "iso", 376832},
		{"iso", "iso-hybrid", 444416},
		{"raw", "gpt", 3 << 20},
		{"raw", "mbr", 3 << 20},
		{"raw", "qcow2-v3", 196616}, // as it is
	} {
		data := sample(t, test.sample)
		a, im := d.upload(test.declared, data)
		if a.code != 204 || im.Status != "active" || *im.Size != int64(len(data)) || im.VirtualSize == nil || *im.VirtualSize != test.virtual {
			t.Errorf("%s as %s: %d %s, image %+v; want it active with virtual size %d", test.sample, test.declared, a.code, a.body, im, test.virtual)
		}
	}
	if !strings.Contains(d.log.String(), "image data is not what disk_format says") {
		t.Error("the log does not say that a raw image is a qcow2")
	}
	_, im := d.upload("ami", "an Amazon image")
	if im.Status != "active" || im.VirtualSize != nil {
		t.Errorf("image of a format that nobody knows is %+v; want it active, without a virtual size", im)
	}
}

// TestHostileImages uploads what would make whoever opens it read other
// files, or what is not what it is called.
func TestHostileImages(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	noise := strings.Repeat("0123456789abcdef", 64<<10)
	for _, test := range []struct {
		declared, data, want string
	}{
		{"qcow2", sample(t, "qcow2-backing"), "Image failed safety checks: qcow2: has a backing file"},
		{"raw", sample(t, "qcow2-backing"), "Image failed safety checks: qcow2: has a backing file"},
		{"ami", sample(t, "qcow2-backing"), "Image failed safety checks: qcow2: has a backing file"},
		{"qcow2", sample(t, "qcow2-data-file"), "Image failed safety checks: qcow2: has an external data file"},
		{"raw", sample(t, "qcow2-data-file"), "Image failed safety checks: qcow2: has an external data file"},
		{"raw", sample(t, "qed"), "Image failed safety checks: qed: this file format is not allowed"},
		{"vmdk", sample(t, "vmdk-flat"), "Image failed safety checks: vmdk: the disk is not in this file"},
		{"raw", sample(t, "vmdk-flat"), "Image failed safety checks: vmdk: the disk is not in this file"},
		{"vmdk", sample(t, "vmdk-child"), "Image failed safety checks: vmdk: has a parent"},
		{"raw", sample(t, "qcow2-v3") + sample(t, "vhd-fixed"), ""}, // no VHD of this size
		{"qcow2", noise, "Image disk_format qcow2 does not match stream data raw"},
		{"iso", sample(t, "qcow2-v3"), "Image disk_format iso does not match stream data qcow2"},
		{"vhd", sample(t, "vhdx"), "Image disk_format vhd does not match stream data vhdx"},
		{"vmdk", sample(t, "gpt"), "Image disk_format vmdk does not match stream data gpt"},
		{"qcow2", "", "Image disk_format qcow2 does not match stream data raw"},
		{"ploop", sample(t, "vdi"), "Image disk_format ploop does not match stream data vdi"},
	} {
		before := s.stored()
		a, im := d.upload(test.declared, test.data)
		if test.want == "" {
			if a.code != 204 || im.Status != "active" {
				t.Errorf("%s is answered with %d %s; image %+v; want it active", test.declared, a.code, a.body, im)
			}
			continue
		}
		if a.code != 415 || !strings.Contains(a.body, `"message": "`+test.want) {
			t.Errorf("%s is answered with %d %s; want 415 %s", test.declared, a.code, a.body, test.want)
		}
		if im.Status != "queued" || im.Size != nil || im.VirtualSize != nil {
			t.Errorf("%s: image is %+v; want it queued, without sizes", test.want, im)
		}
		if n := s.stored(); n != before {
			t.Errorf("%s: there are %d files of image data; want %d", test.want, n, before)
		}
		d.want(204, "", "GET", "/v2/images/"+im.ID+"/file", "")
	}
}

// TestFormatOptions has the options of [image_format].
func TestFormatOptions(t *testing.T) {
	mbr := []byte(sample(t, "mbr"))
	mbr[446] = 1 // no boot flag
	for _, test := range []struct {
		options, declared, data string
		code                    int
		logged                  string
	}{
		{"", "raw", string(mbr), 415, ""},
		{"gpt_safety_checks_nonfatal = mbr", "raw", string(mbr), 204, "partition 0 has boot flag 0x1"},
		{"gpt_safety_checks_nonfatal = mbr", "raw", sample(t, "qed"), 415, ""},
		{"require_image_format_match = False", "qcow2", "noise", 204, "disk_format=qcow2 data=raw"},
		{"require_image_format_match = False", "raw", sample(t, "qcow2-backing"), 415, ""},
		{"vmdk_allowed_types = streamOptimized", "vmdk", sample(t, "vmdk-stream"), 204, ""},
		{"vmdk_allowed_types = streamOptimized", "vmdk", sample(t, "vmdk-sparse"), 415, ""},
		{"vmdk_allowed_types =", "vmdk", sample(t, "vmdk-stream"), 415, ""},
		{"disk_formats = luks, gpt", "luks", sample(t, "luks"), 204, ""},
		{"disk_formats = luks, gpt", "gpt", sample(t, "gpt"), 204, ""},
		{"disk_formats = luks, gpt", "gpt", "noise", 415, ""},
	} {
		s := newSite(t)
		d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[image_format]\n"+test.options+"\n")}})
		a, _ := d.upload(test.declared, test.data)
		if a.code != test.code || !strings.Contains(d.log.String(), test.logged) {
			t.Errorf("%s: %s is answered with %d %s; want %d, and %q in the log", test.options, test.declared, a.code, a.body, test.code, test.logged)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	}
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[image_format]\ncontainer_formats = bare, box\n")}})
	d.want(400, "", "POST", "/v2/images", `{"container_format": "ovf"}`)
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageA+`", "container_format": "box", "disk_format": "qcow2"}`)
	d.want(204, "", "PUT", "/v2/images/"+imageA+"/file", "packed", "Content-Type", "application/octet-stream")
}
