package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"glancectl/service/glance"
)

// A Store is a glance.Store in memory. The zero value is empty and ready to
// use, from several goroutines at once.
type Store struct {
	mu      sync.RWMutex
	objects map[string][]byte
}

var _ glance.Store = (*Store)(nil)

// Scheme implements glance.Store.
func (s *Store) Scheme() string { return "memory" }

// Put implements glance.Store.
func (s *Store) Put(ctx context.Context, id glance.ID, r io.Reader) (string, int64, error) {
	if _, err := glance.ParseID(string(id)); err != nil {
		return "", 0, err
	}
	url := "memory://" + string(id)
	var b bytes.Buffer
	n, err := b.ReadFrom(reader{ctx, r})
	if err != nil {
		return "", 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.objects[url]; there {
		return "", 0, fmt.Errorf("object %s: %w", id, glance.ErrExists)
	}
	if s.objects == nil {
		s.objects = make(map[string][]byte)
	}
	s.objects[url] = b.Bytes()
	return url, n, nil
}

// A reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Open implements glance.Store.
func (s *Store) Open(ctx context.Context, url string, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	data, there := s.objects[url]
	if !there {
		return nil, fmt.Errorf("object %s: %w", name(url), glance.ErrNotFound)
	}
	data = data[min(max(off, 0), int64(len(data))):]
	if n >= 0 {
		data = data[:min(n, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Delete implements glance.Store.
func (s *Store) Delete(_ context.Context, url string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.objects[url]; !there {
		return fmt.Errorf("object %s: %w", name(url), glance.ErrNotFound)
	}
	delete(s.objects, url)
	return nil
}

// Len returns the number of objects.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.objects)
}

func name(url string) string { return strings.TrimPrefix(url, "memory://") }
