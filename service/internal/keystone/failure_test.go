package keystone_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"glancectl/service/internal/keystone"

	"github.com/google/go-cmp/cmp"
)

func TestKeystoneFails(t *testing.T) {
	answer := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	for _, test := range []struct {
		name    string
		respond http.HandlerFunc
	}{
		{"server error", answer(500, "")},
		{"forbidden", answer(403, "")},
		{"own token never accepted", answer(401, "")},
		{"redirect", answer(302, "")},
		{"not JSON", answer(200, "<html>"+memberToken)},
		{"no token", answer(200, "{}")},
		{"no user", answer(200, `{"token": {"expires_at": "2027-01-01T00:00:00Z"}}`)},
		{"no expiry", answer(200, `{"token": {"user": {"id": "u1"}}}`)},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			chunk := bytes.Repeat([]byte(" "), 1<<16)
			for {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			s.get("X-Auth-Token", adminToken)
			s.set(func() { s.respond = test.respond })
			w, got := s.get("X-Auth-Token", memberToken)
			if w.Code != 503 || got != nil {
				t.Errorf("new token = %d, %+v; want 503", w.Code, got)
			}
			if !strings.Contains(s.log.String(), "cannot validate a token") {
				t.Errorf("log = %q; want a line that says what failed", s.log)
			}
			if w, got := s.get("X-Auth-Token", adminToken); w.Code != 200 || !cmp.Equal(got, admin) {
				t.Errorf("token in the cache = %d, %+v; want 200, %+v", w.Code, got, admin)
			}
			s.set(func() { s.respond = nil })
			if w, _ := s.get("X-Auth-Token", memberToken); w.Code != 200 {
				t.Errorf("after Keystone is well again: %d; want 200", w.Code)
			}
			checkNoSecrets(t, s, w)
		})
	}
}

func TestKeystoneIsSlow(t *testing.T) {
	s := newSite(t, func(o *keystone.Options) { o.Timeout = 50 * time.Millisecond })
	s.hold = make(chan struct{})
	t.Cleanup(func() { close(s.hold) })
	w, _ := s.get("X-Auth-Token", memberToken)
	if w.Code != 503 {
		t.Errorf("while Keystone does not answer: %d; want 503", w.Code)
	}
	checkNoSecrets(t, s, w)
}

func TestKeystoneIsDown(t *testing.T) {
	s := newSite(t)
	s.get("X-Auth-Token", adminToken)
	s.Close()
	w, _ := s.get("X-Auth-Token", memberToken)
	if w.Code != 503 || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("new token = %d, WWW-Authenticate %q; want 503 and none", w.Code, w.Header().Get("WWW-Authenticate"))
	}
	if w, got := s.get("X-Auth-Token", adminToken); w.Code != 200 || !cmp.Equal(got, admin) {
		t.Errorf("token in the cache = %d, %+v; want 200, %+v", w.Code, got, admin)
	}
	checkNoSecrets(t, s, w)
}

// checkNoSecrets looks for tokens and passwords where people could read them.
func checkNoSecrets(t *testing.T, s *site, w *httptest.ResponseRecorder) {
	t.Helper()
	for _, secret := range []string{memberToken, adminToken, servicePassword, "gAAAAA"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, s.log)
		}
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("the answer shows %q:\n%s", secret, w.Body)
		}
	}
}
