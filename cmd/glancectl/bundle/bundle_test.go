package bundle

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
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
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(z, "the program\n"); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"files/glanced-linux-arm64.sum": {Data: []byte("abc 12\n")},
		"files/glanced-linux-arm64.gz":  {Data: zipped.Bytes()},
		"files/glanced-linux-amd64.sum": {Data: []byte("abc 13\n")},
		"files/glanced-linux-amd64.gz":  {Data: zipped.Bytes()},
	}
	p, err := service(files, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	if p.SHA256 != "abc" || p.Size != 12 {
		t.Errorf("service = %q, %d; want abc, 12", p.SHA256, p.Size)
	}
	if got := read(t, p.Open); got != zipped.String() {
		t.Errorf("stream = %q; want the compressed file as it is", got)
	}
	for range 2 {
		if got := read(t, p.Plain); got != "the program\n" {
			t.Errorf("plain = %q; want what is in the compressed file", got)
		}
	}
	if sum, err := p.BLAKE2b(); err != nil || sum != "aa97dd0f7951143fbc58232fcd70af2beaa0bb4de0c0e77304797768563bf6906f8e46a2c420abe24ba58d5208be992d1993a513bc3d15fc4ba5af5fcbe7a2b7" {
		t.Errorf("BLAKE2b = %s, %v", sum, err)
	}
	cut, err := service(files, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cut.Plain(); err == nil || !strings.Contains(err.Error(), "glanced-linux-amd64.gz") {
		t.Errorf("plain of a file that is too short = %v; want its name", err)
	}
}

func read(t *testing.T, open func() (io.ReadCloser, error)) string {
	t.Helper()
	r, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestBundledSums reads every program inside this build and compares it with
// its sum; a bare clone has none. Each is for its architecture, and needs
// nothing of a machine but its kernel.
func TestBundledSums(t *testing.T) {
	get := Services()
	for _, arch := range Architectures() {
		t.Run(arch, func(t *testing.T) {
			p, err := get(arch)
			if err != nil {
				t.Fatal(err)
			}
			sum, n := inflate(t, p)
			if sum != p.SHA256 || n != p.Size {
				t.Errorf("program is %s, %d bytes; its sum file says %s, %d", sum, n, p.SHA256, p.Size)
			}
			f, err := elf.NewFile(strings.NewReader(read(t, p.Plain)))
			if err != nil {
				t.Fatal(err)
			}
			if machines[f.Machine] != arch || f.Class != elf.ELFCLASS64 {
				t.Errorf("program is %v for %v; want it for %s", f.Class, f.Machine, arch)
			}
			for _, p := range f.Progs {
				if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
					t.Errorf("program has a segment %v; want it linked statically", p.Type)
				}
			}
			if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
				t.Errorf("program needs %q, %v; want it linked statically", libs, err)
			}
		})
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
	if plain := read(t, p.Plain); int64(len(plain)) != p.Size {
		t.Errorf("plain has %d bytes; want %d", len(plain), p.Size)
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
