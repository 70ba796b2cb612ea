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

	// quick is how many times the rounds are taken of a transfer that ends
	// within half a second, which the least thing holds up.
	quick = 3
)

func contains(list []string, s string) bool { return slices.Contains(list, s) }

func perSecond(size int64, took time.Duration) float64 { return float64(size) / took.Seconds() }

// A stored is an image that a server has data of.
type stored struct {
	server
	name, path string // of the data
	id         string // "" if the server has no API
}

// transfers measures uploads, and downloads of what was uploaded last.
func (b *bench) transfers(ctx context.Context) error {
	var ours, theirs, limits, both, times, shares []float64
	var mine, other stored
	for range b.rounds {
		limit := hashing(b.data)
		both = append(both, bothHashes(b.data))
		rate, err := b.put(ctx, b.ours, &mine)
		if err != nil {
			return err
		}
		ours, limits, shares = append(ours, rate), append(limits, limit), append(shares, rate/limit)
		b.say("  the slower hash alone: %.0f MB/s", limit/1e6)
		if b.peer == nil {
			continue
		}
		peers, err := b.put(ctx, *b.peer, &other)
		if err != nil {
			return err
		}
		theirs, times = append(theirs, peers), append(times, rate/peers)
	}
	const work = "upload 2 GiB, one connection"
	if b.peer != nil {
		b.add(row{work: work, measured: rateText(ours), peer: b.peer.name + ": " + rateText(theirs)}.atLeast(median(times), 2.5))
	}
	b.add(row{work: work, measured: rateText(ours), peer: "slower hash alone: " + rateText(limits)}.atLeast(median(shares), 0.7))
	b.add(row{work: "both hashes at once, nothing else", measured: rateText(both)})
	for _, conns := range []int{1, connections} {
		if err := b.downloads(ctx, conns, mine, other); err != nil {
			return err
		}
	}
	for _, s := range []stored{mine, other} {
		if s.id == "" {
			continue
		}
		if err := s.remove(ctx, s.id); err != nil {
			return err
		}
	}
	return nil
}

func rateText(list []float64) string { return fmt.Sprintf("%.0f MB/s", median(list)/1e6) }

// put uploads an image in place of the one that last has, and returns how
// many bytes a second went over.
func (b *bench) put(ctx context.Context, s server, last *stored) (rate float64, err error) {
	if last.id != "" {
		if err := s.remove(ctx, last.id); err != nil {
			return 0, err
		}
	}
	id, err := s.create(ctx, "bench")
	if err != nil {
		return 0, err
	}
	*last = stored{s, s.name, "/v2/images/" + id + "/file", id}
	before, err := b.cpu(ctx, s.node, s.unit)
	if err != nil {
		return 0, err
	}
	took, err := s.upload(ctx, id, imageSize, b.data)
	if err != nil {
		return 0, err
	}
	after, err := b.cpu(ctx, s.node, s.unit)
	b.say("upload to %s: %.0f MB/s, %.2f s of processor time a GiB", s.name, perSecond(imageSize, took)/1e6, (after-before).Seconds()/2)
	return perSecond(imageSize, took), err
}

// downloads measures downloads over several connections at once.
func (b *bench) downloads(ctx context.Context, conns int, mine, other stored) error {
	sources := []stored{mine}
	goals := []float64{0}
	if b.peer != nil {
		sources = append(sources, other, stored{server: *b.files, name: b.files.name, path: "/" + mine.id})
		goals = append(goals, 1.8, 0.9)
	}
	rates, ratios := make([][]float64, len(sources)), make([][]float64, len(sources))
	for _, s := range sources { // once for nothing: the data is in memory then, whoever wrote it
		if _, err := s.download(ctx, s.path, imageSize, 1); err != nil {
			return err
		}
	}
	rounds := b.rounds
	if conns == 1 {
		rounds *= quick
	}
	for range rounds {
		for i, s := range sources {
			rate, err := b.get(ctx, s, conns)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], rate)
			ratios[i] = append(ratios[i], rates[0][len(rates[0])-1]/rate)
		}
	}
	work := fmt.Sprintf("download 2 GiB, %d connections", conns)
	if conns == 1 {
		work = "download 2 GiB, one connection"
	}
	for i, s := range sources[1:] {
		b.add(row{work: work, measured: rateText(rates[0]), peer: s.name + ": " + rateText(rates[i+1])}.atLeast(median(ratios[i+1]), goals[i+1]))
	}
	if len(sources) == 1 {
		b.add(row{work: work, measured: rateText(rates[0])})
	}
	return nil
}

// get downloads and returns how many bytes a second came.
func (b *bench) get(ctx context.Context, s stored, conns int) (rate float64, err error) {
	before, err := b.cpu(ctx, s.node, s.unit)
	if err != nil {
		return 0, err
	}
	took, err := s.download(ctx, s.path, imageSize, conns)
	if err != nil {
		return 0, err
	}
	after, err := b.cpu(ctx, s.node, s.unit)
	rate = perSecond(imageSize*int64(conns), took)
	b.say("download from %s, %d connections: %.0f MB/s, %.2f s of processor time a GiB", s.name, conns, rate/1e6, (after-before).Seconds()/2/float64(conns))
	return rate, err
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
	b.add(row{work: "32 uploads of 256 MiB at once", measured: fmt.Sprintf("%.1f MB resident", peak/1e6)}.under(peak, 64e6))
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
	b.say("waiting for the connections to be idle")
	time.Sleep(15 * time.Second)
	now, _, err := b.memory(ctx, b.ours.node, b.ours.unit)
	if err != nil {
		return err
	}
	b.add(row{work: "1,000 idle connections", measured: fmt.Sprintf("%.1f MB resident", now/1e6)}.under(now, 50e6))
	return nil
}
