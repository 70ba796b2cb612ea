// Package httpstore reads image data that lies on web servers: a
// [glance.Store] whose objects are http and https URLs that somebody has given
// an image as locations.
//
// The service opens one for the "http" store of its configuration. The store
// is for reading only: it takes no data and removes none. How a request gets
// to a server, and whether it may, is the business of the [Web] that it is
// given; the package knows neither addresses nor certificates.
package httpstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"glancectl/service/glance"
)

// A Web asks web servers. The answer comes whatever its status is, and its body
// must be closed. The error is a glance.ErrInvalid if the URL must not be asked
// for, and a glance.ErrUnavailable if there was no answer.
type Web interface {
	Do(ctx context.Context, method, url string, header http.Header) (*http.Response, error)
}

// A Store reads what is on web servers. Its methods may be called from several
// goroutines at once.
type Store struct{ web Web }

var (
	_ glance.Store = (*Store)(nil)
	_ glance.Owner = (*Store)(nil)
	_ glance.Sizer = (*Store)(nil)
)

// New returns a store that asks web.
func New(web Web) *Store { return &Store{web} }

// Scheme implements glance.Store.
func (s *Store) Scheme() string { return "http" }

// Owns implements glance.Owner: the URLs of the store have two schemes.
func (s *Store) Owns(location string) bool {
	u, err := url.Parse(location)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// Put takes nothing: it returns a glance.Refusal of the kind glance.ErrGone and
// leaves r as it is.
func (s *Store) Put(context.Context, glance.ID, io.Reader) (string, int64, error) {
	return "", 0, &glance.Refusal{
		Kind:    glance.ErrGone,
		Message: "Error in store configuration. Adding images to store is disabled.",
	}
}

// Delete does nothing: what is on somebody else's server stays there.
func (s *Store) Delete(context.Context, string) error { return nil }

// Open implements glance.Store. A server that knows no ranges is read from the
// beginning. What the server has is all the data that there is: the reader
// fails if less comes.
func (s *Store) Open(ctx context.Context, location string, off, n int64) (io.ReadCloser, error) {
	var header http.Header
	switch {
	case n >= 0:
		header = http.Header{"Range": {"bytes=" + span(off, n)}}
	case off > 0:
		header = http.Header{"Range": {"bytes=" + strconv.FormatInt(off, 10) + "-"}}
	}
	resp, err := s.ask(ctx, http.MethodGet, location, header)
	if err != nil {
		return nil, err
	}
	body, err := from(resp, off)
	if err != nil {
		resp.Body.Close()
		return nil, fmt.Errorf("read image data: %w", err)
	}
	if n >= 0 {
		body = io.LimitReader(body, n)
	}
	return &reader{body, resp.Body}, nil
}

// span writes a range as the header has it. One of no bytes cannot be written;
// it becomes one of a byte, so that a missing object is noticed all the same.
func span(off, n int64) string {
	last := off + max(n, 1) - 1
	if last < off {
		last = math.MaxInt64
	}
	return strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(last, 10)
}

// A reader is what is wanted of a body.
type reader struct {
	io.Reader
	io.Closer
}

// from returns the body of an answer from off on.
func from(resp *http.Response, off int64) (io.Reader, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return &skipper{r: resp.Body, left: off}, nil
	case http.StatusPartialContent:
		first, _, err := contentRange(resp)
		if err == nil && first != off {
			err = fmt.Errorf("%w: the server answers with another range than was asked for", glance.ErrUnavailable)
		}
		return resp.Body, err
	case http.StatusRequestedRangeNotSatisfiable:
		return strings.NewReader(""), nil // off is at the end or behind it
	}
	return nil, failure(resp)
}

// A skipper leaves out the beginning of what it reads. It reads it when it is
// read itself, so that opening does not take as long.
type skipper struct {
	r    io.Reader
	left int64
}

func (s *skipper) Read(p []byte) (int, error) {
	if s.left > 0 {
		n, err := io.CopyN(io.Discard, s.r, s.left)
		s.left -= n
		if err != nil {
			return 0, err
		}
	}
	return s.r.Read(p)
}

// Size implements glance.Sizer. A server that does not tell a size when it is
// asked for the head alone is asked for the first byte.
func (s *Store) Size(ctx context.Context, location string) (int64, error) {
	resp, err := s.ask(ctx, http.MethodHead, location, nil)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK && resp.ContentLength >= 0 {
		return resp.ContentLength, nil
	}
	if resp.StatusCode == http.StatusNotFound {
		return 0, fmt.Errorf("size of image data: %w", failure(resp))
	}
	resp, err = s.ask(ctx, http.MethodGet, location, http.Header{"Range": {"bytes=0-0"}})
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	size := int64(-1)
	switch resp.StatusCode {
	case http.StatusOK:
		size = resp.ContentLength
	case http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		_, size, err = contentRange(resp)
	default:
		err = failure(resp)
	}
	if err == nil && size < 0 {
		err = fmt.Errorf("%w: the server does not tell it", glance.ErrUnavailable)
	}
	if err != nil {
		return 0, fmt.Errorf("size of image data: %w", err)
	}
	return size, nil
}

// ask sends a request. What is no URL of a server, or must not be asked for, is
// none of the store's objects.
func (s *Store) ask(ctx context.Context, method, location string, header http.Header) (*http.Response, error) {
	if !s.Owns(location) {
		return nil, fmt.Errorf("image data: %w: no URL of a web server", glance.ErrNotFound)
	}
	resp, err := s.web.Do(ctx, method, location, header)
	if errors.Is(err, glance.ErrInvalid) {
		return nil, fmt.Errorf("image data: %w: %v", glance.ErrNotFound, err)
	}
	if err != nil {
		return nil, fmt.Errorf("image data: %w", err)
	}
	return resp, nil
}

// failure returns what an answer that is no data means.
func failure(resp *http.Response) error {
	kind := glance.ErrUnavailable
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		kind = glance.ErrNotFound
	}
	return fmt.Errorf("%w: the server answers with status %d", kind, resp.StatusCode)
}

// contentRange reads the header of an answer that is a part: where the part
// begins, 0 if it says nothing of that, and how much there is in all, -1 if the
// server does not know.
func contentRange(resp *http.Response) (first, size int64, err error) {
	bad := fmt.Errorf("%w: the server answers with a part and does not say which", glance.ErrUnavailable)
	text, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
	part, total, split := strings.Cut(text, "/")
	if !ok || !split {
		return 0, 0, bad
	}
	if part != "*" {
		from, _, _ := strings.Cut(part, "-")
		if first, err = strconv.ParseInt(from, 10, 64); err != nil {
			return 0, 0, bad
		}
	}
	if total == "*" {
		return first, -1, nil
	}
	if size, err = strconv.ParseInt(total, 10, 64); err != nil || size < 0 {
		return 0, 0, bad
	}
	return first, size, nil
}
