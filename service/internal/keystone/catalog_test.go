package keystone_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"glancectl/service/glance"
	"glancectl/service/internal/keystone"
)

func TestImageEndpoint(t *testing.T) {
	mux := http.NewServeMux()
	body := `{"catalog": [
		{"type": "compute", "endpoints": [{"region": "Two", "region_id": "Two", "interface": "public", "url": "http://nova"}]},
		{"type": "image", "endpoints": [
			{"region": "One", "region_id": "One", "interface": "public", "url": "http://one"},
			{"region": "Two", "region_id": "two-id", "interface": "internal", "url": "http://inside"},
			{"region": "Two", "region_id": "two-id", "interface": "public", "url": "http://two:9292/"}]}], "links": {}}`
	mux.HandleFunc("GET /v3/auth/catalog", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth-Token") != memberToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Write([]byte(body))
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	m, err := keystone.New(keystone.Options{AuthURL: srv.URL, Username: "glance", Password: servicePassword, Project: "service"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		token, region, face string
		want                string
		err                 error
	}{
		{memberToken, "Two", "public", "http://two:9292", nil},
		{memberToken, "TWO", "internal", "http://inside", nil},
		{memberToken, "two-id", "public", "http://two:9292", nil},
		{memberToken, "one", "public", "http://one", nil},
		{memberToken, "One", "internal", "", glance.ErrNotFound},
		{memberToken, "Three", "public", "", glance.ErrNotFound},
		{memberToken, "Two", "", "", glance.ErrNotFound},
		{adminToken, "Two", "public", "", glance.ErrForbidden},
	} {
		got, err := m.ImageEndpoint(t.Context(), glance.Token(test.token), test.region, test.face)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("ImageEndpoint(%s, %s) = %q, %v; want %q, %v", test.region, test.face, got, err, test.want, test.err)
		}
		if err != nil && strings.Contains(err.Error(), test.token) {
			t.Errorf("the error has the token: %v", err)
		}
	}
	body = `{"catalog": 7}`
	if _, err := m.ImageEndpoint(t.Context(), memberToken, "Two", "public"); err == nil {
		t.Error("ImageEndpoint reads a catalog that is none")
	}
	srv.Close()
	if _, err := m.ImageEndpoint(t.Context(), memberToken, "Two", "public"); err == nil || errors.Is(err, glance.ErrNotFound) {
		t.Errorf("ImageEndpoint without Keystone: %v", err)
	}
}
