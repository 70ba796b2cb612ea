package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Version1 reads images by version 1 of the API, from services that have no
// later one. What version 1 has no words for (tags, hidden images, hashes but
// MD5) is missing; what it calls private counts as shared, as its members do.
type Version1 struct{ c *Client }

// Version1 returns what reads images by version 1.
func (c *Client) Version1() *Version1 { return &Version1{c} }

// Has says whether the service has a version of the API that begins so, such
// as v2. Nobody has to be logged in for that.
func (c *Client) Has(ctx context.Context, version string) (bool, error) {
	r, err := c.request(ctx, http.MethodGet, "/versions", nil)
	if err != nil {
		return false, err
	}
	resp, err := c.o.HTTP.Do(r)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusMultipleChoices { // the second is what old ones say
		return false, refusal(resp, "GET "+r.URL.String())
	}
	var answer struct {
		Versions []struct {
			ID string `json:"id"`
		} `json:"versions"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return false, fmt.Errorf("GET %s: %w", r.URL, err)
	}
	for _, v := range answer.Versions {
		if strings.HasPrefix(v.ID, version) {
			return true, nil
		}
	}
	return false, nil
}

// A document1 is an image in a list of version 1. Attributes that can be null
// there keep their zero value.
type document1 struct {
	Image
	Owner      string         `json:"owner"`
	Public     bool           `json:"is_public"`
	MinDisk    int64          `json:"min_disk"`
	MinRAM     int64          `json:"min_ram"`
	Protected  bool           `json:"protected"`
	CreatedAt  string         `json:"created_at"`
	UpdatedAt  string         `json:"updated_at"`
	Properties map[string]any `json:"properties"`
}

func (d document1) record() Record {
	r := Record{
		Image: d.Image, Owner: d.Owner, MinDisk: d.MinDisk, MinRAM: d.MinRAM, Protected: d.Protected,
		CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, Properties: make(map[string]string), Version1: true,
	}
	r.Visibility = "shared"
	if d.Public {
		r.Visibility = "public"
	}
	for name, value := range d.Properties {
		switch v := value.(type) {
		case nil:
			r.Properties[name] = ""
		case string:
			r.Properties[name] = v
		default:
			r.Properties[name] = fmt.Sprint(v)
		}
	}
	return r
}

// Records is that of a Client.
func (v *Version1) Records(ctx context.Context) ([]Record, error) {
	var all []Record
	for marker := ""; ; {
		var page struct {
			Images []document1 `json:"images"`
		}
		path := "/v1/images/detail?is_public=None&limit=500&sort_key=created_at&sort_dir=asc"
		if marker != "" {
			path += "&marker=" + url.QueryEscape(marker)
		}
		if err := v.c.call(ctx, http.MethodGet, path, nil, &page); err != nil || len(page.Images) == 0 {
			return all, err
		}
		for _, d := range page.Images {
			all = append(all, d.record())
		}
		marker = page.Images[len(page.Images)-1].ID
	}
}

// Record is that of a Client, as far as it says which image it is, how it is,
// and that there is none.
func (v *Version1) Record(ctx context.Context, id string) (r Record, err error) {
	q, err := v.c.authorized(ctx, http.MethodHead, "/v1/images/"+url.PathEscape(id), nil)
	if err != nil {
		return r, err
	}
	resp, err := v.c.o.HTTP.Do(q)
	if err != nil {
		return r, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return r, refusal(resp, "HEAD "+q.URL.String())
	}
	if deleted, err := strconv.ParseBool(resp.Header.Get("X-Image-Meta-Deleted")); err == nil && deleted { // admins see them
		return r, fmt.Errorf("HEAD %s: %w", q.URL, &Error{Status: http.StatusNotFound})
	}
	r.ID, r.Status = resp.Header.Get("X-Image-Meta-Id"), resp.Header.Get("X-Image-Meta-Status")
	return r, nil
}

// Members is that of a Client: in version 1 nobody is asked whether it accepts
// an image.
func (v *Version1) Members(ctx context.Context, id string) ([]Member, error) {
	var answer struct {
		Members []Member `json:"members"`
	}
	err := v.c.call(ctx, http.MethodGet, "/v1/images/"+url.PathEscape(id)+"/members", nil, &answer)
	for i := range answer.Members {
		answer.Members[i].Status = "accepted" // what it comes to
	}
	slices.SortFunc(answer.Members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return answer.Members, err
}

// Download is that of a Client.
func (v *Version1) Download(ctx context.Context, id string, from int64) (data io.ReadCloser, start int64, err error) {
	return v.c.download(ctx, "/v1/images/"+url.PathEscape(id), from)
}
