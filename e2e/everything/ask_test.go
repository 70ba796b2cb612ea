package everything

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"glancectl/e2e/lab"
)

// A caller asks the API of a node with somebody's token.
type caller struct{ base, token string }

// on is demo on an image node.
func (s *site) on(node string) caller {
	return caller{"http://" + s.Node(node).Address + ":9292", s.demo}
}

// adminOn is the administrator there.
func (s *site) adminOn(node string) caller { return caller{s.on(node).base, s.admin} }

// An answer is what came back, whole.
type answer struct {
	code   int
	body   string
	header http.Header
}

// request is what a caller sends; the headers are names and values in turn.
func (c caller) request(ctx context.Context, method, path string, body io.Reader, headers ...string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("X-Auth-Token", c.token)
	}
	switch {
	case strings.HasPrefix(path, "/v1/"), strings.HasSuffix(path, "/file"), strings.HasSuffix(path, "/stage"):
		req.Header.Set("Content-Type", "application/octet-stream")
	case method == http.MethodPatch:
		req.Header.Set("Content-Type", "application/openstack-images-v2.1-json-patch")
	default:
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req, nil
}

// try sends a request.
func (c caller) try(ctx context.Context, method, path string, body io.Reader, headers ...string) (answer, error) {
	req, err := c.request(ctx, method, path, body, headers...)
	if err != nil {
		return answer{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(text), resp.Header}, err
}

// want sends a request that has to be answered with a code.
func (c caller) want(t *testing.T, code int, method, path, body string, headers ...string) answer {
	t.Helper()
	a, err := c.try(t.Context(), method, path, strings.NewReader(body), headers...)
	if err != nil || a.code != code {
		t.Fatalf("%s %s%s = %d %.300s, %v; want %d", method, c.base, path, a.code, a.body, err, code)
	}
	return a
}

// create makes an image that has no data yet and returns its ID.
func (c caller) create(t *testing.T, name string) string {
	t.Helper()
	id := uuid()
	c.want(t, 201, "POST", "/v2/images", `{"id": "`+id+`", "name": "`+name+`", "disk_format": "raw", "container_format": "bare"}`)
	return id
}

// upload makes an image with data.
func (c caller) upload(t *testing.T, name, data string) string {
	t.Helper()
	id := c.create(t, name)
	c.want(t, 204, "PUT", "/v2/images/"+id+"/file", data)
	return id
}

// uploadV1 does it with version 1.
func (c caller) uploadV1(t *testing.T, name, data string) string {
	t.Helper()
	id := uuid()
	c.want(t, 201, "POST", "/v1/images", data, "X-Image-Meta-Id", id, "X-Image-Meta-Name", name,
		"X-Image-Meta-Disk_format", "raw", "X-Image-Meta-Container_format", "bare")
	return id
}

// download requires that an image has data.
func (c caller) download(t *testing.T, id, data string) {
	t.Helper()
	if got := c.want(t, 200, "GET", "/v2/images/"+id+"/file", "").body; got != data {
		t.Errorf("the data of %s from %s is not what was uploaded: %d bytes; want %d", id, c.base, len(got), len(data))
	}
}

// status is the status of an image.
func (c caller) status(t *testing.T, id string) string {
	t.Helper()
	var im struct{ Status string }
	if err := json.Unmarshal([]byte(c.want(t, 200, "GET", "/v2/images/"+id, "").body), &im); err != nil {
		t.Fatal(err)
	}
	return im.Status
}

// token logs somebody in at the Keystone.
func (s *site) token(t *testing.T, user, password string) string {
	t.Helper()
	body := fmt.Sprintf(`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": %q, "domain": {"name": "Default"}, "password": %q}}},
		"scope": {"project": {"name": %q, "domain": {"name": "Default"}}}}}`, user, password, user)
	a := caller{base: lab.AuthURL}.want(t, 201, "POST", "/auth/tokens", body)
	return a.header.Get("X-Subject-Token")
}

// mysql returns what the image service's database answers.
func (s *site) mysql(t *testing.T, query string) string {
	t.Helper()
	return s.On(t, lab.DatabaseNode, `mysql -N glance -e "`+query+`"`)
}

func uuid() string {
	return fmt.Sprintf("%08x-%04x-4000-8000-%012x", rand.Uint32(), rand.Uint32()>>16, rand.Uint64()>>16)
}

// data is n bytes that nothing else has.
func data(n int) string {
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%016x", rand.Uint64())
	}
	return b.String()[:n]
}
