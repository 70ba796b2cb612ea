package glance

import (
	"context"
	"io"
)

// A Converter turns image data of one disk format into another. It is safe for
// concurrent use.
type Converter interface {
	// Format is the disk format that it makes.
	Format() string
	// Reads says whether it can read data of a disk format.
	Reads(diskFormat string) bool
	// Convert makes data of the format. It believes what c says of the data and
	// does not look for itself. The error is a *Refusal if it is the fault of the
	// data or if nothing can be converted here; then, and when ctx ends, nothing
	// is left behind.
	Convert(ctx context.Context, c Conversion) (Converted, error)
}

// A Conversion is data that is to be converted.
type Conversion struct {
	ID          ID
	Format      string                                           // of the data
	VirtualSize int64                                            // of the disk inside; 0 if it is not known
	MaxSize     int64                                            // of what comes of it
	URL         string                                           // of the data in the staging area; empty if it is not there as it is
	Open        func(ctx context.Context) (io.ReadCloser, error) // returns it, if there is no URL
}

// Converted is data that was converted. It may be opened several times until
// it is removed, once.
type Converted interface {
	Open() (io.ReadCloser, error)
	Remove() error
}
