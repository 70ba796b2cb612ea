package glance

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"glancectl/service/glance/digest"
)

// hashes are the algorithms that hashing_algorithm can name.
var hashes = map[string]func() hash.Hash{
	"sha256": sha256.New,
	"sha384": sha512.New384,
	"sha512": sha512.New,
}

// digests are the algorithms that somebody who knows data can name.
var digests = map[string]func() hash.Hash{
	"md5":    md5.New,
	"sha1":   sha1.New,
	"sha256": sha256.New,
	"sha384": sha512.New384,
	"sha512": sha512.New,
}

// A tally is the two digests of data: what has to be shown all of it, which
// may be done side by side, and what they are in the end, MD5 first.
type tally struct {
	parts []io.Writer
	sums  func() (checksum, sum []byte)
}

// newTallies returns what makes tallies of MD5 and one of the digests.
func newTallies(algo string) func() tally {
	if algo == "sha512" && digest.Supported() {
		return pairTally
	}
	return func() tally { return twoTally(digests[algo]()) }
}

// twoTally is a tally by two goroutines.
func twoTally(sum hash.Hash) tally {
	checksum := md5.New()
	return tally{[]io.Writer{checksum, sum}, func() ([]byte, []byte) { return checksum.Sum(nil), sum.Sum(nil) }}
}

// pairTally is a tally by one goroutine, which takes little longer than MD5
// alone would and leaves the other processors to the transfer.
func pairTally() tally {
	p := digest.New()
	return tally{[]io.Writer{p}, p.Sums}
}

const (
	blockSize = 256 << 10
	blocks    = 3 // of every upload
	// spares is how many blocks more there may be of all uploads together.
	// They give one alone something to hash while whoever receives the data
	// waits for a processor: a time slice of the system is several blocks.
	spares = 9
)

// A block is a piece of the data on its way to the hashes. Its last user
// gives it back. It is whole pages, so that a disk can take it as it is.
type block struct {
	data  [blockSize]byte
	n     int
	users atomic.Int32
}

// long is after how many bytes data is known to be much.
const long = 64 << 20

// A stock is the blocks of all transfers. The zero value is ready to use.
type stock struct {
	pool sync.Pool           // of *block
	lent atomic.Int32        // spares
	much func() (end func()) // Options.Hashing
}

func (s *stock) get() *block {
	if b, ok := s.pool.Get().(*block); ok {
		return b
	}
	return new(block)
}

func (s *stock) put(b *block) { s.pool.Put(b) }

// lend reports whether there was a spare. It is given back by lent.Add(-1).
func (s *stock) lend() bool {
	if s.lent.Add(1) <= spares {
		return true
	}
	s.lent.Add(-1)
	return false
}

// A digester reads from r and computes two digests of what it reads, each part
// of a tally in a goroutine of its own, while the reader of the digester writes
// the same data away. Reading waits when the digests are more than a few blocks
// behind, so the memory is bounded. finish must be called, once, whatever
// happened; who still reads afterwards, as an HTTP client does that has given
// up, gets an error.
type digester struct {
	r     io.Reader
	stock *stock
	free  chan *block   // room for all blocks
	done  chan struct{} // closed by finish
	wg    sync.WaitGroup
	sums  func() (checksum, sum []byte)

	mu       sync.Mutex
	finished bool
	lent     int32         // spares
	sent     int64         // bytes that the digests were given
	end      func()        // of stock.much; nil as long as the data is not long
	current  *block        // partly filled by Read
	queues   []chan *block // room for all blocks
}

func newDigester(r io.Reader, t tally, from *stock) *digester {
	d := &digester{
		r:     r,
		stock: from,
		free:  make(chan *block, blocks+spares),
		done:  make(chan struct{}),
		sums:  t.sums,
	}
	for range blocks {
		d.free <- from.get()
	}
	for _, part := range t.parts {
		q := make(chan *block, blocks+spares)
		d.queues = append(d.queues, q)
		d.wg.Go(func() {
			for b := range q {
				part.Write(b.data[:b.n])
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

// send gives b to the digests; users counts who else must release it. The
// caller holds the lock.
func (d *digester) send(b *block, users int32) {
	b.users.Store(users + int32(len(d.queues)))
	d.sent += int64(b.n)
	if d.end == nil && d.sent >= long && d.stock.much != nil {
		d.end = d.stock.much()
	}
	for _, q := range d.queues {
		q <- b
	}
}

// errFinished is what is read from a digester that has finished.
var errFinished = errors.New("the upload is over")

// Read implements io.Reader for stores that bring their own buffer.
func (d *digester) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.finished {
		return 0, errFinished
	}
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

// flush sends what Read has gathered. The caller holds the lock.
func (d *digester) flush() {
	if b := d.current; b != nil {
		d.current = nil
		d.send(b, 0)
	}
}

// WriteTo implements io.WriterTo for stores that copy: the blocks go to the
// digests and to w without being copied.
func (d *digester) WriteTo(w io.Writer) (written int64, err error) {
	for {
		b, err := d.next()
		if err != nil {
			return written, err
		}
		var readErr error
		b.n, readErr = readFull(d.r, b.data[:])
		if !d.share(b) {
			return written, errFinished
		}
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

// next returns a block that is free, or a spare, or waits for one.
func (d *digester) next() (*block, error) {
	select {
	case b := <-d.free:
		return b, nil
	default:
	}
	if d.borrow() {
		return d.stock.get(), nil
	}
	select {
	case b := <-d.free:
		return b, nil
	case <-d.done:
		return nil, errFinished
	}
}

// borrow takes a spare until the digests are finished, if there is one.
func (d *digester) borrow() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.finished || !d.stock.lend() {
		return false
	}
	d.lent++
	return true
}

// share gives b to the digests while the caller goes on to use it; false says
// that it is too late.
func (d *digester) share(b *block) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.finished {
		d.free <- b
		return false
	}
	d.flush()
	d.send(b, 1)
	return true
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
	d.mu.Lock()
	d.flush()
	d.finished = true
	close(d.done)
	for _, q := range d.queues {
		close(q)
	}
	d.mu.Unlock()
	d.wg.Wait()
	if d.end != nil {
		d.end()
	}
	d.recycle()
	first, second := d.sums()
	return hex.EncodeToString(first), hex.EncodeToString(second)
}

// recycle keeps the blocks for the next upload, but for one that somebody who
// reads too late may still have.
func (d *digester) recycle() {
	for {
		select {
		case b := <-d.free:
			d.stock.put(b)
		default:
			d.stock.lent.Add(-d.lent)
			return
		}
	}
}
