package v1wire

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
)

var (
	sortKeys = []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}
	sortDirs = []string{"asc", "desc"}

	textFilters = []string{"name", "status", "container_format", "disk_format"}

	// numberFilters say by which attribute and comparison a parameter filters.
	numberFilters = []struct{ param, attribute, op string }{
		{"min_ram", "min_ram", "eq"},
		{"min_disk", "min_disk", "eq"},
		{"size_min", "size", "gte"},
		{"size_max", "size", "lte"},
	}

	everyStatus = []glance.Status{
		glance.Queued, glance.Saving, glance.Uploading, glance.Importing, glance.Active,
		glance.Deactivated, glance.Killed, glance.PendingDelete, glance.Deleted,
	}
)

const (
	propertyPrefix = "property-"
	badFilter      = "Bad value passed to filter %s got %s"
)

// Params are the parameters of a list. Of one that is repeated the last
// counts.
type Params url.Values

func (p Params) get(name string) (value string, ok bool) {
	v := p[name]
	if len(v) == 0 {
		return "", false
	}
	return v[len(v)-1], true
}

// Limits are how long a list is.
type Limits struct {
	Default int // when nobody says
	Max     int
}

// Query returns what the parameters ask for, as c may ask it. Unknown
// parameters are ignored. The error is a *fault.Fault.
func (p Params) Query(c glance.Caller, l Limits) (q glance.Query, err error) {
	q.ProjectID, q.Admin, q.AnyMember = c.ProjectID, c.Admin, true
	if q.Filters, err = p.filters(); err != nil {
		return q, err
	}
	q.Properties = p.properties()
	if err := p.since(&q, c.Admin); err != nil {
		return q, err
	}
	if err := p.public(&q, c.Admin); err != nil {
		return q, err
	}
	if q.Limit, err = p.limit(l); err != nil {
		return q, err
	}
	if q.Marker, err = p.marker(); err != nil {
		return q, err
	}
	q.Sort, err = p.sort()
	return q, err
}

// Check reports what the Images API itself refuses before anybody else looks
// at the parameters. The error is a *fault.Fault.
func (p Params) Check() error {
	for _, name := range []string{"size_max", "size_min", "min_ram"} {
		if v, ok := p.get(name); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err != nil || n < 0 {
				return Detailed(http.StatusBadRequest, badFilter, name, v)
			}
		}
	}
	for _, name := range []string{"protected", "is_public"} {
		if v, ok := p.get(name); ok {
			if _, ok := boolean(v); !ok && !strings.EqualFold(v, "none") {
				return Detailed(http.StatusBadRequest, badFilter, name, v)
			}
		}
	}
	return nil
}

// Known returns the parameters that the Images API passes on.
func (p Params) Known() Params {
	known := make(Params)
	for name, values := range p {
		switch {
		case slices.Contains(textFilters, name), strings.HasPrefix(name, propertyPrefix):
		case slices.Contains([]string{
			"min_ram", "min_disk", "size_min", "size_max", "is_public", "changes-since", "protected",
			"limit", "marker", "sort_key", "sort_dir",
		}, name):
		default:
			continue
		}
		known[name] = values
	}
	return known
}

// filters returns the comparisons with attributes of an image.
func (p Params) filters() ([]glance.Filter, error) {
	var found []glance.Filter
	for _, name := range textFilters {
		if v, ok := p.get(name); ok {
			found = append(found, glance.Filter{Attribute: name, Op: "eq", Values: []string{v}})
		}
	}
	for _, f := range numberFilters {
		v, ok := p.get(f.param)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil {
			return nil, Detailed(http.StatusBadRequest, badFilter, f.param, v)
		}
		found = append(found, glance.Filter{Attribute: f.attribute, Op: f.op, Values: []string{strconv.FormatInt(n, 10)}})
	}
	if v, ok := p.get("protected"); ok {
		b, ok := boolean(v)
		if !ok {
			return nil, Detailed(http.StatusBadRequest, "protected must be True, or False")
		}
		found = append(found, glance.Filter{Attribute: "protected", Op: "eq", Values: []string{strconv.FormatBool(b)}})
	}
	return found, nil
}

func (p Params) properties() map[string]string {
	var found map[string]string
	for name := range p {
		key, ok := strings.CutPrefix(name, propertyPrefix)
		if !ok {
			continue
		}
		if found == nil {
			found = make(map[string]string)
		}
		found[key], _ = p.get(name)
	}
	return found
}

// since reads changes-since, which brings deleted images in, and deleted, by
// which an admin has them alone or not at all.
func (p Params) since(q *glance.Query, admin bool) error {
	if v, ok := p.get("changes-since"); ok {
		t, ok := Time(v)
		if !ok {
			return Detailed(http.StatusBadRequest, "Unrecognized changes-since value")
		}
		q.Filters = append(q.Filters, glance.Filter{Attribute: "updated_at", Op: "gt", Values: []string{t.Format(time.RFC3339Nano)}})
		q.Deleted, q.Statuses = true, everyStatus
	}
	if v, ok := p.get("deleted"); ok && admin {
		q.Deleted, q.Statuses = false, nil
		if Bool(v) {
			q.Deleted, q.Statuses = true, []glance.Status{glance.Deleted, glance.PendingDelete}
		}
	}
	return nil
}

// public reads is_public, which only admins may use. Without it, or with a
// true value, an admin gets what an ordinary member of the project gets.
func (p Params) public(q *glance.Query, admin bool) error {
	if !admin {
		return nil
	}
	q.Admin, q.AsUser = false, true
	v, ok := p.get("is_public")
	if !ok {
		return nil
	}
	isPublic, ok := boolean(v)
	switch {
	case strings.EqualFold(v, "none"):
	case !ok:
		return Detailed(http.StatusBadRequest, "is_public must be None, True, or False")
	case isPublic:
		return nil
	}
	q.Admin, q.AsUser, q.AllVisible = true, false, true
	q.NotPublic = ok && !isPublic
	return nil
}

func (p Params) limit(l Limits) (int, error) {
	v, ok := p.get("limit")
	if !ok {
		return min(l.Default, l.Max), nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 32)
	if err != nil {
		return 0, Detailed(http.StatusBadRequest, "limit param must be an integer")
	}
	if n < 0 {
		return 0, Detailed(http.StatusBadRequest, "limit param must be positive")
	}
	return min(int(n), l.Max), nil
}

func (p Params) marker() (glance.ID, error) {
	v, _ := p.get("marker")
	if v == "" {
		return "", nil
	}
	id, err := glance.ParseID(v)
	if err != nil {
		return "", Refused(http.StatusBadRequest, "Invalid marker format")
	}
	return id, nil
}

const noMarker = "Invalid marker. Image could not be found."

// NoMarker is the answer to a marker that is no image, or none that the
// caller sees.
func NoMarker() *fault.Fault { return Refused(http.StatusBadRequest, noMarker) }

// IsNoMarker says whether an answer is NoMarker.
func IsNoMarker(text string) bool { return strings.Contains(text, noMarker) }

func (p Params) sort() ([]glance.SortKey, error) {
	key, dir := "created_at", "desc"
	if v, ok := p.get("sort_key"); ok {
		key = v
	}
	if v, ok := p.get("sort_dir"); ok {
		dir = v
	}
	if !slices.Contains(sortKeys, key) {
		return nil, Refused(http.StatusBadRequest, "Unsupported sort_key. Acceptable values: %s", strings.Join(sortKeys, ", "))
	}
	if !slices.Contains(sortDirs, dir) {
		return nil, Refused(http.StatusBadRequest, "Unsupported sort_dir. Acceptable values: %s", strings.Join(sortDirs, ", "))
	}
	return []glance.SortKey{{Attribute: key, Descending: dir == "desc"}}, nil
}

// boolean reads a boolean as the original does.
func boolean(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// Bool reads a boolean for which everything that is not true is false.
func Bool(s string) bool {
	return slices.Contains([]string{"1", "t", "true", "on", "y", "yes"}, strings.ToLower(strings.TrimSpace(s)))
}

// Time reads a time in the forms of ISO 8601 that clients send. Without a zone
// it is UTC.
func Time(s string) (time.Time, bool) {
	for _, clock := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "20060102T150405", "2006-01-02T15:04", "2006-01-02"} {
		for _, zone := range []string{"", "Z07:00", "Z0700"} {
			if t, err := time.Parse(clock+zone, s); err == nil {
				return t.UTC(), true
			}
		}
	}
	return time.Time{}, false
}

// ParamsOf returns the parameters by which a registry is asked for what q
// asks, as far as it can be.
func ParamsOf(q glance.Query) Params {
	p := make(url.Values)
	for _, f := range q.Filters {
		name, value := f.Attribute, f.Values[0]
		switch {
		case f.Attribute == "updated_at" && f.Op == "gt":
			name = "changes-since"
		case f.Attribute == "size" && f.Op == "gte":
			name = "size_min"
		case f.Attribute == "size" && f.Op == "lte":
			name = "size_max"
		}
		p.Set(name, value)
	}
	for name, value := range q.Properties {
		p.Set(propertyPrefix+name, value)
	}
	switch {
	case q.Admin && q.NotPublic:
		p.Set("is_public", "False")
	case q.Admin:
		p.Set("is_public", "None")
	}
	if len(q.Statuses) > 0 && !slices.Contains(q.Statuses, glance.Active) {
		p.Set("deleted", "True")
	}
	if q.Limit >= 0 {
		p.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Marker != "" {
		p.Set("marker", string(q.Marker))
	}
	for _, k := range q.Sort {
		p.Set("sort_key", k.Attribute)
		p.Set("sort_dir", map[bool]string{true: "desc", false: "asc"}[k.Descending])
	}
	return Params(p)
}
