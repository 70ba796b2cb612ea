package service

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/imagecache"
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
	what, id, one := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	if what != "cached_images" && what != "queued_images" || !strings.HasPrefix(r.URL.Path, "/v2/") {
		m.next.ServeHTTP(w, r)
		return
	}
	if !m.rules.Allows(glance.CallerFrom(r.Context()), glance.ManageImageCache, glance.Target{}) {
		http.Error(w, "Access was denied to this resource.", http.StatusForbidden)
		return
	}
	image, err := glance.ParseID(id)
	if one && err != nil {
		http.Error(w, "Invalid image ID", http.StatusNotFound)
		return
	}
	call := r.Method + " " + what
	if one {
		call += "/"
	}
	answer, err := m.call(r, call, image)
	if err != nil {
		m.log.ErrorContext(r.Context(), "the cache failed", slog.String("call", call), slog.Any("error", err))
		http.Error(w, "The cache failed.", http.StatusInternalServerError)
		return
	}
	if answer == unknownCall {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // a client that is gone needs no answer
}

// unknownCall is what call returns when there is no such call.
const unknownCall = "no such call"

// cached is an entry as it is shown.
type cached struct {
	ID       glance.ID `json:"image_id"`
	Hits     int64     `json:"hits"`
	Accessed float64   `json:"last_accessed"`
	Modified float64   `json:"last_modified"`
	Size     int64     `json:"size"`
}

// deleted is the answer to removing several.
type deleted struct {
	Number int `json:"num_deleted"`
}

// call does what is asked and returns the document that answers it.
func (m *cacheManager) call(r *http.Request, call string, id glance.ID) (any, error) {
	ctx := r.Context()
	switch call {
	case "GET cached_images":
		entries, err := m.cache.Entries(ctx)
		list := []cached{}
		for _, e := range entries {
			list = append(list, cached{e.ID, e.Hits, seconds(e.LastAccessed), seconds(e.LastModified), e.Size})
		}
		return map[string][]cached{"cached_images": list}, err
	case "DELETE cached_images":
		entries, err := m.cache.Entries(ctx)
		for i, e := range entries {
			if err := m.cache.Drop(ctx, e.ID); err != nil {
				return deleted{i}, err
			}
		}
		return deleted{len(entries)}, err
	case "DELETE cached_images/":
		return nil, m.cache.Drop(ctx, id)
	case "GET queued_images":
		ids, err := m.cache.Queued(ctx)
		return map[string][]glance.ID{"queued_images": append([]glance.ID{}, ids...)}, err
	case "DELETE queued_images":
		ids, err := m.cache.Queued(ctx)
		for i, id := range ids {
			if err := m.cache.Unqueue(id); err != nil {
				return deleted{i}, err
			}
		}
		return deleted{len(ids)}, err
	case "PUT queued_images/":
		_, err := m.cache.Queue(id)
		return nil, err
	case "DELETE queued_images/":
		return nil, m.cache.Unqueue(id)
	}
	return unknownCall, nil
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
