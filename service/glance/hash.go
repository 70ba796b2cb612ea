package glance

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"sync"
	"sync/atomic"
)

// hashes are the algorithms that hashing_algorithm can name.
var hashes = map[string]func() hash.Hash{
	"sha256": sha256.New,
	"sha384": sha512.New384,
	"sha512": sha512.New,
}

const (
	blockSize = 128 << 10
	blocks    = 4 // of one upload; with more the hashes gain nothing
)

// A block is a piece of the data on its way to the hashes. Its last user
// gives it back.
type block struct {
	data  [blockSize]byte
	n     int
	users atomic.Int32
}

// A digester reads from r and computes two digests of what it reads, each in
// a goroutine of its own, while the reader of the digester writes the same
// data away. Reading waits when the digests are more than a few blocks
// behind, so the memory is bounded. After the last Read, or WriteTo, finish
// must be called, once, whatever happened.
type digester struct {
	r       io.Reader
	pool    *sync.Pool // of *block
	free    chan *block
	current *block // partly filled by Read
	queues  [2]chan *block
	sums    [2]hash.Hash
	wg      sync.WaitGroup
}

func newDigester(r io.Reader, sum hash.Hash, pool *sync.Pool) *digester {
	d := &digester{
		r:    r,
		pool: pool,
		free: make(chan *block, blocks),
		sums: [2]hash.Hash{md5.New(), sum},
	}
	for range blocks {
		b, ok := pool.Get().(*block)
		if !ok {
			b = new(block)
		}
		d.free <- b
	}
	for i := range d.queues {
		d.queues[i] = make(chan *block, blocks)
		d.wg.Go(func() {
			for b := range d.queues[i] {
				d.sums[i].Write(b.data[:b.n])
				d.release(b)
			}
		})
	}
	return d
}

func (d *digester) release(b *block) {
	if b.users.Add(-1) == 0 {
		d.free <- b
	}
}

// send gives b to the digests; users counts who else must release it.
func (d *digester) send(b *block, users int32) {
	b.users.Store(users + int32(len(d.queues)))
	for _, q := range d.queues {
		q <- b
	}
}

// Read implements io.Reader for stores that bring their own buffer.
func (d *digester) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	for data := p[:n]; len(data) > 0; {
		if d.current == nil {
			d.current = <-d.free
			d.current.n = 0
		}
		k := copy(d.current.data[d.current.n:], data)
		d.current.n += k
		data = data[k:]
		if d.current.n == blockSize {
			d.flush()
		}
	}
	return n, err
}

func (d *digester) flush() {
	if b := d.current; b != nil {
		d.current = nil
		d.send(b, 0)
	}
}

// WriteTo implements io.WriterTo for stores that copy: the blocks go to the
// digests and to w without being copied.
func (d *digester) WriteTo(w io.Writer) (written int64, err error) {
	d.flush()
	for {
		b := <-d.free
		var readErr error
		b.n, readErr = readFull(d.r, b.data[:])
		d.send(b, 1)
		n, err := w.Write(b.data[:b.n])
		d.release(b)
		written += int64(n)
		switch {
		case err != nil:
			return written, err
		case readErr == io.EOF:
			return written, nil
		case readErr != nil:
			return written, readErr
		}
	}
}

// readFull fills p as far as r has something; the error is r's own.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

// finish ends the digests and returns them in hex, MD5 first.
func (d *digester) finish() (checksum, sum string) {
	d.flush()
	for _, q := range d.queues {
		close(q)
	}
	d.wg.Wait()
	for range blocks {
		d.pool.Put(<-d.free)
	}
	return hex.EncodeToString(d.sums[0].Sum(nil)), hex.EncodeToString(d.sums[1].Sum(nil))
}
