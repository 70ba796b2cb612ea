package config

import "slices"

// HTTP is how web servers are asked for image data.
type HTTP struct {
	CAFile   string            // "" means the certificates of the system
	Insecure bool              // certificates are not checked
	Proxies  map[string]string // by scheme
}

// http reads the options of the store that reads from web servers. Unlike with
// the original, certificates are checked unless the configuration says that
// they are not.
func (r *reader) http(in section) HTTP {
	h := HTTP{
		CAFile:   r.text("", in.names("https_ca_certificates_file")...),
		Insecure: r.boolean(false, in.names("https_insecure")...),
		Proxies:  r.pairs(in.names("http_proxy_information")...),
	}
	if len(h.Proxies) == 0 {
		h.Proxies = nil
	}
	if h.CAFile != "" {
		h.CAFile, h.Insecure = r.beside(h.CAFile), false
	}
	return h
}

// Places is what callers do with the locations of images.
type Places struct {
	Shown   bool // and can be changed
	Quota   int  // negative means no limit
	NoHash  bool // what is at a new location is not hashed
	Retries int  // of hashing
}

func (r *reader) places() Places {
	return Places{
		Shown:   r.boolean(false, "DEFAULT.show_multiple_locations"),
		Quota:   r.quota(10, "DEFAULT.image_location_quota"),
		NoHash:  !r.boolean(true, "DEFAULT.do_secure_hash"),
		Retries: r.number(3, 1, "DEFAULT.http_retries"),
	}
}

// readOnly are the kinds of store that take no uploads.
var readOnly = []string{"http"}

// writable says whether a store of that kind can be the default.
func writable(kind string) bool { return !slices.Contains(readOnly, kind) }
