package apiv2

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"glancectl/service/glance"
)

// A Cache keeps image data near, and can be told what to keep.
type Cache interface {
	// Cached returns the images that it has the data of.
	Cached(ctx context.Context) ([]CachedImage, error)
	// Queued returns the images whose data it is to get, oldest first.
	Queued(ctx context.Context) ([]glance.ID, error)
	// Queue has it get the data of an image; it returns before that is done.
	Queue(ctx context.Context, id glance.ID) error
	// Forget drops the data of an image, and its place in the queue. Nothing
	// of it need be there.
	Forget(ctx context.Context, id glance.ID) error
}

// A CachedImage is what is known about data in a Cache.
type CachedImage struct {
	ID           glance.ID
	Hits         int64
	LastAccessed time.Time
	LastModified time.Time
	Size         int64
}

func (a *API) cacheRoutes() []route {
	return []route{
		{"/v2/cache", []method{
			{"GET", false, a.listCache},
			{"DELETE", false, a.clearCache},
		}},
		{"/v2/cache/{id}", []method{
			{"DELETE", false, a.uncacheImage},
			{"PUT", false, a.cacheImage},
		}},
	}
}

// allowCache returns nil if the caller may do r, with an image if there is
// one, and there is a cache to do it with.
func (a *API) allowCache(ctx context.Context, r glance.Rule, im *glance.Image) error {
	if err := a.images.May(ctx, r, im); err != nil {
		return err
	}
	if a.o.Cache == nil {
		return notFound("Caching via API is not supported at this site.")
	}
	return nil
}

func (a *API) listCache(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if err := a.allowCache(ctx, glance.CacheList, nil); err != nil {
		return err
	}
	entries, err := a.o.Cache.Cached(ctx)
	if err != nil {
		return err
	}
	waiting, err := a.o.Cache.Queued(ctx)
	if err != nil {
		return err
	}
	cached, queued := list{}, []string{}
	for _, e := range entries {
		cached = append(cached, object{
			{"image_id", string(e.ID)},
			{"hits", e.Hits},
			{"last_accessed", seconds(e.LastAccessed)},
			{"last_modified", seconds(e.LastModified)},
			{"size", e.Size},
		})
	}
	for _, id := range waiting {
		queued = append(queued, string(id))
	}
	return reply(w, http.StatusOK, appendJSON(nil, object{{"cached_images", cached}, {"queued_images", queued}}))
}

// seconds is a time as clients of the cache know it.
func seconds(t time.Time) json.Number {
	s := strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return json.Number(s)
}

// clearCache empties the cache, its queue, or both.
func (a *API) clearCache(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if err := a.allowCache(ctx, glance.CacheDelete, nil); err != nil {
		return err
	}
	target := strings.ToLower(r.Header.Get("X-Image-Cache-Clear-Target"))
	var ids []glance.ID
	switch target {
	case "", "cache", "queue":
	default:
		return bad("If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string.")
	}
	if target != "queue" {
		entries, err := a.o.Cache.Cached(ctx)
		if err != nil {
			return err
		}
		for _, e := range entries {
			ids = append(ids, e.ID)
		}
	}
	if target != "cache" {
		queued, err := a.o.Cache.Queued(ctx)
		if err != nil {
			return err
		}
		ids = append(ids, queued...)
	}
	for _, id := range ids {
		if err := a.o.Cache.Forget(ctx, id); err != nil {
			return err
		}
	}
	return done(w)
}

// uncacheImage takes an image out of the cache: also one that does not exist
// any more, as long as the cache has something of it.
func (a *API) uncacheImage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	id, err := imageID(r, noImageFound)
	if err != nil {
		return err
	}
	im, err := a.images.Get(ctx, id)
	if errors.Is(err, glance.ErrNotFound) {
		var held bool
		held, err = a.holds(ctx, id)
		if err == nil && !held {
			err = notFound(noImageFound, id)
		}
	}
	if err != nil {
		return err
	}
	if err := a.allowCache(ctx, glance.CacheDelete, im); err != nil {
		return err
	}
	if err := a.o.Cache.Forget(ctx, id); err != nil {
		return err
	}
	return done(w)
}

// holds says whether the cache, if there is one, has something of an image.
func (a *API) holds(ctx context.Context, id glance.ID) (bool, error) {
	if a.o.Cache == nil {
		return false, nil
	}
	entries, err := a.o.Cache.Cached(ctx)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if e.ID == id {
			return true, nil
		}
	}
	queued, err := a.o.Cache.Queued(ctx)
	for _, q := range queued {
		if q == id {
			return true, nil
		}
	}
	return false, err
}

func (a *API) cacheImage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	id, err := imageID(r, noImageFound)
	if err != nil {
		return err
	}
	im, err := a.images.Get(ctx, id)
	if errors.Is(err, glance.ErrNotFound) {
		return notFound(noImageFound, id)
	}
	if err != nil {
		return err
	}
	if err := a.allowCache(ctx, glance.CacheImage, im); err != nil {
		return err
	}
	if im.Status != glance.Active {
		return bad("Only images with status active can be targeted for queueing")
	}
	if err := a.o.Cache.Queue(ctx, id); err != nil {
		return err
	}
	w.Header().Set("Content-Length", "0")
	w.Header().Set("Content-Type", "text/html; charset=UTF-8") // of nothing, as ever
	w.WriteHeader(http.StatusAccepted)
	return nil
}
