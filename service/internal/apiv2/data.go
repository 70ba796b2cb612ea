package apiv2

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
)

const octets = "application/octet-stream"

func (a *API) upload(w http.ResponseWriter, r *http.Request) error {
	if mediaType(r) != octets {
		return unsupported(r, nil)
	}
	id, err := imageID(r, noImage)
	if err != nil {
		return err
	}
	err = a.images.Upload(r.Context(), id, r.Body, glance.UploadOptions{
		Size:  max(r.ContentLength, 0),
		Store: r.Header.Get(storeHeader),
	})
	if err != nil {
		return err
	}
	return done(w)
}

func (a *API) download(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r, noImage)
	if err != nil {
		return err
	}
	data, err := a.images.Download(r.Context(), id)
	if err != nil {
		return err
	}
	if r.URL.RawQuery != "" {
		if prefer := r.URL.Query().Get("prefer"); prefer != "" {
			err = data.Prefer(r.Context(), strings.Split(prefer, ","))
		}
		if err != nil {
			return err
		}
	}
	if data.Empty() || data.Image.Size == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	size := *data.Image.Size
	span, err := parseRange(r.Header, size)
	if err != nil {
		return err
	}
	off, n := int64(0), int64(-1)
	if span != nil {
		off, n = span.off, span.n
	}
	rc, err := data.Open(r.Context(), off, n)
	if errors.Is(err, glance.ErrNotFound) {
		a.o.Log.WarnContext(r.Context(), "the data of an image is lost", "image", id, "error", err)
		w.WriteHeader(http.StatusNoContent) // as if the image had none, which is what clients expect
		return nil
	}
	if err != nil {
		return err
	}
	defer rc.Close()
	h := w.Header()
	h.Set("Content-Type", octets)
	if data.Image.Checksum != nil {
		h.Set("Content-MD5", *data.Image.Checksum) // hex, and of the whole image, always
	}
	code := http.StatusOK
	if span != nil {
		code, size = http.StatusPartialContent, span.n
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", span.off, span.off+span.n-1, *data.Image.Size))
	}
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(code)
	sent := a.send(w, r, rc, size)
	data.Sent(r.Context(), sent, sent == size)
	return nil
}

// send copies n bytes to the client and returns how many it sent. It is too
// late for an answer when that fails; the connection then ends short, which the
// client sees.
func (a *API) send(w http.ResponseWriter, r *http.Request, rc io.Reader, n int64) int64 {
	sent, err := io.Copy(w, rc)
	if r.Context().Err() != nil {
		return sent // the client went away
	}
	if err != nil || sent != n {
		a.o.Log.WarnContext(r.Context(), "download ended early", "path", r.URL.Path, "sent", sent, "size", n, "error", err)
	}
	return sent
}

// A span is a part of the data that a request asks for.
type span struct{ off, n int64 }

var (
	rangePattern        = regexp.MustCompile(`(?i)^bytes *= *(\d*) *- *(\d*)`) // whatever comes behind
	contentRangePattern = regexp.MustCompile(`^bytes (\d+)-(\d+)/(\d+|\*)$`)
)

// parseRange returns the part that the request asks for, nil for all of it.
// Glance once took ranges in a Content-Range header; there are still clients
// that send it.
func parseRange(h http.Header, size int64) (*span, error) {
	if v := h.Get("Range"); v != "" {
		return parseRangeHeader(v, size)
	}
	if v := h.Get("Content-Range"); v != "" {
		return parseContentRange(v, size)
	}
	return nil, nil
}

func parseRangeHeader(v string, size int64) (*span, error) {
	if strings.Contains(v, ",") {
		return nil, bad("Requests with multiple ranges are not supported in Glance. You may make multiple single-range requests instead.")
	}
	m := rangePattern.FindStringSubmatch(v)
	if m == nil || m[1] == "" && m[2] == "" {
		return nil, unsatisfiable("Invalid Range header.")
	}
	first, err1 := position(m[1])
	last, err2 := position(m[2])
	if err1 != nil || err2 != nil {
		return nil, unsatisfiable("Invalid Range header.")
	}
	switch {
	case m[1] == "": // the last so many bytes; none means all, as ever
		first = 0
		if last > 0 && last < size {
			first = size - last
		}
		last = size - 1
	case m[2] == "":
		last = size - 1
	case last < first:
		return nil, unsatisfiable("Invalid Range header.")
	}
	if first >= size {
		return nil, unsatisfiable("Invalid start position in Range header. Start position MUST be in the inclusive range [0, %d].", size-1)
	}
	return &span{first, min(last, size-1) - first + 1}, nil
}

func parseContentRange(v string, size int64) (*span, error) {
	m := contentRangePattern.FindStringSubmatch(v)
	if m == nil {
		return nil, unsatisfiable("Invalid Content-Range header.")
	}
	first, err1 := position(m[1])
	last, err2 := position(m[2])
	if err1 != nil || err2 != nil || last < first {
		return nil, unsatisfiable("Invalid Content-Range header.")
	}
	if last >= size {
		return nil, unsatisfiable("Invalid stop position in Content-Range header. The stop position MUST be in the inclusive range [0, %d].", size-1)
	}
	return &span{first, last - first + 1}, nil
}

func position(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) { // as good as the end
		return math.MaxInt64, nil
	}
	return n, err
}

func unsatisfiable(format string, args ...any) error {
	return &fault.Fault{Code: http.StatusRequestedRangeNotSatisfiable, Detail: fmt.Sprintf(format, args...)}
}
