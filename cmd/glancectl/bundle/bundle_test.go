package bundle

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
)

func TestServiceMissing(t *testing.T) {
	_, err := service(fstest.MapFS{}, "amd64")
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "make build") {
		t.Errorf("service of an empty bundle = %v; want ErrMissing and the way out", err)
	}
}

func TestServiceInside(t *testing.T) {
	files := fstest.MapFS{
		"files/glanced-linux-arm64.sum": {Data: []byte("abc 12\n")},
		"files/glanced-linux-arm64.gz":  {Data: []byte("zipped")},
	}
	p, err := service(files, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	if p.SHA256 != "abc" || p.Size != 12 {
		t.Errorf("service = %q, %d; want abc, 12", p.SHA256, p.Size)
	}
	r, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, _ := io.ReadAll(r); string(got) != "zipped" {
		t.Errorf("stream = %q; want the compressed file as it is", got)
	}
}

// TestBundledSums reads every program inside this build and compares it with
// its sum; a bare clone has none.
func TestBundledSums(t *testing.T) {
	for _, arch := range Architectures() {
		p, err := Service(arch)
		if err != nil {
			t.Fatal(err)
		}
		sum, n := inflate(t, p)
		if sum != p.SHA256 || n != p.Size {
			t.Errorf("%s: program is %s, %d bytes; its sum file says %s, %d", arch, sum, n, p.SHA256, p.Size)
		}
	}
}

func TestFromFile(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	get, err := FromFile(self)
	if err != nil {
		t.Fatal(err)
	}
	p, err := get(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	if sum, n := inflate(t, p); sum != p.SHA256 || n != p.Size {
		t.Errorf("stream holds %s, %d bytes; want %s, %d", sum, n, p.SHA256, p.Size)
	}
	if _, err := get("s390x"); err == nil || !strings.Contains(err.Error(), runtime.GOARCH) {
		t.Errorf("for another architecture: %v; want an error that names %s", err, runtime.GOARCH)
	}
}

func TestFromFileRefusesText(t *testing.T) {
	name := filepath.Join(t.TempDir(), "glanced")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := FromFile(name); err == nil || !strings.Contains(err.Error(), "not a Linux program") {
		t.Errorf("FromFile(script) = %v; want it refused", err)
	}
}

func inflate(t *testing.T, p Payload) (sum string, n int64) {
	t.Helper()
	r, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	n, err = io.Copy(h, z)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil)), n
}
