package memory

import (
	"context"
	"maps"
	"slices"

	"glancectl/service/glance"
)

var (
	_ glance.Claimer = (*Catalog)(nil)
	_ glance.Claimer = (*Tasks)(nil)
)

// claim does to the claim on an image what an update of it does. The caller
// holds the lock.
func (c *Catalog) claim(before, after *glance.Image) {
	switch change := glance.ClaimChange(before, after); {
	case change == glance.TakeClaim && c.Owner != "":
		if c.claims == nil {
			c.claims = make(map[glance.ID]glance.Claim)
		}
		c.claims[after.ID] = glance.Claim{ImageID: after.ID, Owner: c.Owner, TaskID: after.Properties[glance.ImportLock], RenewedAt: c.now()}
	case change == glance.EndClaim:
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
func (c *Catalog) Release(_ context.Context, claim glance.Claim) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if claim.Owner == "" {
		claim.Owner = c.Owner
	}
	if c.claims[claim.ImageID].Owner == claim.Owner {
		delete(c.claims, claim.ImageID)
	}
	return nil
}

// claim makes the claim on a new task. The caller holds the lock.
func (c *Tasks) claim(t *glance.Task) {
	if c.Owner == "" || ended(t) {
		return
	}
	if c.claims == nil {
		c.claims = make(map[string]glance.Claim)
	}
	c.claims[t.ID] = glance.Claim{TaskID: t.ID, Owner: c.Owner, RenewedAt: c.now()}
}

func ended(t *glance.Task) bool {
	return t.Status == glance.TaskSuccess || t.Status == glance.TaskFailure
}

// Claims implements glance.Claimer.
func (c *Tasks) Claims(ctx context.Context) ([]glance.Claim, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Values(c.claims)), ctx.Err()
}

// Release implements glance.Claimer.
func (c *Tasks) Release(_ context.Context, claim glance.Claim) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if claim.Owner == "" {
		claim.Owner = c.Owner
	}
	if c.claims[claim.TaskID].Owner == claim.Owner {
		delete(c.claims, claim.TaskID)
	}
	return nil
}
