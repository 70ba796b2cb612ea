package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"glancectl/service/oslo"
)

// An Origin is a web site whose pages may ask the service.
type Origin struct {
	Name        string // scheme://host[:port], or * for all that have no own
	Credentials bool
	Expose      []string // response headers that a page may read
	MaxAge      int      // seconds that an answer about this may be kept; 0 means it does not say
	Methods     []string
	Headers     []string // request headers, besides those that always may be sent
}

// Health is the check that load balancers ask for.
type Health struct {
	Path     string
	Below    bool          // what is below Path asks for it too
	Checks   []HealthCheck // in the order of their results
	Detailed bool          // the answer says more about the checks and the process
}

// A HealthCheck fails while a file exists. It always passes without one.
type HealthCheck struct {
	ByPort bool // which kind of check it is
	File   string
}

// A layer is a section whose keys win over those of a section of the
// configuration.
type layer struct {
	c       *oslo.Config
	section string
	raw     bool // a dollar sign begins no reference, as in paste files
}

func (l layer) lookup(key string) (v oslo.Value, ok bool, err error) {
	v, err = l.c.Lookup(l.section, key)
	if errors.Is(err, oslo.ErrUnset) || v.File == "" {
		return v, false, nil
	}
	if l.raw {
		v.Text, err = v.Raw, nil
	}
	return v, true, err
}

// layered returns what stands in the layers above a section, the last first.
func (r *reader) layered(section, key string) (v oslo.Value, ok bool, err error) {
	for _, l := range slices.Backward(r.layers[section]) {
		if v, ok, err := l.lookup(key); ok {
			return v, ok, err
		}
	}
	return oslo.Value{}, false, nil
}

// cors reads the web sites whose pages may ask. Sections of their own, such as
// [cors.dashboard], begin with what [cors] says.
func (r *reader) cors() []Origin {
	origins := r.origins(nil)
	for _, section := range r.c.Sections() {
		if !strings.HasPrefix(section, "cors.") {
			continue
		}
		for _, key := range r.c.Keys(section) {
			r.known[canonical(section)+"."+key] = r.known["cors."+key]
		}
		below := r.layers["cors"]
		r.layers["cors"] = append(slices.Clip(below), layer{c: r.c, section: section})
		origins = r.origins(origins)
		r.layers["cors"] = below
	}
	return origins
}

// origins adds to all the origins of one section that are not in it.
func (r *reader) origins(all []Origin) []Origin {
	o := Origin{
		Credentials: r.boolean(true, "cors.allow_credentials"),
		Expose: r.list([]string{"X-Image-Meta-Checksum", "X-Auth-Token", "X-Subject-Token", "X-Service-Token",
			"X-OpenStack-Request-ID"}, "cors.expose_headers"),
		MaxAge:  r.number(3600, 0, "cors.max_age"),
		Methods: r.list([]string{"GET", "PUT", "POST", "DELETE", "PATCH"}, "cors.allow_methods"),
		Headers: r.list([]string{"Content-MD5", "X-Image-Meta-Checksum", "X-Storage-Token", "Accept-Encoding",
			"X-Auth-Token", "X-Identity-Status", "X-Roles", "X-Service-Catalog", "X-User-Id", "X-Tenant-Id",
			"X-OpenStack-Request-ID"}, "cors.allow_headers"),
	}
	for _, name := range r.list(nil, "cors.allowed_origin") {
		if !slices.ContainsFunc(all, func(old Origin) bool { return old.Name == name }) {
			o.Name = name
			all = append(all, o)
		}
	}
	return all
}

// health is as in the paste files of the original, unless the options or a
// paste file say otherwise. A section of a paste file that names no checks has
// none.
func (r *reader) health(port int) Health {
	file, backends := "/etc/glance/healthcheck_disable", []string{byFile}
	if len(r.layers["healthcheck"]) > 0 {
		file, backends = "", nil
	}
	h := Health{
		Path:     r.text("/healthcheck", "healthcheck.path"),
		Detailed: r.boolean(false, "healthcheck.detailed"),
	}
	file = r.text(file, "healthcheck.disable_by_file_path")
	files := r.portFiles("healthcheck.disable_by_file_paths")
	names := []string{"healthcheck.backends"}
	for _, name := range r.list(backends, names...) {
		switch name {
		case byFile:
			h.Checks = append(h.Checks, HealthCheck{File: file})
		case byPort:
			h.Checks = append(h.Checks, HealthCheck{ByPort: true, File: files[port]})
		default:
			v, _, _ := r.lookup(names)
			r.wrong(v, names, fmt.Sprintf("a list of checks that there are: %s, %s", byFile, byPort))
		}
	}
	return h
}

// The names of the checks.
const (
	byFile = "disable_by_file"
	byPort = "disable_by_files_ports"
)

// portFiles returns files by port.
func (r *reader) portFiles(names ...string) map[int]string {
	files := make(map[int]string)
	for _, w := range r.list(nil, names...) {
		port, file, _ := strings.Cut(w, ":")
		n, err := strconv.Atoi(port)
		if err != nil || !filepath.IsAbs(file) {
			v, _, _ := r.lookup(names)
			r.wrong(v, names, "a list of ports with files, such as 9292:/etc/glance/off")
			return nil
		}
		files[n] = file
	}
	return files
}
