package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/e2e/lab"
	"glancectl/e2e/peer"
)

// The images that are replicated: one of each kind.
const (
	replicaPublic    = "aaaaaaaa-0000-4000-8000-000000000001"
	replicaShared    = "aaaaaaaa-0000-4000-8000-000000000002"
	replicaHidden    = "aaaaaaaa-0000-4000-8000-000000000003"
	replicaCommunity = "aaaaaaaa-0000-4000-8000-000000000004"
	replicaEmpty     = "aaaaaaaa-0000-4000-8000-000000000005"
)

var moments = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z?`)

// testReplicator takes images from the original to glanced and back, as the
// administrator; then the original's own replicator, which speaks version 1,
// asks glanced and reads what glanced's has written, and the other way round.
func testReplicator(t *testing.T, site *Site) {
	config, vars := configured(t, sites[0].name, sites[0].config)
	config.Options += "\n[DEFAULT]\nenable_v1_api = True\n"
	if err := site.Start(t.Context(), config, vars); err != nil {
		t.Fatal(err)
	}
	r := &replication{t: t, site: site}
	r.reset()
	original, ours := site.original.Addr, site.ours.Addr
	r.furnish(original)

	if got := r.run("compare", original, ours); strings.Count(got, "entirely missing") != 5 {
		t.Errorf("glance-replicator compare says\n%s\nwant 5 images that are missing", got)
	}
	r.says("", "livecopy", original, ours)
	r.says("", "compare", original, ours)
	r.says("", "compare", ours, original)
	const size = "Total size is 415 bytes (415.0 B) across 5 images\n"
	r.says(size, "size", original)
	r.says(size, "size", ours)
	one, two := r.dump(original), r.dump(ours)
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("the dumps of both (-original +glanced):\n%s", diff)
	}

	// Back from glanced, by a directory.
	dir := filepath.Join(t.TempDir(), "dump")
	r.says("", "dump", ours, dir)
	r.reset()
	r.says("", "load", original, dir)
	if diff := cmp.Diff(one, r.dump(original)); diff != "" {
		t.Errorf("what the original was given back (-before +after):\n%s", diff)
	}
	r.says("", "livecopy", original, ours)
	r.says("", "compare", ours, original)

	// What the original's replicator has to do with both.
	if got := r.theirs("size " + ours); !strings.Contains(got, strings.TrimSpace(size)) {
		t.Errorf("the original's replicator says the size is %q; want %q", got, size)
	}
	r.theirs("dump " + ours + " /root/theirs")
	theirs := t.TempDir()
	r.copyOut("/root/theirs", theirs)
	r.reset()
	r.says("", "load", original, theirs)
	if got := r.get(original, "/v2/images/"+replicaPublic); !strings.Contains(got, `"os_distro": "x~y/z"`) || !strings.Contains(got, `"protected": true`) {
		t.Errorf("what was loaded from the original's dump is %s", got)
	}
	r.copyIn(dir, "/root/ours")
	r.theirs("load " + ours + " /root/ours")
	if got := r.get(ours, "/v2/images/"+replicaPublic+"/file"); got != "public data" {
		t.Errorf("what the original's replicator has loaded of our dump is %q", got)
	}
}

// A replication has both servers of a site to copy between.
type replication struct {
	t    *testing.T
	site *Site
}

// reset makes both services forget that there ever were images.
func (r *replication) reset() {
	r.t.Helper()
	if err := r.site.Reset(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	for _, dir := range []string{r.site.Lab.Node(lab.PeerNode).Root + peer.DataDir, r.site.dir} {
		names, err := filepath.Glob(filepath.Join(dir, "images", "*"))
		if err != nil {
			r.t.Fatal(err)
		}
		for _, name := range names {
			if err := os.RemoveAll(name); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// send sends a request of the administrator and returns the body of the answer.
func (r *replication) send(method, url, kind, body string) string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+url, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", r.site.identity.tokens["admin"])
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > 299 {
		r.t.Fatalf("%s %s = %s, %v: %s", method, url, resp.Status, err, text)
	}
	return string(text)
}

func (r *replication) get(address, path string) string {
	r.t.Helper()
	return r.send("GET", address+path, "", "")
}

// furnish makes the images.
func (r *replication) furnish(address string) {
	r.t.Helper()
	one, two := r.site.identity.vars["member_project"], r.site.identity.vars["other_project"]
	image := func(id, more, data string) {
		r.t.Helper()
		r.send("POST", address+"/v2/images", "application/json", `{"id": "`+id+`", "disk_format": "raw", "container_format": "bare"`+more+`}`)
		r.send("PUT", address+"/v2/images/"+id+"/file", "application/octet-stream", data)
	}
	image(replicaPublic, `, "name": "public", "visibility": "public", "protected": true, "min_disk": 3, "tags": ["b", "a"], "os_distro": "x~y/z"`, "public data")
	image(replicaShared, `, "name": "shared", "owner": "`+one+`"`, strings.Repeat("12345678", 50))
	r.send("POST", address+"/v2/images/"+replicaShared+"/members", "application/json", `{"member": "`+two+`"}`)
	r.send("PUT", address+"/v2/images/"+replicaShared+"/members/"+two, "application/json", `{"status": "accepted"}`)
	r.send("POST", address+"/v2/images/"+replicaShared+"/members", "application/json", `{"member": "nobody"}`)
	image(replicaHidden, `, "name": "hidden", "os_hidden": true, "visibility": "private"`, "hide")
	image(replicaCommunity, `, "name": "for all", "visibility": "community", "owner": "`+two+`"`, "")
	image(replicaEmpty, `, "name": "empty", "visibility": "private"`, "")
}

// run runs glance-replicator with the password of the administrator, and
// returns what it answers.
func (r *replication) run(args ...string) string {
	r.t.Helper()
	c := exec.CommandContext(r.t.Context(), r.site.bin, append([]string{"replicator", "-v"}, args...)...)
	for name, value := range r.site.identity.environments()["admin"] {
		if name != "OS_AUTH_TOKEN" {
			c.Env = append(c.Env, name+"="+value)
		}
	}
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		r.t.Fatalf("glance-replicator %s: %v\n%s", args, err, &said)
	}
	return out.String()
}

func (r *replication) says(want string, args ...string) {
	r.t.Helper()
	if got := r.run(args...); got != want {
		r.t.Errorf("glance-replicator %s says\n%s\nwant %q", args, got, want)
	}
}

// dump returns what a dump of a service writes, without the times.
func (r *replication) dump(address string) map[string]string {
	r.t.Helper()
	dir := r.t.TempDir()
	r.says("", "dump", address, dir)
	names, err := filepath.Glob(dir + "/*")
	if err != nil {
		r.t.Fatal(err)
	}
	files := make(map[string]string)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(text) > 10000 {
			text = fmt.Appendf(nil, "%d bytes", len(text))
		}
		files[filepath.Base(name)] = moments.ReplaceAllString(string(text), "TIME")
	}
	return files
}

// theirs runs the original's replicator on its node.
func (r *replication) theirs(args string) string {
	r.t.Helper()
	script := "mkdir -p /root/theirs; python3 -c 'from glance.cmd import replicator; replicator.main()' --token " + r.site.identity.tokens["admin"] + " " + args + " 2>&1"
	out, err := r.site.Lab.Run(r.t.Context(), lab.PeerNode, script)
	if err != nil {
		r.t.Fatalf("the original's replicator %s: %v\n%s", args, err, out)
	}
	return out
}

func (r *replication) copyOut(from, to string) {
	r.t.Helper()
	if err := r.tar(r.t.Context(), "tar -C "+r.site.Lab.Node(lab.PeerNode).Root+from+" -c . | tar -C "+to+" -x"); err != nil {
		r.t.Fatal(err)
	}
}

func (r *replication) copyIn(from, to string) {
	r.t.Helper()
	root := r.site.Lab.Node(lab.PeerNode).Root + to
	if err := r.tar(r.t.Context(), "mkdir -p "+root+" && tar -C "+from+" -c . | tar -C "+root+" --no-same-owner -x"); err != nil {
		r.t.Fatal(err)
	}
}

func (r *replication) tar(ctx context.Context, script string) error {
	out, err := exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
