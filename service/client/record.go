package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Record is all of what the API says of an image that another service can be
// told. An attribute that is null is empty here.
type Record struct {
	Image
	Owner      string            `json:"owner"`
	MinDisk    int64             `json:"min_disk"`
	MinRAM     int64             `json:"min_ram"`
	Protected  bool              `json:"protected"`
	Hidden     bool              `json:"os_hidden"`
	Tags       []string          `json:"tags"`
	CreatedAt  string            `json:"created_at"`
	UpdatedAt  string            `json:"updated_at"`
	Properties map[string]string `json:"-"` // custom ones, without those of the service itself
	Version1   bool              `json:"-"` // it is told by version 1, which has no words for tags and other things
}

// attributes are the names in the document of an image that are no custom
// properties. What begins with reserved belongs to the service that says it.
var attributes = []string{
	"id", "name", "status", "visibility", "disk_format", "container_format", "size", "virtual_size", "checksum",
	"os_hash_algo", "os_hash_value", "owner", "min_disk", "min_ram", "protected", "os_hidden", "tags", "created_at",
	"updated_at", "deleted", "deleted_at", "self", "file", "schema", "stores", "direct_url", "locations",
}

const reserved = "os_glance_"

// UnmarshalJSON implements json.Unmarshaler.
func (r *Record) UnmarshalJSON(text []byte) error {
	type fixed Record // without this method
	var f fixed
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	f.Properties = make(map[string]string)
	for name, value := range all {
		s, ok := value.(string)
		if ok && !slices.Contains(attributes, name) && !strings.HasPrefix(name, reserved) {
			f.Properties[name] = s
		}
	}
	slices.Sort(f.Tags)
	*r = Record(f)
	return nil
}

// document is what is sent to create the image: what only the service can know
// is not in it, nor what is empty.
func (r *Record) document() map[string]any {
	d := make(map[string]any)
	for name, value := range r.Properties {
		d[name] = value
	}
	texts := map[string]string{
		"id": r.ID, "name": r.Name, "visibility": r.Visibility, "owner": r.Owner,
		"disk_format": r.DiskFormat, "container_format": r.ContainerFormat,
	}
	maps.DeleteFunc(texts, func(_, value string) bool { return value == "" })
	for name, value := range texts {
		d[name] = value
	}
	for name, value := range map[string]int64{"min_disk": r.MinDisk, "min_ram": r.MinRAM} {
		if value != 0 {
			d[name] = value
		}
	}
	for name, value := range map[string]bool{"protected": r.Protected, "os_hidden": r.Hidden} {
		if value {
			d[name] = true
		}
	}
	if len(r.Tags) > 0 {
		d["tags"] = r.Tags
	}
	return d
}

// Records returns all images that the caller can see, hidden ones and those of
// all communities too, the oldest first.
func (c *Client) Records(ctx context.Context) ([]Record, error) {
	var all []Record
	seen := make(map[string]bool)
	for _, hidden := range []string{"", "&os_hidden=true"} {
		const order = "/v2/images?limit=500&sort_key=created_at&sort_dir=asc"
		list, err := c.records(ctx, order+"&visibility=all"+hidden)
		if refused, ok := asError(err); ok && refused.Status == http.StatusBadRequest && strings.Contains(refused.Message, "isibility") {
			list, err = c.records(ctx, order+hidden) // there was a time when nobody could ask for all
		}
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			if !seen[r.ID] {
				all = append(all, r)
			}
			seen[r.ID] = true
		}
	}
	return all, nil
}

func (c *Client) records(ctx context.Context, path string) (all []Record, err error) {
	for path != "" {
		var page struct {
			Images []Record `json:"images"`
			Next   string   `json:"next"`
		}
		if err := c.call(ctx, http.MethodGet, path, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Images...)
		path = page.Next
	}
	return all, nil
}

// Record returns one image.
func (c *Client) Record(ctx context.Context, id string) (r Record, err error) {
	return r, c.call(ctx, http.MethodGet, "/v2/images/"+url.PathEscape(id), nil, &r)
}

// Add creates the image that r tells of, without its data.
func (c *Client) Add(ctx context.Context, r *Record) error {
	return c.call(ctx, http.MethodPost, "/v2/images", r.document(), nil)
}

// A Change is a step of a JSON patch.
type Change struct {
	Op    string // add, replace or remove
	Name  string // of an attribute or a property
	Value any    // nil with replace means null
}

// MarshalJSON implements json.Marshaler.
func (s Change) MarshalJSON() ([]byte, error) {
	step := map[string]any{"op": s.Op, "path": "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(s.Name)}
	if s.Op != "remove" {
		step["value"] = s.Value
	}
	return json.Marshal(step)
}

// Change changes an image: all steps or none.
func (c *Client) Change(ctx context.Context, id string, steps []Change) error {
	return c.call(ctx, http.MethodPatch, "/v2/images/"+url.PathEscape(id), steps, nil)
}

// Deactivate keeps the data of an image from all but administrators, and
// Reactivate gives it back.
func (c *Client) Deactivate(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/v2/images/"+url.PathEscape(id)+"/actions/deactivate", nil, nil)
}

// Reactivate is described at Deactivate.
func (c *Client) Reactivate(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/v2/images/"+url.PathEscape(id)+"/actions/reactivate", nil, nil)
}

// A Member is a project that an image is shared with.
type Member struct {
	ID     string `json:"member_id"`
	Status string `json:"status"`
}

// Members returns whom a shared image is shared with, in the order of their
// IDs.
func (c *Client) Members(ctx context.Context, id string) ([]Member, error) {
	var answer struct {
		Members []Member `json:"members"`
	}
	err := c.call(ctx, http.MethodGet, memberPath(id, ""), nil, &answer)
	slices.SortFunc(answer.Members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return answer.Members, err
}

// Share makes a project a member of an image; what it thinks of that is
// pending.
func (c *Client) Share(ctx context.Context, id, project string) error {
	return c.call(ctx, http.MethodPost, memberPath(id, ""), map[string]string{"member": project}, nil)
}

// SetMember says whether a member accepts an image.
func (c *Client) SetMember(ctx context.Context, id string, m Member) error {
	return c.call(ctx, http.MethodPut, memberPath(id, m.ID), map[string]string{"status": m.Status}, nil)
}

// Unshare takes an image from a member.
func (c *Client) Unshare(ctx context.Context, id, project string) error {
	return c.call(ctx, http.MethodDelete, memberPath(id, project), nil, nil)
}

func memberPath(id, project string) string {
	path := "/v2/images/" + url.PathEscape(id) + "/members"
	if project == "" {
		return path
	}
	return path + "/" + url.PathEscape(project)
}

// Download returns the data of an image from a byte on, or all of it if the
// service does not give a part: start is where it begins. The caller closes
// it.
func (c *Client) Download(ctx context.Context, id string, from int64) (data io.ReadCloser, start int64, err error) {
	return c.download(ctx, "/v2/images/"+url.PathEscape(id)+"/file", from)
}

func (c *Client) download(ctx context.Context, path string, from int64) (data io.ReadCloser, start int64, err error) {
	r, err := c.authorized(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Accept", "application/octet-stream, */*;q=0.5")
	r.Header.Set("Accept-Encoding", "identity")
	if from > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := c.o.HTTP.Do(r)
	if err != nil {
		return nil, 0, err
	}
	what := r.Method + " " + r.URL.String()
	switch begins := fmt.Sprintf("bytes %d-", from); {
	case resp.StatusCode == http.StatusOK:
		return resp.Body, 0, nil
	case resp.StatusCode == http.StatusNoContent:
		err = fmt.Errorf("%s: the image has no data", what)
	case resp.StatusCode == http.StatusPartialContent && strings.HasPrefix(resp.Header.Get("Content-Range"), begins):
		return resp.Body, from, nil
	case resp.StatusCode == http.StatusPartialContent:
		err = fmt.Errorf("%s: the answer is another part than was asked for: %q", what, resp.Header.Get("Content-Range"))
	default:
		err = refusal(resp, what)
	}
	resp.Body.Close()
	return nil, 0, err
}

// call sends body as JSON, unless it is nil, and reads the answer into to.
func (c *Client) call(ctx context.Context, method, path string, body, to any) error {
	var text io.Reader
	if body != nil {
		document, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		text = bytes.NewReader(document)
	}
	r, err := c.authorized(ctx, method, path, text)
	if err != nil {
		return err
	}
	switch {
	case method == http.MethodPatch:
		r.Header.Set("Content-Type", "application/openstack-images-v2.1-json-patch")
	case body != nil:
		r.Header.Set("Content-Type", "application/json")
	}
	return c.do(r, to)
}
