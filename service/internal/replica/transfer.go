package replica

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"
)

// stall is how long a transfer may stand still before it counts as broken: as
// long as a store may take to make a whole of what it was sent.
const stall = 10 * time.Minute

// A guardian ends a transfer that stands still.
type guardian struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
	ctx    context.Context // of the transfer, for its cause
}

// guard returns a context for a transfer. It ends when nothing has moved for
// long.
func guard(ctx context.Context) (context.Context, *guardian) {
	ctx, cancel := context.WithCancelCause(ctx)
	g := &guardian{cancel: cancel, ctx: ctx}
	g.timer = time.AfterFunc(stall, func() { cancel(fmt.Errorf("%w: nothing moved for %v", errBroken, stall)) })
	return ctx, g
}

func (g *guardian) moved() { g.timer.Reset(stall) }

func (g *guardian) stop() {
	g.timer.Stop()
	g.cancel(nil)
}

// judge returns why a transfer that ended with err has ended.
func (g *guardian) judge(err error) error {
	if cause := context.Cause(g.ctx); errors.Is(cause, errBroken) {
		return cause
	}
	return err
}

// hashes are what services hash images with. Beside the hash there is the MD5,
// so that one that is not known here is no loss.
var hashes = map[string]func() hash.Hash{
	"md5":    md5.New,
	"sha1":   sha1.New,
	"sha224": sha256.New224,
	"sha256": sha256.New,
	"sha384": sha512.New384,
	"sha512": sha512.New,
}

// A digest is what the data of an image is compared with.
type digest struct {
	hash.Hash
	name, want string
}

// digestOf returns the best that is known of an image's data; nil if there is
// nothing.
func digestOf(im *image) *digest {
	if f := hashes[im.HashAlgo]; f != nil && im.HashValue != "" {
		return &digest{f(), im.HashAlgo, im.HashValue}
	}
	if im.Checksum != "" {
		return &digest{md5.New(), "md5", im.Checksum}
	}
	return nil
}

// errDamaged is in errors of data that is not the image's.
var errDamaged = errors.New("the data is damaged")

func (d *digest) verify() error {
	if d == nil {
		return nil
	}
	if got := hex.EncodeToString(d.Sum(nil)); got != d.want {
		return fmt.Errorf("%w: its %s is %s, not %s", errDamaged, d.name, got, d.want)
	}
	return nil
}

// A checkedReader yields the data of an image if it is that: its last bytes
// come only when the hash of all of them is right.
type checkedReader struct {
	data  io.Reader // has one user
	moved func(n int)

	mu    sync.Mutex
	d     *digest
	left  int64
	err   error // other than io.EOF, that Read has returned
	ended bool
}

// check returns a reader of the data of an image.
func (c *Copier) check(im *image, data io.Reader, g *guardian) *checkedReader {
	r := &checkedReader{data: data, d: digestOf(im), left: im.Size}
	r.moved = func(int) {
		g.moved()
		c.o.Progress(im.Size-r.left, im.Size)
	}
	return r
}

// end ends the reading and returns what was wrong until then. An HTTP client may
// go on to read what it was given to send when the answer is there already, but
// nothing comes of that any more.
func (r *checkedReader) end() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	return r.err
}

// rest returns how much is to be read. At the end of the data that is nothing,
// and an error.
func (r *checkedReader) rest() (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended:
		return 0, errBroken
	case r.err != nil:
		return 0, r.err
	case r.left == 0:
		return 0, io.EOF
	}
	return r.left, nil
}

// Read implements io.Reader.
func (r *checkedReader) Read(p []byte) (int, error) {
	left, err := r.rest()
	if err != nil {
		return 0, err
	}
	n, err := r.data.Read(p[:min(int64(len(p)), left)])
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return 0, errBroken
	}
	if r.d != nil {
		r.d.Write(p[:n])
	}
	r.left -= int64(n)
	switch {
	case r.left == 0:
		if r.err = r.d.verify(); r.err != nil {
			return 0, r.err
		}
	case errors.Is(err, io.EOF):
		r.err = fmt.Errorf("%w: %d bytes are missing", errBroken, r.left)
	case err != nil:
		r.err = fmt.Errorf("%w: %w", errBroken, err)
	}
	r.moved(n)
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}
