package service

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"

	"glancectl/service/glance"
	"glancectl/service/internal/config"
	"glancectl/service/internal/filestore"
	"glancectl/service/internal/swiftstore"
)

// openers has one entry for each kind of store that a configuration can name.
var openers = map[string]func(*process, config.Store) (glance.Backend, error){
	"file":  openFiles,
	"http":  openHTTP,
	"swift": openSwift,
}

// stores opens the stores of the configuration. It returns the ID of the one
// that takes uploads or, if they have none, its scheme.
func (p *process) stores() (all []glance.Backend, byDefault string, err error) {
	for _, s := range p.Stores.All {
		b, err := openers[s.Kind](p, s)
		if err != nil {
			return nil, "", err
		}
		b.ID, b.Kind, b.Description, b.Weight = s.ID, s.Kind, s.Description, s.Weight
		all = append(all, b)
		if !p.Stores.Named && s.Kind == p.Stores.Default {
			byDefault = b.Scheme()
		}
	}
	if p.Stores.Named {
		byDefault = p.Stores.Default
	}
	return all, byDefault, p.apart()
}

// apart reports directories that are one, by whatever names: what one store
// removes, or what is staged, must not be what is in another.
func (p *process) apart() error {
	type place struct {
		section, path string
		info          fs.FileInfo
	}
	var seen []place
	add := func(section, path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return nil // whoever needs it says so
		}
		for _, o := range seen {
			if os.SameFile(o.info, info) {
				return p.fault("[%s] filesystem_store_datadir: %s is the directory %s of [%s]", section, path, o.path, o.section)
			}
		}
		seen = append(seen, place{section, path, info})
		return nil
	}
	for _, s := range p.Stores.All {
		for _, d := range s.Files.Dirs {
			if err := add(s.Section, d.Path); err != nil {
				return err
			}
		}
	}
	return add("os_glance_staging_store", p.Imports.StagingDir)
}

func openFiles(p *process, s config.Store) (b glance.Backend, err error) {
	dirs := make([]filestore.Dir, len(s.Files.Dirs))
	for i, d := range s.Files.Dirs {
		dirs[i] = filestore.Dir{Path: d.Path, Priority: d.Priority}
	}
	o := filestore.Options{Mode: s.Files.Mode, Direct: true}
	if s.Files.Thin {
		o.Hole = int(s.Files.ChunkSize)
	}
	b.Store, err = filestore.OpenAll(dirs, o)
	if err != nil {
		return b, p.fault("[%s] filesystem_store_datadir: %w", s.Section, err)
	}
	b.Details = []glance.Detail{
		{Name: "data_dir", Value: s.Files.Dirs[0].Path},
		{Name: "chunk_size", Value: s.Files.ChunkSize},
		{Name: "thin_provisioning", Value: s.Files.Thin},
	}
	return b, nil
}

// largeObject is from what size on the original divides objects. This service
// divides what is larger than a chunk; the number is shown because clients
// expect one.
const largeObject = 5 << 30

func openSwift(p *process, s config.Store) (b glance.Backend, err error) {
	w := s.Swift
	b.Store, err = swiftstore.Open(swiftstore.Config{
		AuthAddress:     w.AuthAddress,
		User:            w.User,
		Key:             string(w.Key),
		UserDomain:      w.UserDomain,
		ProjectDomain:   w.ProjectDomain,
		Region:          w.Region,
		EndpointType:    w.EndpointType,
		Container:       w.Container,
		CreateContainer: w.CreateOnPut,
		Reference:       w.Reference,
		ChunkSize:       w.ChunkSize,
	})
	if err != nil {
		return b, fmt.Errorf("%s: swift store: %w", w.Pos, err)
	}
	b.Details = []glance.Detail{
		{Name: "container", Value: w.Container},
		{Name: "large_object_size", Value: int64(largeObject)},
		{Name: "large_object_chunk_size", Value: cmp.Or(w.ChunkSize, swiftstore.DefaultChunkSize)},
	}
	return b, nil
}
