package service_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancectl/service"
)

// rendered copies files as the deployment tool writes them into the site, with
// its directory in place of the machine's, and returns the path of the first.
func (s *site) rendered(replace *strings.Replacer, names ...string) string {
	s.t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("..", "templates", "testdata", name))
		if err != nil {
			s.t.Fatal(err)
		}
		s.write(name, replace.Replace(string(text)))
	}
	return s.path(names[0])
}

// TestRenderedFiles starts the daemons and the jobs with the files that the
// deployment tool writes, changed only in what this machine does not have.
func TestRenderedFiles(t *testing.T) {
	s := newSite(t)
	keystone := fakeKeystone(t, false)
	replace := strings.NewReplacer(
		"/etc/glance/", "DIR/", "/var/lib/glance/", "DIR/", "/var/log/glance/", "DIR/", "/var/run/glance/", "DIR/",
		"mysql+pymysql://glance:s%40crit@10.77.0.4:3306/glance?charset=utf8", "sqlite:///DIR/glance.sqlite",
		"http://10.77.0.5:5000", keystone.URL, "pa$$$$word", "pa$$word",
		"bind_host = 0.0.0.0", "bind_host = 127.0.0.1", "bind_host = 10.77.0.21", "bind_host = 127.0.0.1",
		"bind_port = 9292", "bind_port = 0", "bind_port = 9191", "bind_port = 0",
	)
	for _, name := range []string{"glance-manage.conf", "glance-swift.conf"} {
		s.rendered(replace, name)
	}
	api := start(t, service.RunAPI, service.Options{Files: []string{s.rendered(replace, "glance-api.conf", "glance-api-paste.ini")}})
	api.want(200, "OK", "GET", "/healthcheck", "")
	api.want(401, "", "GET", "/v2/images", "")
	api.create(imageA, "data", "X-Auth-Token", "alice")
	api.want(200, "data", "GET", "/v2/images/"+imageA+"/file", "", "X-Auth-Token", "alice")
	eventually(t, "the cache to have it", func() bool { return s.exists("image-cache", imageA) })

	registry := start(t, service.RunRegistry, service.Options{Files: []string{s.rendered(replace, "glance-registry.conf", "glance-registry-paste.ini")}})
	registry.want(200, imageA, "GET", "/images", "", "X-Auth-Token", "alice")
	for _, name := range []string{"glance-api.pid", "glance-registry.pid", "api.log", "registry.log"} {
		if !s.exists(name) {
			t.Errorf("there is no %s", name)
		}
	}
	for _, name := range []string{"api.log", "registry.log"} {
		if text, err := os.ReadFile(s.path(name)); err != nil || strings.Contains(string(text), "WARNING") {
			t.Errorf("%s = %q, %v; want no warning", name, text, err)
		}
	}
	for _, job := range []struct {
		name string
		run  runner
	}{
		{"scrubber", service.RunScrubber}, {"reaper", service.RunReaper},
		{"pruner", service.RunPruner}, {"prefetcher", service.RunPrefetcher},
	} {
		if log, err := runJob(t, job.run, service.Options{Files: []string{s.rendered(replace, "glance-"+job.name+".conf")}}); err != nil || log != "" {
			t.Errorf("%s: %v, %q", job.name, err, log)
		}
		text, err := os.ReadFile(s.path(job.name + ".log"))
		if err != nil || !strings.Contains(string(text), " finished run.done=0 ") || strings.Count(string(text), "\n") != 1 {
			t.Errorf("%s.log = %q, %v; want one line", job.name, text, err)
		}
	}
}
