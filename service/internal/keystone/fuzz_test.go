package keystone_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"glancectl/service/glance"
	"glancectl/service/internal/keystone"

	"github.com/google/go-cmp/cmp"
)

// FuzzToken sends any two tokens: whoever does not send the right one is
// refused, and it is never the service that fails.
func FuzzToken(f *testing.F) {
	for _, seed := range []string{"", memberToken, " " + memberToken, memberToken + "\n", "\x00", "é", "a\r\nX-Auth-Token: b", "%s%d"} {
		f.Add(seed, memberToken)
		f.Add(seed, "")
	}
	c := newClock()
	k := newFakeKeystone(f, c)
	m, err := keystone.New(keystone.Options{
		AuthURL: k.URL, Username: "glance", Password: servicePassword, Project: "service", Now: c.Now,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, auth, storage string) {
		code, want := 401, (*glance.Caller)(nil)
		if auth == memberToken || auth == "" && storage == memberToken {
			code, want = 200, member
		} else if auth == adminToken || auth == "" && storage == adminToken {
			code, want = 200, admin
		} else if strings.HasPrefix(auth+storage, "gAAAAA-own-token") {
			return // guessed the service's own
		}
		w, got := send(m.Require, "X-Auth-Token", auth, "X-Storage-Token", storage)
		if w.Code != code || !cmp.Equal(got, want) {
			t.Errorf("tokens %q, %q = %d, %+v; want %d, %+v", auth, storage, w.Code, got, code, want)
		}
		for _, token := range []string{auth, storage} {
			if len(token) > 20 && strings.Contains(w.Body.String(), token) {
				t.Errorf("the answer shows %q", token)
			}
		}
	})
}

// FuzzHeaders sends any header besides a token: it never changes who the
// caller is.
func FuzzHeaders(f *testing.F) {
	for i := 0; i < len(spoofed); i += 2 {
		f.Add(spoofed[i], spoofed[i+1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header[name] = []string{value}
		keystone.NoKeystone(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			want := glance.Caller{Roles: []string{"admin", "member", "reader"}, Admin: true}
			if got := glance.CallerFrom(r.Context()); !cmp.Equal(got, want) {
				t.Errorf("caller = %+v; want %+v", got, want)
			}
			for name := range r.Header {
				plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
				if strings.HasPrefix(plain, "x-role") || strings.HasPrefix(plain, "x-identity") {
					t.Errorf("header %q got through", name)
				}
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	})
}
