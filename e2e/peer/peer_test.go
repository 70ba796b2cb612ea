package peer

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"glancectl/e2e/lab"
)

func TestMain(m *testing.M) {
	lab.Main(m, "the tests of the peer", "e2e")
}

// ask sends a request as a member of a project and returns status and body.
func ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"X-Identity-Status": "Confirmed", "X-User-Id": "u", "X-Project-Id": "p", "X-Roles": "member,reader",
	} {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestPeer(t *testing.T) {
	l, err := lab.Start(t.Context(), lab.Config{Peer: true, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("own database", func(t *testing.T) {
		if _, err := Start(t.Context(), l, Config{Stores: []string{"store1", "store2"}, Cache: true}); err != nil {
			t.Fatal(err)
		}
		code, body := ask(t, "POST", "/v2/images", `{"name":"first"}`)
		var image struct{ Name, Owner string }
		if err := json.Unmarshal([]byte(body), &image); code != 201 || err != nil || image.Name != "first" || image.Owner != "p" {
			t.Errorf("create: %d %s", code, body)
		}
		if code, body := ask(t, "GET", "/v2/info/stores", ""); code != 200 || !strings.Contains(body, `"store2"`) {
			t.Errorf("stores: %d %s", code, body)
		}
		if _, body := ask(t, "GET", "/versions", ""); !strings.Contains(body, `"v2.16"`) {
			t.Errorf("versions with a cache: %s; want v2.16", body)
		}
	})
	t.Run("SQLite", func(t *testing.T) {
		c := Config{Database: "sqlite:////var/lib/glance/glance.sqlite"}
		if err := Configure(t.Context(), l, c); err != nil {
			t.Fatal(err)
		}
		if out, err := Manage(t.Context(), l, "db_sync"); err != nil {
			t.Fatal(err, out)
		}
		if out, err := Manage(t.Context(), l, "db", "version"); err != nil || !strings.Contains(out, "contract01") {
			t.Errorf("db version: %q, %v", out, err)
		}
		if _, err := Start(t.Context(), l, c); err != nil {
			t.Fatal(err)
		}
		if code, body := ask(t, "GET", "/v2/images", ""); code != 200 || !strings.Contains(body, `"images": []`) {
			t.Errorf("list of an empty database: %d %s", code, body)
		}
	})
}
