package client

import (
	"context"
	"net/http"
	"net/url"
)

// A CachedImage is an image whose data is in the cache of the node.
type CachedImage struct {
	ID           string  `json:"image_id"`
	LastAccessed float64 `json:"last_accessed"` // seconds since 1970; 0 means never
	LastModified float64 `json:"last_modified"`
	Size         int64   `json:"size"`
	Hits         int64   `json:"hits"`
}

// Cached returns what is in the cache of the node. As all calls about the cache it needs the cache management filter there;
// without, the error is one that IsNotFound knows.
func (c *Client) Cached(ctx context.Context) ([]CachedImage, error) {
	var answer struct {
		Images []CachedImage `json:"cached_images"`
	}
	err := c.cacheCall(ctx, http.MethodGet, "cached_images", &answer)
	return answer.Images, err
}

// Queued returns the IDs of the images that wait to be cached.
func (c *Client) Queued(ctx context.Context) ([]string, error) {
	var answer struct {
		IDs []string `json:"queued_images"`
	}
	err := c.cacheCall(ctx, http.MethodGet, "queued_images", &answer)
	return answer.IDs, err
}

// Queue has an image cached by the next run of the prefetcher.
func (c *Client) Queue(ctx context.Context, id string) error {
	return c.cacheCall(ctx, http.MethodPut, "queued_images/"+url.PathEscape(id), nil)
}

// Uncache takes an image out of the cache, and Unqueue out of the queue, if it
// is there.
func (c *Client) Uncache(ctx context.Context, id string) error {
	return c.cacheCall(ctx, http.MethodDelete, "cached_images/"+url.PathEscape(id), nil)
}

// Unqueue is described at Uncache.
func (c *Client) Unqueue(ctx context.Context, id string) error {
	return c.cacheCall(ctx, http.MethodDelete, "queued_images/"+url.PathEscape(id), nil)
}

// UncacheAll empties the cache, and UnqueueAll the queue. They return how many
// images were there.
func (c *Client) UncacheAll(ctx context.Context) (int, error) {
	return c.deleteAll(ctx, "cached_images")
}

// UnqueueAll is described at UncacheAll.
func (c *Client) UnqueueAll(ctx context.Context) (int, error) {
	return c.deleteAll(ctx, "queued_images")
}

func (c *Client) deleteAll(ctx context.Context, what string) (int, error) {
	var answer struct {
		Number int `json:"num_deleted"`
	}
	err := c.cacheCall(ctx, http.MethodDelete, what, &answer)
	return answer.Number, err
}

func (c *Client) cacheCall(ctx context.Context, method, path string, to any) error {
	r, err := c.authorized(ctx, method, "/v2/"+path, nil)
	if err != nil {
		return err
	}
	return c.do(r, to)
}
