package service

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/imagecache"
	"glancectl/service/internal/sqlcatalog"
)

// imports are those of a process that serves: they go on after requests were
// answered.
type imports struct {
	stop func()
	wg   sync.WaitGroup
}

const (
	retryRecovery = 2 * time.Second // how long to wait for a database that is not there yet
	renewEvery    = time.Minute     // how often a process says that it lives; after an hour of silence it is dead
)

// beginImports puts in order what processes that died have left, and ends the
// imports of images, within the limit, when ctx ends or close is called. The
// cache may be nil.
func (p *process) beginImports(ctx context.Context, images *glance.Images, catalog *sqlcatalog.Catalog, cache *imagecache.Cache) (*imports, error) {
	settle, err := images.Recovery(ctx)
	if err != nil {
		return nil, err
	}
	sessions, err := p.session.dead()
	if err != nil {
		return nil, err
	}
	i := new(imports)
	ctx, i.stop = context.WithCancel(ctx)
	i.wg.Go(func() { p.recover(ctx, sessions, settle) })
	i.wg.Go(func() { p.renew(ctx, catalog) })
	if cache != nil {
		i.wg.Go(func() { p.sweep(ctx, cache, catalog) })
	}
	i.wg.Go(func() {
		<-ctx.Done()
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.limit())
		defer cancel()
		if err := images.Drain(limited); err != nil {
			p.log.Warn("not all imports could end", slog.Any("error", err))
		}
	})
	return i, nil
}

// again is when what the dead have left is looked for once more: a database
// server may carry out the last thing that it was told when who told it is dead
// already, and after the first look.
func again() []time.Duration { return []time.Duration{2 * time.Second, 30 * time.Second} }

// recover puts in order what the dead have left, however long the database
// takes to come.
func (p *process) recover(ctx context.Context, sessions map[string]*os.File, settle func(ctx context.Context, dead func(owner string) bool) error) {
	dead := func(owner string) bool { return sessions[owner] != nil }
	err := p.settle(ctx, dead, settle)
	for _, pause := range again() {
		if len(sessions) == 0 || !sleep(ctx, pause) {
			break
		}
		err = p.settle(ctx, dead, settle)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err := forget(sessions, err != nil); err != nil {
		p.log.WarnContext(ctx, "files of died processes stay behind", slog.Any("error", err))
	}
}

// settle calls f until it succeeds or ctx ends.
func (p *process) settle(ctx context.Context, dead func(owner string) bool, f func(ctx context.Context, dead func(owner string) bool) error) error {
	for try := 1; ; try++ {
		err := f(ctx, dead)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if try == 1 {
			p.log.WarnContext(ctx, "what died processes have left is not in order yet", slog.Any("error", err))
		}
		if !sleep(ctx, retryRecovery) {
			return err
		}
	}
}

// recoverSilent puts in order what those have left who have said nothing for
// long, wherever they were.
func recoverSilent(ctx context.Context, images *glance.Images) error {
	settle, err := images.Recovery(ctx)
	if err != nil {
		return err
	}
	return settle(ctx, func(string) bool { return false })
}

// renew keeps saying that this process lives.
func (p *process) renew(ctx context.Context, catalog *sqlcatalog.Catalog) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := catalog.Renew(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "what is under way could not be renewed", slog.Any("error", err))
		}
	}
}

// sweep clears from the cache what dead processes have left there, and copies
// of images that were deleted when nobody told the cache.
func (p *process) sweep(ctx context.Context, cache *imagecache.Cache, catalog glance.Catalog) {
	err := cache.Sweep(ctx, func(id glance.ID) (bool, error) {
		_, err := catalog.Get(ctx, id, false)
		if errors.Is(err, glance.ErrNotFound) {
			return false, nil
		}
		return true, err
	})
	if err != nil && ctx.Err() == nil {
		p.log.WarnContext(ctx, "the cache is not swept", slog.Any("error", err))
	}
}

// close waits until no import is under way any more.
func (i *imports) close() {
	i.stop()
	i.wg.Wait()
}
