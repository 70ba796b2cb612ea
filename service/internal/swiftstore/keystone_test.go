package swiftstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ncw/swift/v2"
	"github.com/ncw/swift/v2/swifttest"

	"glancectl/service/glance"
)

// keystone starts an Identity v3 server for one user, whose catalog leads to
// the cluster: in RegionTwo by the public endpoint, elsewhere to nothing.
func (c *cluster) keystone(t *testing.T) string {
	t.Helper()
	login := func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Auth struct {
				Identity struct {
					Password struct {
						User struct {
							Name, Password string
							Domain         struct{ Name string }
						}
					}
				}
				Scope struct {
					Project struct {
						Name   string
						Domain struct{ Name string }
					}
				}
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		u, p := asked.Auth.Identity.Password.User, asked.Auth.Scope.Project
		if got := strings.Join([]string{u.Name, u.Password, u.Domain.Name, p.Name, p.Domain.Name}, " "); got != "glance sesame users service Default" {
			http.Error(w, "no such login: "+got, http.StatusUnauthorized)
			return
		}
		conn := &swift.Connection{AuthUrl: c.front.URL + "/v1.0", UserName: swifttest.TEST_ACCOUNT, ApiKey: swifttest.TEST_ACCOUNT}
		if err := conn.Authenticate(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Subject-Token", conn.AuthToken)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token": {"expires_at": "2999-01-01T00:00:00.000000Z", "methods": ["password"], "catalog": [
			{"type": "image", "name": "glance", "endpoints": [{"interface": "public", "region": "RegionTwo", "url": "http://127.0.0.1:1"}]},
			{"type": "object-store", "name": "swift", "endpoints": [
				{"interface": "public", "region": "RegionOne", "url": "http://127.0.0.1:1"},
				{"interface": "internal", "region": "RegionTwo", "url": "http://127.0.0.1:1"},
				{"interface": "public", "region": "RegionTwo", "url": %q}]}]}}`, conn.StorageUrl)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /identity/v3/auth/tokens", login)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/identity/v3"
}

func TestKeystone(t *testing.T) {
	c := newCluster(t)
	config := c.config()
	config.AuthAddress = c.keystone(t)
	config.User, config.Key, config.UserDomain = "service:glance", "sesame", "users"
	config.Region = "RegionTwo"
	s := open(t, config)
	want := bytes.Repeat([]byte("data"), 200_000)
	url, _, err := s.Put(t.Context(), id, bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), url, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want the %d put", len(got), err, len(want))
	}

	config.Key = "wrong-sesame"
	_, _, err = open(t, config).Put(t.Context(), id, strings.NewReader("x"))
	if !errors.Is(err, glance.ErrUnavailable) || strings.Contains(err.Error(), config.Key) {
		t.Errorf("Put with a wrong key: %v; want %v, without the key", err, glance.ErrUnavailable)
	}
}
