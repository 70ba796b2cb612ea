package apiv1

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
	"glancectl/service/internal/v1wire"
)

const octets = "application/octet-stream"

func (a *API) index(w http.ResponseWriter, r *http.Request) error {
	return a.list(w, r, func(im *glance.Image) any { return v1wire.BriefOf(im) })
}

func (a *API) detail(w http.ResponseWriter, r *http.Request) error {
	return a.list(w, r, func(im *glance.Image) any { return v1wire.FullOf(shown(im)) })
}

func (a *API) noDetail(http.ResponseWriter, *http.Request) error {
	f := v1wire.Refused(http.StatusMethodNotAllowed, "This operation is currently not permitted on Glance images details.")
	f.Header = http.Header{"Allow": {"GET"}}
	return f
}

// list answers a list of images in the form that show gives them. Callers who
// are the same to every rule and ask the same at the same time, with one token,
// get one document. The token is that of the request, whether or not anybody has
// validated it: a registry may be asked with it.
func (a *API) list(w http.ResponseWriter, r *http.Request, show func(*glance.Image) any) error {
	token := cmp.Or(r.Header.Get("X-Auth-Token"), r.Header.Get("X-Storage-Token"))
	key := glance.CallerFrom(r.Context()).Key() + r.URL.Path + "?" + r.URL.RawQuery + " " + token
	body, _, err := a.lists.Get(r.Context(), key, func(ctx context.Context) ([]byte, error) {
		return a.listDocument(ctx, r.URL.Query(), show)
	})
	if err != nil {
		return err
	}
	v1wire.Send(w, http.StatusOK, body)
	return nil
}

// listDocument returns the document of a list. Mistakes in what a registry
// would have to understand are told in its words.
func (a *API) listDocument(ctx context.Context, params url.Values, show func(*glance.Image) any) ([]byte, error) {
	p := v1wire.Params(params).Known()
	if err := p.Check(); err != nil {
		return nil, err
	}
	q, err := p.Query(glance.CallerFrom(ctx), a.limits)
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return nil, nested(f.Code, f)
	}
	if err != nil {
		return nil, err
	}
	q.Bare = true // where data is stands in no list
	images, _, err := a.images.List(ctx, q)
	if errors.Is(err, glance.ErrInvalid) && q.Marker != "" {
		return nil, nested(http.StatusBadRequest, v1wire.NoMarker())
	}
	if err != nil {
		return nil, err
	}
	list := make([]any, len(images))
	for i, im := range images {
		list[i] = show(im)
	}
	return v1wire.JSON(struct {
		Images []any `json:"images"`
	}{list})
}

// reply answers with the document of an image.
func reply(w http.ResponseWriter, code int, im *glance.Image) error {
	etag(w.Header(), im)
	return v1wire.Reply(w, code, struct {
		Image v1wire.Full `json:"image"`
	}{v1wire.FullOf(shown(im))})
}

func (a *API) meta(w http.ResponseWriter, r *http.Request) error {
	im, err := a.find(r)
	if err != nil {
		return err
	}
	write(w.Header(), im)
	empty(w, http.StatusOK, "text/html; charset=UTF-8")
	return nil
}

// data answers the data of an image, all of it. Version 1 has no exception for
// admins who read a deactivated image.
func (a *API) data(w http.ResponseWriter, r *http.Request) error {
	im, err := a.find(r)
	switch {
	case err != nil:
		return err
	case im.Status == glance.Deactivated:
		return v1wire.Detailed(http.StatusForbidden, "Image %s is deactivated", im.ID)
	case im.Status != glance.Active:
		return v1wire.Detailed(http.StatusNotFound, "Image %s is not active", im.ID)
	}
	data, err := a.images.Download(r.Context(), im.ID)
	if errors.Is(err, glance.ErrNotFound) {
		return noImage(string(im.ID))
	}
	if err != nil {
		return err
	}
	im = data.Image
	if im.Size == nil || *im.Size == 0 {
		write(w.Header(), im)
		empty(w, http.StatusOK, octets)
		return nil
	}
	rc, err := data.Open(r.Context(), 0, -1)
	if errors.Is(err, glance.ErrNotFound) {
		a.o.Log.WarnContext(r.Context(), "the data of an image is lost", "image", im.ID, "error", err)
		return v1wire.Refused(http.StatusNotFound, "Image %s not found", im.ID)
	}
	if err != nil {
		return err
	}
	defer rc.Close()
	write(w.Header(), im)
	w.Header().Set("Content-Type", octets)
	w.Header().Set("Content-Length", strconv.FormatInt(*im.Size, 10))
	w.WriteHeader(http.StatusOK)
	sent := a.send(w, r, rc, *im.Size)
	data.Receiver = host(r)
	data.Sent(r.Context(), sent, sent == *im.Size)
	return nil
}

// host returns the address of the client, without its port.
func host(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr // as a proxy has told it
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

// remove deletes an image.
func (a *API) remove(w http.ResponseWriter, r *http.Request) error {
	im, err := a.find(r)
	switch {
	case err != nil:
		return err
	case im.Protected && mine(r, im):
		return forbidden("Image is protected")
	case im.Status == glance.PendingDelete:
		return forbidden("Forbidden to delete a pending_delete image.")
	case im.Status == glance.Deleted:
		return v1wire.Refused(http.StatusNotFound, "Image %s not found.", im.ID)
	}
	err = a.images.Delete(r.Context(), im.ID)
	if errors.Is(err, glance.ErrForbidden) && !mine(r, im) {
		return others("delete", im)
	}
	if err != nil {
		return err
	}
	empty(w, http.StatusOK, "text/html; charset=UTF-8")
	return nil
}

// mine says whether the caller may be expected to change im at all.
func mine(r *http.Request, im *glance.Image) bool {
	c := glance.CallerFrom(r.Context())
	return c.Admin || im.Owner != nil && c.ProjectID != "" && *im.Owner == c.ProjectID
}

// others is the answer to who would change an image of others: one that is not
// public cannot be found.
func others(verb string, im *glance.Image) error {
	if im.Visibility != glance.Public {
		return v1wire.Refused(http.StatusNotFound, "Failed to find image to %s: Image not found", verb)
	}
	return forbidden("Forbidden to %s image: %s", verb, (&fault.Fault{Code: http.StatusForbidden}).Page())
}
