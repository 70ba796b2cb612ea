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
	release(c.claims, claim.ImageID, claim, c.Owner)
	return nil
}

// claim makes the claim on a new task. The caller holds the lock.
func (c *Tasks) claim(t *glance.Task) {
	if c.Owner == "" || t.Status.Ended() {
		return
	}
	if c.claims == nil {
		c.claims = make(map[string]glance.Claim)
	}
	c.claims[t.ID] = glance.Claim{TaskID: t.ID, Owner: c.Owner, RenewedAt: c.now()}
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
	release(c.claims, claim.TaskID, claim, c.Owner)
	return nil
}

// release ends the claim under key, if it is still that of the claim's owner:
// own, if it names none.
func release[K comparable](claims map[K]glance.Claim, key K, claim glance.Claim, own string) {
	if claim.Owner == "" {
		claim.Owner = own
	}
	if claims[key].Owner == claim.Owner {
		delete(claims, key)
	}
}
