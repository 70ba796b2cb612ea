package notifier_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/notifier"
)

// A diary is a log that may be read while it is written.
type diary struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.b.Write(p)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.b.String()
}

// until waits for a line of the log.
func (d *diary) until(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(d.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say %q:\n%s", text, d)
		}
	}
}

// dropped returns how many notifications the log says were dropped.
func (d *diary) dropped(t *testing.T) (n int) {
	t.Helper()
	for line := range strings.Lines(d.String()) {
		if _, rest, ok := strings.Cut(line, "dropped="); ok {
			count, _, _ := strings.Cut(rest, " ")
			c, err := strconv.Atoi(count)
			if err != nil {
				t.Fatal(err)
			}
			n += c
		}
	}
	return n
}

// expired is a context that has ended.
func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// silent is a broker that takes connections and says nothing.
func silent(t *testing.T) notifier.Login {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return loginAt(t, l.Addr())
}

// absent is an address where nobody listens.
func absent(t *testing.T) notifier.Login {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return loginAt(t, l.Addr())
}

func loginAt(t *testing.T, a net.Addr) notifier.Login {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return notifier.Login{Host: host, Port: n, User: "glance", Password: "planted"}
}

// TestBrokerAway has a broker that is not there, and one that says nothing:
// nobody waits for either, what is too much is dropped and counted, and no
// password is logged. What a real broker does is tested against one.
func TestBrokerAway(t *testing.T) {
	for name, login := range map[string]func(*testing.T) notifier.Login{"absent": absent, "silent": silent} {
		t.Run(name, func(t *testing.T) {
			var log diary
			b := notifier.OpenBroker(notifier.BrokerOptions{
				Logins: []notifier.Login{login(t)}, Topics: []string{"notifications"}, MaxLen: 5,
				Every: 5 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)),
			})
			n := notifier.New(notifier.Options{Broker: b})
			begin := time.Now()
			for range 100 {
				n.Notify(t.Context(), glance.Event{Type: "image.create", Image: created()})
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("100 notifications took %v", took)
			}
			log.until(t, "notifications are dropped: the broker does not take them")
			if name == "absent" {
				log.until(t, "connection refused")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			begin = time.Now()
			if lost := b.Close(ctx); lost != 5 {
				t.Errorf("Close = %d lost; want the 5 that the queue holds", lost)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("Close took %v", took)
			}
			if dropped := log.dropped(t); dropped != 95 {
				t.Errorf("%d are said to be dropped; want 95:\n%s", dropped, &log)
			}
			if strings.Contains(log.String(), "planted") {
				t.Errorf("the log has a password:\n%s", &log)
			}
		})
	}
}

// TestBrokerBytes bounds what waits by its size, too.
func TestBrokerBytes(t *testing.T) {
	b := notifier.OpenBroker(notifier.BrokerOptions{Logins: []notifier.Login{absent(t)}, Topics: []string{"a", "b"}, MaxBytes: 10_000})
	n := notifier.New(notifier.Options{Broker: b})
	im := created()
	im.Properties = map[string]string{"p": strings.Repeat("x", 4000)}
	for range 10 {
		n.Notify(t.Context(), glance.Event{Type: "image.create", Image: im})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if lost := b.Close(ctx); lost != 2 {
		t.Errorf("%d notifications of 4 kB wait, of at most 10 kB; want 2", lost)
	}
}

// TestBrokerNothingToDo ends at once, though there is no broker.
func TestBrokerNothingToDo(t *testing.T) {
	b := notifier.OpenBroker(notifier.BrokerOptions{Logins: []notifier.Login{absent(t)}, Topics: []string{"a"}})
	if lost := b.Close(t.Context()); lost != 0 {
		t.Errorf("Close = %d lost; want 0", lost)
	}
}
