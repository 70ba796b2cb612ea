package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Imports is how image data comes from elsewhere.
type Imports struct {
	Methods    []string // of those that the service has
	StagingDir string
	// StagingNamed says that the configuration names the directory, so that
	// the service cannot do without it.
	StagingNamed bool
	Here         string // URL by which other services on the same database reach this one; "" means that they do not
	TaskTTL      time.Duration
	AtOnce       int
	StoresAtOnce int               // of one import
	Unpack       bool              // the plug-in image_decompression
	Inject       map[string]string // of the plug-in inject_image_metadata
	Spared       []string          // roles that it does not concern
	Convert      string            // disk format that the plug-in image_conversion makes; "" means none
	Copied       []string          // beginnings of properties that glance-download copies

	Web Web
}

// Web is what may be downloaded. Of two lists only the first counts, unless it
// is empty.
type Web struct {
	AllowedSchemes, DisallowedSchemes []string
	AllowedHosts, DisallowedHosts     []string
	AllowedPorts, DisallowedPorts     []int
}

// imports reads how data comes from elsewhere. Staged data is kept beside that
// of the images unless the options say otherwise: what may write there may
// write here. Where stores have names, staging is a store too, with a place
// of its own.
func (r *reader) imports(stores Stores) Imports {
	const at = "import_filtering_opts."
	im := Imports{
		StagingDir:   r.stagingDir(stores),
		TaskTTL:      time.Duration(r.integer(48, 1, 1<<20, "task.task_time_to_live", "DEFAULT.task_time_to_live")) * time.Hour,
		AtOnce:       r.number(10, 1, "taskflow_executor.max_workers", "task.eventlet_executor_pool_size"),
		StoresAtOnce: r.number(1, 1, "image_import_opts.max_parallel_stores"),
		Web: Web{
			AllowedSchemes:    r.bracketed([]string{"http", "https"}, at+"allowed_schemes"),
			DisallowedSchemes: r.bracketed(nil, at+"disallowed_schemes"),
			AllowedHosts:      r.bracketed(nil, at+"allowed_hosts"),
			DisallowedHosts:   r.bracketed(nil, at+"disallowed_hosts"),
			AllowedPorts:      r.portList("80,443", at+"allowed_ports"),
			DisallowedPorts:   r.portList("", at+"disallowed_ports"),
		},
	}
	im.Methods = r.importMethods(stores.Named)
	im.Copied = r.bracketed([]string{"hw_", "trait:", "os_distro", "os_secure_boot", "os_type"}, "glance_download_properties.extra_properties")
	r.importPlugins(&im)
	named := r.fileURI("DEFAULT.node_staging_uri") // as before there was a store for it
	if stores.Named {
		named = ""
	}
	r.directory("", "os_glance_tasks_store.filesystem_store_datadir") // tasks leave nothing to keep
	if named = r.directory(named, "os_glance_staging_store.filesystem_store_datadir"); named != "" {
		im.StagingDir, im.StagingNamed = named, true
	}
	r.stagedApart(im.StagingDir, stores)
	return im
}

// stagedApart reports staged data in a directory of images: both have the
// image's ID as their name, and what is staged is removed.
func (r *reader) stagedApart(staging string, stores Stores) {
	for _, s := range stores.All {
		if slices.ContainsFunc(s.Files.Dirs, func(d Dir) bool { return d.Path == staging }) {
			names := slices.Concat([]string{"os_glance_staging_store.filesystem_store_datadir", "DEFAULT.node_staging_uri"},
				section(s.Section).names("filesystem_store_datadir"), section(s.Section).names("filesystem_store_datadirs"))
			r.errs = append(r.errs, fmt.Errorf("%s: [os_glance_staging_store] filesystem_store_datadir: images are in %s; data has to be staged elsewhere", r.pos(names...), staging))
		}
	}
}

// stagingDir is where data is staged that nobody has named a place for.
func (r *reader) stagingDir(s Stores) string {
	if s.Named {
		return "/var/lib/glance/os_glance_staging_store"
	}
	images := r.directory("/var/lib/glance/images", unnamed.names("filesystem_store_datadir")...)
	for _, store := range s.All {
		if len(store.Files.Dirs) > 0 {
			images = store.Files.Dirs[0].Path
		}
	}
	return filepath.Join(filepath.Dir(images), "staging")
}

// importMethods returns the methods that can be offered. copy-image needs
// stores with names to have something to do, so without it is nothing to miss.
func (r *reader) importMethods(named bool) []string {
	names := []string{"DEFAULT.enabled_import_methods"}
	can := []string{"glance-direct", "web-download", "glance-download", "copy-image"}
	if !named {
		can = can[:3]
	}
	var methods []string
	for _, method := range r.bracketed([]string{"glance-direct", "web-download", "copy-image"}, names...) {
		switch {
		case slices.Contains(can, method) && !slices.Contains(methods, method):
			methods = append(methods, method)
		case slices.Contains(can, method), method == "copy-image":
		default:
			v, _, _ := r.lookup(names)
			r.wrong(v, names, "a list of methods that there are: "+strings.Join(can, ", "))
		}
	}
	return methods
}

// importPlugins reads what is done with data on its way in.
func (r *reader) importPlugins(im *Imports) {
	names := []string{"image_import_opts.image_import_plugins"}
	inject := r.pairs("inject_metadata_properties.inject")
	spared := r.list([]string{"admin"}, "inject_metadata_properties.ignore_user_roles")
	format := r.choice("raw", []string{"qcow2", "raw", "vmdk"}, "image_conversion.output_format")
	for _, plugin := range r.bracketed(nil, names...) {
		switch plugin {
		case "image_decompression":
			im.Unpack = true
		case "inject_image_metadata":
			im.Inject, im.Spared = inject, spared
		case "image_conversion":
			im.Convert = format
		case "no_op":
		default:
			v, _, _ := r.lookup(names)
			r.wrong(v, names, "a list of plug-ins that there are: image_conversion, image_decompression, inject_image_metadata")
		}
	}
}

// pairs returns words between commas, each a name and a value with a colon
// between them.
func (r *reader) pairs(names ...string) map[string]string {
	all := make(map[string]string)
	for _, w := range r.list(nil, names...) {
		name, value, ok := strings.Cut(w, ":")
		if name = strings.Trim(strings.TrimSpace(name), `"'`); !ok || name == "" {
			v, _, _ := r.lookup(names)
			r.wrong(v, names, "a list of names with values, such as a:1,b:2")
			return nil
		}
		all[name] = strings.Trim(strings.TrimSpace(value), `"'`)
	}
	return all
}

// bracketed is list for the options that are written in brackets, with words
// in quotation marks if somebody likes.
func (r *reader) bracketed(def []string, names ...string) []string {
	v, ok := r.find("["+strings.Join(def, ",")+"]", names)
	if !ok {
		return def
	}
	text := strings.TrimSpace(v.Text)
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	list := words(text)
	for i, w := range list {
		list[i] = strings.Trim(w, `"'`)
	}
	return list
}

// portList is bracketed for ports.
func (r *reader) portList(def string, names ...string) []int {
	var ports []int
	for _, w := range r.bracketed(words(def), names...) {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 || n > 65535 {
			v, _, _ := r.lookup(names)
			r.wrong(v, names, "a list of ports from 1 to 65535")
			return nil
		}
		ports = append(ports, n)
	}
	return ports
}

// fileURI returns the directory that a file: URI means.
func (r *reader) fileURI(names ...string) string {
	v, ok := r.find("", names)
	if !ok || v.Text == "" {
		return ""
	}
	u, err := url.Parse(v.Text)
	if err != nil || u.Scheme != "file" || u.Host != "" || !filepath.IsAbs(u.Path) {
		r.wrong(v, names, "a URI of a directory, such as file:///var/lib/glance/staging")
		return ""
	}
	return filepath.Clean(u.Path)
}
