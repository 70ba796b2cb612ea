package benchservice

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	imageSize = 2048 * mib
	smallSize = 256 * mib
	uploaders = 32
	sleepers  = 1000
)

func contains(list []string, s string) bool { return slices.Contains(list, s) }

func perSecond(size int64, took time.Duration) float64 { return float64(size) / took.Seconds() }

// transfers measures an upload and downloads.
func (b *bench) transfers(ctx context.Context) error {
	var ours, theirs, limits, ratios, shares []float64
	var id string
	for i := range b.rounds {
		limit := hashing(b.data)
		next, rate, cost, err := b.put(ctx, b.ours)
		if err != nil {
			return err
		}
		b.say("upload: %.0f MB/s, %.2f s of processor time; the slower hash alone: %.0f MB/s", rate/1e6, cost, limit/1e6)
		if i > 0 {
			if err := b.ours.remove(ctx, id); err != nil {
				return err
			}
		}
		id = next
		ours, limits, shares = append(ours, rate), append(limits, limit), append(shares, rate/limit)
		if b.peer == nil {
			continue
		}
		_, other, _, err := b.put(ctx, *b.peer)
		if err != nil {
			return err
		}
		theirs, ratios = append(theirs, other), append(ratios, rate/other)
	}
	b.add(row{work: "upload 2 GiB, one connection", measured: fmt.Sprintf("%.0f MB/s", median(ours)/1e6),
		peer: fmt.Sprintf("slower hash: %.0f MB/s", median(limits)/1e6), ratio: fmt.Sprintf("%.2f", median(shares)),
		goal: "at least 0.7", missed: median(shares) < 0.7})
	for _, conns := range []int{1, connections} {
		if err := b.downloads(ctx, id, conns); err != nil {
			return err
		}
	}
	return b.ours.remove(ctx, id)
}

// put uploads an image; cost is the server's processor time in seconds.
func (b *bench) put(ctx context.Context, s server) (id string, rate, cost float64, err error) {
	if id, err = s.create(ctx, "bench"); err != nil {
		return "", 0, 0, err
	}
	before, err := b.cpu(ctx, s.node, s.unit)
	if err != nil {
		return "", 0, 0, err
	}
	took, err := s.upload(ctx, id, imageSize, b.data)
	if err != nil {
		return "", 0, 0, err
	}
	after, err := b.cpu(ctx, s.node, s.unit)
	return id, perSecond(imageSize, took), (after - before).Seconds(), err
}

func (b *bench) downloads(ctx context.Context, id string, conns int) error {
	var ours []float64
	for range b.rounds {
		before, err := b.cpu(ctx, b.ours.node, b.ours.unit)
		if err != nil {
			return err
		}
		took, err := b.ours.download(ctx, "/v2/images/"+id+"/file", imageSize, conns)
		if err != nil {
			return err
		}
		after, err := b.cpu(ctx, b.ours.node, b.ours.unit)
		if err != nil {
			return err
		}
		rate := perSecond(imageSize*int64(conns), took)
		b.say("download, %d connections: %.0f MB/s, %.2f s of processor time a GiB", conns, rate/1e6, (after-before).Seconds()/2/float64(conns))
		ours = append(ours, rate)
	}
	b.add(row{work: fmt.Sprintf("download 2 GiB, %d connections", conns), measured: fmt.Sprintf("%.0f MB/s", median(ours)/1e6)})
	return nil
}

// memoryRows measures how much memory many uploads at once and many idle
// connections take.
func (b *bench) memoryRows(ctx context.Context) error {
	if err := b.forgetPeak(ctx, b.ours.node, b.ours.unit); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	ids := make([]string, uploaders)
	begun := time.Now()
	for i := range uploaders {
		g.Go(func() (err error) {
			if ids[i], err = b.ours.create(gctx, "bench"); err != nil {
				return err
			}
			_, err = b.ours.upload(gctx, ids[i], smallSize, b.data)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	took := time.Since(begun)
	_, peak, err := b.memory(ctx, b.ours.node, b.ours.unit)
	if err != nil {
		return err
	}
	b.say("%d uploads at once: %.1f MB at most, %.0f MB/s", uploaders, peak/1e6, perSecond(uploaders*smallSize, took)/1e6)
	b.add(row{work: "32 uploads of 256 MiB at once", measured: fmt.Sprintf("%.1f MB resident", peak/1e6), goal: "under 64 MB", missed: peak >= 64e6})
	for _, id := range ids {
		if err := b.ours.remove(ctx, id); err != nil {
			return err
		}
	}
	return b.idle(ctx)
}

func (b *bench) idle(ctx context.Context) error {
	if _, err := b.Run(ctx, b.ours.node, "systemctl restart "+b.ours.unit); err != nil {
		return err
	}
	var idle []*conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	for range sleepers {
		c, err := b.ours.dial(ctx)
		if err != nil {
			return err
		}
		idle = append(idle, c)
		if err := c.discard(c.head("GET", "/v2/images")); err != nil {
			return err
		}
	}
	now, _, err := b.memory(ctx, b.ours.node, b.ours.unit)
	if err != nil {
		return err
	}
	b.add(row{work: "1,000 idle connections", measured: fmt.Sprintf("%.1f MB resident", now/1e6), goal: "under 50 MB", missed: now >= 50e6})
	return nil
}
