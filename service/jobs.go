package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/config"
	"glancectl/service/internal/jobs"
)

// RunScrubber removes the data of images that have been deleted for long
// enough, and puts in order what uploads and imports have left that have said
// nothing for an hour, of machines that do not come back: once, or again and
// again if the configuration or o says daemon, until ctx ends, which it looks
// at between two images. Or it does what o says instead: restore one image that
// still waits for it, or tell what is wrong between images and their data; then
// what is found is an error. As all jobs it holds a lock
// below lock_path, so that no two runs overlap; a run that finds it taken does
// nothing and is no failure. It logs one line with counts at the end, and one
// for each image that it failed at.
func RunScrubber(ctx context.Context, o Options) error {
	switch {
	case o.Restore != "" && (o.Daemon || o.Check) || o.Check && o.Daemon:
		return errors.New("of restore, check and daemon only one can be asked for")
	case o.RemoveOrphans && !o.Check:
		return errors.New("orphans are removed only with check")
	}
	return runJob(ctx, config.Scrubber, o, func(p *process) (job, error) {
		// Should it die while it puts an image in order, a later run finds that.
		p.session = &session{name: glance.NewUUID()}
		catalog, err := p.catalog()
		if err != nil {
			return job{}, err
		}
		p.area = &importArea{glance.ImportOptions{Tasks: catalog.Tasks()}}
		images, err := p.images(catalog, nil, nil)
		if err != nil {
			return job{}, errors.Join(err, catalog.Close())
		}
		if o.byHand() {
			return p.instead(images, catalog.Close)
		}
		return job{
			run: func(ctx context.Context) (r jobs.Report) {
				if r.Fail(p.reach(ctx, catalog)); r.Err() != nil {
					return r
				}
				r = jobs.Scrub(ctx, catalog, images, time.Now().Add(-p.Scrub.After))
				if r.Err() == nil { // else the next run is soon enough
					r.Fail(recoverSilent(ctx, images))
				}
				return r
			},
			close: catalog.Close,
		}, nil
	})
}

// byHand reports whether the scrubber is to do something else than its job,
// which only a person asks for.
func (o Options) byHand() bool { return o.Restore != "" || o.Check }

// instead returns what the scrubber is to do in place of scrubbing.
func (p *process) instead(images *glance.Images, end func() error) (job, error) {
	if !p.o.Check {
		id, err := glance.ParseID(p.o.Restore)
		if err != nil {
			return job{}, errors.Join(err, end())
		}
		return job{close: end, alone: true, run: func(ctx context.Context) (r jobs.Report) {
			err := images.Restore(glance.WithCaller(ctx, glance.Caller{Admin: true}), id)
			if r.Fail(err); err == nil {
				r.Done = 1
			}
			return r
		}}, nil
	}
	out := p.o.Stdout
	if out == nil {
		out = os.Stdout
	}
	return job{close: end, alone: true, run: func(ctx context.Context) jobs.Report {
		return jobs.Audit(ctx, images, p.o.RemoveOrphans, func(f glance.Finding) {
			if f.Orphan {
				fmt.Fprintf(out, "orphan %s %d bytes\n", f.URL, f.Size)
				return
			}
			fmt.Fprintf(out, "missing %s %s\n", f.ID, f.URL)
		})
	}}, nil
}

// RunReaper removes invalid and stalled files from the cache.
func RunReaper(ctx context.Context, o Options) error {
	return runJob(ctx, config.Reaper, o, func(p *process) (job, error) {
		cache, err := p.cache()
		return job{run: func(ctx context.Context) jobs.Report { return jobs.Reap(ctx, cache, time.Now()) }}, err
	})
}

// RunPruner removes what was not used for the longest time from a cache that
// is larger than image_cache_max_size.
func RunPruner(ctx context.Context, o Options) error {
	return runJob(ctx, config.Pruner, o, func(p *process) (job, error) {
		cache, err := p.cache()
		return job{run: func(ctx context.Context) jobs.Report {
			return jobs.Prune(ctx, cache, p.Cache.MaxSize, p.Cache.ExtraToFree)
		}}, err
	})
}

// RunPrefetcher caches the images that are queued for it.
func RunPrefetcher(ctx context.Context, o Options) error {
	return runJob(ctx, config.Prefetcher, o, func(p *process) (job, error) {
		cache, err := p.cache()
		if err != nil {
			return job{}, err
		}
		catalog, err := p.catalog()
		if err != nil {
			return job{}, err
		}
		images, err := p.images(catalog, nil, nil)
		if err != nil {
			return job{}, errors.Join(err, catalog.Close())
		}
		return job{
			run: func(ctx context.Context) (r jobs.Report) {
				if r.Fail(p.reach(ctx, catalog)); r.Err() != nil {
					return r
				}
				return jobs.Prefetch(ctx, cache, images)
			},
			close: catalog.Close,
		}, nil
	})
}

// A job is work that can be done again and again.
type job struct {
	run   func(ctx context.Context) jobs.Report
	close func() error // nil means nothing to close
	alone bool         // it is done once, whatever the configuration says
}

// runJob does the work of a job under its lock, and records it.
func runJob(ctx context.Context, program config.Program, o Options, open func(*process) (job, error)) error {
	p, err := begin(program, o)
	if err != nil {
		return err
	}
	defer p.end()
	if o.Jitter > 0 && !sleep(ctx, rand.N(o.Jitter)) {
		return ctx.Err()
	}
	unlock, free, err := p.lock()
	if err != nil {
		return err
	}
	if !free && o.byHand() {
		return errors.New("another scrubber is at work here: end it, or wait for its end, and try again")
	}
	if !free && o.Detach {
		return errors.New("another run is at work")
	}
	if !free {
		p.log.Warn("nothing done: another run is at work")
		p.recordSkipped()
		return nil
	}
	defer unlock()
	j, err := open(p)
	if err != nil {
		p.recordEnd(ctx, p.recordStart(), jobs.Report{Failures: []error{err}})
		return err
	}
	stuck := false
	if j.close != nil {
		defer func() {
			if !stuck { // else that could hang as well
				_ = j.close()
			}
		}()
	}
	if program != config.Scrubber || j.alone || !p.Scrub.Daemon && !o.Daemon {
		err := p.once(ctx, j)
		stuck = errors.Is(err, errStuck)
		return err
	}
	if o.PIDFile != "" {
		if err := writePID(o.PIDFile); err != nil {
			return fmt.Errorf("pid file: %w", err)
		}
		defer os.Remove(o.PIDFile)
	}
	if err := p.detach(); err != nil {
		return err
	}
	for {
		// A failure is in the log, and the next run may do better.
		if err := p.once(ctx, j); errors.Is(err, errStuck) {
			stuck = true
			return err
		}
		if !sleep(ctx, max(p.Scrub.Every, time.Second)) {
			return nil
		}
	}
}

// sleep waits; it returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// once runs a job and logs how it went.
func (p *process) once(ctx context.Context, j job) error {
	if p.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.o.Timeout)
		defer cancel()
	}
	start, run := time.Now(), p.recordStart()
	report := p.carryOut(ctx, j)
	p.recordEnd(ctx, run, report)
	for _, err := range report.Failures {
		p.log.Error("failure", slog.Any("error", err))
	}
	level := slog.LevelInfo
	if len(report.Failures) > 0 {
		level = slog.LevelWarn
	}
	p.log.Log(ctx, level, "finished", slog.Any("run", report), slog.Duration("took", time.Since(start).Round(time.Millisecond)))
	if len(report.Failures) > 0 {
		return fmt.Errorf("%d of %d failed: %w", len(report.Failures), len(report.Failures)+report.Done, report.Failures[0])
	}
	return nil
}

// grace is how long a run that is over its time may take to put things in
// order; of one whose time is shorter, so long, but a second at least.
const grace = 10 * time.Second

// errStuck is why a run that does not end when its time is over is left to itself.
var errStuck = errors.New("it does not end though its time is over")

// carryOut does the work of a job. What hangs where no context reaches, as on
// a disk that does not answer, is left behind: the process ends then.
func (p *process) carryOut(ctx context.Context, j job) (r jobs.Report) {
	if p.o.Timeout <= 0 {
		return j.run(ctx)
	}
	ended := make(chan jobs.Report, 1)
	go func() { ended <- j.run(ctx) }()
	late := time.NewTimer(p.o.Timeout + max(min(grace, p.o.Timeout), time.Second))
	defer late.Stop()
	select {
	case r = <-ended:
	case <-late.C:
		r.Fail(errStuck)
	}
	return r
}
