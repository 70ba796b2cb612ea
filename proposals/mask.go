package proposals

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// secretName reports whether a value called name is to be treated as a secret
// wherever it appears, also in free sections of configuration files.
func secretName(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"password", "passwd", "secret", "token"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return name == "key" || strings.HasSuffix(name, "_key")
}

// credentialURL matches a URL with a password in it, such as that of a
// database.
var credentialURL = regexp.MustCompile(`://[^/@\s]*:[^/@\s]+@`)

// A masker replaces secrets in a text.
type masker struct{ replace *strings.Replacer }

// shortSecret is the length up to which a secret is masked only where it
// stands in quotes. Masking every "a" would make a message unreadable and
// would itself say what the secret is.
const shortSecret = 3

func newMasker(secrets map[string]bool) masker {
	var words []string
	for s := range secrets {
		quoted := strconv.Quote(s)
		words = append(words, quoted)
		if len(s) > shortSecret {
			words = append(words, s, quoted[1:len(quoted)-1])
		}
	}
	// The longest first: a secret may be part of another one.
	slices.SortFunc(words, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	var pairs []string
	for _, w := range slices.Compact(words) {
		pairs = append(pairs, w, mask)
	}
	return masker{strings.NewReplacer(pairs...)}
}

func (m masker) text(s string) string { return m.replace.Replace(s) }

// hiddenSpans returns the ranges of text that hold a literal of a secret: of
// an attribute whose name says so, or of the default of a variable that is
// marked sensitive. It works on tokens, because a file that does not parse is
// just what a diagnostic shows.
func hiddenSpans(text []byte, filename string) []span {
	tokens, _ := hclsyntax.LexConfig(text, filename, hcl.InitialPos)
	s := hiddenScan{tokens: tokens}
	s.group(0, false)
	return s.found
}

// hideLiterals returns the ranges of all literals of text. Files of variable
// values hold little but secrets, so nothing of them is shown.
func hideLiterals(text []byte, filename string) []span {
	tokens, _ := hclsyntax.LexConfig(text, filename, hcl.InitialPos)
	var found []span
	for _, t := range tokens {
		if isLiteral(t) {
			found = append(found, span{t.Range.Start.Byte, t.Range.End.Byte})
		}
	}
	return found
}

type hiddenScan struct {
	tokens hclsyntax.Tokens
	found  []span
}

// group scans from the token at to the brace that ends its group and returns
// the index behind it. What a "default" holds is hidden when the same group
// says "sensitive", which may come later.
func (s *hiddenScan) group(at int, nested bool) int {
	var defaults []span
	sensitive := false
	for i := at; i < len(s.tokens); {
		t := s.tokens[i]
		switch {
		case t.Type == hclsyntax.TokenOBrace:
			i = s.group(i+1, true)
		case isLiteral(t) && credentialURL.Match(t.Bytes):
			s.found = append(s.found, span{t.Range.Start.Byte, t.Range.End.Byte})
			i++
		case t.Type == hclsyntax.TokenCBrace && nested:
			if sensitive {
				s.found = append(s.found, defaults...)
			}
			return i + 1
		case isName(s.tokens, i):
			name := string(t.Bytes)
			if name == "sensitive" {
				sensitive = true
			}
			if secretName(name) || name == "default" {
				literals, next := s.literals(i + 1)
				if name == "default" {
					defaults = append(defaults, literals...)
				} else {
					s.found = append(s.found, literals...)
				}
				i = next
				continue
			}
			i++
		default:
			i++
		}
	}
	if sensitive {
		s.found = append(s.found, defaults...)
	}
	return len(s.tokens)
}

// literals returns the literals of the expression behind a name, and the
// index of the token that ends it.
func (s *hiddenScan) literals(at int) (found []span, next int) {
	depth := 0
	for i := at; i < len(s.tokens); i++ {
		if depth == 0 && i > at && s.tokens[i].Type == hclsyntax.TokenIdent && i+1 < len(s.tokens) && s.tokens[i+1].Type == hclsyntax.TokenEqual {
			return found, i // the next attribute, on one line by mistake
		}
		switch t := s.tokens[i]; t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			if depth--; depth < 0 {
				return found, i
			}
		case hclsyntax.TokenNewline, hclsyntax.TokenComma, hclsyntax.TokenEOF:
			if depth == 0 {
				return found, i
			}
		default:
			if isLiteral(t) {
				found = append(found, span{t.Range.Start.Byte, t.Range.End.Byte})
			}
		}
	}
	return found, len(s.tokens)
}

func isLiteral(t hclsyntax.Token) bool {
	switch t.Type {
	case hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenNumberLit:
		return true
	}
	return false
}

// isName reports whether the token at i is the name in name = value, in
// name : value, or in "name" : value.
func isName(tokens hclsyntax.Tokens, i int) bool {
	next := i + 1
	switch tokens[i].Type {
	case hclsyntax.TokenIdent:
	case hclsyntax.TokenQuotedLit:
		if next >= len(tokens) || tokens[next].Type != hclsyntax.TokenCQuote {
			return false
		}
		next++
	default:
		return false
	}
	if next >= len(tokens) {
		return false
	}
	return tokens[next].Type == hclsyntax.TokenEqual || tokens[next].Type == hclsyntax.TokenColon
}
