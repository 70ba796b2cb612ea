package sect

import (
	"encoding/asn1"
	"math/big"
)

// curves are y^2 + xy = x^3 + ax^2 + b, with a point G of prime order, as
// "SEC 2: Recommended Elliptic Curve Domain Parameters" has them.
var curves = []parameters{
	{
		name: "sect409k1", oid: asn1.ObjectIdentifier{1, 3, 132, 0, 36}, degree: 409, tail: []int{0, 87}, a: 0, b: "01",
		x:     "0060F05F658F49C1AD3AB1890F7184210EFD0987E307C84C27ACCFB8F9F67CC2C460189EB5AAAA62EE222EB1B35540CFE9023746",
		y:     "01E369050B7C4E42ACBA1DACBF04299C3460782F918EA427E6325165E9EA10E3DA5F6C42E9C55215AA9CA27A5863EC48D8E0286B",
		order: "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFE5F83B2D4EA20400EC4557D5ED3E3E7CA5B4B5C83B8E01E5FCF",
	},
	{
		name: "sect409r1", oid: asn1.ObjectIdentifier{1, 3, 132, 0, 37}, degree: 409, tail: []int{0, 87}, a: 1,
		b:     "21A5C2C8EE9FEB5C4B9A753B7B476B7FD6422EF1F3DD674761FA99D6AC27C8A9A197B272822F6CD57A55AA4F50AE317B13545F",
		x:     "015D4860D088DDB3496B0C6064756260441CDE4AF1771D4DB01FFE5B34E59703DC255A868A1180515603AEAB60794E54BB7996A7",
		y:     "0061B1CFAB6BE5F32BBFA78324ED106A7636B9C5A7BD198D0158AA4F5488D08F38514F1FDF4B4F40D2181B3681C364BA0273C706",
		order: "010000000000000000000000000000000000000000000000000001E2AAD6A612F33307BE5FA47C3C9E052F838164CD37D9A21173",
	},
	{
		name: "sect571k1", oid: asn1.ObjectIdentifier{1, 3, 132, 0, 38}, degree: 571, tail: []int{0, 2, 5, 10}, a: 0, b: "01",
		x:     "026EB7A859923FBC82189631F8103FE4AC9CA2970012D5D46024804801841CA44370958493B205E647DA304DB4CEB08CBBD1BA39494776FB988B47174DCA88C7E2945283A01C8972",
		y:     "0349DC807F4FBF374F4AEADE3BCA95314DD58CEC9F307A54FFC61EFC006D8A2C9D4979C0AC44AEA74FBEBBB9F772AEDCB620B01A7BA7AF1B320430C8591984F601CD4C143EF1C7A3",
		order: "020000000000000000000000000000000000000000000000000000000000000000000000131850E1F19A63E4B391A8DB917F4138B630D84BE5D639381E91DEB45CFE778F637C1001",
	},
	{
		name: "sect571r1", oid: asn1.ObjectIdentifier{1, 3, 132, 0, 39}, degree: 571, tail: []int{0, 2, 5, 10}, a: 1,
		b:     "02F40E7E2221F295DE297117B7F3D62F5C6A97FFCB8CEFF1CD6BA8CE4A9A18AD84FFABBD8EFA59332BE7AD6756A66E294AFD185A78FF12AA520E4DE739BACA0C7FFEFF7F2955727A",
		x:     "0303001D34B856296C16C0D40D3CD7750A93D1D2955FA80AA5F40FC8DB7B2ABDBDE53950F4C0D293CDD711A35B67FB1499AE60038614F1394ABFA3B4C850D927E1E7769C8EEC2D19",
		y:     "037BF27342DA639B6DCCFFFEB73D69D78C6C27A6009CBBCA1980F8533921E8A684423E43BAB08A576291AF8F461BB2A8B3531D2F0485C19B16E2F1516E23DD3C1A4827AF1B8AC15B",
		order: "03FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFE661CE18FF55987308059B186823851EC7DD9CA1161DE93D5174D66E8382E9BB2FE84E47",
	},
}

// parameters are those of a curve, numbers in hexadecimal.
type parameters struct {
	name        string
	oid         asn1.ObjectIdentifier
	degree      int
	tail        []int
	a           uint64 // 0 or 1
	b           string
	x, y, order string
}

// A curve is one of curves with its numbers.
type curve struct {
	field
	name  string
	a, b  element
	g     affine
	order *big.Int
}

func newCurve(p parameters) *curve {
	c := &curve{field: newField(p.degree, p.tail...), name: p.name, a: element{p.a}}
	number := func(text string) (e element) {
		n, _ := new(big.Int).SetString(text, 16)
		e, _ = c.parse(n.FillBytes(make([]byte, c.size())))
		return e
	}
	c.b, c.g = number(p.b), affine{number(p.x), number(p.y)}
	c.order, _ = new(big.Int).SetString(p.order, 16)
	return c
}

// An affine is a point other than infinity.
type affine struct{ x, y element }

// A projective is the point x/z, y/z^2; infinity if z is 0.
type projective struct{ x, y, z element }

// parsePoint returns the uncompressed point text; false if it is none of the
// group that c.g generates.
func (c *curve) parsePoint(text []byte) (p affine, ok bool) {
	if len(text) != 1+2*c.size() || text[0] != 4 {
		return p, false
	}
	x, fits := c.parse(text[1 : 1+c.size()])
	y, fit := c.parse(text[1+c.size():])
	p = affine{x, y}
	if !fits || !fit || !c.has(p) {
		return p, false
	}
	// Infinity after as many steps as the group has points.
	return p, c.combine(new(big.Int), c.order, p).z.isZero()
}

// has reports whether p is on the curve.
func (c *curve) has(p affine) bool {
	xx := c.square(p.x)
	left := add(c.square(p.y), c.mul(p.x, p.y))
	return left == add(c.mul(xx, add(p.x, c.a)), c.b)
}

// combine returns u*G + v*q.
func (c *curve) combine(u, v *big.Int, q affine) (sum projective) {
	both, finite := c.toAffine(c.plus(projective{c.g.x, c.g.y, element{1}}, q))
	for i := max(u.BitLen(), v.BitLen()) - 1; i >= 0; i-- {
		sum = c.double(sum)
		switch g, r := u.Bit(i) == 1, v.Bit(i) == 1; {
		case g && r && finite:
			sum = c.plus(sum, both)
		case g && !r:
			sum = c.plus(sum, c.g)
		case r && !g:
			sum = c.plus(sum, q)
		}
	}
	return sum
}

// toAffine returns p, or false if that is infinity.
func (c *curve) toAffine(p projective) (affine, bool) {
	if p.z.isZero() {
		return affine{}, false
	}
	z := c.inverse(p.z)
	return affine{c.mul(p.x, z), c.mul(p.y, c.square(z))}, true
}

// double returns 2p. Infinity and a point without x become infinity by
// themselves. This and plus are the formulas of Lopez and Dahab.
func (c *curve) double(p projective) (d projective) {
	xx, zz := c.square(p.x), c.square(p.z)
	bzzzz := c.mul(c.b, c.square(zz))
	d.z = c.mul(xx, zz)
	d.x = add(c.square(xx), bzzzz)
	d.y = add(c.mul(bzzzz, d.z), c.mul(d.x, add(c.mul(c.a, d.z), c.square(p.y), bzzzz)))
	return d
}

// plus returns p + q.
func (c *curve) plus(p projective, q affine) (s projective) {
	if p.z.isZero() {
		return projective{q.x, q.y, element{1}}
	}
	zz := c.square(p.z)
	slope := add(c.mul(q.y, zz), p.y)
	across := add(c.mul(q.x, p.z), p.x)
	if across.isZero() {
		if slope.isZero() {
			return c.double(p)
		}
		return projective{}
	}
	az := c.mul(across, p.z)
	s.z = c.square(az)
	turn := c.mul(slope, az)
	s.x = add(c.square(slope), c.mul(c.square(across), add(az, c.mul(c.a, zz))), turn)
	straight := add(s.x, c.mul(q.x, s.z))
	s.y = add(c.mul(add(turn, s.z), straight), c.mul(add(q.x, q.y), c.square(s.z)))
	return s
}
