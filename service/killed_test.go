package service_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancectl/service"
)

// TestKilledWithLocations kills the service while it reads the data of a new
// location, and while a program converts what was imported. The next start puts
// both in order, and the program does not outlive the service.
func TestKilledWithLocations(t *testing.T) {
	begun := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		if r.Method == http.MethodHead {
			return
		}
		w.Write([]byte("01234"))
		w.(http.Flusher).Flush()
		begun <- struct{}{}
		<-r.Context().Done()
	}))
	defer srv.Close()
	pid := filepath.Join(t.TempDir(), "pid")
	install(t, "echo begun >\"$8\"\necho $$ >"+pid+"\nexec sleep 1000")
	s := newSite(t)
	api := s.conf("api", converting+allow(srv))
	d, kill := s.spawn(api)
	d.draft(imageA)
	hash := strings.Repeat("ab", 64)
	d.want(202, "", "POST", "/v2/images/"+imageA+"/locations", fmt.Sprintf(`{"url": %q, "validation_data": {"os_hash_algo": "sha512", "os_hash_value": %q}}`, srv.URL+"/x", hash))
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageB+`", "disk_format": "qcow2", "container_format": "bare"}`)
	d.stage(imageB, sample(t, "qcow2-v3"))
	d.want(202, "", "POST", "/v2/images/"+imageB+"/import", direct)
	<-begun
	var program string
	eventually(t, "the program to begin", func() bool {
		data, err := os.ReadFile(pid)
		program = "/proc/" + strings.TrimSpace(string(data)) + "/cmdline"
		return err == nil && strings.HasSuffix(string(data), "\n")
	})
	d.want(200, `"status": "importing"`, "GET", "/v2/images/"+imageA, "")
	kill()
	eventually(t, "the program to end", func() bool {
		command, _ := os.ReadFile(program)
		return len(command) == 0 // gone, or only remembered
	})
	d = start(t, service.RunAPI, service.Options{Files: []string{api}})
	for _, id := range []string{imageA, imageB} {
		eventually(t, id+" to be queued", func() bool {
			return strings.Contains(d.call("GET", "/v2/images/"+id, "").body, `"status": "queued"`)
		})
		if task := d.finish(id); task.Status != "failure" || task.Message != "The import died with the service that ran it." {
			t.Errorf("task is %+v", task)
		}
		if strings.Contains(d.call("GET", "/v2/images/"+id, "").body, "os_glance_import_task") {
			t.Errorf("image %s is still locked", id)
		}
	}
	eventually(t, "the staging area to be empty", func() bool { return s.count("staging", "images") == 0 })
}

// TestKilledBehindRegistry kills the service while version 1 receives data for
// an image that a registry has. The next start puts it in order.
func TestKilledBehindRegistry(t *testing.T) {
	s := newSite(t)
	registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", "")}})
	api := s.conf("api", "[DEFAULT]\n"+registryOptions(t, registry.url))
	d, kill := s.spawn(api)
	body, data := io.Pipe()
	defer data.Close()
	r, err := http.NewRequest("POST", d.url+"/v1/images", body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Id": imageA, "Disk_format": "raw", "Container_format": "bare"} {
		r.Header.Set("X-Image-Meta-"+name, value)
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	go http.DefaultClient.Do(r)
	if _, err := io.WriteString(data, "first"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "data to be in the store", func() bool { return s.count("images") > 0 })
	d.want(200, `"status": "saving"`, "GET", "/v2/images/"+imageA, "")
	kill()
	d = start(t, service.RunAPI, service.Options{Files: []string{api}})
	eventually(t, "the image to be queued", func() bool {
		return strings.Contains(d.call("GET", "/v2/images/"+imageA, "").body, `"status": "queued"`)
	})
	eventually(t, "the store to be empty", func() bool { return s.count("images") == 0 })
}
