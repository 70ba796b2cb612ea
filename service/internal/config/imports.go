package config

import (
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Imports is how image data comes from elsewhere.
type Imports struct {
	Methods    []string // of "glance-direct" and "web-download"
	StagingDir string
	// StagingNamed says that the configuration names the directory, so that
	// the service cannot do without it.
	StagingNamed bool
	TaskTTL      time.Duration
	AtOnce       int

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
// write here.
func (r *reader) imports(stores Stores) Imports {
	const at = "import_filtering_opts."
	im := Imports{
		StagingDir: filepath.Join(filepath.Dir(stores.FileDir), "staging"),
		TaskTTL:    time.Duration(r.integer(48, 1, 1<<20, "task.task_time_to_live", "DEFAULT.task_time_to_live")) * time.Hour,
		AtOnce:     r.number(10, 1, "taskflow_executor.max_workers", "task.eventlet_executor_pool_size"),
		Web: Web{
			AllowedSchemes:    r.bracketed([]string{"http", "https"}, at+"allowed_schemes"),
			DisallowedSchemes: r.bracketed(nil, at+"disallowed_schemes"),
			AllowedHosts:      r.bracketed(nil, at+"allowed_hosts"),
			DisallowedHosts:   r.bracketed(nil, at+"disallowed_hosts"),
			AllowedPorts:      r.portList("80,443", at+"allowed_ports"),
			DisallowedPorts:   r.portList("", at+"disallowed_ports"),
		},
	}
	im.Methods = r.importMethods()
	named := r.fileURI("DEFAULT.node_staging_uri") // as before there was a store for it
	if named = r.directory(named, "os_glance_staging_store.filesystem_store_datadir"); named != "" {
		im.StagingDir, im.StagingNamed = named, true
	}
	return im
}

// importMethods returns the methods that can be offered. copy-image needs
// several stores to have something to do, so with one it is nothing to miss.
func (r *reader) importMethods() []string {
	names := []string{"DEFAULT.enabled_import_methods"}
	can := []string{"glance-direct", "web-download"}
	var methods []string
	for _, method := range r.bracketed(append(can, "copy-image"), names...) {
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
