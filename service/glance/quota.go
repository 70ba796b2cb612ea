package glance

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Usage is what the images of a project take up.
type Usage struct {
	Stored    int64 // bytes in stores, those of each copy
	Staged    int64 // bytes on their way into one
	Images    int64
	Uploading int64 // images whose data is on its way
}

// A UsageCatalog is a Catalog that knows what a project uses. Without one
// there are no quotas on that.
type UsageCatalog interface {
	// Usage returns what the images of a project take up, but for one image
	// if but is not empty. The images of the empty project are those without
	// an owner.
	Usage(ctx context.Context, project string, but ID) (Usage, error)
}

// A Resource is something that Limits limit, by its name in Keystone.
type Resource string

// The resources. Sizes are counted in MiB.
const (
	ImageSizeTotal      Resource = "image_size_total"
	ImageStageTotal     Resource = "image_stage_total"
	ImageCountTotal     Resource = "image_count_total"
	ImageCountUploading Resource = "image_count_uploading"
)

// Resources returns all resources.
func Resources() []Resource {
	return []Resource{ImageSizeTotal, ImageStageTotal, ImageCountTotal, ImageCountUploading}
}

// Limits knows how much a project may use.
type Limits interface {
	// Limits returns the limit of each resource that has one, for a project or,
	// if it is empty, for those that have none of their own. What has no limit
	// may not be used at all.
	Limits(ctx context.Context, project string) (map[Resource]int64, error)
}

// of returns how much of a resource is used.
func (u Usage) of(r Resource) int64 {
	switch r {
	case ImageSizeTotal:
		return u.Stored >> 20
	case ImageStageTotal:
		return u.Staged >> 20
	case ImageCountTotal:
		return u.Images
	}
	return u.Uploading
}

// A Share is how much of a resource the caller's project uses, and may use.
type Share struct {
	Resource    Resource
	Limit, Used int64
}

// Usage returns what the caller's project uses of each resource that is
// limited; nothing without Limits.
func (s *Images) Usage(ctx context.Context) ([]Share, error) {
	if s.o.Limits == nil {
		return nil, nil
	}
	project := CallerFrom(ctx).ProjectID
	limits, err := s.o.Limits.Limits(ctx, project)
	if err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	used, err := s.quotas.Usage(ctx, project, "")
	if err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	var shares []Share
	for _, r := range Resources() {
		shares = append(shares, Share{r, limits[r], used.of(r)})
	}
	return shares, nil
}

// limit returns ErrTooLarge if the caller's project would be over its limit of
// r with so much more. What is under way counts as used already.
func (s *Images) limit(ctx context.Context, r Resource, more int64) error {
	if s.o.Limits == nil {
		return nil
	}
	project := CallerFrom(ctx).ProjectID
	limits, err := s.o.Limits.Limits(ctx, project)
	if err != nil {
		return fmt.Errorf("limit of %s: %w", r, err)
	}
	usage, err := s.quotas.Usage(ctx, project, "")
	if err != nil {
		return fmt.Errorf("limit of %s: %w", r, err)
	}
	used := usage.of(r)
	if used+more <= limits[r] {
		return nil
	}
	if project == "" {
		project = "None"
	}
	return refuse(ErrTooLarge, "The request returned a 413 Request Entity Too Large. This generally means that rate limiting or a quota threshold was breached.\n\n"+
		"The response body:\nProject %s is over a limit for [Resource %s is over limit of %d due to current usage %d and delta %d]", project, r, limits[r], used, more)
}

// quotas is what Images has for the quota on bytes.
type quotas struct {
	UsageCatalog
	ending sync.Mutex // held from the last look at a quota until what it allows is counted
}

// room returns how many bytes more the caller's project may store, not counting
// image id; it is not limited if there is no quota.
func (s *Images) room(ctx context.Context, id ID) (room int64, limited bool, err error) {
	if s.o.StorageQuota <= 0 {
		return 0, false, nil
	}
	u, err := s.quotas.Usage(ctx, CallerFrom(ctx).ProjectID, id)
	if err != nil {
		return 0, true, fmt.Errorf("storage quota: %w", err)
	}
	return max(0, s.o.StorageQuota-u.Stored), true, nil
}

// admit returns ErrTooLarge if size bytes may not be stored as the data of
// image id; size is 0 if nobody knows.
func (s *Images) admit(ctx context.Context, id ID, size int64) error {
	room, limited, err := s.room(ctx, id)
	if err != nil || !limited {
		return err
	}
	if size > room || room == 0 && size == 0 {
		return overQuota(size, room)
	}
	return nil
}

func overQuota(size, room int64) error {
	wanted := fmt.Sprint(size)
	if size == 0 {
		wanted = "None" // as clients have always been told that nobody knows
	}
	return refuse(errOverQuota, "The size of the data %s will exceed the limit. %d bytes remaining.", wanted, room)
}

// The ways of being too large.
var (
	errOverCap   = fmt.Errorf("more than image_size_cap: %w", ErrTooLarge)
	errOverQuota = fmt.Errorf("more than user_storage_quota: %w", ErrTooLarge)
)

// overflow says of an error that it keeps an image from a location, or from data
// through version 1.
func overflow(err error) error {
	if errors.Is(err, errOverQuota) {
		return refuse(ErrTooLarge, "Denying attempt to upload image because it exceeds the quota: %v", err)
	}
	return err
}

// count makes an image active whose data is stored, if its size is still
// within the quota. Data that others have stored meanwhile counts, and what
// becomes active on this server at the same time waits.
func (s *Images) count(ctx context.Context, saving, active *Image) error {
	if s.o.StorageQuota > 0 {
		s.quotas.ending.Lock()
		defer s.quotas.ending.Unlock()
		room, _, err := s.room(ctx, active.ID)
		if err != nil {
			return err
		}
		if size := *active.Size * int64(len(active.Locations)); size > room {
			return overQuota(size, room)
		}
	}
	return s.catalog.Update(ctx, saving, active)
}
