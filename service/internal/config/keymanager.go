package config

import "strings"

// KeyManager is where the certificates of signed images are.
type KeyManager struct {
	Endpoint  string // "" means that a catalog knows it
	AuthURL   string // whose catalog; "" means none
	Region    string
	Interface string
	Insecure  bool
	CAFile    string
}

// keyManager reads where certificates are. The Keystone of tokens is asked if
// there is no other.
func (r *reader) keyManager(k Keystone) KeyManager {
	const at = "barbican."
	r.backend()
	r.text("", at+"barbican_api_version")
	r.number(1, 0, at+"retry_delay")
	r.number(60, 0, at+"number_of_retries")
	return KeyManager{
		Endpoint:  r.web("", at+"barbican_endpoint"),
		AuthURL:   r.web(k.AuthURL, at+"auth_endpoint"),
		Region:    r.text("", at+"barbican_region_name"),
		Interface: r.choice("public", []string{"public", "internal", "admin"}, at+"barbican_endpoint_type"),
		Insecure:  !r.boolean(true, at+"verify_ssl") || r.boolean(false, at+"insecure"),
		CAFile:    r.text("", at+"verify_ssl_path", at+"cafile"),
	}
}

// backend notes a key manager that there is not.
func (r *reader) backend() {
	names := []string{"key_manager.backend", "key_manager.api_class"}
	v, ok := r.find("barbican", names)
	if ok && v.Text != "barbican" && !strings.HasPrefix(v.Text, "castellan.key_manager.barbican_key_manager.") {
		r.wrong(v, names, "a key manager that there is: barbican")
	}
}
