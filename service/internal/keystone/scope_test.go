package keystone_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

// TestScope: what a token is for, and where its owner is at home, arrives.
func TestScope(t *testing.T) {
	for _, test := range []struct {
		name, scope string
		want        glance.Caller
	}{
		{"project", `"project": {"id": "p1", "name": "demo", "domain": {"id": "d2", "name": "D2"}},`, glance.Caller{ProjectID: "p1", ProjectDomainID: "d2"}},
		{"domain", `"domain": {"id": "d3", "name": "D3"},`, glance.Caller{DomainID: "d3"}},
		{"system", `"system": {"all": true},`, glance.Caller{System: true}},
		{"nothing", "", glance.Caller{}},
	} {
		s := newSite(t)
		s.set(func() {
			s.respond = func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, fmt.Sprintf(`{"token": {"expires_at": %q, "user": {"id": "u1", "domain": {"id": "d1"}}, %s "roles": [{"name": "Admin"}]}}`,
					s.clock.Now().Add(time.Hour).Format(time.RFC3339), test.scope)) // the client sees a failure
			}
		})
		_, got := s.get("X-Auth-Token", "gAAAAA-token")
		test.want.UserID, test.want.UserDomainID, test.want.Roles, test.want.Admin, test.want.Token = "u1", "d1", []string{"admin"}, true, "gAAAAA-token"
		if diff := cmp.Diff(&test.want, got); diff != "" {
			t.Errorf("caller of a token for %s (-want +got):\n%s", test.name, diff)
		}
	}
}
