package glance

import (
	"context"
	"io"
)

// A DataCache keeps copies of image data near. Images asks it only after it
// has decided that the caller may read the data.
type DataCache interface {
	// Open returns n bytes of im's data from off on, all that is left when n is
	// negative: from the cache if it has the data whole, otherwise from
	// fetch. A whole download that is read to its end is kept, if its length and
	// checksum are im's. A cache that fails never fails the download. What fetch
	// gives may be a file that has a Link method, as os.Link with one name; then
	// the cache need not copy.
	Open(ctx context.Context, im *Image, off, n int64, fetch func(off, n int64) (io.ReadCloser, error)) (io.ReadCloser, error)
	// Drop forgets the image. It is no error if there is nothing to forget.
	Drop(ctx context.Context, id ID) error
}
