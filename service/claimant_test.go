package service_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"glancectl/service"
)

// TestKilledBetweenWriteAndAnswer kills the service after the registry has written
// that an image gets data, and before the service has heard of it. The next
// start puts the image in order, as one of a process that is dead.
func TestKilledBetweenWriteAndAnswer(t *testing.T) {
	s := newSite(t)
	registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", "")}})
	at, err := url.Parse(registry.url)
	if err != nil {
		t.Fatal(err)
	}
	written, dead := make(chan struct{}, 1), make(chan struct{})
	proxy := httputil.NewSingleHostReverseProxy(at)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if r.Method != http.MethodPut || !strings.Contains(string(body), `"saving"`) {
			proxy.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			t.Errorf("the registry answers %d: %s", answer.Code, answer.Body)
		}
		written <- struct{}{}
		<-dead
	}))
	defer front.Close()
	d, kill := s.spawn(s.conf("api", "[DEFAULT]\n"+registryOptions(t, front.URL)))
	upload, err := http.NewRequest("POST", d.url+"/v1/images", strings.NewReader("some data"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"X-Image-Meta-Id": imageA, "X-Image-Meta-Disk-Format": "raw", "X-Image-Meta-Container-Format": "bare", "Content-Type": octets,
	} {
		upload.Header.Set(name, value)
	}
	answered := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(upload)
		if err == nil {
			resp.Body.Close()
			err = fmt.Errorf("answered %s", resp.Status)
		}
		answered <- err
	}()
	select {
	case <-written:
	case err := <-answered:
		t.Fatalf("the upload came to an end: %v", err)
	}
	kill()
	close(dead)
	<-answered
	registry.want(200, `"status": "saving"`, "GET", "/images/"+imageA, "")
	d = start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\n"+registryOptions(t, registry.url))}})
	eventually(t, "the image to be queued", func() bool {
		return strings.Contains(d.call("GET", "/v2/images/"+imageA, "").body, `"status": "queued"`)
	})
	d.want(200, `"status": "active"`, "PUT", "/v1/images/"+imageA, "other data", "Content-Type", octets)
}

// TestRegistryAwayAtTheEnd: the registry goes away while data comes in. When it
// is back the image is what failed uploads leave, though the service lives on.
func TestRegistryAwayAtTheEnd(t *testing.T) {
	s := newSite(t)
	registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", "")}})
	at, err := url.Parse(registry.url)
	if err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	proxy := httputil.NewSingleHostReverseProxy(at)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\n"+registryOptions(t, front.URL))}})
	body, data := io.Pipe()
	r, err := http.NewRequest("POST", d.url+"/v1/images", body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Id": imageA, "Disk_format": "raw", "Container_format": "bare"} {
		r.Header.Set("X-Image-Meta-"+name, value)
	}
	r.Header.Set("Content-Type", octets)
	answered := make(chan int, 1)
	go func() {
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	if _, err := io.WriteString(data, "first"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "data to be in the store", func() bool { return s.count("images") > 0 })
	away.Store(true)
	data.Close()
	if code := <-answered; code != 503 {
		t.Errorf("the upload is answered %d; want 503", code)
	}
	d.want(200, `"status": "saving"`, "GET", "/v2/images/"+imageA, "")
	away.Store(false)
	eventually(t, "the image to be killed", func() bool {
		return strings.Contains(d.call("GET", "/v2/images/"+imageA, "").body, `"status": "killed"`)
	})
	if n := s.count("images"); n != 0 {
		t.Errorf("%d files are left", n)
	}
}
