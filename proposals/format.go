package proposals

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns src laid out in the one way all proposals are: indented by
// two spaces, equal signs in line. Comments stay. A file in JSON syntax comes
// back as it is. A file that does not parse is an error that names the place;
// it shows no source line.
func Format(src []byte, filename string) ([]byte, error) {
	if strings.HasSuffix(filename, ".json") {
		return src, nil
	}
	if rng, limit := overLimit(src, filename); limit != "" {
		return nil, fmt.Errorf("format %s:%d: %s", filename, rng.Start.Line, limit)
	}
	_, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	if diags.HasErrors() {
		first := diags[0]
		return nil, fmt.Errorf("format %s:%d: %s", filename, first.Subject.Start.Line, lowerFirst(first.Summary))
	}
	return hclwrite.Format(src), nil
}

// upperFirst returns s with its first letter in upper case.
func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// lowerFirst returns s with its first letter in lower case.
func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
