package glance

import (
	"context"
	"io"
)

// GlanceDownload is the way in which data comes from the image service of
// another region.
const GlanceDownload = "glance-download"

// A Source is an image of another region, as a request names it.
type Source struct {
	Region    string
	Image     string // ID
	Interface string // public, internal or admin
}

// check reports what a Source lacks.
func (s Source) check() error {
	switch {
	case s.Region == "":
		return refuse(ErrInvalid, "'glance_region' needs to be set for %s method", GlanceDownload)
	case s.Image == "":
		return refuse(ErrInvalid, "'glance_image_id' needs to be set for %s method", GlanceDownload)
	}
	if _, err := ParseID(s.Image); err != nil {
		return refuse(ErrInvalid, "Remote image id does not look like a UUID: %s", s.Image)
	}
	return nil
}

// A Peer is the image services of other regions, as the caller that the context
// carries may use them. Errors are a *Refusal if they are the fault of the
// source or of what the caller may not do there.
type Peer interface {
	// Describe returns what an image is.
	Describe(ctx context.Context, s Source) (*Description, error)
	// Fetch returns the data of an image, which the caller closes. The reader
	// fails if the data ends early.
	Fetch(ctx context.Context, s Source) (io.ReadCloser, error)
}

// A Description is what another image service says of an image.
type Description struct {
	Status          Status
	DiskFormat      *string
	ContainerFormat *string
	Size            *int64            // nil: it does not say
	Properties      map[string]string // what is no attribute of every image
}
