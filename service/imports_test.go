package service_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"glancectl/service"
)

// draft makes an image without data.
func (d *daemon) draft(id string) {
	d.t.Helper()
	a := d.want(201, "", "POST", "/v2/images", `{"id": "`+id+`", "disk_format": "raw", "container_format": "bare"}`)
	if got := a.header.Get("OpenStack-image-import-methods"); got != "glance-direct,web-download" {
		d.t.Errorf("OpenStack-image-import-methods = %q", got)
	}
}

// stage puts data where an import finds it.
func (d *daemon) stage(id, data string) {
	d.t.Helper()
	d.want(204, "", "PUT", "/v2/images/"+id+"/stage", data, "Content-Type", "application/octet-stream")
}

// A task is one as an image has it.
type task struct {
	ID, Type, Status, Message string
	Result                    map[string]string
}

// tasks returns those of an image.
func (d *daemon) tasks(id string) []task {
	d.t.Helper()
	var doc struct{ Tasks []task }
	if err := json.Unmarshal([]byte(d.want(200, "", "GET", "/v2/images/"+id+"/tasks", "").body), &doc); err != nil {
		d.t.Fatal(err)
	}
	return doc.Tasks
}

// finish waits for the end of an image's first import.
func (d *daemon) finish(id string) task {
	d.t.Helper()
	var last task
	eventually(d.t, "the import to end", func() bool {
		tasks := d.tasks(id)
		if len(tasks) > 0 {
			last = tasks[0]
		}
		return last.Status == "success" || last.Status == "failure"
	})
	return last
}

const direct = `{"method": {"name": "glance-direct"}}`

func download(uri string) string {
	return `{"method": {"name": "web-download", "uri": "` + uri + `"}}`
}

// count counts the files in directories of the site, but for locks.
func (s *site) count(dirs ...string) int {
	s.t.Helper()
	n := 0
	for _, dir := range dirs {
		entries, err := os.ReadDir(s.path(dir))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".session-") {
				n++
			}
		}
	}
	return n
}

func TestStageAndImport(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	d.want(200, `"value": ["glance-direct", "web-download"]`, "GET", "/v2/info/import", "")
	d.draft(imageA)
	d.stage(imageA, "0123456789")
	d.want(200, `"size": 10, "virtual_size": null, "status": "uploading"`, "GET", "/v2/images/"+imageA, "")
	if s.count("staging") != 1 || s.count("images") != 0 {
		t.Error("staged data is not in the staging area")
	}
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", direct)
	if task := d.finish(imageA); task.Status != "success" || task.Type != "api_image_import" || task.Result["image_id"] != imageA {
		t.Errorf("task is %+v", task)
	}
	d.want(200, `"status": "active"`, "GET", "/v2/images/"+imageA, "")
	d.want(200, "0123456789", "GET", "/v2/images/"+imageA+"/file", "")
	if s.count("staging") != 0 || s.count("images") != 1 {
		t.Error("imported data is not where it belongs")
	}
	d.want(200, `"tasks": [{"id"`, "GET", "/v2/tasks?type=api_image_import&status=success", "")
	d.draft(imageB)
	d.stage(imageB, "x")
	d.want(204, "", "DELETE", "/v2/images/"+imageB, "")
	if n := s.count("staging"); n != 0 {
		t.Errorf("a delete left %d staged files", n)
	}
}

// TestHostileImports stages what may not be uploaded either.
func TestHostileImports(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	d.draft(imageA)
	d.stage(imageA, sample(t, "qcow2-backing"))
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", direct)
	if task := d.finish(imageA); task.Status != "failure" || !strings.HasPrefix(task.Message, "Image failed safety checks: qcow2: has a backing file") {
		t.Errorf("task is %+v", task)
	}
	d.want(200, `"size": null, "virtual_size": null, "status": "queued"`, "GET", "/v2/images/"+imageA, "")
	if n := s.count("staging", "images"); n != 0 {
		t.Errorf("a failed import left %d files", n)
	}
}

// A source is where images are downloaded from.
func source(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/image", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "0123456789") })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("u"), http.StatusFound)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

// allow returns the options that let images be downloaded from srv.
func allow(srv *httptest.Server) string {
	port := srv.URL[strings.LastIndexByte(srv.URL, ':')+1:]
	return "[import_filtering_opts]\nallowed_hosts = [127.0.0.1]\nallowed_ports = [80, " + port + "]\n"
}

func TestWebDownload(t *testing.T) {
	s := newSite(t)
	from := source(t)
	secret := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the service asks for %s", r.URL) }))
	defer secret.Close()
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nimage_size_cap = 10000\n"+allow(from))}})
	d.draft(imageA)
	for _, uri := range []string{
		"", "file:///etc/passwd", "ftp://x/y", "http://169.254.169.254/", "http://nosuch.invalid/x", "http://127.0.0.1:1/x",
		secret.URL, strings.Replace(from.URL, "127.0.0.1", "localhost", 1), strings.Replace(from.URL, "127.0.0.1", "127.0.0.2", 1),
	} {
		d.want(400, "URI for web-download does not pass filtering: "+uri, "POST", "/v2/images/"+imageA+"/import", download(uri), "Accept", "application/json")
	}
	d.want(200, `"tasks": []`, "GET", "/v2/images/"+imageA+"/tasks", "")

	for i, test := range []struct{ path, want string }{
		{"/endless", "The provided image is too large."},
		{"/nothing", "The data could not be downloaded: the server answered with status 404."},
		{"/to?u=" + secret.URL + "/x", "URI for web-download does not pass filtering."},
		{"/to?u=http://169.254.169.254/latest/meta-data/", "URI for web-download does not pass filtering."},
		{"/to?u=http://localhost" + from.URL[len("http://127.0.0.1"):] + "/image", "URI for web-download does not pass filtering."},
	} {
		id := fmt.Sprintf("0f6f4c0e-2222-4000-8000-%012d", i)
		d.draft(id)
		d.want(202, "", "POST", "/v2/images/"+id+"/import", download(from.URL+test.path))
		if task := d.finish(id); task.Status != "failure" || task.Message != test.want {
			t.Errorf("%s: task is %+v; want it failed: %s", test.path, task, test.want)
		}
		d.want(200, `"status": "queued"`, "GET", "/v2/images/"+id, "")
	}
	if n := s.count("staging", "images"); n != 0 {
		t.Errorf("failed imports left %d files", n)
	}
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", download(from.URL+"/to?u=/image"))
	if task := d.finish(imageA); task.Status != "success" {
		t.Errorf("task is %+v", task)
	}
	d.want(200, "0123456789", "GET", "/v2/images/"+imageA+"/file", "")
	if s.count("staging") != 0 {
		t.Error("staged data stays behind")
	}
}

func TestImportTask(t *testing.T) {
	s := newSite(t)
	from := source(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", allow(from))}})
	input := func(uri string) string {
		return `{"type": "import", "input": {"import_from": "` + uri + `", "import_from_format": "raw", "image_properties": {"name": "new", "disk_format": "raw", "container_format": "bare", "os_distro": "x"}}}`
	}
	d.want(400, "File based imports are not allowed", "POST", "/v2/tasks", input("file:///etc/passwd"))
	d.want(400, "URI for legacy import task does not pass filtering: http://169.254.169.254/", "POST", "/v2/tasks", input("http://169.254.169.254/"))
	a := d.want(201, `"status": "pending"`, "POST", "/v2/tasks", input(from.URL+"/image"))
	path := strings.TrimPrefix(a.header.Get("Location"), d.url)
	eventually(t, "the task to end", func() bool { return strings.Contains(d.call("GET", path, "").body, `"status": "success"`) })
	d.want(200, `"os_distro": "x", "name": "new"`, "GET", "/v2/images", "")
	d.want(200, `"status": "active"`, "GET", "/v2/images", "")
	a = d.want(201, "", "POST", "/v2/tasks", input(from.URL+"/nothing"))
	path = strings.TrimPrefix(a.header.Get("Location"), d.url)
	eventually(t, "the task to end", func() bool { return strings.Contains(d.call("GET", path, "").body, `"status": "failure"`) })
	if images := d.call("GET", "/v2/images", "").body; strings.Count(images, `"self"`) != 1 || s.count("images") != 1 || s.count("staging") != 0 {
		t.Errorf("after a failed task there are %s", images)
	}
}

// A service that is asked to end breaks imports off that take too long, and
// leaves nothing of them.
func TestShutdownBreaksImportsOff(t *testing.T) {
	s := newSite(t)
	from := source(t)
	api := s.conf("api", "[DEFAULT]\ngraceful_shutdown_timeout = 1\n"+allow(from))
	d := start(t, service.RunAPI, service.Options{Files: []string{api}})
	d.draft(imageA)
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", download(from.URL+"/endless"))
	eventually(t, "the download to begin", func() bool { return s.count("staging") == 1 })
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	if s.count("staging", "images") != 0 {
		t.Error("data of an import that was broken off stays behind")
	}
	d = start(t, service.RunAPI, service.Options{Files: []string{api}})
	d.want(200, `"status": "queued"`, "GET", "/v2/images/"+imageA, "")
	if task := d.finish(imageA); task.Message != "The import was broken off because the service ended." {
		t.Errorf("task is %+v", task)
	}
}

// childSite is the variable that makes this test program a service.
const childSite = "GLANCE_TEST_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childSite); name != "" {
		if err := service.RunAPI(context.Background(), service.Options{Files: []string{name}, Ready: func(a net.Addr) { fmt.Println(a) }}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// spawn starts the service as a process of its own.
func (s *site) spawn(conf string) (d *daemon, kill func()) {
	s.t.Helper()
	program, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	c := exec.Command(program)
	c.Env = append(os.Environ(), childSite+"="+conf)
	out, err := c.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		c.Process.Kill()
		c.Wait()
	})
	s.t.Cleanup(kill)
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.t.Fatalf("the service did not start: %v", err)
	}
	return &daemon{t: s.t, url: "http://" + strings.TrimSpace(addr), log: new(logBuffer)}, kill
}

// TestKilled kills the service in the middle of staging, of a download and of
// an import. The next start puts all of it in order.
func TestKilled(t *testing.T) {
	s := newSite(t)
	from := source(t)
	api := s.conf("api", allow(from))
	d, kill := s.spawn(api)

	d.draft(imageA) // staged and waiting
	d.stage(imageA, "0123456789")
	d.draft(imageB) // downloading
	d.want(202, "", "POST", "/v2/images/"+imageB+"/import", download(from.URL+"/endless"))
	imageC := strings.ReplaceAll(imageB, "b", "c")
	d.draft(imageC) // staging
	body, data := io.Pipe()
	defer data.Close()
	r, err := http.NewRequest("PUT", d.url+"/v2/images/"+imageC+"/stage", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	go http.DefaultClient.Do(r)
	if _, err := io.WriteString(data, "first"); err != nil {
		t.Fatal(err)
	}
	imageD := strings.ReplaceAll(imageB, "b", "d")
	d.draft(imageD) // importing: its data goes into a pipe that is full
	d.stage(imageD, "0123456789")
	staged := s.path("staging", imageD)
	if err := os.Remove(staged); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(staged, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(staged, 4<<30); err != nil { // takes a while to hash
		t.Fatal(err)
	}
	d.want(202, "", "POST", "/v2/images/"+imageD+"/import", direct)
	eventually(t, "all of it to be under way", func() bool {
		parts, _ := filepath.Glob(s.path("staging", ".part-*"))
		stored, _ := filepath.Glob(s.path("images", ".part-*"))
		return len(parts) == 2 && len(stored) == 1
	})
	kill()

	d = start(t, service.RunAPI, service.Options{Files: []string{api}})
	for id, want := range map[string]string{imageA: "uploading", imageB: "queued", imageC: "queued", imageD: "queued"} {
		eventually(t, id+" to be "+want, func() bool {
			return strings.Contains(d.call("GET", "/v2/images/"+id, "").body, `"status": "`+want+`"`)
		})
		if strings.Contains(d.call("GET", "/v2/images/"+id, "").body, "os_glance_import_task") {
			t.Errorf("image %s is still locked", id)
		}
	}
	for _, id := range []string{imageB, imageD} {
		if task := d.finish(id); task.Status != "failure" || task.Message != "The import died with the service that ran it." {
			t.Errorf("task is %+v", task)
		}
	}
	if s.count("staging") != 1 || s.count("images") != 0 {
		t.Errorf("there are %d staged and %d stored files; want the one that waits", s.count("staging"), s.count("images"))
	}
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", direct)
	d.want(202, "", "POST", "/v2/images/"+imageB+"/import", download(from.URL+"/image"))
	for _, id := range []string{imageA, imageB} {
		eventually(t, id+" to be active", func() bool {
			return strings.Contains(d.call("GET", "/v2/images/"+id, "").body, `"status": "active"`)
		})
		d.want(200, "0123456789", "GET", "/v2/images/"+id+"/file", "")
	}
}

// A second service on the same staging area leaves alone what the first is
// doing there.
func TestTwoServicesStage(t *testing.T) {
	s := newSite(t)
	from := source(t)
	api := s.conf("api", "[DEFAULT]\ngraceful_shutdown_timeout = 1\n"+allow(from))
	d := start(t, service.RunAPI, service.Options{Files: []string{api}})
	d.draft(imageA)
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", download(from.URL+"/endless"))
	eventually(t, "the download to begin", func() bool { return s.count("staging") == 1 })
	second := start(t, service.RunAPI, service.Options{Files: []string{api}})
	second.draft(imageB)
	second.stage(imageB, "x")
	second.want(409, "Image has active task", "POST", "/v2/images/"+imageA+"/import", download(from.URL+"/image"))
	if n := s.count("staging"); n != 2 {
		t.Errorf("%d files are staged; want those of both", n)
	}
	second.want(200, `"status": "importing"`, "GET", "/v2/images/"+imageA, "")
}

func TestImportOptions(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nenabled_import_methods = []\n")}})
	d.want(200, `"value": []`, "GET", "/v2/info/import", "")
	if a := d.want(201, "", "POST", "/v2/images", `{"id": "`+imageA+`"}`); a.header.Get("OpenStack-image-import-methods") != "" {
		t.Error("imports are offered that there are not")
	}
	d.want(404, "", "PUT", "/v2/images/"+imageA+"/stage", "x", "Content-Type", "application/octet-stream")
	d.want(400, "Unknown import method name 'glance-direct'.", "POST", "/v2/images/"+imageA+"/import", direct, "Accept", "application/json")
	d.want(200, `"tasks": []`, "GET", "/v2/tasks", "")
	if _, err := os.Stat(s.path("staging")); !os.IsNotExist(err) {
		t.Errorf("without imports there is a staging area: %v", err)
	}

	d = start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[os_glance_staging_store]\nfilesystem_store_datadir = DIR/elsewhere\n")}})
	d.draft(imageB)
	d.stage(imageB, "x")
	if s.count("elsewhere") != 1 {
		t.Error("data is not staged where the option says")
	}

	d = start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", `[image_import_opts]
image_import_plugins = [image_decompression, inject_image_metadata]
[inject_metadata_properties]
inject = os_distro:x
ignore_user_roles = auditor
`)}})
	var packed strings.Builder
	z := gzip.NewWriter(&packed)
	io.WriteString(z, "0123456789")
	z.Close()
	imageC := strings.ReplaceAll(imageB, "b", "c")
	d.draft(imageC)
	d.stage(imageC, packed.String())
	d.want(202, "", "POST", "/v2/images/"+imageC+"/import", direct)
	d.finish(imageC)
	d.want(200, "0123456789", "GET", "/v2/images/"+imageC+"/file", "")
	d.want(200, `"os_distro": "x"`, "GET", "/v2/images/"+imageC, "")

	s.write("file", "")
	err := service.RunAPI(t.Context(), service.Options{Files: []string{s.conf("api", "[DEFAULT]\nnode_staging_uri = file://DIR/file/x\n")}, Stderr: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "[os_glance_staging_store] filesystem_store_datadir") {
		t.Errorf("RunAPI with a staging area that cannot be: %v", err)
	}
}
