package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/filestore"
	"glancectl/service/internal/oslolog"
	"glancectl/service/internal/sqlcatalog"
	"glancectl/service/internal/webdownload"
)

// An importArea is what imports need of this machine.
type importArea struct {
	glance.ImportOptions
	lock *os.File // nil without a staging area
	sole bool     // nobody else uses the staging area
}

// openImports readies what imports need. Without a staging area there are
// none, which is a mistake only if the configuration names the directory.
func (p *process) openImports(catalog *sqlcatalog.Catalog) (*importArea, error) {
	a := &importArea{ImportOptions: glance.ImportOptions{
		Tasks:   catalog.Tasks(),
		TaskTTL: p.Imports.TaskTTL,
		AtOnce:  p.Imports.AtOnce,
		Unpack:  p.Imports.Unpack,
		Inject:  p.Imports.Inject,
		Spared:  p.Imports.Spared,
	}}
	if len(p.Imports.Methods) == 0 {
		return a, nil
	}
	err := a.open(p.Imports.StagingDir)
	switch {
	case err != nil && p.Imports.StagingNamed:
		return nil, p.fault("[os_glance_staging_store] filesystem_store_datadir: %w", err)
	case err != nil:
		p.log.Warn("images cannot be imported: there is no place to stage data", slog.Any("error", err))
		return a, nil
	}
	a.Methods = p.Imports.Methods
	if a.Fetcher, err = webdownload.New(p.webOptions()); err != nil {
		return nil, fmt.Errorf("imports: %w", errors.Join(err, a.close()))
	}
	return a, nil
}

// webOptions are what may be downloaded, wherever the URI comes from.
func (p *process) webOptions() webdownload.Options {
	web := p.Imports.Web
	return webdownload.Options{
		AllowedSchemes: web.AllowedSchemes, DisallowedSchemes: web.DisallowedSchemes,
		AllowedHosts: web.AllowedHosts, DisallowedHosts: web.DisallowedHosts,
		AllowedPorts: web.AllowedPorts, DisallowedPorts: web.DisallowedPorts,
		Log: p.log.With(slog.String(oslolog.NameKey, "glance.import")),
	}
}

// open opens the staging area. While it is being opened by the only process
// that uses it, others wait; see share.
func (a *importArea) open(dir string) error {
	store, err := filestore.Open(dir, filestore.Options{})
	if err != nil {
		return err
	}
	a.lock, err = os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	err = syscall.Flock(int(a.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	a.sole = err == nil
	if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.Join(fmt.Errorf("lock %s: %w", a.lock.Name(), err), a.close())
	}
	a.Staging = store
	return nil
}

// share lets other processes use the staging area as well.
func (a *importArea) share() error {
	if a.lock == nil {
		return nil
	}
	if err := syscall.Flock(int(a.lock.Fd()), syscall.LOCK_SH); err != nil {
		return fmt.Errorf("lock %s: %w", a.lock.Name(), err)
	}
	return nil
}

func (a *importArea) close() error {
	if a.lock == nil {
		return nil
	}
	return a.lock.Close()
}

// imports are those of a process that serves: they go on after requests were
// answered.
type imports struct {
	stop func()
	wg   sync.WaitGroup
}

// retryRecovery is how long to wait for a database that is not there yet.
const retryRecovery = 2 * time.Second

// beginImports puts in order what processes that died have left, and ends the
// imports of images, within the limit, when ctx ends or close is called.
func (p *process) beginImports(ctx context.Context, images *glance.Images) (*imports, error) {
	a, recover := p.area, func(context.Context) error { return nil }
	if a.sole {
		var err error
		if recover, err = images.Recovery(ctx); err != nil {
			return nil, err
		}
	}
	if err := a.share(); err != nil {
		return nil, err
	}
	i := new(imports)
	ctx, i.stop = context.WithCancel(ctx)
	i.wg.Go(func() { p.recover(ctx, recover) })
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

// recover calls f until it succeeds.
func (p *process) recover(ctx context.Context, f func(ctx context.Context) error) {
	for try := 1; ; try++ {
		err := f(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if try == 1 {
			p.log.WarnContext(ctx, "what died imports have left is not in order yet", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryRecovery):
		}
	}
}

// close waits until no import is under way any more.
func (i *imports) close() {
	i.stop()
	i.wg.Wait()
}
