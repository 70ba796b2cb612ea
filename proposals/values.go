package proposals

import (
	"fmt"
	"math/big"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// value returns the constant of an attribute that block has decoded, without
// marks, and whether there is one.
func (d *decoder) value(a *hcl.Attribute) (cty.Value, bool) {
	if a == nil {
		return cty.NilVal, false
	}
	v, _ := a.Expr.Value(nil)
	v, _ = v.UnmarkDeep()
	return v, v.IsWhollyKnown() && !v.IsNull()
}

// place returns where a stands, or def if it was left out.
func place(a *hcl.Attribute, def hcl.Range) hcl.Range {
	if a == nil {
		return def
	}
	return a.Expr.Range()
}

// str returns a string; "" when it was left out. Control characters are
// refused everywhere: a line break in a value would be a line of its own in
// the files that are rendered.
func (d *decoder) str(a *hcl.Attribute) string {
	s, _ := d.text(a)
	return s
}

// text is str; it also reports whether there is a string to check further.
func (d *decoder) text(a *hcl.Attribute) (string, bool) {
	v, ok := d.value(a)
	if !ok {
		return "", false
	}
	s := v.AsString()
	if strings.ContainsFunc(s, unicode.IsControl) {
		advice := "Write it on one line, without tabs."
		if strings.HasSuffix(s, "\n") {
			advice = "It ends in a line break: use trimspace(...)."
		}
		d.errorf(a.Expr.Range(), advice, "%s contains a control character", a.Name)
		return "", false
	}
	return s, true
}

func (d *decoder) secret(a *hcl.Attribute) Secret { return NewSecret(d.str(a)) }

func (d *decoder) boolean(a *hcl.Attribute) bool {
	v, ok := d.value(a)
	return ok && v.True()
}

// integer returns a whole number from lo to hi; 0 when there is none.
func (d *decoder) integer(a *hcl.Attribute, lo, hi int) int {
	v, ok := d.value(a)
	if !ok {
		return 0
	}
	f := v.AsBigFloat()
	n, exact := f.Int64()
	if exact != big.Exact || n < int64(lo) || n > int64(hi) {
		d.errorf(a.Expr.Range(), fmt.Sprintf("Write a whole number from %d to %d.", lo, hi), "%s out of range: %s", a.Name, shown(a, numberText(f)))
		return 0
	}
	return int(n)
}

// shown returns text, or a mask when a was given a sensitive value. It is for
// numbers: one of few digits is not found by the masking of all messages.
func shown(a *hcl.Attribute, text string) string {
	if v, _ := a.Expr.Value(nil); v.ContainsMarked() {
		return mask
	}
	return text
}

func (d *decoder) port(a *hcl.Attribute) int { return d.integer(a, 1, 65535) }

// share returns a number from 0 to 1.
func (d *decoder) share(a *hcl.Attribute) float64 {
	v, ok := d.value(a)
	if !ok {
		return 0
	}
	f, _ := v.AsBigFloat().Float64()
	if f < 0 || f > 1 {
		d.errorf(a.Expr.Range(), "Write a share from 0 to 1, such as 0.20 for a fifth.", "%s out of range: %s", a.Name, shown(a, numberText(v.AsBigFloat())))
		return 0
	}
	return f
}

// choice returns a string that must be one of options.
func (d *decoder) choice(a *hcl.Attribute, options ...string) string {
	s, ok := d.text(a)
	if slices.Contains(options, s) {
		return s
	}
	if ok {
		d.errorf(a.Expr.Range(), advise(s, options), "unknown %s %q", a.Name, s)
	}
	return options[0]
}

// An item is a string and where it stands.
type item struct {
	value string
	rng   hcl.Range
}

// list returns the elements of a list of strings.
func (d *decoder) list(a *hcl.Attribute) []item {
	v, ok := d.value(a)
	if !ok {
		return nil
	}
	var exprs []hcl.Expression
	if origin := d.origins[a]; origin != nil {
		exprs, _ = hcl.ExprList(origin) // not written out as a list: one place for all
	}
	var out []item
	for i, e := range v.AsValueSlice() {
		rng := a.Expr.Range()
		if len(exprs) == v.LengthInt() {
			rng = exprs[i].Range()
		}
		if e.IsNull() || strings.TrimSpace(e.AsString()) == "" || strings.ContainsFunc(e.AsString(), unicode.IsControl) {
			d.errorf(rng, "Remove it, or write a text on one line.", "empty or unreadable element in %s", a.Name)
			continue
		}
		out = append(out, item{e.AsString(), rng})
	}
	return out
}

var plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/@+:,=-]*$`)

// path returns an absolute path on a node, cleaned.
func (d *decoder) path(a *hcl.Attribute) string {
	s, ok := d.text(a)
	if !ok {
		return ""
	}
	switch {
	case !path.IsAbs(s):
		d.errorf(a.Expr.Range(), adviseAbsolute(a.Name, s), "%s is not an absolute path: %q", a.Name, s)
		return ""
	case !plainPath.MatchString(s):
		d.errorf(a.Expr.Range(), "Use letters, digits and . _ - @ + : , = only: the path is written into cron and configuration files.", "%s holds a character that is not allowed: %q", a.Name, s)
		return ""
	case path.Clean(s) == "/":
		d.errorf(a.Expr.Range(), "Name a directory or file of its own.", "%s is the root directory", a.Name)
		return ""
	}
	return path.Clean(s)
}

// adviseAbsolute returns the advice for a relative path: a place beside the
// default of the attribute.
func adviseAbsolute(name, s string) string {
	const advice = "Write the whole path, starting with a slash."
	whole := path.Clean("/" + s)
	if first, _, more := strings.Cut(whole[1:], "/"); !more || !slices.Contains([]string{"etc", "mnt", "opt", "root", "run", "srv", "var"}, first) {
		dir := "/root" // credentials have no default
		for _, b := range language {
			if a := b.attr(name); a != nil && a.Type == "path" && a.Default != "" {
				dir = path.Dir(strings.Trim(a.Default, `"`))
			}
		}
		whole = path.Join(dir, path.Base(whole))
		if strings.HasPrefix(s, "~") || path.Base(path.Clean("/"+s)) == "/" {
			return advice
		}
	}
	if !plainPath.MatchString(whole) {
		return advice
	}
	return fmt.Sprintf("Write the whole path, such as %q.", whole)
}

// file returns the absolute path of a file on a node, cleaned.
func (d *decoder) file(a *hcl.Attribute) string {
	file := d.path(a)
	if v, ok := d.value(a); ok && file != "" && strings.HasSuffix(v.AsString(), "/") {
		d.errorf(a.Expr.Range(), "Name the file, without a slash behind it.", "%s is a directory: %s", a.Name, shown(a, fmt.Sprintf("%q", v.AsString())))
		return ""
	}
	return file
}

// local returns a file name on this machine: ~/ is the home directory, a
// relative name starts at the proposal's directory.
func (d *decoder) local(a *hcl.Attribute) string {
	return d.relative(d.str(a))
}

// startsAt says where relative names start.
func (d *decoder) startsAt() string {
	return fmt.Sprintf("A relative name starts at the proposal's directory, %q.", d.dir)
}

func (d *decoder) relative(s string) string {
	if rest, ok := strings.CutPrefix(s, "~/"); ok && d.home != "" {
		return filepath.Join(d.home, rest)
	}
	if s == "" || filepath.IsAbs(s) {
		return s
	}
	return filepath.Join(d.dir, s)
}

var (
	hostName     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?$`)
	allDigits    = regexp.MustCompile(`^[0-9.]+$`)
	accountName  = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	sshUser      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9._@-]*$`)
	ident        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	databaseUser = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$`)
	databaseID   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$`)
)

// brokerName is the name of a virtual host.
var brokerName = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./-]{0,63}$`)

const brokerNameAdvice = "Use letters, digits, / _ . and -, at most 64."

const databaseUserAdvice = "Use letters, digits, _ . and -, at most 32."

// host returns an IP address or a host name.
func (d *decoder) host(a *hcl.Attribute) string {
	s, ok := d.text(a)
	if ok && !isHost(s) {
		d.errorf(a.Expr.Range(), `Write an IP address or a host name without a port, such as "10.77.0.21".`, "%s is neither an IP address nor a host name: %q", a.Name, s)
		return ""
	}
	return s
}

func isHost(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == "" // a zone means something on one machine only
	}
	return len(s) < 254 && hostName.MatchString(s) && !allDigits.MatchString(s)
}

// canonicalHost returns the one spelling of an IP address or a host name
// that can be compared.
func canonicalHost(s string) string {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// matching returns a string that must have the form of re.
func (d *decoder) matching(a *hcl.Attribute, re *regexp.Regexp, advice string) string {
	s, ok := d.text(a)
	if ok && !re.MatchString(s) {
		d.errorf(a.Expr.Range(), advice, "%s has a form that is not allowed: %q", a.Name, s)
	}
	return s
}

// account returns the name of a system user or group.
func (d *decoder) account(a *hcl.Attribute) string {
	return d.matching(a, accountName, "Write a system account: small letters, digits, _ and -, at most 32, a letter first.")
}

// filled returns a string that must not be empty.
func (d *decoder) filled(a *hcl.Attribute) string {
	s, ok := d.text(a)
	if ok && strings.TrimSpace(s) == "" {
		d.errorf(a.Expr.Range(), "Write a name, or leave the attribute out.", "%s is empty", a.Name)
	}
	return s
}

// duration returns a span of whole seconds, 0 or longer.
func (d *decoder) duration(a *hcl.Attribute) time.Duration {
	v, ok := d.value(a)
	if !ok {
		return 0
	}
	text := literal(v)
	t, err := parseDuration(text)
	if err != nil {
		_, words := wanted("duration")
		d.errorf(a.Expr.Range(), "Write "+words+".", "bad duration %s = %q: %v", a.Name, text, err)
	}
	return t
}

// size returns a number of bytes, at least 1.
func (d *decoder) size(a *hcl.Attribute) int64 {
	v, ok := d.value(a)
	if !ok {
		return 0
	}
	text := literal(v)
	n, err := parseSize(text)
	if err != nil {
		_, words := wanted("size")
		d.errorf(a.Expr.Range(), "Write "+words+".", "bad size %s = %q: %v", a.Name, text, err)
	}
	return n
}

// literal returns a string, number or boolean as text.
func literal(v cty.Value) string {
	switch v.Type() {
	case cty.String:
		return v.AsString()
	case cty.Number:
		f := v.AsBigFloat()
		if f.MantExp(nil) > 128 || f.MantExp(nil) < -128 {
			return numberText(f) // beyond anything that is counted here
		}
		return f.Text('f', -1)
	default:
		return strconv.FormatBool(v.True())
	}
}
