package config

import "fmt"

// Limits is how much projects may use, as Keystone says.
type Limits struct {
	Use      bool
	Keystone Keystone // who asks; the log-in alone counts
	System   bool     // the log-in is for the whole deployment

	// What the image service is registered as.
	EndpointID  string
	ServiceType string
	ServiceName string
	Region      string
	Interface   string
}

// limits reads how much projects may use.
func (r *reader) limits() Limits {
	const at = "oslo_limit."
	r.choice("password", []string{"password", "v3password"}, at+"auth_type", at+"auth_plugin")
	r.text("", at+"region_name") // of Keystone itself, which auth_url names
	r.text("", at+"valid_interfaces", at+"interface")
	r.text("", at+"service_type")
	l := Limits{
		Use: r.boolean(false, "DEFAULT.use_keystone_limits"),
		Keystone: Keystone{
			AuthURL:         r.web("", at+"auth_url"),
			Username:        r.text("", at+"username", at+"user_name"),
			Password:        r.secret(at + "password"),
			Project:         r.text("", at+"project_name", at+"tenant_name"),
			UserDomain:      r.text("", at+"user_domain_name"),
			UserDomainID:    r.text("", at+"user_domain_id"),
			ProjectDomain:   r.text("", at+"project_domain_name"),
			ProjectDomainID: r.text("", at+"project_domain_id"),
			Insecure:        r.boolean(false, at+"insecure"),
			CAFile:          r.text("", at+"cafile"),
		},
		System:      r.choice("", []string{"", "all"}, at+"system_scope") == "all",
		EndpointID:  r.text("", at+"endpoint_id"),
		ServiceType: r.text("", at+"endpoint_service_type"),
		ServiceName: r.text("", at+"endpoint_service_name"),
		Region:      r.text("", at+"endpoint_region_name"),
		Interface: r.choice("publicURL", []string{"public", "publicURL", "internal", "internalURL", "admin", "adminURL"},
			at+"endpoint_interface"),
	}
	if !l.Use {
		return l
	}
	for _, need := range []struct {
		what    string
		missing bool
	}{
		{"[oslo_limit] auth_url", l.Keystone.AuthURL == ""},
		{"[oslo_limit] username", l.Keystone.Username == ""},
		{"[oslo_limit] password", l.Keystone.Password == ""},
		{"[oslo_limit] project_name or system_scope", l.Keystone.Project == "" && !l.System},
		{"[oslo_limit] endpoint_id, or endpoint_service_type", l.EndpointID == "" && l.ServiceType == "" && l.ServiceName == ""},
	} {
		if need.missing {
			r.errs = append(r.errs, fmt.Errorf("%s: [DEFAULT] use_keystone_limits: %s is not set", r.pos("DEFAULT.use_keystone_limits"), need.what))
		}
	}
	return l
}
