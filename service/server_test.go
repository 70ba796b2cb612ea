package service_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"glancectl/service"
)

// A slowUpload is an upload whose data the test sends by hand.
type slowUpload struct {
	data   *io.PipeWriter
	answer chan answer // of the service; code 0 if there was none
}

// beginUpload creates an image and begins to upload to it.
func (d *daemon) beginUpload(id string) *slowUpload {
	d.t.Helper()
	d.want(201, "", "POST", "/v2/images", `{"id": "`+id+`", "disk_format": "raw", "container_format": "bare"}`)
	body, data := io.Pipe()
	d.t.Cleanup(func() { data.Close() })
	u := &slowUpload{data, make(chan answer, 1)}
	r, err := http.NewRequest("PUT", d.url+"/v2/images/"+id+"/file", body)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	go func() {
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			u.answer <- answer{}
			return
		}
		resp.Body.Close()
		u.answer <- answer{code: resp.StatusCode}
	}()
	if _, err := io.WriteString(data, "first"); err != nil {
		d.t.Fatal(err)
	}
	eventually(d.t, "the upload to begin", func() bool {
		return strings.Contains(d.call("GET", "/v2/images/"+id, "").body, `"status": "saving"`)
	})
	return u
}

func TestShutdownFinishesRequests(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	u := d.beginUpload(imageA)
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	eventually(t, "the socket to close", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case <-stopped:
		t.Fatal("it ended while an upload was under way")
	default:
	}
	if _, err := io.WriteString(u.data, " second"); err != nil {
		t.Fatal(err)
	}
	u.data.Close()
	if a := <-u.answer; a.code != 204 {
		t.Errorf("the upload is answered with %d; want 204", a.code)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	if data, err := os.ReadFile(s.path("images", imageA)); string(data) != "first second" {
		t.Errorf("the data is %q, %v", data, err)
	}
}

func TestShutdownBreaksOffAtTheLimit(t *testing.T) {
	s := newSite(t)
	api := s.conf("api", "[DEFAULT]\ngraceful_shutdown_timeout = 1\n")
	d := start(t, service.RunAPI, service.Options{Files: []string{api}})
	u := d.beginUpload(imageA)
	if err := d.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	u.data.Close() // the client looks at its connection only when it has something to send
	if a := <-u.answer; a.code != 0 {
		t.Errorf("the upload is answered with %d; want a broken connection", a.code)
	}
	if !strings.Contains(d.log.String(), "requests were broken off after=1s") {
		t.Error("the log does not say so")
	}
	// What was broken off can be tried again.
	d = start(t, service.RunAPI, service.Options{Files: []string{api}})
	d.want(200, `"status": "queued"`, "GET", "/v2/images/"+imageA, "")
	d.want(204, "", "PUT", "/v2/images/"+imageA+"/file", "data", "Content-Type", "application/octet-stream")
}

func TestStalledUploadIsBrokenOff(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nclient_socket_timeout = 1\n")}})
	d.beginUpload(imageA)
	eventually(t, "the upload to be given up", func() bool {
		return strings.Contains(d.call("GET", "/v2/images/"+imageA, "").body, `"status": "queued"`)
	})
	if entries, err := os.ReadDir(s.path("images")); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

// TestSlowTransferGoesOn has an upload and a download that take longer than
// client_socket_timeout as a whole, but never pause for so long.
func TestSlowTransferGoesOn(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nclient_socket_timeout = 1\n")}})
	u := d.beginUpload(imageA)
	for range 13 {
		time.Sleep(100 * time.Millisecond) // what is tested is time
		if _, err := io.WriteString(u.data, "more"); err != nil {
			t.Fatal(err)
		}
	}
	u.data.Close()
	if a := <-u.answer; a.code != 204 {
		t.Errorf("the upload is answered with %d; want 204", a.code)
	}
	d.want(200, "firstmore", "GET", "/v2/images/"+imageA+"/file", "")
}

func TestHeaders(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	line := func(n int) string { return strings.Repeat("x", n<<10) }
	d.want(200, "", "GET", "/v2/images", "", "X-Service-Catalog", line(15), "X-Auth-Token", line(15), "X-More", line(15))
	if a := d.want(400, "", "GET", "/v2/images", "", "X-Service-Catalog", line(16)); !a.closes {
		t.Error("the connection of a line that is too long is kept")
	}
	d.want(431, "", "GET", "/v2/images", "", "A", line(15), "B", line(15), "C", line(15), "D", line(15), "E", line(15))
	long := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nmax_header_line = 100000\n")}})
	long.want(200, "", "GET", "/v2/images", "", "X-Service-Catalog", line(90))
}

// An ID that is too long is refused where it is known who asks, and not in
// front of that.
func TestRequestIDLength(t *testing.T) {
	s := newSite(t)
	for options, longest := range map[string]int{"": 64, "[DEFAULT]\nmax_request_id_length = 100\n": 100, "[DEFAULT]\nmax_request_id_length = 0\n": 10000} {
		d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", options)}})
		id := strings.Repeat("x", longest)
		if a := d.want(200, "", "GET", "/v2/images", "", "X-Openstack-Request-Id", id); a.header.Get("X-Openstack-Request-Id") != "req-"+id {
			t.Errorf("with %q the ID becomes %s", options, a.header.Get("X-Openstack-Request-Id"))
		}
		if longest > 1000 {
			continue
		}
		a := d.want(431, "The request header fields were too large", "GET", "/v2/images", "", "X-Openstack-Request-Id", id+"x")
		if got := a.header.Get("X-Openstack-Request-Id"); !strings.HasPrefix(got, "req-") || strings.Contains(got, "x") {
			t.Errorf("with %q the ID of a refusal is %s", options, got)
		}
		d.want(300, "", "GET", "/", "", "X-Openstack-Request-Id", id+"x")
	}
}

func TestPIDFileAndWorkers(t *testing.T) {
	s := newSite(t)
	before := runtime.GOMAXPROCS(0)
	api := s.conf("api", "[DEFAULT]\nworkers = 1\npid_file = DIR/api.pid\n")
	for _, o := range []service.Options{{}, {PIDFile: s.path("flag.pid")}} {
		want := s.path("api.pid")
		if o.PIDFile != "" {
			want = o.PIDFile
		}
		o.Files = []string{api}
		d := start(t, service.RunAPI, o)
		if text, err := os.ReadFile(want); string(text) != fmt.Sprintln(os.Getpid()) {
			t.Errorf("%s has %q, %v", want, text, err)
		}
		if n := runtime.GOMAXPROCS(0); n != 1 {
			t.Errorf("%d threads run Go code; want 1", n)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(want); !os.IsNotExist(err) {
			t.Errorf("after the end: %v; want no pid file", err)
		}
	}
	if n := runtime.GOMAXPROCS(0); n != before {
		t.Errorf("afterwards %d threads run Go code; want %d again", n, before)
	}
}

func TestSystemdAndHangup(t *testing.T) {
	s := newSite(t)
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", s.path("notify"))
	expect := func(want string) {
		t.Helper()
		b := make([]byte, 100)
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(b); string(b[:n]) != want {
			t.Errorf("systemd is told %q, %v; want %q", b[:n], err, want)
		}
	}
	hangup := make(chan os.Signal)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nlog_file = DIR/api.log\n")}, Hangup: hangup})
	expect("READY=1")
	if err := os.Rename(s.path("api.log"), s.path("api.log.1")); err != nil {
		t.Fatal(err)
	}
	hangup <- os.Interrupt
	expect("RELOADING=1")
	expect("READY=1")
	if _, err := os.Stat(s.path("api.log")); err != nil {
		t.Errorf("after a hangup: %v", err)
	}
	d.want(200, "", "GET", "/healthcheck", "")
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	expect("STOPPING=1")
	for name, want := range map[string]string{"api.log.1": " started version=test address=127.0.0.1:", "api.log": `"GET /healthcheck HTTP/1.1" 200 2 `} {
		if text, err := os.ReadFile(s.path(name)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s = %q, %v; want %q in it", name, text, err, want)
		}
	}
	if text := d.log.String(); text != "" {
		t.Errorf("with a log file, standard error gets %q", text)
	}
}
