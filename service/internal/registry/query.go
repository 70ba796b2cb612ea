package registry

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"glancectl/service/glance"
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

// params are the parameters of a request. Of one that is repeated the last
// counts.
type params url.Values

func (p params) get(name string) (value string, ok bool) {
	v := p[name]
	if len(v) == 0 {
		return "", false
	}
	return v[len(v)-1], true
}

// query returns what a list request asks the catalog for; notPublic says that
// public images are to be left out of the result. Unknown parameters are
// ignored.
func (h *Handler) query(c glance.Caller, values url.Values) (q glance.Query, notPublic bool, err error) {
	p := params(values)
	q.ProjectID = c.ProjectID
	q.AnyMember = true
	if q.Filters, err = p.filters(); err != nil {
		return q, false, err
	}
	q.Properties = p.properties()
	if err := p.since(&q, c.Admin); err != nil {
		return q, false, err
	}
	if c.Admin {
		if notPublic, err = p.public(&q); err != nil {
			return q, false, err
		}
	}
	if q.Limit, err = p.limit(h.o.DefaultLimit, h.o.MaxLimit); err != nil {
		return q, false, err
	}
	if q.Marker, err = p.marker(); err != nil {
		return q, false, err
	}
	q.Sort, err = p.sort()
	return q, notPublic, err
}

// filters returns the comparisons with attributes of an image.
func (p params) filters() ([]glance.Filter, error) {
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
			return nil, invalid("Bad value passed to filter " + f.param + " got " + v)
		}
		found = append(found, glance.Filter{Attribute: f.attribute, Op: f.op, Values: []string{strconv.FormatInt(n, 10)}})
	}
	if v, ok := p.get("protected"); ok {
		b, ok := boolean(v)
		if !ok {
			return nil, invalid("protected must be True, or False")
		}
		found = append(found, glance.Filter{Attribute: "protected", Op: "eq", Values: []string{strconv.FormatBool(b)}})
	}
	return found, nil
}

func (p params) properties() map[string]string {
	var found map[string]string
	for name := range p {
		key, ok := strings.CutPrefix(name, "property-")
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
func (p params) since(q *glance.Query, admin bool) error {
	if v, ok := p.get("changes-since"); ok {
		t, ok := isoTime(v)
		if !ok {
			return invalid("Unrecognized changes-since value")
		}
		q.Filters = append(q.Filters, glance.Filter{Attribute: "updated_at", Op: "gt", Values: []string{t.Format(time.RFC3339Nano)}})
		q.Deleted, q.Statuses = true, everyStatus
	}
	if v, ok := p.get("deleted"); ok && admin {
		q.Deleted, q.Statuses = false, nil
		if loose(v) {
			q.Deleted, q.Statuses = true, []glance.Status{glance.Deleted, glance.PendingDelete}
		}
	}
	return nil
}

// public reads is_public, which only admins may use. Without it, or with a
// true value, an admin gets what an ordinary member of the project gets.
func (p params) public(q *glance.Query) (notPublic bool, err error) {
	v, ok := p.get("is_public")
	if !ok {
		return false, nil
	}
	isPublic, ok := boolean(v)
	switch {
	case strings.EqualFold(v, "none"):
	case !ok:
		return false, invalid("is_public must be None, True, or False")
	case isPublic:
		return false, nil
	}
	q.Admin, q.AllVisible = true, true
	return ok && !isPublic, nil
}

func (p params) limit(def, most int) (int, error) {
	v, ok := p.get("limit")
	if !ok {
		return min(def, most), nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 32)
	if err != nil {
		return 0, invalid("limit param must be an integer")
	}
	if n < 0 {
		return 0, invalid("limit param must be positive")
	}
	return min(int(n), most), nil
}

func (p params) marker() (glance.ID, error) {
	v, _ := p.get("marker")
	if v == "" {
		return "", nil
	}
	id, err := glance.ParseID(v)
	if err != nil {
		return "", badRequest("Invalid marker format")
	}
	return id, nil
}

func (p params) sort() ([]glance.SortKey, error) {
	key, dir := "created_at", "desc"
	if v, ok := p.get("sort_key"); ok {
		key = v
	}
	if v, ok := p.get("sort_dir"); ok {
		dir = v
	}
	if !slices.Contains(sortKeys, key) {
		return nil, badRequest("Unsupported sort_key. Acceptable values: " + strings.Join(sortKeys, ", "))
	}
	if !slices.Contains(sortDirs, dir) {
		return nil, badRequest("Unsupported sort_dir. Acceptable values: " + strings.Join(sortDirs, ", "))
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

// loose reads a boolean for which everything that is not true is false.
func loose(s string) bool {
	return slices.Contains([]string{"1", "t", "true", "on", "y", "yes"}, strings.ToLower(strings.TrimSpace(s)))
}

// isoTime reads a time in the forms of ISO 8601 that clients send. Without a
// zone it is UTC.
func isoTime(s string) (time.Time, bool) {
	for _, clock := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "20060102T150405", "2006-01-02T15:04", "2006-01-02"} {
		for _, zone := range []string{"", "Z07:00", "Z0700"} {
			if t, err := time.Parse(clock+zone, s); err == nil {
				return t.UTC(), true
			}
		}
	}
	return time.Time{}, false
}
