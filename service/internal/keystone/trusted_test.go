package keystone_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
	"glancectl/service/internal/keystone"
)

func TestTrusted(t *testing.T) {
	confirmed := []string{"X-Identity-Status", "Confirmed"}
	for _, test := range []struct {
		name      string
		headers   []string
		anonymous bool
		want      *glance.Caller // nil means 401
	}{
		{"everything", append(confirmed, "X-User-Id", "u1", "X-Project-Id", "p1", "X-Roles", "Member, Reader ,", "X-User-Domain-Id", "d1",
			"X-Project-Domain-Id", "d2", "X-Domain-Id", "d3", "OpenStack-System-Scope", "all", "X-Auth-Token", "t"), false,
			&glance.Caller{UserID: "u1", ProjectID: "p1", Roles: []string{"member", "reader"}, UserDomainID: "d1", ProjectDomainID: "d2", DomainID: "d3", System: true, Token: "t"}},
		{"the names of old", append(confirmed, "X-User", "u1", "X-Tenant-Id", "p1", "X-Role", "admin"), false,
			&glance.Caller{UserID: "u1", ProjectID: "p1", Roles: []string{"admin"}}},
		{"nothing", nil, false, nil},
		{"refused by the proxy", []string{"X-Identity-Status", "Invalid", "X-User-Id", "u1", "X-Roles", "admin"}, false, nil},
		{"refused, anonymous access", []string{"X-Identity-Status", "Invalid", "X-User-Id", "u1", "X-Roles", "admin"}, true, &glance.Caller{Anonymous: true}},
	} {
		var got *glance.Caller
		h := keystone.Trusted(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			c := glance.CallerFrom(r.Context())
			got = &c
			if r.Header.Get("X-Roles") != "" || r.Header.Get("X-Identity-Status") != "" {
				t.Errorf("%s: headers that name a caller go on: %v", test.name, r.Header)
			}
		}), test.anonymous)
		r := httptest.NewRequest("GET", "/v2/images", nil)
		for i := 0; i < len(test.headers); i += 2 {
			r.Header.Set(test.headers[i], test.headers[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if diff := cmp.Diff(test.want, got); diff != "" || test.want == nil && w.Code != 401 {
			t.Errorf("%s: %d (-want +got):\n%s", test.name, w.Code, diff)
		}
	}
}
