package proposals

import (
	"bytes"
	"fmt"
	"math/big"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	// maxNesting is how deep a file may nest. The parser goes down one call
	// for each level and has no limit of its own, so a file of a million
	// brackets would end the program.
	maxNesting = 200

	// maxExponent is the largest power of ten in a number. A number is kept
	// exactly, and writing 1e9999999 as text takes half a minute.
	maxExponent = 300
)

// overLimit returns where text goes over a limit, and which, or "" if it does
// not. Operators that stand before their operand nest like brackets.
func overLimit(text []byte, filename string) (hcl.Range, string) {
	tokens, _ := hclsyntax.LexConfig(text, filename, hcl.InitialPos)
	open, pending := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			open++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc,
			hclsyntax.TokenTemplateSeqEnd:
			open = max(0, open-1)
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenQuestion, hclsyntax.TokenColon:
			pending++
		case hclsyntax.TokenNewline, hclsyntax.TokenComma:
			pending = 0
		case hclsyntax.TokenNumberLit:
			if exponent(t.Bytes) > maxExponent {
				return t.Range, fmt.Sprintf("the number has more than %d digits", maxExponent)
			}
		}
		if open+pending > maxNesting {
			return t.Range, fmt.Sprintf("the file nests deeper than %d levels", maxNesting)
		}
	}
	return hcl.Range{}, ""
}

// exponent returns how far the exponent of a number moves its point.
func exponent(number []byte) int {
	i := bytes.IndexAny(number, "eE")
	if i < 0 {
		return 0
	}
	n, err := strconv.Atoi(string(bytes.TrimLeft(number[i+1:], "+-")))
	if err != nil {
		return maxExponent + 1
	}
	return n
}

// numberText returns a number for a message. What is beyond any limit, as
// arithmetic can make it, is not written out.
func numberText(f *big.Float) string {
	if exp := f.MantExp(nil); exp > 4*maxExponent || exp < -4*maxExponent {
		return fmt.Sprintf("a number of more than %d digits", maxExponent)
	}
	return f.Text('g', 10)
}
