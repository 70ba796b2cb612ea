package everything

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancectl/e2e/rig"
)

// kill ends the process of a unit as if by the kernel. It returns what requires
// that systemd has started the unit again, once.
func (s *site) kill(t *testing.T, node, unit string) (restarted func()) {
	t.Helper()
	const restarts = "systemctl show -P NRestarts "
	var before, after int
	s.number(t, &before, node, restarts+unit+"; kill -KILL $(systemctl show -P MainPID "+unit+")")
	return func() {
		t.Helper()
		s.number(t, &after, node, restarts+unit+"; systemctl is-active -q "+unit)
		if after != before+1 {
			t.Errorf("%s on %s was started again %d times; want 1", unit, node, after-before)
		}
	}
}

func (s *site) number(t *testing.T, n *int, node, script string) {
	t.Helper()
	var err error
	if *n, err = strconv.Atoi(s.On(t, node, script)); err != nil {
		t.Fatal(err)
	}
}

// again waits for the answer to a request that nobody answers at first.
func (c caller) again(t *testing.T, code int, path string) {
	t.Helper()
	rig.Eventually(t, path, func() bool {
		a, err := c.try(t.Context(), "GET", path, nil)
		return err == nil && a.code == code
	})
}

// killedAPI kills an api that takes uploads of both versions and serves a
// download. The other node goes on meanwhile, and what was under way is in
// order when systemd has started it again.
func killedAPI(t *testing.T, s *site) {
	text := data(6 << 20)
	one, two := s.on(nodes[0]), s.on(nodes[1])
	whole := one.upload(t, "whole", text)
	v2, v1 := one.create(t, "cut-2"), uuid()
	others := s.load(t, usual, client{two, false}, client{two, true})

	first, second := io.Pipe()
	third, fourth := io.Pipe()
	ended := make(chan error, 3)
	go func() {
		_, err := one.try(t.Context(), "PUT", "/v2/images/"+v2+"/file", first)
		ended <- err
	}()
	go func() {
		_, err := one.try(t.Context(), "POST", "/v1/images", third, "X-Image-Meta-Id", v1, "X-Image-Meta-Name", "cut-1",
			"X-Image-Meta-Disk_format", "raw", "X-Image-Meta-Container_format", "bare")
		ended <- err
	}()
	got, more := io.Pipe()
	go func() { ended <- one.read(t.Context(), whole, more) }()
	for _, w := range []io.Writer{second, fourth} {
		if _, err := io.WriteString(w, text[:3<<20]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(got, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{v2, v1} {
		rig.Eventually(t, "saving image "+id, func() bool { return two.status(t, id) == "saving" })
	}
	restarted := s.kill(t, nodes[0], "glance-api")
	got.Close()
	for _, w := range []*io.PipeWriter{second, fourth} {
		w.CloseWithError(io.ErrUnexpectedEOF) // only then the client looks at the connection
	}
	for range 3 {
		if err := <-ended; err == nil {
			t.Error("a request ended well though the api was killed in the middle of it")
		}
	}
	one.again(t, 200, "/v2/images?limit=1")
	others.end()
	if len(others.failed) > 0 {
		t.Errorf("%d requests to the other node failed, the first: %s", len(others.failed), others.failed[0])
	}
	restarted()
	for _, id := range []string{v2, v1} {
		if got := one.status(t, id); got != "queued" {
			t.Errorf("image %s, whose upload was cut, is %s; want queued", id, got)
		}
		one.want(t, 204, "PUT", "/v2/images/"+id+"/file", text)
		two.download(t, id, text)
	}
	one.download(t, whole, text)
	for _, id := range []string{whole, v2, v1} {
		one.want(t, 204, "DELETE", "/v2/images/"+id, "")
	}
	s.tidy(t)
}

// read downloads an image into w, as slowly as that takes it.
func (c caller) read(ctx context.Context, id string, w io.WriteCloser) error {
	defer w.Close()
	req, err := c.request(ctx, "GET", "/v2/images/"+id+"/file", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}

// killedRegistry kills a registry that version 1 is at work with: until it is
// back version 1 says that it is away, and version 2 goes on.
func killedRegistry(t *testing.T, s *site) {
	one := s.on(nodes[0])
	id := one.uploadV1(t, "known", "data")
	v1, v2 := s.load(t, usual, client{one, true}), s.load(t, usual, client{one, false})
	v1.more(t, 5)
	v2.more(t, 5)
	restarted := s.kill(t, nodes[0], "glance-registry")
	rig.Eventually(t, "version 1 without its registry", func() bool {
		a, err := one.try(t.Context(), "GET", "/v1/images/"+id, nil)
		return err == nil && a.code == 503
	})
	one.again(t, 200, "/v1/images/"+id)
	v1.more(t, 5)
	v1.end()
	v2.end()
	if len(v2.failed) > 0 {
		t.Errorf("%d requests of version 2 failed, the first: %s", len(v2.failed), v2.failed[0])
	}
	for _, f := range v1.failed {
		if !strings.Contains(f, ": 503 ") && !strings.Contains(f, ": 404 ") { // of what could not be made
			t.Errorf("without its registry version 1 answers %s", f)
		}
	}
	restarted()
	one.want(t, 200, "DELETE", "/v1/images/"+id, "")
}

// A cut is a job that is killed in the middle of its work.
type cut struct {
	job     string
	prepare func(t *testing.T) []string // makes work, and returns the files whose presence changes by it, in their order
	gone    bool                        // they go; otherwise they come
}

// killedJobs kills each job in the middle of its work; the next run does the
// rest.
func killedJobs(t *testing.T, s *site) {
	sh := s.shell(t, nodes[0])
	for _, c := range []cut{
		{"scrubber", s.deleteMany, true},
		{"prefetcher", s.queueMany, false},
		{"pruner", s.cacheMany, true},
		{"reaper", s.spoilMany, true},
	} {
		t.Run(c.job, func(t *testing.T) { s.cut(t, sh, c) })
	}
	s.tidy(t)
}

// cut kills a job when it has begun and is not at its end. One that was too
// quick for that gets more work.
func (s *site) cut(t *testing.T, sh *shell, c cut) {
	line := s.CronLine(t, nodes[0], "glance-"+c.job)
	for try := 1; ; try++ {
		files := c.prepare(t)
		begun, over := "[ ! -e "+files[0]+" ]", "[ ! -e "+files[len(files)-1]+" ]"
		if !c.gone {
			begun, over = "[ -e "+files[0]+" ]", "[ -e "+files[len(files)-1]+" ]"
		}
		out, code := sh.run(fmt.Sprintf(`(%s) >/dev/null 2>&1 &
p=$!
until %s; do [ -e /proc/$p/exe ] || break; done
below=$(cat /proc/$p/task/$p/children)
kill -KILL $p $below
wait $p 2>/dev/null
for b in $below; do while [ -e /proc/$b ]; do :; done; done
%s && exit 7
exit 0`, line, begun, over))
		if code == 7 && try < 5 {
			continue
		}
		if code != 0 {
			t.Fatalf("the %s is not cut: exit %d\n%s", c.job, code, out)
		}
		t.Logf("cut at attempt %d", try)
		if out, code := sh.run(line); out != "" || code != 0 {
			t.Errorf("the %s after the one that was killed: exit %d\n%s", c.job, code, out)
		}
		runs := s.runs(t, nodes[0], c.job)
		if n := len(runs); n < 2 || runs[n-2].Result != "died" || runs[n-1].Result != "done" || runs[n-1].Done == 0 {
			t.Errorf("recorded are %+v; want one that died and one that did the rest", runs[max(0, n-2):])
		}
		out, code = sh.run("for f in " + strings.Join(files, " ") + "; do [ -e $f ] && echo $f; done; true")
		there := len(strings.Fields(out))
		if want := map[bool]int{true: 0, false: len(files)}[c.gone]; code != 0 || there != want {
			t.Errorf("after the %s there are %d of %d files; want %d", c.job, there, len(files), want)
		}
		return
	}
}

// deleteMany has images wait for the scrubber, which takes them in their order.
func (s *site) deleteMany(t *testing.T) (files []string) {
	one := s.on(nodes[0])
	for range 30 {
		id := one.upload(t, "doomed", data(1000))
		one.want(t, 204, "DELETE", "/v2/images/"+id, "")
		files = append(files, "/srv/glance/images/fast/"+id)
	}
	return files
}

// queueMany has images wait for the prefetcher, which takes them in their order.
func (s *site) queueMany(t *testing.T) (files []string) {
	one, admin := s.on(nodes[0]), s.adminOn(nodes[0])
	for range 12 {
		id := one.upload(t, "queued", data(500_000))
		admin.want(t, 200, "PUT", "/v1/queued_images/"+id, "")
		files = append(files, path.Join(cacheDir, id))
	}
	return files
}

// cacheMany makes entries of the cache, of which those that are returned were
// not used for the longest time.
func (s *site) cacheMany(t *testing.T) (files []string) {
	begin := time.Now().Add(-24 * time.Hour)
	const many, left = 3000, 20
	for i := range many {
		id := uuid()
		s.place(t, path.Join(cacheDir, "state", id), "900150983cd24fb0d6963f7d28e17f72\n", 0, begin.Add(time.Duration(i)*time.Second))
		s.place(t, path.Join(cacheDir, id), "", 1<<20, begin)
		files = append(files, path.Join(cacheDir, id))
	}
	return files[:many-left]
}

// spoilMany makes invalid entries whose time is over, and returns them in the
// order in which they are found.
func (s *site) spoilMany(t *testing.T) (files []string) {
	dir := path.Join(cacheDir, "invalid")
	for range 3000 {
		s.place(t, path.Join(dir, uuid()+".x"), "", 0, time.Now().Add(-2*time.Hour))
	}
	d, err := os.Open(filepath.Join(s.Node(nodes[0]).Root, dir))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		files = append(files, path.Join(dir, name))
	}
	return files
}

// place makes a file on the first node, which belongs to the owner of its
// directory.
func (s *site) place(t *testing.T, name, text string, size int64, modified time.Time) {
	t.Helper()
	name = filepath.Join(s.Node(nodes[0]).Root, name)
	info, err := os.Stat(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	err = os.WriteFile(name, []byte(text), 0o640)
	if err == nil && size > 0 {
		err = os.Truncate(name, size)
	}
	if err = errors.Join(err, os.Chown(name, int(owner.Uid), int(owner.Gid)), os.Chtimes(name, modified, modified)); err != nil {
		t.Fatal(err)
	}
}
