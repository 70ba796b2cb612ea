package apiv1

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"glancectl/service/glance"
	"glancectl/service/internal/v1wire"
)

// A source is where the data of an image comes from: the body of the request,
// another machine from which it is copied, another machine where it stays, or
// nowhere.
type source struct {
	body     bool
	copyURI  string // empty means that nothing is copied
	copy     *glance.Copy
	location string // empty means that there is none
}

// several says whether there is more than one.
func (s *source) several() bool {
	n := 0
	for _, is := range []bool{s.body, s.copyURI != "", s.location != ""} {
		if is {
			n++
		}
	}
	return n > 1
}

// close gives up what is not used.
func (s *source) close() {
	if s.copy != nil {
		s.copy.Close()
		s.copy = nil
	}
}

// hasBody says whether data comes with the request.
func hasBody(r *http.Request) bool { return r.ContentLength > 0 || len(r.TransferEncoding) > 0 }

const copyHeader = "X-Glance-Api-Copy-From"

// source returns where the data comes from, if it may come from there. It does
// not ask for it yet.
func (a *API) source(r *http.Request, m *meta) (*source, error) {
	s := &source{body: hasBody(r), location: m.value("location")}
	external := s.location
	if uris, ok := r.Header[copyHeader]; ok {
		s.copyURI = uris[0]
		if external == "" && s.copyURI == "" {
			return nil, bad("External source should not be empty")
		}
		if external == "" {
			external = s.copyURI
		}
	}
	if external == "" {
		return s, nil
	}
	u, err := url.Parse(external)
	if err != nil || !a.reachable(strings.ToLower(u.Scheme), s.location != "") {
		return nil, notSupported(external)
	}
	return s, nil
}

// local are schemes of data that is this machine's, or that is read with the
// service's own account.
var local = []string{"file", "filesystem", "swift+config"}

// reachable says whether data at a URL of that scheme can be an image's: it can
// be copied from a web server, and stay where a store can read it.
func (a *API) reachable(scheme string, stays bool) bool {
	web := scheme == "http" || scheme == "https"
	return !slices.Contains(local, scheme) && (!stays && web || stays && a.images.HasScheme(scheme))
}

func notSupported(uri string) error {
	return bad("External sources are not supported: '%s'", masked(uri))
}

// masked returns a URI without what may be a password in it.
func masked(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.User == nil {
		return uri
	}
	u.User = url.User("***")
	return u.String()
}

// open asks for data that is elsewhere. It returns how much there is, 0 if
// there is none or nobody knows.
func (a *API) open(r *http.Request, s *source) (size int64, err error) {
	if s.location != "" {
		return a.images.SizeAt(r.Context(), s.location)
	}
	if s.copyURI == "" {
		return 0, nil
	}
	c, err := a.images.OpenCopy(r.Context(), s.copyURI)
	if errors.Is(err, glance.ErrNotFound) {
		return 0, notSupported(s.copyURI)
	}
	if err != nil {
		return 0, err
	}
	s.copy = c
	return max(c.Size, 0), nil
}

// stores are the schemes by which a store can be asked for that makes URLs of
// another one.
var stores = map[string]string{"filesystem": "file", "swift": "swift+config", "swift+http": "swift+config", "swift+https": "swift+config"}

// storeScheme is the scheme of the URLs of a store that is asked for.
func storeScheme(name string) string {
	if scheme, ok := stores[name]; ok {
		return scheme
	}
	return name
}

// checkStore refuses stores that there are not.
func (a *API) checkStore(m *meta) error {
	name := m.value("store")
	if name == "" || a.images.HasScheme(storeScheme(name)) {
		return nil
	}
	return bad("Required store %s is invalid", name)
}

// gone says whether an image is not there any more.
func (a *API) gone(r *http.Request, im *glance.Image) bool {
	_, err := a.images.Get(r.Context(), im.ID)
	return errors.Is(err, glance.ErrNotFound)
}

// complete refuses to give data to an image without formats.
func complete(im *glance.Image) error {
	if im.DiskFormat == nil || *im.DiskFormat == "" {
		return bad("Disk format is not specified.")
	}
	if im.ContainerFormat == nil || *im.ContainerFormat == "" {
		return bad("Container format is not specified.")
	}
	return nil
}

// bring gives a queued image the data from s, and returns the image as it is
// then. Data that is copied comes later.
func (a *API) bring(r *http.Request, im *glance.Image, m *meta, s *source) (*glance.Image, error) {
	ctx := r.Context()
	if s.several() {
		return nil, bad("It's invalid to provide multiple image sources.")
	}
	if !s.body && s.copy == nil && s.location == "" {
		return im, nil
	}
	if err := complete(im); err != nil {
		return nil, err
	}
	var err error
	switch {
	case s.body:
		err = a.upload(r, im, m)
	case s.copy != nil:
		if err := a.images.CopyInto(ctx, im.ID, s.copy); err != nil {
			return nil, err
		}
		s.copy = nil // it is on its way
		return im, nil
	default:
		err = a.images.Refer(ctx, im.ID, s.location, m.size)
	}
	if err != nil {
		return nil, err
	}
	return a.images.Look(ctx, im.ID)
}

// upload stores the body of a request.
func (a *API) upload(r *http.Request, im *glance.Image, m *meta) error {
	ctx := r.Context()
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != octets {
		if err := a.images.Kill(ctx, im.ID); err != nil {
			return err
		}
		return bad("Content-Type must be application/octet-stream")
	}
	o := glance.UploadOptions{Size: max(r.ContentLength, 0), Scheme: storeScheme(m.value("store")), Kill: true, WantChecksum: m.value("checksum")}
	if m.size != nil && *m.size > 0 {
		o.WantSize = m.size
	}
	err := a.images.Upload(ctx, im.ID, r.Body, o)
	switch refusal, refused := errors.AsType[*glance.Refusal](err); {
	case err == nil:
		return nil
	case errors.Is(err, glance.ErrGone) && refused && a.gone(r, im):
		return v1wire.Refused(http.StatusPreconditionFailed, "%s", refusal.Message)
	case errors.Is(err, glance.ErrGone), errors.Is(err, glance.ErrTooLarge):
		// Refused before anything was stored, it would wait for data that nobody
		// sends again.
		if kill := a.images.Kill(ctx, im.ID); kill != nil && !errors.Is(kill, glance.ErrConflict) && !errors.Is(kill, glance.ErrNotFound) {
			return kill
		}
	case errors.Is(err, glance.ErrConflict):
		return v1wire.Detailed(http.StatusConflict, "Cannot upload to an unqueued image")
	case faultOf(err).Code == http.StatusInternalServerError:
		return fmt.Errorf("%w: %w", v1wire.Refused(http.StatusInternalServerError, "Failed to upload image %s", im.ID), err)
	}
	return err
}
