package config

import (
	"fmt"
	"time"
)

// V1 is version 1 of the Images API, and the registry that it may ask.
type V1 struct {
	Enabled  bool // the api answers it
	Registry RegistryAccess

	// Of the registry: which of its two APIs it answers.
	REST, RPC bool
}

// RegistryAccess is how the api reaches a registry.
type RegistryAccess struct {
	Host              string // "" means that there is none: the catalog is asked
	Port              int
	TLS               bool
	KeyFile, CertFile string
	CAFile            string // "" means those of the system
	Insecure          bool
	Timeout           time.Duration // 0 means as long as it takes

	UserToken    bool // requests are made with the token of the caller
	SendIdentity bool // and say who the caller is

	// Who asks, if it is not the caller; without AuthURL nobody logs in.
	AdminUser, AdminProject string
	AdminPassword           Secret
	AuthURL                 string
}

func (r *reader) v1() V1 {
	return V1{
		Enabled:  r.boolean(true, "DEFAULT.enable_v1_api"),
		REST:     r.boolean(true, "DEFAULT.enable_v1_registry"),
		RPC:      r.boolean(true, "DEFAULT.enable_v2_registry"),
		Registry: r.registryAccess(),
	}
}

func (r *reader) registryAccess() RegistryAccess {
	a := RegistryAccess{
		Host:          r.text("", "DEFAULT.registry_host"),
		Port:          r.port(9191, "DEFAULT.registry_port"),
		TLS:           r.choice("http", []string{"http", "https"}, "DEFAULT.registry_client_protocol") == "https",
		KeyFile:       r.text("", "DEFAULT.registry_client_key_file"),
		CertFile:      r.text("", "DEFAULT.registry_client_cert_file"),
		CAFile:        r.text("", "DEFAULT.registry_client_ca_file"),
		Insecure:      r.boolean(false, "DEFAULT.registry_client_insecure"),
		Timeout:       r.seconds(600*time.Second, "DEFAULT.registry_client_timeout"),
		UserToken:     r.boolean(true, "DEFAULT.use_user_token"),
		SendIdentity:  r.boolean(false, "DEFAULT.send_identity_headers"),
		AdminUser:     r.text("", "DEFAULT.admin_user"),
		AdminPassword: r.secret("DEFAULT.admin_password"),
		AdminProject:  r.text("", "DEFAULT.admin_tenant_name"),
		AuthURL:       r.web("", "DEFAULT.auth_url"),
	}
	strategy := r.choice("noauth", []string{"noauth", "keystone"}, "DEFAULT.auth_strategy")
	r.text("", "DEFAULT.auth_region") // where the registry is nobody looks up
	if (a.CertFile == "") != (a.KeyFile == "") {
		r.errs = append(r.errs, fmt.Errorf("%s: [DEFAULT] registry_client_cert_file: it needs registry_client_key_file, and the other way round",
			r.pos("DEFAULT.registry_client_cert_file", "DEFAULT.registry_client_key_file")))
	}
	if !a.UserToken && (a.AuthURL != "" || strategy == "keystone") && (a.AuthURL == "" || a.AdminUser == "" || a.AdminPassword == "" || a.AdminProject == "") {
		r.errs = append(r.errs, fmt.Errorf("%s: [DEFAULT] use_user_token: without it the registry is asked with auth_url, admin_user, admin_password and admin_tenant_name, and not all of them are set",
			r.pos("DEFAULT.use_user_token")))
	}
	return a
}
