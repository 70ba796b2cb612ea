package apiv2

import (
	"net/http"
	"slices"
	"strings"
)

// A version is an entry in the list of versions.
type version struct{ id, status string }

// versions returns what clients are told they can rely on, by what the service
// has, in the order of the original. What can be asked for stands in the list,
// and nothing else: clients look here before they use it.
func versions(o Options, namedStores bool) []version {
	const current = "v2.17"
	ids := []string{"v2.15"}
	if o.Cache != nil {
		ids = []string{"v2.16", "v2.15", "v2.14"}
	}
	if namedStores {
		ids = append(ids, "v2.13", "v2.12", "v2.11", "v2.10", "v2.9", "v2.8")
	} else {
		ids = append(ids, "v2.9")
	}
	ids = append(ids, current, "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")
	all := make([]version, len(ids))
	for i, id := range ids {
		all[i] = version{id, "SUPPORTED"}
		if id == current {
			all[i].status = "CURRENT"
		}
	}
	if o.V1 != nil {
		all = append(all, version{"v1.1", "DEPRECATED"}, version{"v1.0", "DEPRECATED"})
	}
	return all
}

const vendorType = "application/vnd.openstack.images-"

// Negotiate returns a handler that finds out which version of the API a
// request is for, in its Accept header or the first part of its path, and
// passes it to next with the path starting in /v1 or /v2. Everything else gets
// the list of versions. It belongs in front of the authentication.
func (a *API) Negotiate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, rest := segment("/" + strings.TrimLeft(r.URL.Path, "/"))
		wanted := first
		if named, ok := strings.CutPrefix(r.Header.Get("Accept"), vendorType); ok {
			wanted, rest = named, r.URL.Path
		}
		if rest != "" {
			rest = "/" + strings.TrimLeft(rest, "/")
		}
		switch {
		case first == "versions":
			a.listVersions(w, r, http.StatusOK)
		case !a.known(wanted):
			a.listVersions(w, r, http.StatusMultipleChoices) // nobody has asked for it
		default:
			next.ServeHTTP(w, at(r, major(wanted)+rest))
		}
	})
}

// at returns r with another path.
func at(r *http.Request, path string) *http.Request {
	if r.URL.Path == path && r.URL.RawPath == "" {
		return r
	}
	moved, u := r.WithContext(r.Context()), *r.URL
	u.Path, u.RawPath = path, ""
	moved.URL = &u
	return moved
}

// Root returns the handler behind the negotiation: the API for every path in
// /v2, that of version 1 for those in /v1, the list of versions for all others.
// It does for a service without Negotiate, which then has no other names of
// versions.
func (a *API) Root() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case in(r.URL.Path, "/v2"):
			a.ServeHTTP(w, r)
		case in(r.URL.Path, "/v1") && a.o.V1 != nil:
			a.o.V1.ServeHTTP(w, r)
		default:
			a.listVersions(w, r, http.StatusMultipleChoices)
		}
	})
}

// in says whether a path is a directory's, or the directory itself.
func in(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '/')
}

func (a *API) known(id string) bool {
	return id == "v2" || id == "v1" && a.o.V1 != nil || slices.ContainsFunc(a.versions, func(v version) bool { return v.id == id })
}

// major is how the path of a version begins.
func major(id string) string { return "/" + id[:2] }

func (a *API) listVersions(w http.ResponseWriter, r *http.Request, code int) {
	endpoint := strings.TrimRight(a.o.PublicEndpoint, "/")
	if endpoint == "" {
		endpoint = a.root(r)
	}
	all := make(list, 0, len(a.versions))
	for _, v := range a.versions {
		all = append(all, object{
			{"id", v.id},
			{"status", v.status},
			{"links", list{object{{"rel", "self"}, {"href", endpoint + major(v.id) + "/"}}}},
		})
	}
	reply(w, code, appendJSON(nil, object{{"versions", all}}))
}

// root returns where the client finds our paths.
func (a *API) root(r *http.Request) string {
	if a.o.Prefix == nil {
		return base(r)
	}
	return base(r) + a.o.Prefix(r)
}

// base returns scheme and host as the client sees them, without a port that
// goes without saying. A handler in front that knows better sets r.URL.Scheme.
func base(r *http.Request) string {
	scheme := r.URL.Scheme
	switch {
	case scheme != "":
	case r.TLS != nil:
		scheme = "https"
	default:
		scheme = "http"
	}
	host := r.Host
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + host
}
