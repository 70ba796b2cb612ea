package config

import (
	"fmt"
	"slices"
	"strings"

	"glancectl/service/oslo"
)

// set returns the value of an option that stands in a file and is not empty.
func (r *reader) set(name string) (oslo.Value, bool) {
	section, key := split(name)
	v, _ := r.c.Lookup(section, key) // where it stands is known in any case
	return v, v.File != "" && v.Raw != ""
}

// idle notes options that the others leave without effect. The original passes
// over them as well, so that a file with them has to go on serving; but whoever
// wrote it believes otherwise.
func (r *reader) idle(p Program, s *Settings) {
	if p == API || p == Registry {
		r.idleTokens(s.Pipeline)
	}
	web := s.Imports.Web
	const filters = "import_filtering_opts."
	for _, c := range []struct {
		when   bool
		option string
		why    string
	}{
		{len(web.AllowedSchemes) > 0 && len(web.DisallowedSchemes) > 0, filters + "disallowed_schemes", "what is not in allowed_schemes is refused, and that is [http,https] unless it is set to []"},
		{len(web.AllowedHosts) > 0 && len(web.DisallowedHosts) > 0, filters + "disallowed_hosts", "allowed_hosts is set, and what is not in it is refused"},
		{len(web.AllowedPorts) > 0 && len(web.DisallowedPorts) > 0, filters + "disallowed_ports", "what is not in allowed_ports is refused, and that is [80,443] unless it is set to []"},
		{s.Imports.Inject == nil, "inject_metadata_properties.inject", "inject_image_metadata is not among [image_import_opts] image_import_plugins"},
		{s.Imports.Convert == "", "image_conversion.output_format", "image_conversion is not among [image_import_opts] image_import_plugins"},
		{s.Stores.Named && !s.Imports.StagingNamed, "DEFAULT.node_staging_uri",
			"where enabled_backends names stores, [os_glance_staging_store] filesystem_store_datadir says where data is staged"},
		{!s.Stores.Named, "glance_store.default_backend", "enabled_backends names no stores; the default one of those in stores is called default_store"},
		{p == API && len(s.Pipeline) > 0 && !s.Pipeline.Has(CacheFilter), "DEFAULT.image_cache_dir",
			"the pipeline has no cache; [paste_deploy] flavor says so, as in keystone+caching"},
	} {
		if v, set := r.set(c.option); set && c.when {
			r.idles(c.option, v, c.why)
		}
	}
	if s.Stores.Named {
		r.idleUnnamed(s.Stores)
	}
	r.idleStores(s.Stores)
}

// idles notes that an option has no effect, so that unused need not.
func (r *reader) idles(option string, v oslo.Value, why string) {
	section, key := split(option)
	r.known[canonical(section)+"."+key] = true
	r.warnings = append(r.warnings, fmt.Sprintf("%s: [%s] %s has no effect: %s", v.Pos(), section, key, why))
}

// idleTokens notes that a Keystone is configured which nobody asks.
func (r *reader) idleTokens(pipe Pipeline) {
	why := "no token is asked for: whoever reaches the service is an administrator"
	switch {
	case len(pipe) == 0 || pipe.Has(AuthToken):
		return
	case pipe.Has(Context):
		why = "no token is validated: the headers of each request say who asks"
	}
	for _, key := range []string{"auth_url", "identity_uri", "auth_host"} {
		if v, set := r.set("keystone_authtoken." + key); set {
			r.idles("keystone_authtoken."+key, v, why+"; [paste_deploy] flavor = keystone validates tokens")
			return
		}
	}
}

// ofStores are the beginnings of options of stores, of whatever kind.
var ofStores = []string{"filesystem_", "swift_", "default_swift_", "http_proxy_information", "https_", "rbd_", "s3_", "cinder_", "vmware_"}

func ofStore(key string) bool {
	return slices.ContainsFunc(ofStores, func(p string) bool { return strings.HasPrefix(key, p) })
}

// idleUnnamed notes options of stores without names where stores have names.
func (r *reader) idleUnnamed(s Stores) {
	var sections []string
	for _, store := range s.All {
		sections = append(sections, "["+store.ID+"]")
	}
	for _, section := range []string{"DEFAULT", "glance_store"} {
		for _, key := range r.c.Keys(section) {
			option := section + "." + key
			v, set := r.set(option)
			if set && (ofStore(key) || key == "default_store") {
				r.idles(option, v, "enabled_backends names the stores, whose options stand in "+strings.Join(sections, ", "))
			}
		}
	}
}

// idleStores notes sections that have the options of a store and are none's.
func (r *reader) idleStores(s Stores) {
	for _, section := range r.c.Sections() {
		own := section == "DEFAULT" || section == string(unnamed) || strings.HasPrefix(section, "os_glance_")
		if own || slices.ContainsFunc(s.All, func(store Store) bool { return strings.EqualFold(store.Section, section) }) {
			continue
		}
		for _, key := range r.c.Keys(section) {
			option := section + "." + key
			if v, set := r.set(option); set && ofStore(key) && !r.known[canonical(section)+"."+key] {
				r.idles(option, v, fmt.Sprintf("[DEFAULT] enabled_backends names no store %q", section))
			}
		}
	}
}
