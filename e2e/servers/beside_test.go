package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"glancectl/e2e/lab"
	"glancectl/e2e/peer"
)

// ours is where glanced answers, on the node of the original.
const ours = "http://10.77.0.6:9293"

// sealKey hides locations in the database from whoever does not have it.
const sealKey = "Planted-Key-5f1c9b7e-0123456789a"

// A site is one database and one store with two services on them: OpenStack
// Glance and glanced.
type site struct {
	*bench
	config peer.Config
}

// newSite puts glanced on the machine. The database there was made by the
// original.
func newSite(t *testing.T, l *lab.Lab) *site {
	s := &site{bench: newBench(t, l, lab.PeerNode)}
	s.config.Stores = []string{"one", "two"}
	s.config.Options = "[DEFAULT]\nmetadata_encryption_key = " + sealKey + "\nimage_property_quota = 1000\n"
	program, err := os.ReadFile("../../bin/glanced")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.lab.Node(lab.PeerNode).Root, "/usr/local/bin/glanced"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// serve has both serve a database.
func (s *site) serve(database string) {
	s.t.Helper()
	s.config.Database = database
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { _, err = peer.Start(s.t.Context(), s.lab, s.config) })
	s.sh("systemctl stop glanced 2>/dev/null; systemctl reset-failed glanced 2>/dev/null; true")
	wg.Wait()
	if err != nil {
		s.t.Fatal(err)
	}
	s.configure(database)
	s.sh("systemd-run -q --unit=glanced --uid=glance --gid=glance /usr/local/bin/glanced api --config-file /etc/glance/glanced.conf")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(ours + "/healthcheck")
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("glanced does not answer: %v\n%s", err, s.sh("journalctl -q -u glanced"))
		}
	}
}

// configure writes glanced's configuration: the original's, but for the port.
func (s *site) configure(database string) {
	s.t.Helper()
	s.config.Database = database
	text := s.config.Conf(peer.DataDir) + "[DEFAULT]\nbind_port = 9293\ndefault_publisher_id = ours\n[paste_deploy]\nconfig_file = /etc/glance/glance-api-paste.ini\n"
	name := filepath.Join(s.lab.Node(lab.PeerNode).Root, "/etc/glance/glanced.conf")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// A caller is who asks.
type caller struct{ project, roles string }

var (
	admin  = caller{"boss", "admin,member,reader"}
	owner  = caller{"p", "member,reader"}
	friend = caller{"q", "member,reader"}
)

// ask sends a request and returns status and body.
func (s *site) ask(who caller, base, method, path, body string) (int, string) {
	code, text, err := ask(s.t.Context(), who, method, base+path, []byte(body))
	if err != nil {
		s.t.Fatalf("%s %s%s: %v", method, base, path, err)
	}
	return code, text
}

func ask(ctx context.Context, who caller, method, url string, body []byte) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("X-Identity-Status", "Confirmed")
	r.Header.Set("X-User-Id", "u")
	r.Header.Set("X-Project-Id", who.project)
	r.Header.Set("X-Roles", who.roles)
	switch {
	case strings.HasSuffix(url, "/file") || strings.HasSuffix(url, "/stage"):
		r.Header.Set("Content-Type", "application/octet-stream")
	case method == http.MethodPatch:
		r.Header.Set("Content-Type", "application/openstack-images-v2.1-json-patch")
	default:
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// want is ask for what must be answered with a code.
func (s *site) want(code int, who caller, base, method, path, body string) string {
	s.t.Helper()
	got, text := s.ask(who, base, method, path, body)
	if got != code {
		s.t.Fatalf("%s %s%s = %d %.300s; want %d", method, base, path, got, text, code)
	}
	return text
}

// active makes an image with data.
func (s *site) active(base, id, data string) {
	s.t.Helper()
	s.want(201, owner, base, "POST", "/v2/images", `{"id": "`+id+`", "name": "n", "disk_format": "raw", "container_format": "bare"}`)
	s.want(204, owner, base, "PUT", "/v2/images/"+id+"/file", data)
}

func imageID(n int) string { return fmt.Sprintf("0b51de00-0000-4000-8000-%012d", n) }

// The images that fill makes, and how many of them there are.
const (
	whole = iota + 1
	deactivated
	deleted
	inQueue
	staged
	imported
	filled
)

// fill has a service make some of everything.
func (s *site) fill(base string) {
	s.t.Helper()
	image := func(n int) string { return "/v2/images/" + imageID(n) }
	s.want(201, owner, base, "POST", "/v2/images", `{"id": "`+imageID(whole)+`", "name": "Zürich ⛰ 日本語", "disk_format": "qcow2", "container_format": "bare",
		"tags": ["b", "a"], "min_ram": 512, "min_disk": 3, "visibility": "shared", "os_hidden": true, "os_distro": "debian", "long": "`+strings.Repeat("x", 300)+`", "empty": "", "gone": "1", "back": "1"}`)
	s.want(400, owner, base, "POST", "/v2/images", `{"name": "beyond 😀"}`)
	s.want(204, owner, base, "PUT", image(whole)+"/file", qcow2)
	for _, body := range []string{
		`[{"op": "remove", "path": "/gone"}, {"op": "remove", "path": "/back"}]`,
		`[{"op": "add", "path": "/back", "value": "2"}, {"op": "replace", "path": "/name", "value": "neu"}, {"op": "replace", "path": "/tags", "value": ["a", "ü"]}]`,
	} {
		s.want(200, owner, base, "PATCH", image(whole), body)
	}
	for _, member := range []string{"q", "r", "s"} {
		s.want(200, owner, base, "POST", image(whole)+"/members", `{"member": "`+member+`"}`)
	}
	s.want(200, friend, base, "PUT", image(whole)+"/members/q", `{"status": "accepted"}`)
	s.want(204, owner, base, "DELETE", image(whole)+"/members/s", "")

	s.active(base, imageID(deactivated), "abc")
	s.want(204, admin, base, "POST", image(deactivated)+"/actions/deactivate", "")
	s.active(base, imageID(deleted), "abc")
	s.want(204, owner, base, "DELETE", image(deleted), "")
	s.want(201, owner, base, "POST", "/v2/images", `{"id": "`+imageID(inQueue)+`", "protected": true}`)
	for _, n := range []int{staged, imported} {
		s.want(201, owner, base, "POST", "/v2/images", `{"id": "`+imageID(n)+`", "disk_format": "raw", "container_format": "bare"}`)
		s.want(204, owner, base, "PUT", image(n)+"/stage", "staged data")
	}
	s.want(202, owner, base, "POST", image(imported)+"/import", `{"method": {"name": "glance-direct"}, "all_stores": true}`)
	s.settles(base, imported)

	s.want(201, admin, base, "POST", "/v2/metadefs/namespaces", `{"namespace": "N::1", "display_name": "Ü", "description": "d", "visibility": "public", "protected": false,
		"resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "hw_", "properties_target": "image"}],
		"properties": {"p1": {"title": "P1", "type": "string", "description": "d", "enum": ["a", "b"], "default": "a"}},
		"objects": [{"name": "o1", "description": "d", "properties": {"q": {"title": "Q", "type": "integer", "minimum": 1}}, "required": ["q"]}],
		"tags": [{"name": "t1"}]}`)
	s.want(201, admin, base, "POST", "/v2/metadefs/namespaces/N::1/tags/t2", "")
}

// qcow2 is an empty image of one gigabyte.
var qcow2 = "QFI\xfb\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10" +
	"\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x03\x00\x00" +
	"\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 256<<10)

// settles waits until an image is active, and free of its import.
func (s *site) settles(base string, n int) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		text := s.want(200, owner, base, "GET", "/v2/images/"+imageID(n), "")
		tasks := s.want(200, owner, base, "GET", "/v2/images/"+imageID(n)+"/tasks", "")
		if strings.Contains(text, `"status": "active"`) && !strings.Contains(text, "os_glance_import_task") && strings.Contains(tasks, `"success"`) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("import does not end: %s\n%s", text, tasks)
		}
	}
}

// same requires that both services answer the callers alike about all that fill
// made.
func (s *site) same(callers ...caller) {
	s.t.Helper()
	paths := []string{
		"/v2/images?sort=id:asc", "/v2/images?os_hidden=true", "/v2/images?tag=a&os_hidden=true", "/v2/images?os_distro=debian&os_hidden=true",
		"/v2/images?visibility=shared&member_status=all&os_hidden=true", "/v2/images?name=in:neu,x&os_hidden=true", "/v2/images?status=deactivated",
		"/v2/metadefs/namespaces", "/v2/metadefs/namespaces/N::1", "/v2/metadefs/namespaces/N::1/objects", "/v2/metadefs/namespaces/N::1/properties",
		"/v2/metadefs/namespaces/N::1/tags", "/v2/metadefs/namespaces/N::1/resource_types", "/v2/metadefs/resource_types",
	}
	for n := range filled - 1 {
		image := "/v2/images/" + imageID(n+1)
		paths = append(paths, image, image+"/file", image+"/members", image+"/tasks")
	}
	var g errgroup.Group
	g.SetLimit(4)
	for _, path := range paths {
		for i, who := range callers {
			if i > 0 && strings.Contains(path, "/metadefs/") {
				continue // they are public
			}
			g.Go(func() error { return s.sameAnswer(who, path) })
		}
	}
	if err := g.Wait(); err != nil {
		s.t.Error(err)
	}
}

// sameAnswer compares what the two answer to one request.
func (s *site) sameAnswer(who caller, path string) error {
	wantCode, want, wantErr := ask(s.t.Context(), who, "GET", peer.URL+path, nil)
	code, got, err := ask(s.t.Context(), who, "GET", ours+path, nil)
	if err = errors.Join(wantErr, err); err != nil {
		return err
	}
	if code != wantCode || code < 400 && !alike(got, want) {
		return fmt.Errorf("GET %s as %s = %d %s; the original says %d %s", path, who.project, code, cmp.Diff(parsed(want), parsed(got)), wantCode, want)
	}
	return nil
}

// alike compares bodies, JSON by what it means.
func alike(a, b string) bool { return a == b || cmp.Equal(parsed(a), parsed(b)) && parsed(a) != nil }

func parsed(text string) (v any) {
	if json.Unmarshal([]byte(text), &v) != nil {
		return nil
	}
	return ordered(v)
}

// ordered sorts lists of text: the original has tags in no order.
func ordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = ordered(v[name])
		}
	case []any:
		for i := range v {
			v[i] = ordered(v[i])
		}
		slices.SortStableFunc(v, func(a, b any) int {
			x, _ := a.(string)
			y, _ := b.(string)
			return strings.Compare(x, y)
		})
	}
	return v
}

// manage runs glanced's glance-manage.
func (s *site) manage(args string) string {
	s.t.Helper()
	return s.sh("su -s /bin/sh glance -c '/usr/local/bin/glanced manage --config-file /etc/glance/glanced.conf " + args + "'")
}

// empty takes away what is in the stores.
func (s *site) empty() {
	s.t.Helper()
	s.sh("systemctl stop glance-api glanced 2>/dev/null; cd " + peer.DataDir + " && rm -f one/* two/* staging/*")
}

// over has a database that the original made and filled served by glanced, with
// no step in between, which goes on where the other stopped.
func (s *site) over(database string) {
	s.t.Helper()
	s.serve(database)
	s.fill(peer.URL)
	if out := s.manage("db check"); out != "Database is up to date. No upgrades needed." {
		s.t.Errorf("db check of the original's database: %s", out)
	}
	s.same(owner, admin, friend)
	s.goOn(ours)
}

// back is over with the services exchanged.
func (s *site) back(database string) {
	s.t.Helper()
	s.empty()
	s.configure(database)
	s.manage("db sync")
	s.serve(database)
	s.fill(ours)
	if out, err := peer.Manage(s.t.Context(), s.lab, "db", "check"); err != nil || strings.TrimSpace(out) != "Database is up to date. No upgrades needed." {
		s.t.Errorf("db check of our database by the original: %s, %v", out, err)
	}
	s.same(owner, admin, friend)
	s.goOn(peer.URL)
}

// goOn has a service work on what the other one has filled.
func (s *site) goOn(base string) {
	s.t.Helper()
	s.want(204, owner, base, "DELETE", "/v2/images/"+imageID(whole), "")
	s.want(202, owner, base, "POST", "/v2/images/"+imageID(staged)+"/import", `{"method": {"name": "glance-direct"}}`)
	s.settles(base, staged)
	s.want(204, admin, base, "POST", "/v2/images/"+imageID(deactivated)+"/actions/reactivate", "")
	s.same(owner)
	for _, base := range []string{peer.URL, ours} {
		if text := s.want(200, owner, base, "GET", "/v2/images/"+imageID(staged)+"/file", ""); text != "staged data" {
			s.t.Errorf("%s gives %q", base, text)
		}
	}
}

// overAndBack has a database that each of the two made and filled
// served by the other, with no step in between, and then by both at once.
func overAndBack(t *testing.T, s *site) {
	t.Run("over on SQLite", func(t *testing.T) {
		s := &site{s.as(t, "root"), s.config}
		s.config.Database = "sqlite:///" + peer.DataDir + "/theirs.sqlite"
		if err := peer.Configure(t.Context(), s.lab, s.config); err != nil {
			t.Fatal(err)
		}
		if out, err := peer.Manage(t.Context(), s.lab, "db_sync"); err != nil {
			t.Fatal(out, err)
		}
		s.over(s.config.Database)
	})
	t.Run("back on SQLite", func(t *testing.T) {
		(&site{s.as(t, "root"), s.config}).back("sqlite:///" + peer.DataDir + "/ours.sqlite")
	})
	t.Run("over", func(t *testing.T) {
		s := &site{s.as(t, "root"), s.config}
		s.empty()
		s.over(peer.Database)
	})
	s.mysql("CREATE DATABASE made CHARACTER SET utf8; GRANT ALL ON made.* TO glance@'%'")
	t.Run("back", func(t *testing.T) {
		(&site{s.as(t, "root"), s.config}).back(strings.TrimSuffix(peer.Database, "/glance") + "/made")
	})
	t.Run("tables", func(t *testing.T) {
		s := &site{s.as(t, "root"), s.config}
		for _, what := range []string{
			"SELECT table_name, column_name, column_default, is_nullable, column_type, character_set_name, extra FROM information_schema.columns WHERE table_schema = 'DB' ORDER BY 1, 2",
			"SELECT table_name, index_name, non_unique, seq_in_index, column_name FROM information_schema.statistics WHERE table_schema = 'DB' ORDER BY 1, 2, 4",
			"SELECT table_name, column_name, referenced_table_name, referenced_column_name FROM information_schema.key_column_usage WHERE table_schema = 'DB' AND referenced_table_name IS NOT NULL ORDER BY 1, 2",
		} {
			theirs, made := s.mysql(strings.Replace(what, "DB", "glance", 1)), s.mysql(strings.Replace(what, "DB", "made", 1))
			if theirs == "" || theirs != made {
				t.Errorf("%s (-theirs +ours):\n%s", what, cmp.Diff(strings.Split(theirs, "\n"), strings.Split(made, "\n")))
			}
		}
		if values := s.mysql("SELECT value FROM glance.image_locations UNION SELECT value FROM made.image_locations"); strings.Contains(values, ":") {
			t.Errorf("a location is in clear: %s", values)
		}
	})
	t.Run("at once", func(t *testing.T) { atOnce(t, &site{s.as(t, "root"), s.config}) })
}
