package sect

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// number is e as big.Int, whose bits are the powers of x.
func number(e element) *big.Int { return new(big.Int).SetBytes(e.bytes()) }

// slowly multiplies bit by bit, as it is defined.
func slowly(f *field, a, b element) *big.Int {
	modulus := new(big.Int).SetBit(new(big.Int), f.degree, 1)
	for _, power := range f.tail {
		modulus.SetBit(modulus, power, 1)
	}
	x, y, product := number(a), number(b), new(big.Int)
	for i := range x.BitLen() {
		if x.Bit(i) == 1 {
			product.Xor(product, new(big.Int).Lsh(y, uint(i)))
		}
	}
	for product.BitLen() > f.degree {
		product.Xor(product, new(big.Int).Lsh(modulus, uint(product.BitLen()-1-f.degree)))
	}
	return product
}

func (f *field) random(r *rand.Rand) (e element) {
	for i := range f.words {
		e[i] = r.Uint64()
	}
	e[f.words-1] &= 1<<(f.degree%64) - 1
	return e
}

func TestField(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range curves {
		f := newField(p.degree, p.tail...)
		var all element // the largest
		for i := range f.words {
			all[i] = ^uint64(0)
		}
		all[f.words-1] &= 1<<(f.degree%64) - 1
		pairs := [][2]element{{}, {{1}, {1}}, {all, all}, {all, {1}}, {{2}, all}}
		for range 50 {
			pairs = append(pairs, [2]element{f.random(r), f.random(r)})
		}
		for _, pair := range pairs {
			a, b := pair[0], pair[1]
			if got, want := number(f.mul(a, b)), slowly(&f, a, b); got.Cmp(want) != 0 {
				t.Errorf("%s: %x * %x = %x; want %x", p.name, number(a), number(b), got, want)
			}
			if got, want := f.square(a), f.mul(a, a); got != want {
				t.Errorf("%s: %x squared = %x; want %x", p.name, number(a), got, want)
			}
		}
		for _, a := range []element{{1}, {2}, all, f.random(r)} {
			if got := f.mul(a, f.inverse(a)); got != (element{1}) {
				t.Errorf("%s: %x times its inverse = %x", p.name, number(a), got)
			}
		}
	}
}

// The points that one multiplication hardly ever meets.
func TestCurve(t *testing.T) {
	for _, p := range curves {
		c := newCurve(p)
		if !c.has(c.g) || !c.order.ProbablyPrime(10) {
			t.Fatalf("%s: its numbers are wrong", p.name)
		}
		g, zero := projective{c.g.x, c.g.y, element{1}}, new(big.Int)
		minus := affine{c.g.x, add(c.g.x, c.g.y)}
		less := new(big.Int).Sub(c.order, big.NewInt(1))
		for _, test := range []struct {
			name string
			got  projective
			want affine // the zero value is infinity
		}{
			{"G + G as a sum", c.plus(g, c.g), c.known(t, c.double(g))},
			{"G + -G", c.plus(g, minus), affine{}},
			{"infinity + G", c.plus(projective{}, c.g), c.g},
			{"twice infinity", c.double(projective{x: element{7}, y: element{9}}), affine{}},
			{"2G + -G", c.plus(c.double(g), minus), c.g},
			{"n G", c.combine(c.order, zero, c.g), affine{}},
			{"(n-1) G", c.combine(less, zero, minus), minus},
			{"G + (n-1) G", c.combine(big.NewInt(1), less, c.g), affine{}},
			{"5 G + 5 -G", c.combine(big.NewInt(5), big.NewInt(5), minus), affine{}},
			{"6 G + 5 -G", c.combine(big.NewInt(6), big.NewInt(5), minus), c.g},
			{"nothing", c.combine(zero, zero, c.g), affine{}},
		} {
			got, ok := c.toAffine(test.got)
			if got != test.want || ok != (test.want != affine{}) {
				t.Errorf("%s: %s = %x; want %x", p.name, test.name, got, test.want)
			}
		}
	}
}

func (c *curve) known(t *testing.T, p projective) affine {
	t.Helper()
	a, ok := c.toAffine(p)
	if !ok || !c.has(a) {
		t.Fatalf("%s: %x is no point", c.name, a)
	}
	return a
}
