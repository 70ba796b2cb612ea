package proposals

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions returns what an expression may call. Files are relative to dir.
func functions(dir string, lookup func(string) (string, bool)) map[string]function.Function {
	return map[string]function.Function{
		"base64encode": base64Func(),
		"can":          tryfunc.CanFunc,
		"cidrhost":     cidrHostFunc(),
		"coalesce":     stdlib.CoalesceFunc,
		"concat":       stdlib.ConcatFunc,
		"contains":     stdlib.ContainsFunc,
		"env":          envFunc(lookup),
		"file":         fileFunc(dir),
		"format":       stdlib.FormatFunc,
		"join":         stdlib.JoinFunc,
		"jsonencode":   stdlib.JSONEncodeFunc,
		"keys":         stdlib.KeysFunc,
		"length":       stdlib.LengthFunc,
		"lookup":       stdlib.LookupFunc,
		"lower":        stdlib.LowerFunc,
		"merge":        stdlib.MergeFunc,
		"range":        stdlib.RangeFunc,
		"replace":      stdlib.ReplaceFunc,
		"split":        stdlib.SplitFunc,
		"tonumber":     stdlib.MakeToFunc(cty.Number),
		"tostring":     stdlib.MakeToFunc(cty.String),
		"trimspace":    stdlib.TrimSpaceFunc,
		"try":          tryfunc.TryFunc,
		"upper":        stdlib.UpperFunc,
		"values":       stdlib.ValuesFunc,
	}
}

// envNotSet begins what env says about a variable that is not there.
const envNotSet = "environment variable "

// envFunc makes env(name) and env(name, default).
func envFunc(lookup func(string) (string, bool)) function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.DynamicPseudoType, AllowNull: true, AllowDynamicType: true},
		Type: func(args []cty.Value) (cty.Type, error) {
			if len(args) > 2 {
				return cty.NilType, errors.New("env takes a name and at most one default")
			}
			if !args[0].IsKnown() {
				return cty.DynamicPseudoType, nil
			}
			if _, ok := lookup(args[0].AsString()); ok || len(args) < 2 {
				return cty.String, nil
			}
			return args[1].Type(), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			if v, ok := lookup(name); ok {
				if !utf8.ValidString(v) {
					return cty.NilVal, errors.New("the environment variable is not UTF-8 text")
				}
				return cty.StringVal(v), nil
			}
			if len(args) == 2 {
				return args[1], nil
			}
			return cty.NilVal, fmt.Errorf("%s%s is not set; set it, or give a default: env(%q, \"\")", envNotSet, name, name)
		},
	})
}

// maxFile is the largest file that file() reads: it is for passwords and
// certificates.
const maxFile = 1 << 20

func fileFunc(dir string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			if !filepath.IsAbs(name) {
				name = filepath.Join(dir, name)
			}
			text, err := readSmall(name)
			if err != nil {
				return cty.NilVal, err
			}
			return cty.StringVal(string(text)), nil
		},
	})
}

// readSmall returns the content of a regular text file of at most maxFile.
func readSmall(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, maxFile)
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%s: not UTF-8 text", name)
	}
	return text, nil
}

func base64Func() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.StringVal(base64.StdEncoding.EncodeToString([]byte(args[0].AsString()))), nil
		},
	})
}

// cidrHostFunc makes cidrhost(prefix, n): the n-th address of a network,
// counted from its end when n is negative.
func cidrHostFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "hostnum", Type: cty.Number}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			prefix, err := netip.ParsePrefix(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(0, "a network is written like 10.77.0.0/24")
			}
			n, exact := args[1].AsBigFloat().Int64()
			if exact != big.Exact {
				return cty.NilVal, function.NewArgErrorf(1, "a whole number is needed")
			}
			addr, ok := hostOf(prefix.Masked(), n)
			if !ok {
				return cty.NilVal, function.NewArgErrorf(1, "the network has no address with this number")
			}
			return cty.StringVal(addr.String()), nil
		},
	})
}

func hostOf(prefix netip.Prefix, n int64) (netip.Addr, bool) {
	base := prefix.Addr().AsSlice()
	size := new(big.Int).Lsh(big.NewInt(1), uint(8*len(base)-prefix.Bits()))
	num := big.NewInt(n)
	if n < 0 {
		num.Add(num, size)
	}
	if num.Sign() < 0 || num.Cmp(size) >= 0 {
		return netip.Addr{}, false
	}
	sum := num.Add(num, new(big.Int).SetBytes(base))
	return netip.AddrFromSlice(sum.FillBytes(make([]byte, len(base))))
}
