package service

import (
	"fmt"
	"log/slog"

	"glancectl/service/glance"
	"glancectl/service/internal/filestore"
	"glancectl/service/internal/oslolog"
	"glancectl/service/internal/sqlcatalog"
	"glancectl/service/internal/webdownload"
)

// An importArea is what imports need of this machine.
type importArea struct {
	glance.ImportOptions
}

// openImports readies what imports need. Without a staging area there are
// none, which is a mistake only if the configuration names the directory.
func (p *process) openImports(catalog *sqlcatalog.Catalog) (*importArea, error) {
	a := &importArea{ImportOptions: glance.ImportOptions{
		Tasks:        catalog.Tasks(),
		Here:         p.Imports.Here,
		TaskTTL:      p.Imports.TaskTTL,
		AtOnce:       p.Imports.AtOnce,
		StoresAtOnce: p.Imports.StoresAtOnce,
		Unpack:       p.Imports.Unpack,
		Inject:       p.Imports.Inject,
		Spared:       p.Imports.Spared,
	}}
	if len(p.Imports.Methods) == 0 {
		return a, nil
	}
	web, err := webdownload.New(p.webOptions())
	if err != nil {
		return nil, fmt.Errorf("imports: %w", err)
	}
	a.Fetcher = web // for version 1, which stages nothing, in any case
	store, err := filestore.Open(p.Imports.StagingDir, filestore.Options{})
	switch {
	case err != nil && p.Imports.StagingNamed:
		return nil, p.fault("[os_glance_staging_store] filesystem_store_datadir: %w", err)
	case err != nil:
		p.log.Warn("images cannot be imported: there is no place to stage data", slog.Any("error", err))
		return a, nil
	}
	a.Methods, a.Staging = p.Imports.Methods, store
	return a, p.transfers(a, store, web)
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
