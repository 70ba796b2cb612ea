package service_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"glancectl/service"
)

// An asker sends requests from a goroutine of its own.
type asker struct {
	t      *testing.T
	url    string
	client *http.Client
}

func newAsker(t *testing.T, url string) *asker {
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	return &asker{t, url, &http.Client{Transport: transport}}
}

// ask returns the body of the answer, which must be a success.
func (a *asker) ask(method, path, body string, headers ...string) string {
	r, err := http.NewRequest(method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Error(err)
		return ""
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := a.client.Do(r)
	if err != nil {
		a.t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		a.t.Errorf("%s %s: %d %s, %v", method, path, resp.StatusCode, text, err)
	}
	return string(text)
}

// TestListsAreNotOlder has many ask for one list at one time, each after it has
// changed something: whoever shares an answer finds its own changes in it.
func TestListsAreNotOlder(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nenable_v1_api = yes\n")}})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			a := newAsker(t, d.url)
			for round := range 6 {
				name := fmt.Sprintf("image-%d-%d", n, round)
				var made struct{ ID string }
				if err := json.Unmarshal([]byte(a.ask("POST", "/v2/images", `{"name": "`+name+`"}`)), &made); err != nil {
					t.Error(err)
					return
				}
				for _, list := range []string{"/v2/images?limit=1000", "/v1/images/detail?is_public=none&limit=1000"} {
					if text := a.ask("GET", list, ""); !strings.Contains(text, `"`+name+`"`) {
						t.Errorf("%s does not have %s, which was made before", list, name)
					}
				}
				a.ask("PATCH", "/v2/images/"+made.ID, `[{"op": "replace", "path": "/name", "value": "new-`+name+`"}]`,
					"Content-Type", "application/openstack-images-v2.1-json-patch")
				if text := a.ask("GET", "/v2/images?limit=1000", ""); !strings.Contains(text, `"new-`+name+`"`) {
					t.Errorf("the list does not have the new name of %s", name)
				}
				if text := a.ask("GET", "/v2/images/"+made.ID, ""); !strings.Contains(text, `"new-`+name+`"`) {
					t.Errorf("the image does not have the new name of %s", name)
				}
				a.ask("DELETE", "/v2/images/"+made.ID, "")
				if text := a.ask("GET", "/v2/images?limit=1000", ""); strings.Contains(text, made.ID) {
					t.Errorf("the list has %s, which was deleted before", name)
				}
			}
		})
	}
	wg.Wait()
}

// TestListsOfTokens has many ask for one list at one time with several tokens,
// which the service does not validate and a registry does: nobody gets the list
// of another one's token.
func TestListsOfTokens(t *testing.T) {
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"images": [{"id": %q, "name": "of %s", "status": "active", "created_at": "2026-01-02T03:04:05", "updated_at": "2026-01-02T03:04:05",
			"location_data": [], "properties": {}}]}`, imageA, r.Header.Get("X-Auth-Token"))
	}))
	t.Cleanup(registry.Close)
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nenable_v1_api = yes\n"+registryOptions(t, registry.URL))}})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			a, token := newAsker(t, d.url), fmt.Sprintf("token-%d", n)
			header := []string{"X-Auth-Token", "X-Storage-Token"}[n%2]
			for range 25 {
				for _, path := range []string{"/v1/images", "/v1/images/detail"} {
					if text := a.ask("GET", path, "", header, token); !strings.Contains(text, `"of `+token+`"`) {
						t.Errorf("%s with %s = %s", path, token, text)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestListsOfCallers has many ask for one list at one time who differ in one
// thing only that rules can ask about: what one of them may see, no other gets.
func TestListsOfCallers(t *testing.T) {
	s := newSite(t)
	s.write("protect.conf", "[licence]\ncreate = member\nread = keeper\nupdate = member\ndelete = member\n[.*]\ncreate = member\nread = @\nupdate = member\ndelete = member\n")
	s.write("policy.yaml", `"get_images": "not role:outsider and not user_domain_id:elsewhere"`+"\n")
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api",
		"[DEFAULT]\nenable_v1_api = yes\nproperty_protection_file = protect.conf\n[paste_deploy]\nflavor = trusted-auth\n")}})
	callers := []struct {
		headers        []string // besides those of the owner, or in their place
		image, licence bool     // are seen
		refused        bool
	}{
		{nil, true, false, false},
		{[]string{"X-Roles", "reader,member,keeper"}, true, true, false},
		{[]string{"X-Roles", "reader,member,outsider"}, false, false, true},
		{[]string{"X-User-Id", "u2"}, true, false, false},
		{[]string{"X-User-Domain-Id", "elsewhere"}, false, false, true},
		{[]string{"X-Project-Id", "p2"}, false, false, false},
		{[]string{"X-Project-Id", "p2", "X-Roles", "reader,member,keeper"}, false, false, false},
		{[]string{"X-Project-Id", "p2", "X-Roles", "reader,member,keeper,admin"}, true, true, false},
	}
	request := func(c []string, method, path, body string) (int, string) {
		r, err := http.NewRequest(method, d.url+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		for i, all := 0, append([]string{"X-Identity-Status", "Confirmed", "X-User-Id", "u1", "X-Project-Id", "p1", "X-Roles", "reader,member"}, c...); i < len(all); i += 2 {
			r.Header.Set(all[i], all[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return resp.StatusCode, string(text)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	if code, text := request(nil, "POST", "/v2/images", `{"name": "own", "licence": "key-1"}`); code != http.StatusCreated {
		t.Fatalf("create = %d %s", code, text)
	}
	var wg sync.WaitGroup
	for _, c := range callers {
		wg.Go(func() {
			for range 30 {
				for _, path := range []string{"/v2/images", "/v1/images/detail?is_public=none"} {
					code, text := request(c.headers, "GET", path, "")
					if refused := code == http.StatusForbidden; refused != c.refused || !refused && code != http.StatusOK {
						t.Errorf("%s for %q = %d %s", path, c.headers, code, text)
						return
					}
					if strings.Contains(text, `"own"`) != c.image || strings.Contains(text, "key-1") != c.licence {
						t.Errorf("%s for %q = %s; want the image: %t, its licence: %t", path, c.headers, text, c.image, c.licence)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
