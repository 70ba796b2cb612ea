package apiv2

import (
	"net/http"
	"strings"
)

// versions are what clients are told they can rely on: what a Glance without
// several stores has. 2.8 is the version of several stores.
var versions = []struct{ id, status string }{
	{"v2.9", "CURRENT"},
	{"v2.7", "SUPPORTED"},
	{"v2.6", "SUPPORTED"},
	{"v2.5", "SUPPORTED"},
	{"v2.4", "SUPPORTED"},
	{"v2.3", "SUPPORTED"},
	{"v2.2", "SUPPORTED"},
	{"v2.1", "SUPPORTED"},
	{"v2.0", "SUPPORTED"},
}

const vendorType = "application/vnd.openstack.images-"

// Negotiate returns a handler that finds out which version of the API a
// request is for, in its Accept header or the first part of its path, and
// passes it to next with the path starting in /v2. Everything else gets the
// list of versions. It belongs in front of the authentication.
func (a *API) Negotiate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusOK)
			return
		}
		first, rest := segment("/" + strings.TrimLeft(r.URL.Path, "/"))
		version, named := strings.CutPrefix(r.Header.Get("Accept"), vendorType)
		if named {
			rest = r.URL.Path
		} else {
			version = first
		}
		switch {
		case !known(version):
			a.listVersions(w, r, first == "versions")
		case rest == "":
			http.Redirect(w, r, base(r)+"/v2/", http.StatusFound)
		default:
			v2 := r.Clone(r.Context())
			v2.URL.Path, v2.URL.RawPath = "/v2"+rest, ""
			next.ServeHTTP(w, v2)
		}
	})
}

func known(version string) bool {
	if version == "v2" {
		return true
	}
	for _, v := range versions {
		if v.id == version {
			return true
		}
	}
	return false
}

// listVersions answers with 300 when nobody asked for the list.
func (a *API) listVersions(w http.ResponseWriter, r *http.Request, asked bool) {
	endpoint := strings.TrimRight(a.o.PublicEndpoint, "/")
	if endpoint == "" {
		endpoint = base(r)
	}
	all := make(list, 0, len(versions))
	for _, v := range versions {
		all = append(all, object{
			{"id", v.id},
			{"status", v.status},
			{"links", list{object{{"rel", "self"}, {"href", endpoint + "/v2/"}}}},
		})
	}
	code := http.StatusMultipleChoices
	if asked {
		code = http.StatusOK
	}
	reply(w, code, appendJSON(nil, object{{"versions", all}}))
}

// base returns scheme and host as the client sees them. A handler in front
// that knows better sets r.URL.Scheme.
func base(r *http.Request) string {
	scheme := r.URL.Scheme
	switch {
	case scheme != "":
	case r.TLS != nil:
		scheme = "https"
	default:
		scheme = "http"
	}
	return scheme + "://" + r.Host
}
