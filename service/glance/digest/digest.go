// Package digest computes the MD5 and the SHA-512 of the same data in one
// pass, on processors where that costs less than one after the other.
//
// MD5 is a single chain of dependent steps and leaves most of a processor
// unused; SHA-512 fits into what it leaves. glance.Images uses the package for
// what is uploaded, if [Supported] says so, and the hashes of the standard
// library otherwise. Nothing but the two hashes is known here.
package digest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"hash"
)

const (
	// blockSize is one block of SHA-512 and two of MD5.
	blockSize = 128
	// atOnce is how much is hashed before the scheduler of goroutines, which
	// cannot interrupt it, has its turn.
	atOnce = 64 << 10
)

// Supported says whether a Pair can be used: the processor has what it takes,
// and the two digests of a piece of data are those of the standard library.
func Supported() bool { return capable() && proven() }

// proven compares the digests of data that has whole blocks and a rest.
func proven() bool {
	data := make([]byte, 3*blockSize+100)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	p := New()
	p.Write(data)
	wantMD5, wantSHA512 := md5.Sum(data), sha512.Sum512(data)
	gotMD5, gotSHA512, err := p.sums()
	return err == nil && bytes.Equal(gotMD5, wantMD5[:]) && bytes.Equal(gotSHA512, wantSHA512[:])
}

// A Pair is the MD5 and the SHA-512 of what is written to it.
type Pair struct {
	md5    [4]uint32
	sha512 [8]uint64
	hashed uint64 // bytes, in whole blocks
	rest   [blockSize]byte
	n      int // of rest
}

// New returns the pair of no data. It must not be called if Supported is
// false.
func New() *Pair {
	return &Pair{
		md5: [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476},
		sha512: [8]uint64{
			0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
			0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
		},
	}
}

// Write implements io.Writer. It never fails.
func (p *Pair) Write(data []byte) (int, error) {
	all := len(data)
	if p.n > 0 {
		k := copy(p.rest[p.n:], data)
		p.n, data = p.n+k, data[k:]
		if p.n < blockSize {
			return all, nil
		}
		p.take(p.rest[:])
		p.n = 0
	}
	for len(data) >= blockSize {
		k := min(len(data)/blockSize*blockSize, atOnce)
		p.take(data[:k])
		data = data[k:]
	}
	p.n = copy(p.rest[:], data)
	return all, nil
}

// take hashes whole blocks.
func (p *Pair) take(data []byte) {
	blocks(&p.md5, &p.sha512, &data[0], len(data)/blockSize)
	p.hashed += uint64(len(data))
}

// Sums returns the two digests. More may be written afterwards.
func (p *Pair) Sums() (md5, sha512 []byte) {
	md5, sha512, err := p.sums()
	if err != nil {
		panic(err) // it was proven that this works
	}
	return md5, sha512
}

// sums leaves the end of the data, and what the hashes put behind it, to the
// standard library, which takes over what was hashed so far.
func (p *Pair) sums() (md5Sum, sha512Sum []byte, err error) {
	state := []byte("md5\x01")
	for _, word := range p.md5 {
		state = binary.BigEndian.AppendUint32(state, word)
	}
	if md5Sum, err = p.finish(md5.New(), state); err != nil {
		return nil, nil, err
	}
	state = []byte("sha\x07")
	for _, word := range p.sha512 {
		state = binary.BigEndian.AppendUint64(state, word)
	}
	sha512Sum, err = p.finish(sha512.New(), state)
	return md5Sum, sha512Sum, err
}

// finish returns the digest of h, which goes on from a state.
func (p *Pair) finish(h hash.Hash, state []byte) ([]byte, error) {
	state = append(state, make([]byte, h.BlockSize())...) // data that waits for more: none
	state = binary.BigEndian.AppendUint64(state, p.hashed)
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		return nil, err
	}
	h.Write(p.rest[:p.n])
	return h.Sum(nil), nil
}
