package glance

import "context"

// A Sizer is a Store that can tell how much data an object has without reading
// it. Only what is in such a store can become the location of an image.
type Sizer interface {
	// Size returns the number of bytes at url; ErrNotFound if there is no such
	// object, ErrUnavailable if nobody knows.
	Size(ctx context.Context, url string) (int64, error)
}
