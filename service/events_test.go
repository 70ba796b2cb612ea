package service_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// An event is a notification as the log has it.
type event struct {
	Type     string `json:"event_type"`
	Priority string
	Payload  any
}

// events returns what the log says that happened, in order.
func (d *daemon) events() (list []event) {
	d.t.Helper()
	for line := range strings.Lines(d.log.String()) {
		_, rest, ok := strings.Cut(line, " oslo.messaging.notification.")
		if !ok {
			continue
		}
		var e event
		if err := json.Unmarshal([]byte(rest[strings.Index(rest, "{"):]), &e); err != nil {
			d.t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// kinds are the types of events, those that are about a failure with a !.
func kinds(list []event) string {
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintf(&b, "%s%s ", e.Type, map[string]string{"ERROR": "!"}[e.Priority])
	}
	return strings.TrimSpace(b.String())
}

// TestV1Events is what is told of images of version 1, straight and by way of a
// registry: in what order, and with what in it.
func TestV1Events(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			w.Header().Set("Content-Length", "100")
		}
		fmt.Fprint(w, "data of the web")
	}))
	defer web.Close()
	bothWays(t, func(t *testing.T, s *site, open func(string) *daemon) {
		d := open("notifier_strategy = logging\n[glance_store]\nstores = file,http\n" + allow(web))
		seen := 0
		happened := func(want string) []event {
			t.Helper()
			var list []event
			eventually(t, want, func() bool { list = d.events()[seen:]; return len(list) >= strings.Count(want, " ")+1 })
			if got := kinds(list); got != want {
				t.Errorf("events %s; want %s", got, want)
			}
			seen += len(list)
			return list
		}
		d.want(201, "", "POST", "/v1/images", "", as("alice", "X-Image-Meta-Id", imageA, "X-Image-Meta-Name", "x",
			"X-Image-Meta-Disk-Format", "raw", "X-Image-Meta-Container-Format", "bare", "X-Image-Meta-Property-Os", "linux")...)
		happened("image.create")
		d.want(200, "", "PUT", "/v1/images/"+imageA, "", as("alice", "X-Image-Meta-Name", "y")...)
		happened("image.update")
		d.want(201, "", "POST", "/v1/images", "some data", described(imageB, "X-Image-Meta-Property-Os", "linux")...)
		list := happened("image.create image.prepare image.upload image.activate")
		whole, _ := list[3].Payload.(map[string]any)
		for name, want := range map[string]any{
			"id": imageB, "name": "x", "status": "active", "owner": "p-alice", "size": 9.0, "checksum": "1e50210a0202497fb79bc38b6ade6c34", "min_disk": 0.0, "min_ram": 0.0,
			"disk_format": "raw", "container_format": "bare", "protected": false, "is_public": false, "deleted": false, "deleted_at": nil,
		} {
			if got := whole[name]; got != want {
				t.Errorf("image.activate has %s %v; want %v", name, got, want)
			}
		}
		if got := fmt.Sprint(whole["properties"]); got != "map[os:linux]" {
			t.Errorf("image.activate has the properties %s", got)
		}

		d.want(200, "some data", "GET", "/v1/images/"+imageB, "", as("alice")...)
		sent := happened("image.send")
		want := fmt.Sprint(map[string]any{"bytes_sent": 9.0, "image_id": imageB, "owner_id": "p-alice", "receiver_tenant_id": "p-alice",
			"receiver_user_id": "u-alice", "destination_ip": "127.0.0.1"})
		if got := fmt.Sprint(sent[0].Payload); got != want {
			t.Errorf("image.send has %s; want %s", got, want)
		}
		d.want(200, "", "PUT", "/v1/images/"+imageB, "", as("alice", "X-Image-Meta-Name", "z")...)
		happened("image.update")
		d.want(204, "", "PUT", "/v1/images/"+imageB+"/members/p-bob", "", as("alice")...)
		happened("image.member.create")
		d.want(204, "", "DELETE", "/v1/images/"+imageB+"/members/p-bob", "", as("alice")...)
		happened("image.member.delete")
		d.want(200, "", "DELETE", "/v1/images/"+imageB, "", as("alice")...)
		gone, _ := happened("image.delete")[0].Payload.(map[string]any)
		if gone["deleted"] != true || gone["deleted_at"] == nil || gone["id"] != imageB {
			t.Errorf("image.delete has %v", gone)
		}

		d.want(400, "", "PUT", "/v1/images/"+imageA, "zz", as("alice", "Content-Type", octets, "X-Image-Meta-Checksum", "bad")...)
		broken := happened("image.update image.prepare image.upload!")
		if text, ok := broken[2].Payload.(string); !ok || !strings.Contains(text, "Supplied checksum (bad)") {
			t.Errorf("image.upload of an upload that fails has %v; want text", broken[2].Payload)
		}
		from := func(id, path string) {
			t.Helper()
			d.want(201, "", "POST", "/v1/images", "", as("alice", "X-Image-Meta-Id", id, "X-Image-Meta-Name", "x",
				"X-Image-Meta-Disk-Format", "raw", "X-Image-Meta-Container-Format", "bare", "X-Glance-Api-Copy-From", web.URL+path)...)
		}
		from("0f6f4c0e-1111-4000-8000-00000000000c", "/data")
		happened("image.create image.prepare image.upload image.activate")
		from("0f6f4c0e-1111-4000-8000-00000000000d", "/short")
		happened("image.create image.prepare image.upload!")
		d.want(201, "", "POST", "/v1/images", "", as("alice", "X-Image-Meta-Id", "0f6f4c0e-1111-4000-8000-00000000000e", "X-Image-Meta-Name", "x",
			"X-Image-Meta-Disk-Format", "raw", "X-Image-Meta-Container-Format", "bare", "X-Image-Meta-Location", web.URL+"/data")...)
		happened("image.create image.activate")
		for _, e := range d.events() {
			if text := fmt.Sprint(e.Payload); strings.Contains(text, "file:") || strings.Contains(text, web.URL) {
				t.Errorf("%s has a location: %s", e.Type, text)
			}
		}
		// Nobody is told of what was refused.
		d.want(403, "", "POST", "/v1/images", "", as("alice", "X-Image-Meta-Name", "x", "X-Image-Meta-Is-Public", "True")...)
		d.want(404, "", "DELETE", "/v1/images/"+imageA, "", as("bob")...)
		d.want(404, "", "GET", "/v1/images/"+imageB, "", as("alice")...)
		d.want(204, "", "PUT", "/v1/images/"+imageA+"/members/p-carol", "", as("alice")...) // the next that is told
		happened("image.member.create")
	})
}

// TestTasksAreNotDeleted: a task ends by expiring, through both APIs, and
// nobody is told of a task.delete.
func TestTasksAreNotDeleted(t *testing.T) {
	s := newSite(t)
	d := s.api("[DEFAULT]\nnotifier_strategy = logging\ntask_time_to_live = 1\n")
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageA+`", "disk_format": "raw", "container_format": "bare"}`, as("alice")...)
	d.want(204, "", "PUT", "/v2/images/"+imageA+"/stage", "data", as("alice", "Content-Type", octets)...)
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", direct, as("alice")...)
	eventually(t, "the import to end", func() bool { return strings.Contains(kinds(d.events()), "task.success") })
	var id string
	for _, e := range d.events() {
		if p, ok := e.Payload.(map[string]any); ok && e.Type == "task.success" {
			id, _ = p["id"].(string)
		}
	}
	a := d.want(405, "auto deleted", "DELETE", "/v2/tasks/"+id, "", as("admin")...)
	if a.header.Get("Allow") != "GET" {
		t.Errorf("Allow of DELETE of a task = %s; want GET", a.header.Get("Allow"))
	}
	d.want(200, `"status": "success"`, "GET", "/v2/tasks/"+id, "", as("admin")...)
	if got := kinds(d.events()); strings.Contains(got, "task.delete") {
		t.Errorf("events %s", got)
	}
}

// TestNobodyIsTold has no strategy, and the one that is called noop.
func TestNobodyIsTold(t *testing.T) {
	for _, options := range []string{"", "notifier_strategy = noop\n"} {
		s := newSite(t)
		d := s.api("[DEFAULT]\n" + options)
		d.want(201, "", "POST", "/v1/images", "some data", described(imageA)...)
		d.want(200, "", "GET", "/v1/images/"+imageA, "", as("alice")...)
		d.want(200, "", "DELETE", "/v1/images/"+imageA, "", as("alice")...)
		if text := d.log.String(); strings.Contains(text, "notification") || strings.Contains(text, "event_type") {
			t.Errorf("with %q the log has notifications:\n%s", options, text)
		}
	}
}
