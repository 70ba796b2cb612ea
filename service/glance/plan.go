package glance

import (
	"context"
	"io"
	"slices"
)

// CopyImage is the way in which data comes from a store of an image into
// others.
const CopyImage = "copy-image"

// CopyImageRule guards CopyImage; who may do that need not own the image.
const CopyImageRule Rule = "copy_image"

// A StoreChoice says which stores an import is to bring data into. Where
// stores have no names it must be the zero value, but for Stores, Header and
// All, which have no meaning there.
type StoreChoice struct {
	Stores []string // IDs; nil means that they are not named
	Header string   // ID, if the request names one by the way of uploads
	All    bool     // every store that takes data
	Partly bool     // that one of the stores gets the data is enough
}

// plan returns where the data of an import into im goes; nil if there is
// nothing to do.
func (s *Images) plan(im *Image, r ImportRequest) (*delivery, error) {
	c := r.To
	to, err := s.chosen(c)
	if err != nil {
		return nil, err
	}
	if r.Method == CopyImage {
		if to, err = s.missing(im, to, c.All); err != nil || len(to) == 0 {
			return nil, err
		}
	}
	if c.Partly && !s.stores.named {
		uri := r.URI
		if uri == "" {
			uri = "None"
		}
		return nil, refuse(ErrInvalid, "All_stores_must_succeed can only be set with enabled_backends %s", uri)
	}
	return newDelivery(to, c.Partly), nil
}

// chosen returns the stores of a choice.
func (s *Images) chosen(c StoreChoice) ([]*Backend, error) {
	if !s.stores.named {
		return []*Backend{s.stores.byDefault()}, nil
	}
	ids := c.Stores
	switch {
	case c.All && (c.Stores != nil || c.Header != ""):
		return nil, refuse(ErrInvalid, "All_stores parameter can't be used with x-image-meta-store header or stores parameter")
	case c.Stores != nil && c.Header != "":
		return nil, refuse(ErrInvalid, "Stores parameter and x-image-meta-store header can't be both specified")
	case c.All:
		ids = s.stores.writable()
	case c.Stores == nil:
		ids = []string{c.Header}
	}
	var to []*Backend
	for _, id := range ids {
		store, ok := s.stores.wanted(id)
		if !ok {
			return nil, refuse(ErrConflict, "Store for identifier %s not found", id)
		}
		if !slices.Contains(to, store) {
			to = append(to, store)
		}
	}
	if len(to) == 0 {
		return nil, refuse(ErrInvalid, "There is no store to import to.")
	}
	return to, nil
}

// missing returns those of the stores that have no data of im; that one has is
// an error unless all stores were meant.
func (s *Images) missing(im *Image, to []*Backend, all bool) ([]*Backend, error) {
	var rest []*Backend
	for _, store := range to {
		switch {
		case !s.stores.have(im, store):
			rest = append(rest, store)
		case !all:
			return nil, refuse(ErrInvalid, "Image is already present at store '%s'", store.ID)
		}
	}
	return rest, nil
}

// writable returns the names of the stores that take data.
func (b *backends) writable() []string {
	var ids []string
	for _, s := range b.all {
		if !s.ReadOnly {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// copied returns the data that im has, from the first store that gives it.
func (s *Images) copied(ctx context.Context, im *Image) (io.ReadCloser, error) {
	return (&Data{Image: im, images: s}).fetch(ctx, 0, -1)
}
