package apiv2

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"glancectl/service/glance"
)

// A page is what a list request asks for: the query, and its own parameters
// for the links to other pages.
type page struct {
	query  glance.Query
	params []param // without the marker, in the order of the request
}

type param struct{ name, value string }

// link returns the path of the page after marker, the first one without.
func (p *page) link(marker glance.ID) string { return pageLink("/v2/images", p.params, string(marker)) }

// pageLink returns path with parameters and, unless it is empty, a marker.
func pageLink(path string, params []param, marker string) string {
	var b strings.Builder
	b.WriteString(path)
	add := func(name, value string) {
		if b.Len() == len(path) {
			b.WriteByte('?')
		} else {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(name) + "=" + url.QueryEscape(value))
	}
	for _, v := range params {
		add(v.name, v.value)
	}
	if marker != "" {
		add("marker", marker)
	}
	return b.String()
}

// parseList reads the parameters of a list request. Whatever is none that has
// a meaning of its own is a filter.
func (a *API) parseList(rawQuery string) (*page, error) {
	all, err := parseParams(rawQuery)
	if err != nil {
		return nil, err
	}
	hidden := false
	p := &page{query: glance.Query{Limit: min(a.o.LimitDefault, a.o.LimitMax), Hidden: &hidden}}
	var sort sorting
	filters := make(map[string]string)
	for _, v := range all {
		if v.name != "marker" {
			p.params = append(p.params, v)
		}
		switch v.name {
		case "marker":
			p.query.Marker = glance.ID(v.value)
		case "limit":
			if p.query.Limit, err = a.parseLimit(v.value); err != nil {
				return nil, err
			}
		case "tag":
			p.query.Tags = append(p.query.Tags, strings.TrimSpace(v.value))
		case "sort":
			sort.combined = append(sort.combined, v.value)
		case "sort_key":
			sort.keys = append(sort.keys, strings.TrimSpace(v.value))
		case "sort_dir":
			sort.dirs = append(sort.dirs, strings.TrimSpace(v.value))
		default:
			filters[v.name] = v.value
		}
	}
	if p.query.Sort, err = sort.parse(); err != nil {
		return nil, err
	}
	if m := p.query.Marker; m != "" {
		if _, err := glance.ParseID(string(m)); err != nil {
			return nil, bad(noImage, m)
		}
	}
	return p, parseFilters(&p.query, filters)
}

// strayPercent is a percent sign that quotes nothing: it stands for itself.
var strayPercent = regexp.MustCompile(`%([^0-9A-Fa-f]|[0-9A-Fa-f][^0-9A-Fa-f]|.?$)`)

// parseParams splits a query string, keeping the order.
func parseParams(raw string) ([]param, error) {
	var all []param
	for strayPercent.MatchString(raw) { // one match may hide another
		raw = strayPercent.ReplaceAllString(raw, "%25$1")
	}
	for part := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, undecodable()
		}
		value, err = url.QueryUnescape(value)
		if err != nil || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, undecodable()
		}
		all = append(all, param{name, value})
	}
	return all, nil
}

func (a *API) parseLimit(s string) (int, error) {
	n, err := parseCount(s)
	return min(n, a.o.LimitMax), err
}

// parseCount reads the value of limit.
func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return 0, bad("limit param must be an integer")
	}
	if n < 0 {
		return 0, bad("limit param must be positive")
	}
	return n, nil
}

var sortKeys = []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}

// A sorting is the order in its two spellings: sort=key:dir,... or sort_key
// and sort_dir, repeated.
type sorting struct {
	combined   []string
	keys, dirs []string
}

func (s sorting) parse() ([]glance.SortKey, error) {
	keys, dirs := s.keys, s.dirs
	if len(s.combined) > 0 {
		if len(keys) > 0 || len(dirs) > 0 {
			return nil, bad("Old and new sorting syntax cannot be combined")
		}
		for part := range strings.SplitSeq(s.combined[len(s.combined)-1], ",") {
			key, dir, _ := strings.Cut(part, ":")
			if dir == "" {
				dir = "desc"
			}
			keys, dirs = append(keys, strings.TrimSpace(key)), append(dirs, strings.TrimSpace(dir))
		}
	}
	if len(keys) == 0 {
		keys = []string{"created_at"}
	}
	if len(dirs) == 0 {
		dirs = []string{"desc"}
	}
	if len(dirs) > 1 && len(dirs) != len(keys) {
		return nil, bad("Number of sort dirs does not match the number of sort keys")
	}
	var parsed []glance.SortKey
	for i, key := range keys {
		dir := dirs[min(i, len(dirs)-1)]
		if !slices.Contains(sortKeys, key) {
			return nil, bad("Invalid sort key: %s. It must be one of the following: %s.", key, strings.Join(sortKeys, ", "))
		}
		if dir != "asc" && dir != "desc" {
			return nil, bad("Invalid sort direction: %s", dir)
		}
		parsed = append(parsed, glance.SortKey{Attribute: key, Descending: dir == "desc"})
	}
	return parsed, nil
}

// attributes are the base attributes that can be filtered by, in four groups:
// text with operators, times with operators, numbers with ranges, and what
// can only be equal.
var attributes = map[string][]string{
	"text":   {"id", "name", "status", "container_format", "disk_format"},
	"time":   {"created_at", "updated_at"},
	"number": {"size", "min_ram", "min_disk", "virtual_size"},
	"equal":  {"owner", "checksum", "os_hash_algo", "os_hash_value"},
}

func parseFilters(q *glance.Query, filters map[string]string) error {
	names := make([]string, 0, len(filters))
	for name := range filters {
		names = append(names, name)
	}
	slices.Sort(names) // the same request gets the same complaint
	for _, name := range names {
		if err := parseFilter(q, name, filters[name]); err != nil {
			return err
		}
	}
	return nil
}

func parseFilter(q *glance.Query, name, value string) error {
	switch name {
	case "visibility":
		return parseVisibility(q, value)
	case "member_status":
		return parseMemberStatus(q, value)
	case "os_hidden":
		hidden, err := parseTruth(name, strings.ToLower(value), value)
		q.Hidden = &hidden
		return err
	case "protected":
		if _, err := parseTruth(name, value, value); err != nil {
			return err
		}
		return equals(q, name, value)
	case "changes-since":
		return bad(`The "changes-since" filter is no longer available on v2.`)
	case "locations", "properties":
		return bad("Unable to filter by '%s'.", name)
	case "deleted":
		return nil
	}
	for kind, names := range attributes {
		if slices.Contains(names, name) {
			return parseAttribute(q, kind, name, value)
		}
	}
	base, isMin := strings.CutSuffix(name, "_min")
	base, isMax := strings.CutSuffix(base, "_max")
	if isMin || isMax {
		return parseBound(q, base, isMin, value)
	}
	if q.Properties == nil {
		q.Properties = make(map[string]string)
	}
	q.Properties[name] = value
	return nil
}

func equals(q *glance.Query, name, value string) error {
	q.Filters = append(q.Filters, glance.Filter{Attribute: name, Op: "eq", Values: []string{value}})
	return nil
}

func parseVisibility(q *glance.Query, value string) error {
	switch {
	case value == "":
	case value == "all":
		q.AllVisible = true
	case slices.Contains(visibilities, value):
		q.Visibility = glance.Visibility(value)
	default:
		return bad("Invalid visibility value: %s", value)
	}
	return nil
}

func parseMemberStatus(q *glance.Query, value string) error {
	switch value {
	case "all":
		q.AnyMember = true
	case "pending", "accepted", "rejected":
		q.MemberStatus = glance.MemberStatus(value)
	default:
		return bad("Invalid status: %s", value)
	}
	return nil
}

func parseTruth(name, value, original string) (bool, error) {
	if value != "true" && value != "false" {
		return false, bad("Invalid value '%s' for '%s' filter. Valid values are 'true' or 'false'.", original, name)
	}
	return value == "true", nil
}

func parseAttribute(q *glance.Query, kind, name, value string) error {
	switch kind {
	case "text":
		return parseText(q, name, value)
	case "time":
		return parseTime(q, name, value)
	case "number":
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			return bad("Invalid value '%s' for '%s' filter. It must be an integer.", value, name)
		}
	}
	return equals(q, name, value)
}

// splitOp cuts the operator off a filter's value. A time has colons of its
// own.
func splitOp(value string) (op, rest string) {
	op, rest, found := strings.Cut(value, ":")
	if !found {
		return "eq", value
	}
	if _, err := parseISO(value); err == nil {
		return "eq", value
	}
	return op, rest
}

func parseText(q *glance.Query, name, value string) error {
	op, rest := splitOp(value)
	switch op {
	case "eq":
		return equals(q, name, rest)
	case "in":
		values, err := splitQuoted(rest)
		q.Filters = append(q.Filters, glance.Filter{Attribute: name, Op: "in", Values: values})
		return err
	}
	return bad("Unable to filter by unknown operator '%s'.", op)
}

// splitQuoted splits at commas outside of quotation marks. Of nothing there is
// nothing, and a comma at the end is of no account. A backslash before a
// quotation mark makes it a character like others.
func splitQuoted(s string) ([]string, error) {
	var values []string
	for rest := s; rest != ""; rest = strings.TrimPrefix(rest, ",") {
		quoted := rest[0] == '"'
		if quoted {
			rest = rest[1:]
		}
		end := 0
		for ; end < len(rest) && (rest[end] != ',' || quoted) && (rest[end] != '"' || end > 0 && rest[end-1] == '\\'); end++ {
		}
		value := strings.ReplaceAll(rest[:end], `\"`, `"`)
		rest = rest[end:]
		switch {
		case quoted && rest == "":
			return nil, bad("Invalid filter value %s. The quote is not closed.", s)
		case quoted:
			if rest = rest[1:]; rest != "" && rest[0] != ',' {
				return nil, bad("Invalid filter value %s. There is no comma after closing quotation mark.", s)
			}
		case rest != "" && rest[0] == '"':
			return nil, bad("Invalid filter value %s. There is no comma before opening quotation mark.", s)
		}
		values = append(values, value)
	}
	return values, nil
}

var timeOps = []string{"gt", "gte", "lt", "lte", "neq", "eq"}

func parseTime(q *glance.Query, name, value string) error {
	op, rest := splitOp(value)
	t, err := parseISO(rest)
	if err != nil {
		return bad(`Bad "%s" query filter format. Use ISO 8601 DateTime notation.`, name)
	}
	if !slices.Contains(timeOps, op) {
		return bad("Unable to filter on a unknown operator.")
	}
	q.Filters = append(q.Filters, glance.Filter{Attribute: name, Op: op, Values: []string{t.UTC().Format(time.RFC3339)}})
	return nil
}

// isoLayouts are the spellings of ISO 8601 that clients use; a time without a
// zone is UTC.
var isoLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02", "20060102T150405Z07:00", "20060102T150405",
	"20060102T150405Z0700", "20060102", "2006-01", "2006",
}

func parseISO(s string) (t time.Time, err error) {
	for _, layout := range isoLayouts {
		if t, err = time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return t, err
}

func parseBound(q *glance.Query, name string, isMin bool, value string) error {
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if err != nil {
		return bad("Unable to filter on a range with a non-numeric value.")
	}
	if !slices.Contains(attributes["number"], name) {
		return bad("Unable to filter on a range of '%s'.", name)
	}
	op := "lte"
	if isMin {
		op = "gte"
	}
	q.Filters = append(q.Filters, glance.Filter{Attribute: name, Op: op, Values: []string{strconv.FormatInt(n, 10)}})
	return nil
}
