package servers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"glancectl/e2e/lab"
	"glancectl/e2e/peer"
	"glancectl/provision"
	"glancectl/provision/broker"
	"glancectl/templates"
)

// notifications has a RabbitMQ. What the original tells it, and what
// glanced does, of the same requests is compared; then it goes away.
func notifications(t *testing.T, s *site, mq *bench) {
	t.Run("as the original", func(t *testing.T) { notifyBeside(&site{s.as(t, "root"), s.config}) })
	t.Run("syslog", func(t *testing.T) { toSyslog(mq.as(t, "root")) })
}

// newBroker makes what glanced uses on a RabbitMQ.
func newBroker(mq *bench) *bench {
	mq.sh(`rabbitmqctl -q add_vhost glance; rabbitmqctl -q add_user glance planted; rabbitmqctl -q set_permissions -p glance glance '.*' '.*' '.*'`)
	return mq
}

// A notice is a notification as it came.
type notice struct {
	Event     string `json:"event_type"`
	Priority  string
	Publisher string `json:"publisher_id"`
	Payload   any
	Timestamp string
	ID        string `json:"message_id"`
	Unique    string `json:"_unique_id"`
}

// dial opens a channel to a virtual host of the broker.
func dial(t *testing.T, vhost string) *amqp.Channel {
	t.Helper()
	c, err := amqp.Dial("amqp://glance:planted@10.77.0.7/" + vhost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// listen begins to take whatever is published on the exchange.
func listen(t *testing.T, vhost string) <-chan amqp.Delivery {
	t.Helper()
	ch := dial(t, vhost)
	if err := ch.ExchangeDeclare("glance", "topic", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(q.Name, "#", "glance", false, nil); err != nil {
		t.Fatal(err)
	}
	all, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// read returns what a message says, and requires that it is wrapped as
// notifications are.
func read(t *testing.T, d amqp.Delivery) notice {
	t.Helper()
	var e map[string]string
	var n notice
	err := cmp.Or(json.Unmarshal(d.Body, &e), json.Unmarshal([]byte(e["oslo.message"]), &n))
	if err != nil || len(e) != 2 || e["oslo.version"] != "2.0" {
		t.Fatalf("message %s: %v", d.Body, err)
	}
	var keys map[string]any
	if err := json.Unmarshal([]byte(e["oslo.message"]), &keys); err != nil {
		t.Fatal(err)
	}
	const want = "[_unique_id event_type message_id payload priority publisher_id timestamp]"
	if got := fmt.Sprint(slices.Sorted(maps.Keys(keys))); got != want {
		t.Errorf("message has %s; want %s", got, want)
	}
	head := fmt.Sprint(d.Exchange, d.RoutingKey, d.ContentType, d.ContentEncoding, d.DeliveryMode, d.Priority, len(d.Headers))
	if want := fmt.Sprint("glance", "notifications."+strings.ToLower(n.Priority), "application/json", "utf-8", amqp.Persistent, 0, 0); head != want {
		t.Errorf("%s came as %s; want %s", n.Event, head, want)
	}
	if _, err := time.Parse("2006-01-02 15:04:05.000000", n.Timestamp); err != nil || len(n.ID) != 36 || len(n.Unique) != 32 {
		t.Errorf("message %s: %v", d.Body, err)
	}
	return n
}

// notifyBeside compares what both say of everything that can happen.
func notifyBeside(s *site) {
	s.config.Workers = 1 // several tell in no certain order
	s.config.Options += `image_size_cap = 1000000
[oslo_messaging_notifications]
driver = messagingv2
transport_url = rabbit://glance:planted@10.77.0.7:5672/glance
`
	heard := listen(s.t, "glance")
	s.serve(peer.Database)
	var told [2]notices
	for i, base := range both {
		s.everything(base, 700+10*i)
		told[i] = s.hear(heard, [2]string{"image.localhost", "ours"}[i])
	}
	if diff := gocmp.Diff(told[0].plain, told[1].plain); diff != "" {
		s.t.Errorf("notifications (-original +ours):\n%s", diff)
	}
	// How often an import tells of itself, and when, depends on how it works.
	for kind := range told[0].other {
		if told[1].other[kind] == 0 {
			s.t.Errorf("the original tells of %s, and we do not; we tell of %v", kind, slices.Sorted(maps.Keys(told[1].other)))
		}
	}
	for kind := range told[1].other {
		if told[0].other[kind] == 0 {
			s.t.Errorf("we tell of %s, which the original does not; it tells of %v", kind, slices.Sorted(maps.Keys(told[0].other)))
		}
	}
	s.failedImport(heard)
}

// notices are what one of the two tells.
type notices struct {
	plain []string       // as text, in order
	other map[string]int // events of imports and refused data, with what is in them
}

// Times, IDs and places are not the same.
var variable = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`0b51de00-0000-4000-8000-00000000\d{3}(\d)`), "IMAGE-$1"},
}

// hear takes notifications until the last of everything comes.
func (s *site) hear(heard <-chan amqp.Delivery, publisher string) notices {
	s.t.Helper()
	all := notices{other: map[string]int{}}
	for timeout := time.After(20 * time.Second); ; {
		var n notice
		select {
		case d := <-heard:
			n = read(s.t, d)
		case <-timeout:
			s.t.Fatalf("the last notification does not come; there were %q", all.plain)
		}
		if n.Publisher != publisher {
			s.t.Errorf("%s is published by %s; want %s", n.Event, n.Publisher, publisher)
		}
		keys := []string{"text"}
		if payload, ok := n.Payload.(map[string]any); ok {
			keys = slices.Sorted(maps.Keys(payload))
			if tags, ok := payload["tags"].([]any); ok { // in no certain order
				slices.SortFunc(tags, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
		}
		text, err := json.MarshalIndent(n.Payload, "", " ")
		if err != nil {
			s.t.Fatal(err)
		}
		if strings.Contains(string(text), "file://") || strings.Contains(string(text), "planted") {
			s.t.Errorf("%s has a location, or a secret: %s", n.Event, text)
		}
		line := n.Priority + " " + n.Event + " " + string(text)
		for _, v := range variable {
			line = v.pattern.ReplaceAllString(line, v.by)
		}
		if strings.HasPrefix(n.Event, "task.") || strings.Contains(line, "IMAGE-1") {
			all.other[fmt.Sprint(n.Priority, n.Event, keys)]++
		} else {
			all.plain = append(all.plain, line)
		}
		if n.Event == "metadef_namespace.delete" {
			return all
		}
	}
}

// everything does what is told of, with images from a number on.
func (s *site) everything(base string, number int) {
	id := imageID(number)
	image := "/v2/images/" + id
	s.want(201, owner, base, "POST", "/v2/images", `{"id": "`+id+`", "name": "n", "disk_format": "raw", "container_format": "bare", "tags": ["b", "a"], "p": "v", "min_ram": 3}`)
	s.want(200, owner, base, "PATCH", image, `[{"op": "add", "path": "/q", "value": "<ü>"}]`)
	s.want(204, owner, base, "PUT", image+"/tags/c", "")
	s.want(204, owner, base, "DELETE", image+"/tags/c", "")
	s.want(200, owner, base, "POST", image+"/members", `{"member": "q"}`)
	s.want(200, friend, base, "PUT", image+"/members/q", `{"status": "accepted"}`)
	s.want(204, owner, base, "DELETE", image+"/members/q", "")
	s.want(204, owner, base, "PUT", image+"/file", "abcdef")
	s.want(200, owner, base, "GET", image+"/file", "")
	s.want(204, admin, base, "POST", image+"/actions/deactivate", "")
	s.want(204, admin, base, "POST", image+"/actions/reactivate", "")
	s.want(204, owner, base, "DELETE", image, "")

	id = imageID(number + 1)
	image = "/v2/images/" + id
	s.want(201, owner, base, "POST", "/v2/images", `{"id": "`+id+`", "disk_format": "raw", "container_format": "bare"}`)
	s.want(413, owner, base, "PUT", image+"/file", string(make([]byte, 2_000_000)))
	s.want(204, owner, base, "PUT", image+"/stage", "staged data")
	s.want(202, owner, base, "POST", image+"/import", `{"method": {"name": "glance-direct"}, "all_stores": true}`)
	s.settles(base, number+1)
	s.want(204, owner, base, "DELETE", image, "")
	s.define(base)
}

// define does what is told of definitions.
func (s *site) define(base string) {
	const all = "/v2/metadefs/namespaces"
	s.want(201, admin, base, "POST", all, `{"namespace": "N", "display_name": "D", "description": "d", "visibility": "public", "protected": false,
		"resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "hw_", "properties_target": "image"}],
		"properties": {"p1": {"title": "P1", "type": "string", "description": "d", "enum": ["a", "b"], "default": "a"}},
		"objects": [{"name": "o1", "description": "d", "properties": {"q": {"title": "Q", "type": "integer", "minimum": 1}}, "required": ["q"]}],
		"tags": [{"name": "t1"}]}`)
	s.want(200, admin, base, "PUT", all+"/N", `{"namespace": "M", "display_name": "D2", "visibility": "public"}`)
	for _, step := range []struct {
		code               int
		method, path, body string
	}{
		{201, "POST", "/resource_types", `{"name": "OS::Nova::Flavor", "prefix": "x_"}`},
		{204, "DELETE", "/resource_types/OS::Nova::Flavor", ""},
		{201, "POST", "/properties", `{"name": "p2", "title": "P2", "type": "integer", "minimum": 0, "maximum": 7}`},
		{200, "PUT", "/properties/p2", `{"name": "p3", "title": "P3", "type": "string"}`},
		{204, "DELETE", "/properties/p3", ""},
		{201, "POST", "/objects", `{"name": "o2", "description": "d", "properties": {"q": {"title": "Q", "type": "integer", "minimum": 5}}, "required": ["q"]}`},
		{200, "PUT", "/objects/o2", `{"name": "o3", "properties": {"q": {"title": "Q", "type": "string", "enum": ["a"]}}, "required": ["q"]}`},
		{204, "DELETE", "/objects/o3", ""},
		{201, "POST", "/tags/t2", ""},
		{200, "PUT", "/tags/t2", `{"name": "t3"}`},
		{204, "DELETE", "/tags/t3", ""},
		{201, "POST", "/tags", `{"tags": [{"name": "t8"}, {"name": "t9"}]}`},
		{204, "DELETE", "/objects", ""},
		{204, "DELETE", "/properties", ""},
		{204, "DELETE", "/tags", ""},
		{204, "DELETE", "", ""},
	} {
		s.want(step.code, admin, base, step.method, all+"/M"+step.path, step.body)
	}
}

// failedImport has an import of ours fail, and requires that it is told.
func (s *site) failedImport(heard <-chan amqp.Delivery) {
	id := imageID(790)
	s.want(201, owner, ours, "POST", "/v2/images", `{"id": "`+id+`", "disk_format": "raw", "container_format": "bare"}`)
	s.want(202, owner, ours, "POST", "/v2/images/"+id+"/import", `{"method": {"name": "web-download", "uri": "http://10.77.0.7/nothing"}}`)
	seen := map[string]bool{}
	for timeout := time.After(20 * time.Second); !seen["INFO task.failure"] || !seen["ERROR image.upload"]; {
		select {
		case d := <-heard:
			n := read(s.t, d)
			seen[n.Priority+" "+n.Event] = true
		case <-timeout:
			s.t.Fatalf("a failed import is told as %v", slices.Sorted(maps.Keys(seen)))
		}
	}
}

// install puts glanced on the node, with a database of its own, and starts it
// as the unit glance-api.
func (b *bench) install(options string) {
	b.t.Helper()
	program, err := os.ReadFile("../../bin/glanced")
	if err != nil {
		b.t.Fatal(err)
	}
	root := b.lab.Node(b.node).Root
	text := "[DEFAULT]\nverbose = true\n[database]\nconnection = sqlite:////srv/glance/db\n" +
		"[paste_deploy]\nflavor = trusted-auth\n[glance_store]\nfilesystem_store_datadir = /srv/glance/images\n" + options
	b.sh("systemctl stop glance-api 2>/dev/null; rm -rf /srv/glance")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "srv/glance/images"), 0o755),
		os.WriteFile(filepath.Join(root, "usr/local/bin/glanced"), program, 0o755),
		os.WriteFile(filepath.Join(root, "srv/glance/api.conf"), []byte(text), 0o600),
	} {
		if err != nil {
			b.t.Fatal(err)
		}
	}
	b.sh(`cd /srv/glance && glanced manage --config-file api.conf db sync >/dev/null &&
systemd-run -q --unit=glance-api -p Type=notify -p PrivateDevices=yes /usr/local/bin/glanced api --config-file /srv/glance/api.conf`)
}

// mqURL is where glanced answers on the broker's node.
const mqURL = "http://10.77.0.7:9292"

// toSyslog has the service, and the registry, log to the node's own rsyslog,
// which files one facility, and to a file that logrotate rotates as it is told
// to.
func toSyslog(b *bench) {
	const file, rotated = "/var/log/glance-api.log", "/var/log/glance-api.log.1"
	b.install("[DEFAULT]\nuse_syslog = true\nsyslog_log_facility = LOG_LOCAL3\nlog_file = " + file + "\n")
	b.sh(`cd /srv/glance && sed '/^log_file/d' api.conf >registry.conf && systemctl stop glance-registry 2>/dev/null
systemd-run -q --unit=glance-registry -p Type=notify -p PrivateDevices=yes /usr/local/bin/glanced registry --config-file /srv/glance/registry.conf`)
	image := func(n int) string { return mqURL + "/v2/images/" + imageID(n) }
	want := func(code int, method, url, body string) {
		b.t.Helper()
		if got, text, err := ask(b.t.Context(), owner, method, url, []byte(body)); got != code || err != nil {
			b.t.Fatalf("%s %s = %d %s, %v; want %d", method, url, got, text, err, code)
		}
	}
	const body = `{"id": "%s", "disk_format": "raw", "container_format": "bare"}`
	want(201, "POST", mqURL+"/v2/images", fmt.Sprintf(body, imageID(1)))
	want(200, "GET", strings.Replace(mqURL, "9292", "9191", 1)+"/images", "")
	b.sh("mv /srv/glance/images /srv/glance/gone && touch /srv/glance/images")
	if got, text, err := ask(b.t.Context(), owner, "PUT", image(1)+"/file", []byte("data")); got < 500 || err != nil {
		b.t.Errorf("upload to a broken store = %d %s, %v", got, text, err)
	}
	const id = `\[req-[0-9a-f-]{36} u p - - -\] `
	for _, pattern := range []string{
		`mq-node glance\.api\[\d+\]: INFO eventlet\.wsgi\.server ` + id + `10\.77\.0\.1 - - \[\S+ \S+\] "POST /v2/images HTTP/1\.1" 201 \d+ \d\.\d{6}$`,
		`mq-node glance\.api\[\d+\]: INFO eventlet\.wsgi\.server ` + id + `10\.77\.0\.1 - - \[\S+ \S+\] "PUT /v2/images/\S+/file HTTP/1\.1" 500 \d+ \d\.\d{6}$`,
		`mq-node glance\.registry\[\d+\]: INFO eventlet\.wsgi\.server ` + id + `10\.77\.0\.1 - - \[\S+ \S+\] "GET /images HTTP/1\.1" 200 \d+ \d\.\d{6}$`,
		`mq-node glance\.api\[\d+\]: ERROR \S+ ` + id,
	} {
		b.logs("/var/log/local3.log", pattern)
	}
	if text := b.sh("cat /var/log/local3.log; cat " + file); strings.Contains(text, "planted") {
		b.t.Errorf("the log has a password:\n%s", text)
	}
	b.rotates(file, rotated, func() { want(200, "GET", mqURL+"/v2/images?after=rotation", "") })
}

// logs requires that a file gets a line.
func (b *bench) logs(file, pattern string) {
	b.t.Helper()
	line := regexp.MustCompile("(?m)" + pattern)
	var text string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if text = b.sh("cat " + file); line.MatchString(text) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s has no line like %s:\n%s", file, pattern, text)
		}
	}
}

// rotates rotates a log as an image node does, and requires that what is then
// logged begins a new file and that nothing is added to the old one.
func (b *bench) rotates(file, rotated string, request func()) {
	b.t.Helper()
	conf := templates.Logrotate(templates.Logs{Files: []string{file}, User: "root", Group: "root"})
	if err := os.WriteFile(filepath.Join(b.lab.Node(b.node).Root, "etc/logrotate.d/glance"), conf, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.sh("logrotate -f /etc/logrotate.d/glance")
	// HUP has the file opened again without a line being written.
	pid := b.sh("systemctl show -P MainPID glance-api")
	b.sh("timeout 10 sh -c 'until ls -l /proc/" + pid + "/fd | grep -q \"" + file + "$\"; do :; done'")
	old := b.sh("cat " + rotated)
	request()
	b.logs(file, `"GET /v2/images\?after=rotation HTTP/1\.1" 200 `)
	if now := b.sh("cat " + rotated); now != old || !strings.Contains(old, "HTTP/1.1\" 201") {
		b.t.Errorf("the rotated log was %s\nand is %s", old, now)
	}
	if mode := b.sh("stat -c %a " + file); mode != "640" {
		b.t.Errorf("the new log has mode %s; want 640", mode)
	}
}

// brokerAccount has the resource make, mend and remove an account.
func brokerAccount(b *bench) {
	const password = "planted-$x y'\"z"
	a := broker.Account{Server: "main", VirtualHost: "images", User: "images", Password: password}
	expect := func(r provision.Resource, want ...string) {
		b.t.Helper()
		if got := b.apply(r); !slices.Equal(got, want) {
			b.t.Errorf("apply did %q; want %q", got, want)
		}
	}
	expect(a, "create virtual host images", "create broker user images", "create permissions of images in images")
	if _, got, err := b.as(b.t, lab.Operator).observe(a); len(got) > 0 || err != nil {
		b.t.Errorf("who uses sudo finds %q to do, %v", got, err)
	}
	c, err := amqp.DialConfig("amqp://10.77.0.7/", amqp.Config{Vhost: "images", SASL: []amqp.Authentication{&amqp.PlainAuth{Username: "images", Password: password}}})
	if err != nil {
		b.t.Fatalf("log in: %v", err)
	}
	c.Close()

	b.sh("rabbitmqctl -q set_permissions -p images images x x x; rabbitmqctl -q set_user_tags images administrator; rabbitmqctl -q change_password images other")
	expect(a, "update broker user images: another password", "update broker user images: take away administrator",
		"update permissions of images in images: x x x -> .* .* .*")
	expect(broker.Removal{Server: "main", VirtualHost: "images", User: "images"},
		"delete broker user images", "delete virtual host images with everything in it")
	b.sh("systemctl stop rabbitmq-server")
	b.refused(a, broker.ErrConnect, "planted", "rabbitmq main", "definitions ended with status")
	b.sh("systemctl start rabbitmq-server")
}
