package memory

import (
	"context"
	"maps"
	"slices"

	"glancectl/service/glance"
)

var _ glance.Claimer = (*Catalog)(nil)

// claim does to the claim on an image what an update of it does. The caller
// holds the lock.
func (c *Catalog) claim(before, after *glance.Image) {
	switch glance.ClaimChange(before, after) {
	case glance.TakeClaim:
		if c.claims == nil {
			c.claims = make(map[glance.ID]glance.Claim)
		}
		c.claims[after.ID] = glance.Claim{ImageID: after.ID, Owner: c.Owner, TaskID: after.Properties[glance.ImportLock], RenewedAt: c.now()}
	case glance.EndClaim:
		delete(c.claims, after.ID)
	}
}

// Claims implements glance.Claimer.
func (c *Catalog) Claims(ctx context.Context) ([]glance.Claim, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Values(c.claims)), ctx.Err()
}

// Release implements glance.Claimer.
func (c *Catalog) Release(_ context.Context, id glance.ID, owner string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if owner == "" {
		owner = c.Owner
	}
	if c.claims[id].Owner == owner {
		delete(c.claims, id)
	}
	return nil
}
