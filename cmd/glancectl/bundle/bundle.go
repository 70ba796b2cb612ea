// Package bundle carries the image service inside glancectl: one compressed
// glanced for each architecture that nodes may have.
//
// It knows files and their digests, not what is done with them. A glancectl
// built without `make build` carries none and says so.
package bundle

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/blake2b"
)

// files holds glanced-linux-ARCH.gz, and beside it glanced-linux-ARCH.sum with
// the SHA-256 and the size of what is inside. `make build` puts them there.
//
//go:embed files
var files embed.FS

// A Payload is one glanced program.
type Payload struct {
	SHA256 string                        // hex, of the program as it is installed
	Size   int64                         // bytes, as it is installed
	Open   func() (io.ReadCloser, error) // a gzip stream of it
	Plain  func() (io.ReadCloser, error) // it as it is; all of it stays in memory

	BLAKE2b func() (string, error) // its BLAKE2b-512, hex; it takes what Plain takes
}

// ErrMissing means that this glancectl carries no glanced for an architecture.
var ErrMissing = errors.New("not inside this glancectl")

// Services returns a function that returns the glanced for an architecture in
// Go's spelling ("amd64", "arm64"). It may be used by several goroutines.
func Services() func(arch string) (Payload, error) {
	var mu sync.Mutex
	known := make(map[string]Payload) // so that each is unpacked once at most
	return func(arch string) (Payload, error) {
		mu.Lock()
		defer mu.Unlock()
		p, ok := known[arch]
		if ok {
			return p, nil
		}
		p, err := service(files, arch)
		if err == nil {
			known[arch] = p
		}
		return p, err
	}
}

func service(files fs.FS, arch string) (Payload, error) {
	base := "files/glanced-linux-" + arch
	sum, err := fs.ReadFile(files, base+".sum")
	if err != nil {
		return Payload{}, fmt.Errorf("image service for linux/%s: %w: build it with `make build`, or name a program with --service-binary", arch, ErrMissing)
	}
	var p Payload
	if _, err := fmt.Sscan(string(sum), &p.SHA256, &p.Size); err != nil {
		return Payload{}, fmt.Errorf("%s.sum: %w", base, err)
	}
	p.Open = func() (io.ReadCloser, error) { return files.Open(base + ".gz") }
	unpacked := sync.OnceValues(func() ([]byte, error) {
		r, err := p.Open()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		data := make([]byte, p.Size)
		_, err = io.ReadFull(z, data)
		return data, err
	})
	p.Plain = func() (io.ReadCloser, error) {
		data, err := unpacked()
		if err != nil {
			return nil, fmt.Errorf("%s.gz: %w", base, err)
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	p.BLAKE2b = sync.OnceValues(func() (string, error) {
		data, err := unpacked()
		if err != nil {
			return "", fmt.Errorf("%s.gz: %w", base, err)
		}
		return sumBLAKE2b(data), nil
	})
	return p, nil
}

func sumBLAKE2b(data []byte) string {
	sum := blake2b.Sum512(data)
	return hex.EncodeToString(sum[:])
}

// Architectures returns the architectures that Services has a program for.
func Architectures() []string {
	names, _ := fs.Glob(files, "files/glanced-linux-*.gz")
	for i, n := range names {
		names[i] = strings.TrimSuffix(strings.TrimPrefix(n, "files/glanced-linux-"), ".gz")
	}
	return names
}

// machines are the ELF machines that a service program may be built for.
var machines = map[elf.Machine]string{
	elf.EM_X86_64:  "amd64",
	elf.EM_AARCH64: "arm64",
}

// FromFile returns a function like that of Services that hands out the program in the
// named file for the architecture it is built for, and an error for others.
func FromFile(name string) (func(arch string) (Payload, error), error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: not a Linux program: %w", name, err)
	}
	built, ok := machines[f.Machine]
	if !ok {
		return nil, fmt.Errorf("%s: built for %v; nodes are amd64 or arm64", name, f.Machine)
	}
	sum := sha256.Sum256(data)
	p := Payload{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}
	p.Open = func() (io.ReadCloser, error) { return compressed(data), nil }
	p.Plain = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	p.BLAKE2b = sync.OnceValues(func() (string, error) { return sumBLAKE2b(data), nil })
	return func(arch string) (Payload, error) {
		if arch != built {
			return Payload{}, fmt.Errorf("%s is built for linux/%s; this node is linux/%s", name, built, arch)
		}
		return p, nil
	}, nil
}

// compressed returns a gzip stream of data, compressed as it is read.
func compressed(data []byte) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is valid
		_, err := z.Write(data)
		w.CloseWithError(errors.Join(err, z.Close()))
	}()
	return r
}
