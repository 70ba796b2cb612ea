package everything

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"glancectl/e2e/lab"
	"glancectl/e2e/rig"
)

// A load is what clients do all the time, on both nodes and with both versions,
// and how they fare.
type load struct {
	mu      sync.Mutex
	images  []string // made and deleted again
	slowest time.Duration
	failed  []string

	stop    context.CancelFunc
	clients sync.WaitGroup
}

const usual = 50 * time.Millisecond // between two requests of a client

// A client makes images with one version of the API.
type client struct {
	caller
	v1 bool
}

// busy returns two clients of each version for a caller.
func busy(c caller) []client { return []client{{c, true}, {c, false}, {c, true}, {c, false}} }

// load starts clients, which go on until end, each with a request at most for
// every pace.
func (s *site) load(t *testing.T, pace time.Duration, clients ...client) *load {
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop}
	t.Cleanup(l.end)
	for _, c := range clients {
		l.clients.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for ctx.Err() == nil {
				l.image(context.WithoutCancel(ctx), c, tick.C)
			}
		})
	}
	return l
}

// image makes an image and deletes it again.
func (l *load) image(ctx context.Context, c client, ticks <-chan time.Time) {
	id := uuid()
	<-ticks
	if c.v1 {
		l.ask(ctx, c.caller, 201, "POST", "/v1/images", "", "X-Image-Meta-Id", id, "X-Image-Meta-Name", "x")
	} else {
		l.ask(ctx, c.caller, 201, "POST", "/v2/images", `{"id": "`+id+`"}`)
	}
	<-ticks
	if c.v1 {
		l.ask(ctx, c.caller, 200, "DELETE", "/v1/images/"+id, "")
	} else {
		l.ask(ctx, c.caller, 204, "DELETE", "/v2/images/"+id, "")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.images = append(l.images, id)
}

func (l *load) ask(ctx context.Context, c caller, code int, method, path, body string, headers ...string) {
	begin := time.Now()
	a, err := c.try(ctx, method, path, strings.NewReader(body), headers...)
	took := time.Since(begin)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	if err != nil || a.code != code {
		l.failed = append(l.failed, fmt.Sprintf("%s %s%s: %d %.200s, %v", method, c.base, path, a.code, a.body, err))
	}
}

// more waits until there were n images more.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.images)
	}
	from := count()
	rig.Eventually(t, fmt.Sprintf("%d images more", n), func() bool { return count() >= from+n })
}

// again begins to look anew for the slowest request.
func (l *load) again() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = 0
	return time.Now()
}

// end waits for the clients.
func (l *load) end() {
	l.stop()
	l.clients.Wait()
}

// brokerAway stops and starts the broker under load. No request fails or waits
// for it, and what happened is told in the end: all of it, or, where more
// happened than is kept, as much as was not counted as dropped.
func brokerAway(t *testing.T, s *site) {
	l := s.load(t, usual, append(busy(s.on(nodes[0])), busy(s.on(nodes[1]))...)...)
	l.more(t, 10)
	const returns = `grep -c "takes notifications again" /var/log/glance/api.log`
	var returned [2]int // so far
	var logged int
	s.number(t, &logged, nodes[1], "stat -c %s /var/log/glance/api.log")
	for i, node := range nodes {
		s.number(t, &returned[i], node, returns+" || :")
	}
	s.On(t, lab.RabbitNode, "systemctl stop rabbitmq-server")
	stopped := l.again()
	l.more(t, 30)
	l.end()
	big, many := s.flood(t)
	m := s.load(t, 4*usual, busy(s.on(nodes[0]))...) // the other is full
	m.more(t, 10)
	s.On(t, lab.RabbitNode, "systemctl start rabbitmq-server")
	away := time.Since(stopped)
	for i, node := range nodes {
		s.On(t, node, fmt.Sprintf("timeout 60 sh -c 'until [ $(%s) -gt %d ]; do sleep 0.1; done'", returns, returned[i]))
	}
	m.more(t, 10)
	m.end()
	last := s.load(t, usual, busy(s.on(nodes[1]))...)
	last.more(t, 10)
	last.end()

	var images []string
	for _, l := range []*load{l, m, last} {
		images = append(images, l.images...)
		if len(l.failed) > 0 {
			t.Errorf("%d requests failed, the first: %s", len(l.failed), l.failed[0])
		}
		if l.slowest > away/2 {
			t.Errorf("a request took %v while the broker was away for %v", l.slowest, away)
		}
	}
	// At its end the service delivers what waits, and counts what it has dropped.
	s.On(t, nodes[1], "systemctl restart glance-api")
	if got := s.On(t, nodes[0], "grep -c 'are dropped' /var/log/glance/api.log || :"); got != "0" {
		t.Errorf("%s has dropped notifications, and few have waited", nodes[0])
	}
	log := s.On(t, nodes[1], fmt.Sprintf("tail -c +%d /var/log/glance/api.log", logged+1))
	dropped := 0
	for _, m := range regexp.MustCompile(`notifications are dropped.*dropped=(\d+)`).FindAllStringSubmatch(log, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		dropped += n
	}
	told := s.told(t, images, big)
	t.Logf("%d images, the slowest request took %v; of %d notifications too many %d were dropped", len(images), l.slowest, many, dropped)
	if dropped == 0 || told+dropped != many {
		t.Errorf("of %d notifications %d are told, and %d count as dropped", many, told, dropped)
	}
	s.on(nodes[1]).want(t, 204, "DELETE", "/v2/images/"+big, "")
}

// flood has more told than is kept for the broker, through the second node: it
// returns an image and how often it was changed.
func (s *site) flood(t *testing.T) (big string, changes int) {
	t.Helper()
	c := s.on(nodes[1])
	big = c.create(t, "big")
	patch := func(op, path, value string) {
		c.want(t, 200, "PATCH", "/v2/images/"+big, `[{"op": "`+op+`", "path": "/`+path+`", "value": "`+value+`"}]`)
		changes++
	}
	text := strings.Repeat("x", 60_000) // most that a property takes is little more
	for i := range 20 {
		patch("add", fmt.Sprint("p", i), text)
	}
	for i := range 25 {
		patch("replace", "name", fmt.Sprint("big-", i))
	}
	return big, changes
}

// told takes what is in the durable queue. It requires that the beginning and
// the end of all images are told, and returns how many changes of one are.
func (s *site) told(t *testing.T, images []string, changed string) (changes int) {
	t.Helper()
	c, err := amqp.Dial("amqp://glance:" + s.brokerPassword(t) + "@" + s.Node(lab.RabbitNode).Address + "/glance")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	all, err := ch.Consume("glance_notifications.info", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	missing, seen := map[string]bool{}, map[string]bool{}
	for _, id := range images {
		missing["image.create "+id], missing["image.delete "+id] = true, true
	}
	for timeout := time.After(30 * time.Second); len(missing) > 0; {
		select {
		case d := <-all:
			event, id, unique := read(t, d.Body)
			delete(missing, event+" "+id)
			if event == "image.update" && id == changed && !seen[unique] {
				changes++
			}
			seen[unique] = true
		case <-timeout:
			t.Fatalf("%d of %d notifications were never told", len(missing), 2*len(images))
		}
	}
	return changes
}

// read returns what a notification is about.
func read(t *testing.T, body []byte) (event, id, unique string) {
	t.Helper()
	var envelope map[string]string
	if err := json.Unmarshal(body, &envelope); err != nil || envelope["oslo.version"] != "2.0" {
		t.Fatalf("message %.300s: %v", body, err)
	}
	var n struct {
		Event   string `json:"event_type"`
		Payload any
		Unique  string `json:"_unique_id"`
	}
	if err := json.Unmarshal([]byte(envelope["oslo.message"]), &n); err != nil {
		t.Fatal(err)
	}
	if payload, ok := n.Payload.(map[string]any); ok {
		id, _ = payload["id"].(string) // not all are about images
	}
	return n.Event, id, n.Unique
}
