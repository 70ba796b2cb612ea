package digest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"hash"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// supported ends a test where there is nothing to be tested.
func supported(t testing.TB) bool {
	if capable() && !Supported() {
		t.Error("the digests are wrong")
	}
	return Supported()
}

// equal compares a pair with the hashes of the standard library.
func equal(t *testing.T, p *Pair, data []byte, what any) {
	t.Helper()
	wantMD5, wantSHA512 := md5.Sum(data), sha512.Sum512(data)
	gotMD5, gotSHA512 := p.Sums()
	if !bytes.Equal(gotMD5, wantMD5[:]) || !bytes.Equal(gotSHA512, wantSHA512[:]) {
		t.Errorf("%v: digests of %d bytes are %x and %x; want %x and %x", what, len(data), gotMD5, gotSHA512, wantMD5, wantSHA512)
	}
}

// random returns data, the same each time.
func random(n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(data)
	return data
}

func TestPair(t *testing.T) {
	if !supported(t) {
		return
	}
	data := random(2*atOnce + 3*blockSize + 77)
	for n := range 5 * blockSize {
		p := New()
		p.Write(data[:n])
		equal(t, p, data[:n], "in one piece")
	}
	p := New()
	p.Write(data)
	equal(t, p, data, "in one piece")
	for _, same := range []byte{0, 0x80, 0xff} {
		data := bytes.Repeat([]byte{same}, 10*blockSize)
		p := New()
		p.Write(data)
		equal(t, p, data, same)
	}
}

// However the data is cut, and wherever it begins in memory.
func TestPairInPieces(t *testing.T) {
	if !supported(t) {
		return
	}
	data := random(300_000)
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		from := r.IntN(64)
		p := New()
		for at := from; at < len(data); {
			n := min(len(data)-at, []int{r.IntN(10), r.IntN(300), r.IntN(200_000)}[r.IntN(3)])
			if k, err := p.Write(data[at : at+n]); k != n || err != nil {
				t.Fatalf("Write of %d bytes = %d, %v", n, k, err)
			}
			if at += n; r.IntN(20) == 0 {
				equal(t, p, data[from:at], seed) // and goes on
			}
		}
		equal(t, p, data[from:], seed)
	}
}

func FuzzPair(f *testing.F) {
	f.Add([]byte("data"), uint(1))
	f.Add(random(1000), uint(129))
	f.Fuzz(func(t *testing.T, data []byte, cut uint) {
		if !supported(t) {
			return
		}
		at := cut % uint(len(data)+1)
		p := New()
		p.Write(data[:at])
		p.Write(data[at:])
		equal(t, p, data, cut)
	})
}

// BenchmarkHash is what a byte costs, with one processor: both hashes at once,
// and each of the standard library's.
func BenchmarkHash(b *testing.B) {
	ways := map[string]io.Writer{"md5": md5.New(), "sha512": sha512.New()}
	if supported(b) {
		ways["pair"] = New()
	}
	data := random(128 << 10)
	for name, w := range ways {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				w.Write(data)
			}
		})
	}
}

// The length of the data goes into both digests, and may have more than 32
// bits.
func TestPairOfMuch(t *testing.T) {
	if !supported(t) {
		return
	}
	data := random(5*blockSize + 77)
	for _, before := range []uint64{1<<32 - blockSize, 1 << 32, 5 << 40, 1<<61 - blockSize} {
		p := New()
		p.hashed = before // as if so much had come, and left no trace but that
		p.Write(data)
		gotMD5, gotSHA512 := p.Sums()
		for name, test := range map[string]struct {
			h   hash.Hash
			got []byte
		}{"MD5": {md5.New(), gotMD5}, "SHA-512": {sha512.New(), gotSHA512}} {
			state, err := test.h.(encoding.BinaryMarshaler).MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			binary.BigEndian.PutUint64(state[len(state)-8:], before)
			if err := test.h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
				t.Fatal(err)
			}
			test.h.Write(data)
			if want := test.h.Sum(nil); !bytes.Equal(test.got, want) {
				t.Errorf("%s after %d bytes is %x; want %x", name, before, test.got, want)
			}
		}
	}
}

// Many hash at once, while the collector of garbage stops them again and again:
// nobody's registers are anybody else's.
func TestPairsAtOnce(t *testing.T) {
	if !supported(t) {
		return
	}
	data := random(3*atOnce + 5)
	wantMD5, wantSHA512 := md5.Sum(data), sha512.Sum512(data)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 40 {
				p := New()
				p.Write(data)
				gotMD5, gotSHA512 := p.Sums()
				if !bytes.Equal(gotMD5, wantMD5[:]) || !bytes.Equal(gotSHA512, wantSHA512[:]) {
					t.Error("a digest is wrong")
					return
				}
				runtime.GC()
			}
		})
	}
	wg.Wait()
}
