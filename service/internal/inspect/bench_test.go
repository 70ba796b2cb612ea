package inspect

import (
	"context"
	"io"
	"testing"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
)

const benchSize = 256 << 20

// A drain is a store that keeps nothing.
type drain struct{ glance.Store }

func (drain) Scheme() string { return "drain" }

func (drain) Put(_ context.Context, id glance.ID, r io.Reader) (string, int64, error) {
	n, err := io.Copy(io.Discard, r)
	return "drain:" + string(id), n, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// BenchmarkUpload is an upload whose data goes nowhere, without and with an
// inspection: what it costs.
func BenchmarkUpload(b *testing.B) {
	for _, bench := range []struct {
		name      string
		inspector glance.Inspector
	}{
		{"hashes", nil},
		{"hashes and inspection", New(Options{})},
	} {
		b.Run(bench.name, func(b *testing.B) {
			images, err := glance.New(new(memory.Catalog), []glance.Backend{{Store: drain{}}}, glance.Options{Inspector: bench.inspector})
			if err != nil {
				b.Fatal(err)
			}
			ctx := glance.WithCaller(b.Context(), glance.Caller{Admin: true})
			format, container := "raw", "bare"
			b.SetBytes(benchSize)
			for b.Loop() {
				im, err := images.Create(ctx, glance.Draft{DiskFormat: &format, ContainerFormat: &container})
				if err == nil {
					err = images.Upload(ctx, im.ID, io.LimitReader(zeros{}, benchSize), glance.UploadOptions{})
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkInspect is the inspection alone, of the pieces that a network
// yields.
func BenchmarkInspect(b *testing.B) {
	i := New(Options{})
	piece := make([]byte, 32<<10)
	b.SetBytes(benchSize)
	for b.Loop() {
		s := i.Inspect()
		for range benchSize / len(piece) {
			s.Write(piece)
		}
		s.Verdict()
	}
}
