package glance

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// onlyWriter hides everything that io.Copy prefers to Write.
type onlyWriter struct{ io.Writer }

// onlyReader hides everything that io.Copy prefers to Read.
type onlyReader struct{ io.Reader }

// However the data is cut, the digests and the data are right.
func TestDigester(t *testing.T) {
	cuts := map[string]func(io.Reader) io.Reader{
		"whole":         func(r io.Reader) io.Reader { return r },
		"halves":        iotest.HalfReader,
		"error at once": iotest.DataErrReader,
		"bits": func(r io.Reader) io.Reader {
			return readerFunc(func(p []byte) (int, error) { return r.Read(p[:min(len(p), 1+rand.IntN(10000))]) })
		},
	}
	var pool stock
	tallies := map[string]func() tally{
		"as configured": newTallies("sha512"), // one goroutine, where the processor allows it
		"two hashes":    func() tally { return twoTally(sha512.New()) },
	}
	for _, size := range []int{0, 1, blockSize - 1, blockSize, blockSize + 1, 3*blocks*blockSize + 7} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i * i >> 7)
		}
		want := [2]string{fmt.Sprintf("%x", md5.Sum(data)), fmt.Sprintf("%x", sha512.Sum512(data))}
		for name, cut := range cuts {
			for _, way := range []string{"Read", "WriteTo"} {
				for tallied, newTally := range tallies {
					d := newDigester(cut(bytes.NewReader(data)), newTally(), &pool)
					var got bytes.Buffer
					src := io.Reader(d)
					if way == "Read" {
						src = onlyReader{d}
					}
					n, err := io.Copy(onlyWriter{&got}, src)
					checksum, sum := d.finish()
					if err != nil || n != int64(size) || !bytes.Equal(got.Bytes(), data) {
						t.Errorf("%s of %d bytes, %s: %d copied, %v; want all of them as they are", way, size, name, n, err)
					}
					if checksum != want[0] || sum != want[1] {
						t.Errorf("%s of %d bytes, %s, %s: digests %s, %s are wrong", way, size, name, tallied, checksum, sum)
					}
				}
			}
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A digester that fails ends its goroutines, and says why.
func TestDigesterFails(t *testing.T) {
	broken := errors.New("broken")
	data := bytes.NewReader(make([]byte, 10*blockSize))
	var pool stock
	d := newDigester(io.MultiReader(data, iotest.ErrReader(broken)), twoTally(sha512.New()), &pool)
	if _, err := io.Copy(onlyWriter{io.Discard}, d); err != broken {
		t.Errorf("copy of a broken reader: %v; want %v", err, broken)
	}
	d.finish()
	r, w := io.Pipe()
	r.CloseWithError(broken)
	data.Reset(make([]byte, 10*blockSize))
	d = newDigester(data, twoTally(sha512.New()), &pool)
	if _, err := io.Copy(onlyWriter{w}, d); err != broken {
		t.Errorf("copy to a broken writer: %v; want %v", err, broken)
	}
	d.finish()
}

// Two uploads that both wait for their hashes share the spare blocks, and give
// them back.
func TestDigesterSpares(t *testing.T) {
	var all stock
	hold := make(chan bool)
	slow := func() tally {
		return tally{[]io.Writer{writerFunc(func(p []byte) (int, error) {
			<-hold
			return len(p), nil
		})}, func() ([]byte, []byte) { return nil, nil }}
	}
	read := make(chan bool, 100) // for each block
	var copies sync.WaitGroup
	var both [2]*digester
	for i := range both {
		left := 3 * (blocks + spares)
		both[i] = newDigester(readerFunc(func(p []byte) (int, error) {
			if left--; left < 0 {
				return 0, io.EOF
			}
			read <- true
			return len(p), nil
		}), slow(), &all)
		copies.Go(func() {
			if _, err := both[i].WriteTo(io.Discard); err != nil {
				t.Error(err)
			}
		})
	}
	const most = 2*blocks + spares
	for n := range most {
		select {
		case <-read:
		case <-time.After(10 * time.Second):
			t.Fatalf("%d blocks were read; want %d", n, most)
		}
	}
	if n := all.lent.Load(); n != spares {
		t.Errorf("%d spares are lent; want %d", n, spares)
	}
	if n := len(read); n != 0 {
		t.Errorf("%d blocks more than %d were read while nothing was hashed", n, most)
	}
	close(hold)
	copies.Wait()
	for _, d := range both {
		d.finish()
	}
	if n := all.lent.Load(); n != 0 {
		t.Errorf("%d spares are lent in the end", n)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A store that has given up may go on reading for a while. That does no harm.
func TestDigesterReadLate(t *testing.T) {
	var pool stock
	for _, way := range []string{"Read", "WriteTo"} {
		waiting, hold := make(chan bool), make(chan bool)
		d := newDigester(readerFunc(func(p []byte) (int, error) {
			waiting <- true
			<-hold
			return len(p), nil
		}), twoTally(sha512.New()), &pool)
		src := io.Reader(d)
		if way == "Read" {
			src = onlyReader{d}
		}
		result := make(chan error)
		go func() {
			_, err := io.Copy(onlyWriter{io.Discard}, src)
			result <- err
		}()
		<-waiting
		if _, sum := d.finish(); sum != fmt.Sprintf("%x", sha512.Sum512(nil)) {
			t.Errorf("%s: digest of nothing is %s", way, sum)
		}
		close(hold)
		if err := drainAll(waiting, result); err != errFinished {
			t.Errorf("%s after finish: %v; want %v", way, err, errFinished)
		}
	}
}

// drainAll lets a reader go on until the copy ends.
func drainAll(waiting <-chan bool, result <-chan error) error {
	for {
		select {
		case <-waiting:
		case err := <-result:
			return err
		}
	}
}

// Data of which much comes is told of once, and that it has ended, also when it
// ends badly.
func TestDigesterTellsOfMuch(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		size  int64
		after error
		want  string
	}{
		"little": {long - 1, io.EOF, ""},
		"much":   {2 * long, io.EOF, "begin end "},
		"broken": {long + 1, broken, "begin end "},
	} {
		t.Run(name, func(t *testing.T) {
			var told string
			all := stock{much: func() func() {
				told += "begin "
				return func() { told += "end " }
			}}
			for _, way := range []func(io.Reader) io.Reader{
				func(r io.Reader) io.Reader { return r },
				func(r io.Reader) io.Reader { return onlyReader{r} },
			} {
				nothing := tally{[]io.Writer{io.Discard}, func() ([]byte, []byte) { return nil, nil }}
				d := newDigester(io.MultiReader(io.LimitReader(readerFunc(func(p []byte) (int, error) { return len(p), nil }), test.size), iotest.ErrReader(test.after)), nothing, &all)
				n, err := io.Copy(onlyWriter{io.Discard}, way(d))
				d.finish()
				if n != test.size || err != nil && err != test.after {
					t.Errorf("%d bytes, %v", n, err)
				}
			}
			if want := test.want + test.want; told != want {
				t.Errorf("it was told %q; want %q", told, want)
			}
		})
	}
}
