package benchservice

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const mib = 1 << 20

// block is what the data of images consists of, again and again.
type block [mib]byte

func newBlock() *block {
	b := new(block)
	rand.Read(b[:]) // never fails
	return b
}

// create makes an image without data and returns its ID.
func (t target) create(ctx context.Context, name string) (string, error) {
	c, err := t.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	body := fmt.Sprintf(`{"name": %q, "disk_format": "raw", "container_format": "bare", "visibility": "private"}`, name)
	request := t.head("POST", "/v2/images", "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))
	if _, err := c.Write(append(request, body...)); err != nil {
		return "", err
	}
	r, err := c.receive()
	if err != nil {
		return "", err
	}
	answer := make([]byte, r.length)
	if _, err := io.ReadFull(c.in, answer); err != nil {
		return "", err
	}
	var im struct{ ID string }
	if err := json.Unmarshal(answer, &im); err != nil || r.code != 201 || im.ID == "" {
		return "", fmt.Errorf("create an image: answered %d: %.300s", r.code, answer)
	}
	return im.ID, nil
}

// file returns a file in memory with the block in it. The system sends it
// without a copy: a client has a machine of its own, and here what it does with
// the data would be taken for the server's.
func (b *block) file() (*os.File, error) {
	fd, err := unix.MemfdCreate("block", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "block")
	if _, err := f.Write(b[:]); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// upload sends size bytes as the data of an image and returns how long that
// took, until the answer.
func (t target) upload(ctx context.Context, id string, size int64, b *block) (time.Duration, error) {
	c, err := t.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	data, err := b.file()
	if err != nil {
		return 0, err
	}
	defer data.Close()
	begun := time.Now()
	head := t.head("PUT", "/v2/images/"+id+"/file", "Content-Type: application/octet-stream", fmt.Sprintf("Content-Length: %d", size))
	if _, err := c.Write(head); err != nil {
		return 0, err
	}
	for left := size; left > 0; {
		if _, err := data.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		n, err := io.Copy(c.Conn, io.LimitReader(data, left))
		if err != nil {
			return 0, fmt.Errorf("upload: %w", err)
		}
		left -= n
	}
	r, err := c.receive()
	if err == nil && r.code != 204 {
		err = fmt.Errorf("upload: answered %d", r.code)
	}
	return time.Since(begun), err
}

// remove deletes an image.
func (t target) remove(ctx context.Context, id string) error {
	c, err := t.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(t.head("DELETE", "/v2/images/"+id)); err != nil {
		return err
	}
	r, err := c.receive()
	if err == nil && r.code != 204 {
		err = fmt.Errorf("delete an image: answered %d", r.code)
	}
	return err
}

// download fetches a path over several connections at once and returns how
// long it took until the last had all of its size bytes.
func (t target) download(ctx context.Context, path string, size int64, conns int) (time.Duration, error) {
	g, ctx := errgroup.WithContext(ctx)
	begun := time.Now()
	for range conns {
		g.Go(func() error {
			c, err := t.dial(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			return c.fetch(path, size)
		})
	}
	err := g.Wait()
	return time.Since(begun), err
}

// fetch reads over what is at a path, which must have size bytes.
func (c *conn) fetch(path string, size int64) error {
	if _, err := c.Write(c.head("GET", path)); err != nil {
		return err
	}
	r, err := c.receive()
	if err != nil {
		return err
	}
	if r.code != 200 || r.length != size {
		return fmt.Errorf("download %s: answered %d with %d bytes; want %d", path, r.code, r.length, size)
	}
	left := size - int64(c.in.Buffered())
	if err := c.drop(&left); err != nil {
		return fmt.Errorf("download %s: %d bytes are missing: %w", path, left, err)
	}
	return nil
}

// atOnce is how much of a download has to be there before the load generator
// is woken up for it.
const atOnce = mib

// drop has the system throw away what is left of a download. The client of a
// server has a machine of its own; here the two share the processors, and what
// the client does with the data would be taken for the server's.
func (c *conn) drop(left *int64) error {
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, 4*atOnce) // nothing is written to it
	var failed error
	err = raw.Read(func(fd uintptr) (done bool) {
		for *left > 0 && failed == nil {
			n, _, err := syscall.Recvfrom(int(fd), buf[:min(int64(len(buf)), *left)], syscall.MSG_TRUNC)
			switch {
			case err == syscall.EAGAIN:
				failed = wakeAt(fd, min(atOnce, *left))
				return failed != nil
			case err == syscall.EINTR:
			case err != nil:
				failed = err
			case n == 0:
				failed = io.ErrUnexpectedEOF
			default:
				*left -= int64(n)
			}
		}
		return true
	})
	return errors.Join(err, failed)
}

// wakeAt has a socket count as readable when so much is there.
func wakeAt(fd uintptr, n int64) error {
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, int(n))
}

// hashing measures the two digests that every upload needs, each alone, and
// returns the bytes a second of the slower one.
func hashing(b *block) float64 {
	slower := 0.0
	for _, h := range []hash.Hash{md5.New(), sha512.New()} {
		const n = 512
		begun := time.Now()
		for range n {
			h.Write(b[:])
		}
		rate := n * mib / time.Since(begun).Seconds()
		if slower == 0 || rate < slower {
			slower = rate
		}
	}
	return slower
}

// bothHashes measures the two digests side by side with nothing else going on,
// and returns the bytes a second that both have done: what the machine can do
// with two programs that each compute one.
func bothHashes(b *block) float64 {
	const n = 512
	var wg sync.WaitGroup
	begun := time.Now()
	for _, h := range []hash.Hash{md5.New(), sha512.New()} {
		wg.Go(func() {
			for range n {
				h.Write(b[:])
			}
		})
	}
	wg.Wait()
	return n * mib / time.Since(begun).Seconds()
}
