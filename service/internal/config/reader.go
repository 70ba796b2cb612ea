package config

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"glancectl/service/oslo"
)

// A reader takes options by their type. An option is named "section.key"; the
// names after the first are what it was called in older releases. A value
// that cannot be understood is noted and read as the default.
type reader struct {
	c     *oslo.Config
	src   Source
	known map[string]bool // every option that was asked for
	errs  []error

	warnings []string           // mistakes that change nothing
	layers   map[string][]layer // what wins over a section of c, by its name
}

// split returns the section and the key of an option. Sections may have dots,
// as the names of stores may.
func split(name string) (section, key string) {
	at := strings.LastIndexByte(name, '.')
	return name[:at], name[at+1:]
}

// lookup returns the value of the first name that is set, ok false if none is.
func (r *reader) lookup(names []string) (v oslo.Value, ok bool, err error) {
	for _, name := range names {
		r.known[name] = true
	}
	for _, name := range names {
		section, key := split(name)
		if v, ok, err := r.layered(section, key); ok {
			return v, ok, err
		}
	}
	for _, name := range names {
		section, key := split(name)
		v, err := r.c.Lookup(section, key)
		if !errors.Is(err, oslo.ErrUnset) && v.File != "" {
			return v, true, err
		}
	}
	return v, false, nil
}

// find is lookup for an option that has a default, which others can refer to.
// An option that refers to nothing is noted and counts as not set.
func (r *reader) find(def string, names []string) (v oslo.Value, ok bool) {
	v, ok, err := r.lookup(names)
	if err != nil {
		r.errs = append(r.errs, err)
		return v, false
	}
	if !ok {
		section, key := split(names[0])
		r.c.Default(section, key, def)
	}
	return v, ok
}

// values returns every assignment of the first name that is set.
func (r *reader) values(names []string) []oslo.Value {
	v, ok, _ := r.lookup(names)
	if !ok || v.Text == "" {
		return nil
	}
	for _, name := range names {
		section, key := split(name)
		all, err := r.c.Values(section, key)
		if len(all) == 0 || all[0].File == "" {
			continue
		}
		if err != nil {
			r.errs = append(r.errs, err)
		}
		return all
	}
	return nil
}

// wrong notes that v is no value for names[0].
func (r *reader) wrong(v oslo.Value, names []string, want string) {
	section, key := split(names[0])
	r.errs = append(r.errs, fmt.Errorf("%s: [%s] %s: %q is not %s", v.Pos(), section, key, v.Text, want))
}

func (r *reader) text(def string, names ...string) string {
	if v, ok := r.find(def, names); ok {
		return v.Text
	}
	return def
}

// secret is text that no error quotes.
func (r *reader) secret(names ...string) Secret {
	v, ok, err := r.lookup(names)
	if err != nil {
		section, key := split(names[0])
		r.errs = append(r.errs, fmt.Errorf("%s: [%s] %s: a dollar sign that begins no reference is written $$", v.Pos(), section, key))
	}
	if !ok {
		return ""
	}
	return Secret(v.Text)
}

// choice returns one of several words, whatever the case they are written in.
func (r *reader) choice(def string, choices []string, names ...string) string {
	v, ok := r.find(def, names)
	if !ok {
		return def
	}
	for _, c := range choices {
		if strings.EqualFold(v.Text, c) {
			return c
		}
	}
	r.wrong(v, names, "one of "+strings.Join(choices, ", "))
	return def
}

func (r *reader) boolean(def bool, names ...string) bool {
	v, ok := r.find(strconv.FormatBool(def), names)
	if !ok {
		return def
	}
	if b, ok := truth(v.Text); ok {
		return b
	}
	r.wrong(v, names, "a boolean: true, 1, on, yes, false, 0, off or no")
	return def
}

func truth(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "1", "on", "yes":
		return true, true
	case "false", "0", "off", "no":
		return false, true
	}
	return false, false
}

// integer returns a number from low to high. An empty value is the default.
func (r *reader) integer(def, low, high int64, names ...string) int64 {
	v, ok := r.find(strconv.FormatInt(def, 10), names)
	text := strings.TrimSpace(v.Text)
	if !ok || text == "" {
		return def
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && n >= low && n <= high {
		return n
	}
	want := fmt.Sprintf("a number from %d to %d", low, high)
	if high == math.MaxInt64 || high == math.MaxInt32 {
		want = fmt.Sprintf("a number from %d on", low)
	}
	r.wrong(v, names, want)
	return def
}

// number is integer for what fits an int everywhere.
func (r *reader) number(def, low int, names ...string) int {
	return int(r.integer(int64(def), int64(low), math.MaxInt32, names...))
}

// quota is how many there may be of something; negative means any number.
func (r *reader) quota(def int, names ...string) int {
	return r.number(def, math.MinInt32+1, names...)
}

func (r *reader) port(def int, names ...string) int {
	return int(r.integer(int64(def), 0, 65535, names...))
}

func (r *reader) seconds(def time.Duration, names ...string) time.Duration {
	return time.Duration(r.integer(int64(def/time.Second), 0, math.MaxInt32, names...)) * time.Second
}

// units are the suffixes that a size may have.
var units = []struct {
	suffix string
	shift  int
}{{"TB", 40}, {"GB", 30}, {"MB", 20}, {"KB", 10}, {"B", 0}, {"", 0}}

// size returns a number of bytes of at least low.
func (r *reader) size(def, low int64, names ...string) int64 {
	v, ok := r.find(strconv.FormatInt(def, 10), names)
	text := strings.ToUpper(strings.TrimSpace(v.Text))
	if !ok || text == "" {
		return def
	}
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err == nil && n<<u.shift>>u.shift == n && n<<u.shift >= low {
			return n << u.shift
		}
		break
	}
	r.wrong(v, names, fmt.Sprintf("a size of at least %d bytes, such as 10737418240 or 10GB", low))
	return def
}

// ratio returns a number from 0 to 1.
func (r *reader) ratio(def float64, names ...string) float64 {
	v, ok := r.find(strconv.FormatFloat(def, 'g', -1, 64), names)
	if !ok {
		return def
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(v.Text), 64)
	if err == nil && f >= 0 && f <= 1 {
		return f
	}
	r.wrong(v, names, "a number from 0 to 1")
	return def
}

// list returns words between commas, none of them empty.
func (r *reader) list(def []string, names ...string) []string {
	v, ok := r.find(strings.Join(def, ","), names)
	if !ok {
		return def
	}
	return words(v.Text)
}

func words(s string) []string {
	var list []string
	for w := range strings.SplitSeq(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			list = append(list, w)
		}
	}
	return list
}

// pos returns where the value of an option stands.
func (r *reader) pos(names ...string) string {
	v, _, _ := r.lookup(names)
	return v.Pos()
}

// beside returns the path of a file that a configuration names: a relative
// one is looked for beside the first configuration file or directory.
func (r *reader) beside(name string) string {
	switch {
	case filepath.IsAbs(name):
		return name
	case len(r.src.Files) > 0:
		return filepath.Join(filepath.Dir(r.src.Files[0]), name)
	}
	return filepath.Join(r.src.Dirs[0], name)
}

// unused compares what the files set with what was asked for. An option that
// is nearly one of ours is a warning: it is most likely misspelt, or stands in
// the wrong section. Others may be the original's, which are passed over.
func (r *reader) unused() (warnings, ignored []string) {
	for _, section := range r.c.Sections() {
		meant := r.likeSection(canonical(section))
		for _, key := range r.c.Keys(section) {
			name := canonical(section) + "." + key
			if r.known[name] {
				continue
			}
			v, _ := r.c.Lookup(section, key) // the position is good in any case
			text := fmt.Sprintf("%s: [%s] %s has no effect", v.Pos(), section, key)
			like := r.like(name)
			switch {
			case like != "":
			case meant != "":
				like = "section [" + meant + "]"
			default:
				like = r.elsewhere(name)
			}
			if like != "" {
				warnings = append(warnings, fmt.Sprintf("%s; did you mean %s?", text, like))
			} else {
				ignored = append(ignored, text)
			}
		}
	}
	return warnings, ignored
}

// canonical is a section as the names of options have it.
func canonical(section string) string {
	if section == "DEFAULT" {
		return section
	}
	return strings.ToLower(section)
}

// like returns the key of a known option that name may have been meant to be:
// in the same section and at most two letters away.
func (r *reader) like(name string) string {
	section, key := split(name)
	var near []string
	for known := range r.known {
		s, k := split(known)
		if s == section && alike(key, k) {
			near = append(near, k)
		}
	}
	return first(near)
}

// likeSection returns the section that one of which no option is known may have
// been meant to be.
func (r *reader) likeSection(section string) string {
	var near []string
	for known := range r.known {
		s, _ := split(known)
		if s == section {
			return ""
		}
		if alike(section, s) {
			near = append(near, s)
		}
	}
	return first(near)
}

// elsewhere returns the known option that name may have been meant to be: with
// the same key, if it stands in [DEFAULT] and belongs into a section, or the
// other way round.
func (r *reader) elsewhere(name string) string {
	section, key := split(name)
	if key == "config_file" || key == "config_dir" { // what the original is told on its command line
		return ""
	}
	ours := false
	var near []string
	for known := range r.known {
		s, k := split(known)
		ours = ours || s == section
		if k == key && (s == "DEFAULT") != (section == "DEFAULT") {
			near = append(near, "["+s+"] "+k)
		}
	}
	if !ours || len(near) != 1 {
		return "" // several sections have such an option, so that the original's may as well
	}
	return near[0]
}

// alike reports whether one name is most likely the other, misspelt: of its
// letters one is wrong, or two if there are many.
func alike(name, known string) bool {
	limit := 2
	if len(name) <= 5 {
		limit = 1
	}
	return len(name) > 3 && distance(name, known) <= limit
}

// first returns the same one of a list every time; "" if it is empty.
func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return slices.Min(list)
}

// distance returns how many letters have to be added, removed or replaced to
// make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
