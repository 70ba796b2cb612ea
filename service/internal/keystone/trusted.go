package keystone

import (
	"cmp"
	"net/http"
	"strings"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
)

// Trusted passes requests on to next with the caller that their headers name,
// as a proxy that validates tokens sets them. Nothing is validated: whoever
// can reach the service can be anybody, so that only that proxy may. A request
// that the proxy does not confirm is answered with 401 or, if that is allowed,
// is from an anonymous caller.
func Trusted(next http.Handler, anonymous bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := glance.Caller{Anonymous: true}
		switch {
		case r.Header.Get("X-Identity-Status") == "Confirmed":
			caller = named(r.Header)
		case !anonymous:
			(&fault.Fault{Code: http.StatusUnauthorized}).Write(w, r)
			return
		}
		stripIdentity(r.Header)
		serve(w, r, next, caller)
	})
}

// named returns the caller that the headers of a proxy name.
func named(h http.Header) glance.Caller {
	c := glance.Caller{
		UserID:          cmp.Or(h.Get("X-User-Id"), h.Get("X-User")),
		ProjectID:       cmp.Or(h.Get("X-Project-Id"), h.Get("X-Tenant-Id"), h.Get("X-Tenant")),
		DomainID:        h.Get("X-Domain-Id"),
		System:          h.Get("Openstack-System-Scope") == "all",
		UserDomainID:    h.Get("X-User-Domain-Id"),
		ProjectDomainID: h.Get("X-Project-Domain-Id"),
		Token:           glance.Token(cmp.Or(h.Get("X-Auth-Token"), h.Get("X-Storage-Token"))),
	}
	for role := range strings.SplitSeq(cmp.Or(h.Get("X-Roles"), h.Get("X-Role")), ",") {
		if role = strings.ToLower(strings.TrimSpace(role)); role != "" {
			c.Roles = append(c.Roles, role)
		}
	}
	return c
}
