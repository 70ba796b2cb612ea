package swiftstore

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ncw/swift/v2"

	"glancectl/service/glance"
)

// Put implements glance.Store. The data goes into segments, each of which the
// cluster acknowledges with its MD5; the object that holds them together
// appears when all are there. The names of segments differ between any two
// Puts, or two at once would mix their data.
func (s *Store) Put(ctx context.Context, id glance.ID, r io.Reader) (string, int64, error) {
	what := fmt.Sprintf("store image %q", id)
	if !safe(string(id)) {
		return "", 0, fmt.Errorf("%s: %w: the ID is no object name", what, glance.ErrInvalid)
	}
	if err := s.free(ctx, id); err != nil {
		return "", 0, s.failed(ctx, what, err)
	}
	u := &upload{
		store:  s,
		id:     id,
		prefix: string(id) + "-" + rand.Text()[:8] + "-",
		guard:  &guard{r: r},
	}
	err := u.run(ctx)
	u.guard.close()
	if err != nil {
		u.abort(ctx)
		if u.guard.err != nil {
			return "", 0, fmt.Errorf("%s: %w", what, u.guard.err)
		}
		return "", 0, s.failed(ctx, what, err)
	}
	return s.url(id), u.size, nil
}

// errTaken is the answer of a cluster that has the object already.
var errTaken = &swift.Error{StatusCode: 412, Text: "object exists"}

// free returns nil if the container is there and has no object of the image.
func (s *Store) free(ctx context.Context, id glance.ID) error {
	_, _, err := s.conn.Container(ctx, s.c.Container)
	if errors.Is(err, swift.ContainerNotFound) {
		if !s.c.CreateContainer {
			return &swift.Error{Text: fmt.Sprintf("there is no container %q; make it, or set swift_store_create_container_on_put", s.c.Container)}
		}
		err = s.conn.ContainerCreate(ctx, s.c.Container, nil)
	}
	if err != nil {
		return err
	}
	_, _, err = s.conn.Object(ctx, s.c.Container, string(id))
	if errors.Is(err, swift.ObjectNotFound) {
		return nil
	}
	if err == nil {
		err = errTaken
	}
	return err
}

// An upload is one Put.
type upload struct {
	store    *Store
	id       glance.ID
	prefix   string
	guard    *guard
	segments int // begun
	size     int64
}

func (u *upload) segment(i int) string { return fmt.Sprintf("%s%05d", u.prefix, i) }

// run writes the segments and then the object.
func (u *upload) run(ctx context.Context) error {
	s := u.store
	data := bufio.NewReaderSize(u.guard, 64<<10)
	for {
		if _, err := data.Peek(1); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if u.segments > 0 {
			// A token may run out during a long upload, and a request with data
			// cannot be made twice. One without can, and renews it.
			if _, _, err := s.conn.Container(ctx, s.c.Container); err != nil {
				return err
			}
		}
		u.segments++
		part := &counter{r: io.LimitReader(data, s.c.ChunkSize)}
		if _, err := s.conn.ObjectPut(ctx, s.c.Container, u.segment(u.segments), part, true, "", "application/octet-stream", nil); err != nil {
			return err
		}
		u.size += part.n
	}
	return u.commit(ctx)
}

// commit makes the object out of the segments, unless there is one meanwhile.
func (u *upload) commit(ctx context.Context) error {
	s, name := u.store, string(u.id)
	l := s.lock(u.id)
	l.Lock()
	defer l.Unlock()
	if err := s.free(ctx, u.id); err != nil {
		return err
	}
	unless := swift.Headers{"If-None-Match": "*"}
	switch u.segments {
	case 0:
		_, err := s.conn.ObjectPut(ctx, s.c.Container, name, &counter{r: eof{}}, true, "", "application/octet-stream", unless)
		return err
	case 1:
		// One segment can be the object itself. A copy within the cluster is
		// cheap, and a plain object is read without a look at any listing.
		if _, err := s.conn.ObjectCopy(ctx, s.c.Container, u.segment(1), s.c.Container, name, unless); err != nil {
			return err
		}
		u.abort(ctx)
		return nil
	}
	unless["X-Object-Manifest"] = s.c.Container + "/" + u.prefix
	if _, err := s.conn.ObjectPut(ctx, s.c.Container, name, &counter{r: eof{}}, true, "", "application/octet-stream", unless); err != nil {
		return err
	}
	if err := u.settle(ctx); err != nil {
		s.conn.ObjectDelete(context.WithoutCancel(ctx), s.c.Container, name)
		return err
	}
	return nil
}

// How long settle waits, and how long between two looks.
const (
	settleTime  = time.Minute
	settlePause = 250 * time.Millisecond
)

// settle waits until the object is as large as its segments: the cluster finds
// them in a listing, and listings lag behind.
func (u *upload) settle(ctx context.Context) error {
	deadline := time.Now().Add(settleTime)
	for {
		info, _, err := u.store.conn.Object(ctx, u.store.c.Container, string(u.id))
		if err != nil {
			return err
		}
		if info.Bytes == u.size {
			return nil
		}
		if time.Now().After(deadline) {
			return &swift.Error{StatusCode: 503, Text: fmt.Sprintf("the object has %d bytes of %d after %v", info.Bytes, u.size, settleTime)}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settlePause):
		}
	}
}

// abort removes the segments, also when ctx has ended.
func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for i := 1; i <= u.segments; i++ {
		// What cannot be removed stays: there is nobody to tell, and it can
		// do no harm under a name that nothing refers to.
		u.store.conn.ObjectDelete(ctx, u.store.c.Container, u.segment(i))
	}
}

// A guard stands between the data and the HTTP client, which may go on reading
// after it has returned. It keeps the error of the data, too: the client
// passes it on only in some cases.
type guard struct {
	mu     sync.Mutex
	r      io.Reader
	err    error // of r
	closed bool
}

func (g *guard) Read(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, io.ErrClosedPipe
	}
	n, err := g.r.Read(b)
	if err != nil && err != io.EOF {
		g.err = err
	}
	return n, err
}

// close returns when no read is in progress and none will be made.
func (g *guard) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// A counter counts what is read. It also hides what else its reader can do: a
// client that knows a body to be empty or seekable treats it in other ways.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
