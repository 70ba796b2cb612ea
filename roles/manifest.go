package roles

import (
	_ "embed"
	"fmt"
	"path"

	"github.com/BurntSushi/toml"

	"glancectl/proposals"
)

//go:embed glance-server.toml
var glanceServer string

// A manifest says what a role consists of on every node, whatever a proposal
// asks for.
type manifest struct {
	Binary           string           `toml:"binary"`
	ConfigDirectory  string           `toml:"config_directory"`
	UnitDirectory    string           `toml:"unit_directory"`
	CronDirectory    string           `toml:"cron_directory"`
	Logrotate        string           `toml:"logrotate"`
	Tmpfiles         string           `toml:"tmpfiles"`
	DisableFile      string           `toml:"disable_file"`
	ProgramDirectory string           `toml:"program_directory"`
	Programs         []string         `toml:"programs"`
	Daemons          []daemonManifest `toml:"daemon"`
	Jobs             []jobManifest    `toml:"job"`
}

// A daemonManifest is one process that runs all the time.
type daemonManifest struct {
	Element     string `toml:"element"`
	Program     string `toml:"program"`
	Description string `toml:"description"`
}

// A jobManifest is one program that cron starts.
type jobManifest struct {
	Element     string `toml:"element"`
	Program     string `toml:"program"`
	Description string `toml:"description"`
	NeedsCache  bool   `toml:"needs_cache"` // it has work only where images are cached
}

// readManifest reads a manifest; a key that it does not know is an error.
func readManifest(text string) (manifest, error) {
	var m manifest
	meta, err := toml.Decode(text, &m)
	if err != nil {
		return m, fmt.Errorf("read role manifest: %w", err)
	}
	if keys := meta.Undecoded(); len(keys) > 0 {
		return m, fmt.Errorf("read role manifest: unknown key %s", keys[0])
	}
	for _, d := range m.Daemons {
		if _, ok := daemonOf(new(proposals.GlanceServer), d.Element); !ok {
			return m, fmt.Errorf("read role manifest: unknown daemon %s", d.Element)
		}
	}
	for _, j := range m.Jobs {
		if _, ok := jobOf(new(proposals.GlanceServer), j.Element); !ok {
			return m, fmt.Errorf("read role manifest: unknown job %s", j.Element)
		}
	}
	return m, nil
}

// program returns where a program of the role lies.
func (m manifest) program(name string) string {
	return path.Join(m.ProgramDirectory, name)
}

// daemonOf returns what a proposal says about a daemon of the manifest.
func daemonOf(g *proposals.GlanceServer, element string) (proposals.Daemon, bool) {
	switch element {
	case "api":
		return g.API, true
	case "registry":
		return g.Registry, true
	}
	return proposals.Daemon{}, false
}

// jobOf returns what a proposal says about a job of the manifest.
func jobOf(g *proposals.GlanceServer, element string) (proposals.Job, bool) {
	switch element {
	case "scrubber":
		return g.Scrubber, true
	case "reaper":
		return g.Reaper, true
	case "pruner":
		return g.Pruner, true
	case "prefetcher":
		return g.Prefetcher, true
	}
	return proposals.Job{}, false
}
