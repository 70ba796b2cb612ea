package memory

import (
	"context"

	"glancectl/service/glance"
)

var _ glance.UsageCatalog = (*Catalog)(nil)

// Usage implements glance.UsageCatalog.
func (c *Catalog) Usage(ctx context.Context, project string, but glance.ID) (u glance.Usage, err error) {
	if err := ctx.Err(); err != nil {
		return u, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, im := range c.images {
		owner := ""
		if im.Owner != nil {
			owner = *im.Owner
		}
		if im.ID == but || owner != project || im.Status == glance.Killed || im.Status == glance.Deleted {
			continue
		}
		var size, copies int64
		if im.Size != nil {
			size = *im.Size
		}
		for _, l := range im.Locations {
			if l.Status != glance.Deleted {
				copies++
			}
		}
		staged := im.Status == glance.Uploading || im.Status == glance.Importing || im.Properties[copying] != ""
		u.Images++
		u.Stored += size * copies
		if staged {
			u.Staged += size
		}
		if staged || im.Status == glance.Saving {
			u.Uploading++
		}
	}
	return u, nil
}

// copying is the property of an image that data is being copied of.
const copying = "os_glance_importing_to_stores"
