package config

import (
	"fmt"
	"slices"
	"strconv"
)

// A missing option is one that this service does not have.
type missing struct {
	option   string // "*" in place of its section stands for every section
	harmless string // the value that means the same as not setting it
	why      string
}

// refusals are options of the original that this service does not have and
// that must not be passed over: whoever sets them relies on them.
var refusals = []missing{
	{"DEFAULT.cert_file", "", "TLS is not served; put a proxy in front"},
	{"DEFAULT.key_file", "", "TLS is not served; put a proxy in front"},
	{"DEFAULT.owner_is_tenant", "true", "images belong to projects"},
	{"DEFAULT.enable_v3_api", "false", "artifacts are not served"},
	{"DEFAULT.allow_additional_image_properties", "true", "custom properties are always taken; set image_property_quota = 0 or a property_protection_file"},
	{"profiler.enabled", "false", "there is no profiler"},
	{"*.swift_store_multi_tenant", "false", "all data is in the one account of the service"},
}

// losses are options of the original that this service does not have and can do
// without, but not as whoever sets them expects: they are worth a warning.
var losses = []missing{
	{"DEFAULT.location_strategy", "location_order", "data is read from the store of the highest weight"},
	{"taskflow_executor.conversion_format", "", "images of tasks stay as they are; [image_conversion] output_format converts those that are imported"},
	{"DEFAULT.enable_v2_api", "true", "version 2 is always served"},
	{"database.slave_connection", "", "everything is read from connection"},
	{"database.connection_parameters", "", "parameters stand behind a question mark in connection; charset and unix_socket are known"},
	{"database.mysql_sql_mode", "TRADITIONAL", "it is TRADITIONAL"},
	{"database.mysql_enable_ndb", "false", "tables are InnoDB's"},
	{"*.swift_store_cacert", "", "the system's certificates are believed"},
	{"*.swift_store_auth_insecure", "false", "certificates are always checked"},
}

// refuse notes the options of refusals that are set, and of losses.
func (r *reader) refuse() {
	r.without(refusals, func(place, why string) {
		r.errs = append(r.errs, fmt.Errorf("%s: not supported: %s", place, why))
	})
	r.without(losses, func(place, why string) {
		r.warnings = append(r.warnings, fmt.Sprintf("%s has no effect: %s", place, why))
	})
}

// without notes which of the options are set to something that is not harmless.
func (r *reader) without(options []missing, note func(place, why string)) {
	for _, m := range options {
		for _, option := range r.everywhere(m.option) {
			v, ok, _ := r.lookup([]string{option})
			if b, is := truth(v.Text); !ok || v.Text == "" || v.Text == m.harmless || is && strconv.FormatBool(b) == m.harmless {
				continue
			}
			section, key := split(option)
			note(fmt.Sprintf("%s: [%s] %s", v.Pos(), section, key), m.why)
		}
	}
}

// everywhere returns an option, or if its section is * that option of every
// section that there is.
func (r *reader) everywhere(option string) []string {
	section, key := split(option)
	if section != "*" {
		return []string{option}
	}
	var options []string
	for _, section := range r.c.Sections() {
		if slices.Contains(r.c.Keys(section), key) {
			options = append(options, section+"."+key)
		}
	}
	return options
}
