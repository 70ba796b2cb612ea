// Package client calls the Images API, as far as the tools need it: to see
// whether a service answers, to load images into it, and to take them from one
// service to another.
//
// The deployment tool uses it for its checks and for preloading, the small
// tools of the service for what they show, change and copy. It speaks
// plain HTTP and knows nothing about Keystone: whoever has a token hands in a
// function that returns it. Nothing it returns, errors included, shows a token.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Options are the optional settings of New. The zero value is for a service
// without Keystone.
type Options struct {
	Token     func(context.Context) (string, error) // called for each request; nil means none is sent
	HTTP      *http.Client                          // nil means one that waits 30 s for an answer to begin
	UserAgent string
}

// A Client calls the API at one address. It is safe for concurrent use.
type Client struct {
	base string
	o    Options
}

// New returns a client of the service at an address such as
// http://10.0.0.1:9292, without a version.
func New(address string, o Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("image service %q: not an http or https URL", address)
	}
	if o.HTTP == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = 30 * time.Second
		o.HTTP = &http.Client{Transport: t}
	}
	own := *o.HTTP
	// A token must not follow where an answer points.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.HTTP = &own
	return &Client{base: strings.TrimRight(address, "/"), o: o}, nil
}

// An Error is an answer that is no success.
type Error struct {
	Status  int    // of HTTP
	Message string // what the service says, without markup
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// IsNotFound tells whether err is the answer that there is no such thing.
func IsNotFound(err error) bool {
	e, ok := asError(err)
	return ok && e.Status == http.StatusNotFound
}

func asError(err error) (*Error, bool) { return errors.AsType[*Error](err) }

// An Image is what the API shows of an image.
type Image struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	Status          string `json:"status"`
	Visibility      string `json:"visibility"`
	DiskFormat      string `json:"disk_format"`
	ContainerFormat string `json:"container_format"`
	Size            int64  `json:"size"`
	Checksum        string `json:"checksum"` // MD5, hex
	HashAlgo        string `json:"os_hash_algo"`
	HashValue       string `json:"os_hash_value"`
}

// A Spec is an image to be created. Name and formats are required.
type Spec struct {
	ID              string // "" means that the service chooses one
	Name            string
	DiskFormat      string
	ContainerFormat string
	Visibility      string            // "" means the service's default
	Properties      map[string]string // custom ones
}

// document is what is sent to create the image. Properties stand beside the
// attributes and cannot replace them.
func (s Spec) document() map[string]string {
	d := make(map[string]string, len(s.Properties)+5)
	for name, value := range s.Properties {
		d[name] = value
	}
	for name, value := range map[string]string{
		"id": s.ID, "name": s.Name, "visibility": s.Visibility,
		"disk_format": s.DiskFormat, "container_format": s.ContainerFormat,
	} {
		if value != "" {
			d[name] = value
		}
	}
	return d
}

// Health returns nil if the service answers its health check, which needs no
// token.
func (c *Client) Health(ctx context.Context) error {
	r, err := c.request(ctx, http.MethodGet, "/healthcheck", nil)
	if err != nil {
		return err
	}
	return c.do(r, nil)
}

// List returns the images of a name that the caller can see; all of them if
// the name is empty.
func (c *Client) List(ctx context.Context, name string) ([]Image, error) {
	path := "/v2/images?limit=100"
	if name != "" {
		path += "&name=" + url.QueryEscape(name)
	}
	var all []Image
	for path != "" {
		var page struct {
			Images []Image `json:"images"`
			Next   string  `json:"next"`
		}
		r, err := c.authorized(ctx, http.MethodGet, path, nil)
		if err != nil {
			return nil, err
		}
		if err := c.do(r, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Images...)
		path = page.Next
	}
	return all, nil
}

// Show returns one image.
func (c *Client) Show(ctx context.Context, id string) (Image, error) {
	var im Image
	r, err := c.authorized(ctx, http.MethodGet, "/v2/images/"+url.PathEscape(id), nil)
	if err != nil {
		return im, err
	}
	return im, c.do(r, &im)
}

// Create makes an image that has no data yet.
func (c *Client) Create(ctx context.Context, s Spec) (Image, error) {
	var im Image
	body, err := json.Marshal(s.document())
	if err != nil {
		return im, fmt.Errorf("create image %q: %w", s.Name, err)
	}
	r, err := c.authorized(ctx, http.MethodPost, "/v2/images", bytes.NewReader(body))
	if err != nil {
		return im, err
	}
	r.Header.Set("Content-Type", "application/json")
	return im, c.do(r, &im)
}

// Upload gives an image its data: everything data yields, which is read once
// and not kept. If it fails the image is as it was. Who knows the size passes
// it; otherwise it is negative.
func (c *Client) Upload(ctx context.Context, id string, data io.Reader, size int64) error {
	r, err := c.authorized(ctx, http.MethodPut, "/v2/images/"+url.PathEscape(id)+"/file", io.NopCloser(data))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	r.ContentLength = size
	if size == 0 {
		r.Body = http.NoBody // otherwise 0 means that the size is not known
	}
	return c.do(r, nil)
}

// Delete removes an image and its data.
func (c *Client) Delete(ctx context.Context, id string) error {
	r, err := c.authorized(ctx, http.MethodDelete, "/v2/images/"+url.PathEscape(id), nil)
	if err != nil {
		return err
	}
	return c.do(r, nil)
}

// authorized is request with the token.
func (c *Client) authorized(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	r, err := c.request(ctx, method, path, body)
	if err != nil || c.o.Token == nil {
		return r, err
	}
	token, err := c.o.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s %s: token: %w", method, c.base+path, err)
	}
	r.Header.Set("X-Auth-Token", token)
	return r, nil
}

func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%s %s: the next page is elsewhere", method, path) // the token must not go there
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json, text/plain;q=0.9")
	if c.o.UserAgent != "" {
		r.Header.Set("User-Agent", c.o.UserAgent)
	}
	return r, nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// do sends r and reads the answer into to, if that is not nil.
func (c *Client) do(r *http.Request, to any) error {
	resp, err := c.o.HTTP.Do(r)
	if err != nil {
		return err // it names method and URL
	}
	defer resp.Body.Close()
	what := r.Method + " " + r.URL.String()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return refusal(resp, what)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if to == nil {
		return nil
	}
	if err := json.Unmarshal(body, to); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// refusal returns the error that an answer is which is no success.
func refusal(resp *http.Response, what string) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: %d %s: %w", what, resp.StatusCode, http.StatusText(resp.StatusCode), err)
	}
	return fmt.Errorf("%s: %w", what, &Error{Status: resp.StatusCode, Message: message(resp.Header.Get("Content-Type"), body)})
}

var markup = regexp.MustCompile(`(?s)<title>.*?</title>|<h1>.*?</h1>|<[^>]*>`)

// message returns the text of an error, in one line and not longer than a
// person wants to read.
func message(contentType string, body []byte) string {
	text := string(body)
	switch {
	case strings.HasPrefix(contentType, "application/json"):
		var doc struct {
			Message string `json:"message"`
			Error   struct {
				Message string `json:"message"`
			} `json:"error"` // what a proxy or Keystone says
		}
		if json.Unmarshal(body, &doc) == nil {
			text = doc.Message + doc.Error.Message
		}
		text = markup.ReplaceAllString(text, " ")
	case strings.HasPrefix(contentType, "text/html"):
		text = markup.ReplaceAllString(text, " ")
	case strings.HasPrefix(contentType, "text/plain"):
		if status, rest, ok := strings.Cut(text, "\n\n"); ok && len(status) < 60 {
			text = rest // the first paragraph repeats the status
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}
