package sect

import "encoding/binary"

const maxWords = 9 // 571 bits

// An element of a field: a polynomial over GF(2), its constant first.
type element [maxWords]uint64

// A field is the polynomials modulo x^degree plus the powers of x that are the
// tail, which are all at most degree-64.
type field struct {
	degree int
	words  int // of an element
	tail   []int
}

func newField(degree int, tail ...int) field {
	return field{degree, (degree + 63) / 64, tail}
}

// size is the length of an element in bytes.
func (f *field) size() int { return (f.degree + 7) / 8 }

// parse returns the element of size bytes, the highest first.
func (f *field) parse(text []byte) (e element, ok bool) {
	if len(text) != f.size() {
		return e, false
	}
	var all [8 * maxWords]byte
	copy(all[len(all)-len(text):], text)
	for i := range e {
		e[i] = binary.BigEndian.Uint64(all[8*(maxWords-1-i):])
	}
	return e, e[f.words-1]>>(f.degree%64) == 0
}

// bytes are those of the element, the highest first.
func (e *element) bytes() []byte {
	var all [8 * maxWords]byte
	for i := range e {
		binary.BigEndian.PutUint64(all[8*(maxWords-1-i):], e[i])
	}
	return all[:]
}

func (e element) isZero() bool { return e == element{} }

// add returns the sum of all.
func add(all ...element) (sum element) {
	for i := range all {
		for j := range sum {
			sum[j] ^= all[i][j]
		}
	}
	return sum
}

// mul returns a*b, four bits of every word of a at a time.
func (f *field) mul(a, b element) element {
	var multiples [16]element // of b, by the polynomials below x^4
	multiples[1] = b
	for i := 2; i < 16; i += 2 {
		half := &multiples[i/2]
		carry := uint64(0)
		for j := range f.words { // there is room: an element leaves four bits free
			multiples[i][j] = half[j]<<1 | carry
			carry = half[j] >> 63
		}
		multiples[i+1] = add(multiples[i], b)
	}
	var p [2 * maxWords]uint64
	for shift := 60; shift >= 0; shift -= 4 {
		for i := range f.words {
			m := &multiples[a[i]>>shift&15]
			for j := range f.words {
				p[i+j] ^= m[j]
			}
		}
		if shift == 0 {
			break
		}
		for i := 2*f.words - 1; i > 0; i-- {
			p[i] = p[i]<<4 | p[i-1]>>60
		}
		p[0] <<= 4
	}
	return f.reduce(&p)
}

// square returns a*a: a with a zero after every bit.
func (f *field) square(a element) element {
	var p [2 * maxWords]uint64
	for i := range f.words {
		p[2*i], p[2*i+1] = spread(uint32(a[i])), spread(uint32(a[i]>>32))
	}
	return f.reduce(&p)
}

func spread(half uint32) uint64 {
	x := uint64(half)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	x = (x | x<<2) & 0x3333333333333333
	return (x | x<<1) & 0x5555555555555555
}

// reduce returns the element that p is, and spoils p.
func (f *field) reduce(p *[2 * maxWords]uint64) (e element) {
	for i := 2*f.words - 1; i >= f.words; i-- {
		high := p[i]
		p[i] = 0
		f.fold(p, high, 64*i-f.degree)
	}
	top := &p[f.words-1]
	high := *top >> (f.degree % 64)
	*top &= 1<<(f.degree%64) - 1
	f.fold(p, high, 0)
	copy(e[:f.words], p[:])
	return e
}

// fold adds what high times x^degree is, times x^at.
func (f *field) fold(p *[2 * maxWords]uint64, high uint64, at int) {
	for _, power := range f.tail {
		word, bit := (at+power)/64, (at+power)%64
		p[word] ^= high << bit
		p[word+1] ^= high >> (64 - bit) // nothing if bit is 0
	}
}

// inverse returns 1/a, and 0 for 0: a to the power of 2^degree-2.
func (f *field) inverse(a element) element {
	power := a
	for range f.degree - 2 {
		power = f.mul(f.square(power), a)
	}
	return f.square(power)
}
