package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/apiv2"
	"glancectl/service/internal/fault"
	"glancectl/service/internal/imagecache"
	"glancectl/service/internal/jobs"
)

// A cacheManager answers the calls by which administrators see what is in the
// cache, and queue images for the prefetcher.
type cacheManager struct {
	cache *imagecache.Cache
	rules glance.Policy
	log   *slog.Logger
	next  http.Handler
}

// ServeHTTP implements http.Handler.
func (m *cacheManager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refused := &fault.Fault{Code: http.StatusForbidden, Text: "You are not authorized to complete manage_image_cache action."}
	path, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	if !ok {
		path, ok = strings.CutPrefix(r.URL.Path, "/v1/")
		refused.Text = "" // the releases that had it said no more
	}
	call, id, one := strings.Cut(path, "/")
	if one {
		call += "/"
	}
	call = r.Method + " " + call
	if !ok || !slices.Contains(cacheCalls, call) || one && (id == "" || strings.Contains(id, "/")) {
		m.next.ServeHTTP(w, r)
		return
	}
	if !m.rules.Allows(glance.CallerFrom(r.Context()), glance.ManageImageCache, glance.Target{}) {
		refused.Write(w, r)
		return
	}
	image, err := glance.ParseID(id)
	answer := "null"
	switch {
	case one && err != nil && r.Method != http.MethodDelete:
		(&fault.Fault{Code: http.StatusNotFound}).Write(w, r)
		return
	case one && err != nil: // of what cannot be an image there is nothing to remove
		err = nil
	default:
		answer, err = m.call(r.Context(), call, image)
	}
	if err != nil {
		m.log.ErrorContext(r.Context(), "the cache failed", slog.String("call", call), slog.Any("error", err))
		(&fault.Fault{Code: http.StatusInternalServerError}).Write(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = io.WriteString(w, answer) // a client that is gone needs no answer
}

// cacheCalls are what call knows; a slash stands for the ID of an image.
var cacheCalls = []string{
	"GET cached_images", "DELETE cached_images", "DELETE cached_images/",
	"GET queued_images", "DELETE queued_images", "DELETE queued_images/", "PUT queued_images/",
}

// call does what is asked and returns the document that answers it.
func (m *cacheManager) call(ctx context.Context, call string, id glance.ID) (string, error) {
	switch call {
	case "GET cached_images":
		entries, err := m.cache.Entries(ctx)
		var list []string
		for _, e := range entries {
			list = append(list, fmt.Sprintf(`{"image_id": %q, "hits": %d, "last_accessed": %f, "last_modified": %f, "size": %d}`,
				e.ID, e.Hits, seconds(e.LastAccessed), seconds(e.LastModified), e.Size))
		}
		return `{"cached_images": [` + strings.Join(list, ", ") + "]}", err
	case "DELETE cached_images":
		entries, err := m.cache.Entries(ctx)
		for _, e := range entries {
			err = errors.Join(err, m.cache.Drop(ctx, e.ID))
		}
		return fmt.Sprintf(`{"num_deleted": %d}`, len(entries)), err
	case "GET queued_images":
		ids, err := m.cache.Queued(ctx)
		var list []string
		for _, id := range ids {
			list = append(list, fmt.Sprintf("%q", id))
		}
		return `{"queued_images": [` + strings.Join(list, ", ") + "]}", err
	case "DELETE queued_images":
		ids, err := m.cache.Queued(ctx)
		for _, id := range ids {
			err = errors.Join(err, m.cache.Unqueue(id))
		}
		return fmt.Sprintf(`{"num_deleted": %d}`, len(ids)), err
	case "DELETE cached_images/":
		return "null", m.cache.Drop(ctx, id)
	case "DELETE queued_images/":
		return "null", m.cache.Unqueue(id)
	case "PUT queued_images/":
		_, err := m.cache.Queue(id)
		return "null", err
	}
	return "", fmt.Errorf("%s: no such call", call)
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// A cacheControl is the cache of image data for the API: what is queued there
// is fetched at once, one image after the other.
type cacheControl struct {
	*imagecache.Cache
	images jobs.Downloader // not through the cache
	log    *slog.Logger

	ctx     context.Context // of the fetches
	stop    context.CancelFunc
	running sync.WaitGroup
	turn    sync.Mutex // held by the one that fetches
	waiting sync.Map   // the images that are to be fetched, or are being fetched
}

func newCacheControl(c *imagecache.Cache, images jobs.Downloader, log *slog.Logger) *cacheControl {
	cc := &cacheControl{Cache: c, images: images, log: log}
	cc.ctx, cc.stop = context.WithCancel(context.Background())
	return cc
}

// close breaks off what is being fetched, and waits until it has ended. What is
// queued stays so. Nothing may be queued at the same time.
func (c *cacheControl) close() {
	c.stop()
	c.running.Wait()
}

// Cached implements apiv2.Cache.
func (c *cacheControl) Cached(ctx context.Context) ([]apiv2.CachedImage, error) {
	entries, err := c.Entries(ctx)
	list := make([]apiv2.CachedImage, len(entries))
	for i, e := range entries {
		list[i] = apiv2.CachedImage{ID: e.ID, Hits: e.Hits, LastAccessed: e.LastAccessed, LastModified: e.LastModified, Size: e.Size}
	}
	return list, err
}

// Queue implements apiv2.Cache. What waits for the prefetcher already is
// fetched all the same.
func (c *cacheControl) Queue(ctx context.Context, id glance.ID) error {
	if _, err := c.Cache.Queue(id); err != nil {
		return err
	}
	queued, err := c.Queued(ctx)
	if err != nil || !slices.Contains(queued, id) { // the data is there
		return err
	}
	if _, already := c.waiting.LoadOrStore(id, true); already {
		return nil
	}
	c.running.Go(func() {
		defer c.waiting.Delete(id)
		c.turn.Lock()
		defer c.turn.Unlock()
		if c.ctx.Err() != nil {
			return
		}
		if err := jobs.PrefetchOne(c.ctx, c.Cache, c.images, id); err != nil && c.ctx.Err() == nil {
			c.log.Error("an image could not be cached", slog.String("image", string(id)), slog.Any("error", err))
		}
	})
	return nil
}

// Forget implements apiv2.Cache.
func (c *cacheControl) Forget(ctx context.Context, id glance.ID) error { return c.Drop(ctx, id) }
