package service

import (
	"fmt"
	"log/slog"
	"slices"

	"glancectl/service/glance"
	"glancectl/service/internal/config"
	"glancectl/service/internal/filestore"
	"glancectl/service/internal/glancedownload"
	"glancectl/service/internal/oslolog"
	"glancectl/service/internal/qemuimg"
	"glancectl/service/internal/webdownload"
)

// transfers adds to a what imports need that bring images from other regions,
// or convert them.
func (p *process) transfers(a *importArea, staging *filestore.Store, web *webdownload.Fetcher) (err error) {
	log := p.log.With(slog.String(oslolog.NameKey, "glance.import"))
	if p.Imports.Convert != "" {
		if a.Converter, err = qemuimg.New(p.Imports.Convert, staging, qemuimg.Options{Log: log}); err != nil {
			return fmt.Errorf("imports: %w", err)
		}
	}
	if !slices.Contains(a.Methods, glance.GlanceDownload) {
		return nil
	}
	if !p.Pipeline.Has(config.AuthToken) {
		p.log.Warn("images cannot be imported from other regions: without Keystone nobody has a token for them", slog.String("method", glance.GlanceDownload))
		a.Methods = slices.DeleteFunc(slices.Clone(a.Methods), func(m string) bool { return m == glance.GlanceDownload })
		return nil
	}
	tokens, err := p.tokens()
	if err != nil {
		return err
	}
	a.Peer, a.Copied = glancedownload.New(tokens, web, log), p.Imports.Copied
	return nil
}
