package memory

import (
	"context"
	"slices"

	"glancectl/service/glance"
)

var _ glance.Staging = (*Store)(nil)

// URL implements glance.Staging.
func (s *Store) URL(id glance.ID) string { return "memory://" + string(id) }

// Held implements glance.Staging. There are no parts.
func (s *Store) Held(ctx context.Context) (whole, parts []glance.ID, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for url := range s.objects {
		whole = append(whole, glance.ID(name(url)))
	}
	slices.Sort(whole)
	return whole, nil, ctx.Err()
}

// Discard implements glance.Discarder.
func (s *Store) Discard(_ context.Context, id glance.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, s.URL(id))
	return nil
}
