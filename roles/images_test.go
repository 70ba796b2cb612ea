package roles

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"glancectl/proposals"
	"glancectl/provision"
)

// A fakeService is a Keystone and an Images API in one: as much of both as
// preloading needs, working.
type fakeService struct {
	mu     sync.Mutex
	images map[string]*fakeImage
	made   int
	refuse bool // uploads break off
	token  string
}

type fakeImage struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Status     string `json:"status"`
	Visibility string `json:"visibility"`
	DiskFormat string `json:"disk_format"`
	Container  string `json:"container_format"`
	data       string
}

func (f *fakeService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.URL.Path == "/v3/auth/tokens" {
		body, _ := io.ReadAll(r.Body) // a body that is cut off is not the right one
		if !strings.Contains(string(body), `"service/secret"`) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Subject-Token", f.token)
		w.WriteHeader(http.StatusCreated)
		return
	}
	if r.URL.Path == "/healthcheck" {
		return
	}
	if r.Header.Get("X-Auth-Token") != f.token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	id, isFile := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v2/images/"), "/file")
	switch {
	case r.URL.Path == "/v2/images" && r.Method == http.MethodGet:
		f.list(w, r.URL.Query().Get("name"))
	case r.URL.Path == "/v2/images" && r.Method == http.MethodPost:
		f.create(w, r)
	case f.images[id] == nil:
		w.WriteHeader(http.StatusNotFound)
	case isFile && r.Method == http.MethodPut:
		f.upload(w, r, f.images[id])
	case r.Method == http.MethodDelete:
		delete(f.images, id)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (f *fakeService) list(w http.ResponseWriter, name string) {
	found := []*fakeImage{}
	for _, i := range f.images {
		if i.Name == name {
			found = append(found, i)
		}
	}
	json.NewEncoder(w).Encode(map[string]any{"images": found})
}

func (f *fakeService) create(w http.ResponseWriter, r *http.Request) {
	f.made++
	i := &fakeImage{ID: fmt.Sprintf("id-%d", f.made), Status: "queued"}
	if err := json.NewDecoder(r.Body).Decode(i); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.images[i.ID] = i
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(i)
}

func (f *fakeService) upload(w http.ResponseWriter, r *http.Request, i *fakeImage) {
	data, err := io.ReadAll(r.Body)
	if err != nil || f.refuse {
		w.WriteHeader(http.StatusInsufficientStorage)
		return
	}
	i.data, i.Status = string(data), "active"
	w.WriteHeader(http.StatusNoContent)
}

// preloading returns the resource for one image of a proposal whose api, and
// whose Keystone if it has one, is service.
func preloading(t *testing.T, service *fakeService, keystone bool, source string) provision.Resource {
	t.Helper()
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	p := production()
	p.Glance.API.Port = port(t, server.Listener.Addr())
	p.Glance.Images = []string{source}
	p.Keystone[0].AuthURL = server.URL + "/v3"
	if !keystone {
		p.Glance.Keystone = nil
	}
	stages := expand(t, p)
	last := stages[len(stages)-1]
	if last.Name != "images" || !last.Once || len(last.Targets[0].Resources) != 1 {
		t.Fatalf("the last stage is %s with once %t", last.Name, last.Once)
	}
	return last.Targets[0].Resources[0]
}

// A writer is a node of which nothing but its services is used.
type writer struct{ fakeNode }

func (writer) Do(context.Context, []provision.Op, func(int)) error {
	return errors.New("this node executes nothing")
}

// apply observes r and makes the changes, and returns how many there were.
func apply(t *testing.T, r provision.Resource) (int, error) {
	t.Helper()
	w := writer{fakeNode{name: "image-1"}}
	changes, err := r.Observe(t.Context(), w, &provision.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if err := c.Do(t.Context(), w); err != nil {
			return len(changes), err
		}
	}
	return len(changes), nil
}

// sourceFile writes an image and returns its name.
func sourceFile(t *testing.T, name, content string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestPreload(t *testing.T) {
	for _, test := range []struct {
		file, content, wantName, wantFormat string
		keystone                            bool
	}{
		{"cirros-0.6.qcow2", "QFI\xfbdata", "cirros-0.6", "qcow2", true},
		{"cirros.img", "QFI\xfbdata", "cirros", "qcow2", false},
		{"floppy.img", "data", "floppy", "raw", false},
		{"empty.img", "", "empty", "raw", false},
		{"Rescue CD.ISO", "data", "Rescue CD", "iso", true},
	} {
		t.Run(test.file, func(t *testing.T) {
			service := &fakeService{images: make(map[string]*fakeImage)}
			if test.keystone {
				service.token = "a token"
			}
			r := preloading(t, service, test.keystone, sourceFile(t, test.file, test.content))
			if n, err := apply(t, r); n != 1 || err != nil {
				t.Fatalf("first apply: %d changes, error %v; want 1", n, err)
			}
			got := *service.images["id-1"]
			want := fakeImage{
				ID: "id-1", Name: test.wantName, Status: "active", Visibility: "public",
				DiskFormat: test.wantFormat, Container: "bare", data: test.content,
			}
			if got != want {
				t.Errorf("image %+v; want %+v", got, want)
			}
			if n, err := apply(t, r); n != 0 || err != nil {
				t.Errorf("second apply: %d changes, error %v; want none", n, err)
			}
		})
	}
}

func TestPreloadFromURL(t *testing.T) {
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/files/cirros.img" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, "QFI\xfbfrom afar")
	}))
	defer source.Close()
	service := &fakeService{images: make(map[string]*fakeImage)}
	if _, err := apply(t, preloading(t, service, false, source.URL+"/files/cirros.img?token=1")); err != nil {
		t.Fatal(err)
	}
	if i := service.images["id-1"]; i == nil || i.data != "QFI\xfbfrom afar" || i.Name != "cirros" || i.DiskFormat != "qcow2" {
		t.Errorf("image %+v", i)
	}
	gone := strings.Replace(source.URL, "http://", "http://me:hunter2@", 1) + "/files/gone.img?signature=1"
	_, err := apply(t, preloading(t, service, false, gone))
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("loading from a URL that is not there: error %v; want one with 404", err)
	}
	if text := fmt.Sprint(err); strings.Contains(text, "signature") || strings.Contains(text, "hunter2") {
		t.Errorf("the error shows secrets of the URL: %s", text)
	}
	if len(service.images) != 1 {
		t.Errorf("%d images; want the first one alone", len(service.images))
	}
}

// An upload that breaks off leaves nothing behind, and the next apply makes
// it good, also where the first one could not clean up.
func TestPreloadInterrupted(t *testing.T) {
	service := &fakeService{images: make(map[string]*fakeImage), refuse: true}
	r := preloading(t, service, false, sourceFile(t, "cirros.qcow2", "data"))
	if _, err := apply(t, r); err == nil || !strings.Contains(err.Error(), "507") {
		t.Errorf("upload to a full disk: error %v; want one with 507", err)
	}
	if len(service.images) > 0 {
		t.Errorf("the upload left %v", service.images)
	}
	service.refuse = false
	service.images["left"] = &fakeImage{ID: "left", Name: "cirros", Status: "queued", Visibility: "public"}
	service.images["mine"] = &fakeImage{ID: "mine", Name: "cirros", Status: "active", Visibility: "private"}
	if n, err := apply(t, r); n != 1 || err != nil {
		t.Fatalf("next apply: %d changes, error %v; want 1", n, err)
	}
	if service.images["left"] != nil {
		t.Error("the image without data is still there")
	}
	if service.images["mine"] == nil {
		t.Error("somebody's private image of the same name is gone")
	}
	if n, err := apply(t, r); n != 0 || err != nil {
		t.Errorf("last apply: %d changes, error %v; want none", n, err)
	}
}

// A plan before the first apply finds no service, and is a plan all the same.
func TestPreloadWithoutAService(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	p := single()
	p.Glance.API.Port = port(t, server.Listener.Addr())
	server.Close()
	p.Glance.Images = []string{"/srv/cirros.qcow2"}
	stages := expand(t, p)
	changes, err := stages[len(stages)-1].Targets[0].Resources[0].Observe(t.Context(), fakeNode{}, &provision.Facts{})
	if err != nil || len(changes) != 1 || !strings.Contains(changes[0].Summary, "unless it is there") {
		t.Errorf("Observe without a service = %+v, %v; want one change", changes, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := stages[len(stages)-1].Targets[0].Resources[0].Observe(ctx, fakeNode{}, &provision.Facts{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Observe after an interrupt: error %v; want %v", err, context.Canceled)
	}
}

func TestImagesThatCannotBe(t *testing.T) {
	for _, test := range []struct {
		name   string
		images []string
		want   string
	}{
		{"no format", []string{"https://example.org/ubuntu.tar.gz"}, "ubuntu.tar.gz"},
		{"no ending", []string{"/srv/cirros"}, "/srv/cirros"},
		{"one name twice", []string{"/srv/cirros.img", "/old/cirros.qcow2"}, "both be called cirros"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := single()
			p.Glance.Images = test.images
			if _, err := Expand(p, options()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v; want one with %q", err, test.want)
			}
		})
	}
}

// The password that images are loaded with is in no error and no summary.
func TestPreloadKeepsThePassword(t *testing.T) {
	service := &fakeService{images: make(map[string]*fakeImage), token: "a token"}
	r := preloading(t, service, true, sourceFile(t, "cirros.qcow2", "data"))
	p := r.(preload)
	p.Auth.Password = proposals.NewSecret("wrongsecret")
	n, err := apply(t, p)
	if n != 1 || err == nil || !strings.Contains(err.Error(), "401") {
		t.Fatalf("with a wrong password: %d changes, error %v; want one with 401", n, err)
	}
	if text := fmt.Sprintf("%v %+v %+v %#v", err, p, *p.Auth, *p.Auth); strings.Contains(text, "wrongsecret") {
		t.Errorf("the password is shown: %s", text)
	}
}
