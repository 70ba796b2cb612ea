package proposals

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxNesting is how deep a file may nest. The parser goes down one call for
// each level and has no limit of its own, so a file of a million brackets
// would end the program.
const maxNesting = 200

// tooDeep returns where text nests deeper than maxNesting, if it does.
// Operators that stand before their operand nest like brackets.
func tooDeep(text []byte, filename string) (hcl.Range, bool) {
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
		}
		if open+pending > maxNesting {
			return t.Range, true
		}
	}
	return hcl.Range{}, false
}
