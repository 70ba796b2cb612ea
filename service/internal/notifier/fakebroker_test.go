package notifier_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/notifier"
)

// A verdict is what a moody broker does with a notification.
type verdict int

const (
	ack verdict = iota
	nack
	withhold // it says nothing
	hangUp
)

// A moody is a broker that speaks as much of AMQP 0-9-1 as a publisher needs,
// and can refuse and withhold, which a real one does when it likes.
type moody struct {
	login notifier.Login
	judge func(dial int) verdict // of what comes over a connection, from 1

	mu    sync.Mutex
	came  map[string]int // how often, by _unique_id
	taken []string       // in order
	dials int
}

func newMoody(t *testing.T, judge func(dial int) verdict) *moody {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &moody{login: loginAt(t, l.Addr()), judge: judge, came: make(map[string]int)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				if err := m.serve(c); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
					t.Errorf("the broker: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return m
}

// frame writes one of a kind, on a channel.
func frame(w io.Writer, kind byte, channel uint16, payload []byte) error {
	b := binary.BigEndian.AppendUint16([]byte{kind}, channel)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	_, err := w.Write(append(append(b, payload...), 0xce))
	return err
}

// answers are what a method is answered with, and its arguments.
var answers = map[[2]uint16][]byte{
	{10, 31}: nil,                                       // tune-ok
	{10, 11}: {0, 10, 0, 30, 0, 0, 0, 2, 0, 0, 0, 0},    // start-ok: tune, frames of 128 kB
	{10, 40}: {0, 10, 0, 41, 0},                         // open: open-ok
	{10, 50}: {0, 10, 0, 51},                            // close: close-ok
	{20, 10}: {0, 20, 0, 11, 0, 0, 0, 0},                // a channel
	{20, 40}: {0, 20, 0, 41},                            // no channel
	{40, 10}: {0, 40, 0, 11},                            // an exchange
	{50, 10}: {0, 50, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0}, // a queue
	{50, 20}: {0, 50, 0, 21},                            // a binding
	{85, 10}: {0, 85, 0, 11},                            // confirms
}

// serve talks to one publisher until one of both has enough.
func (m *moody) serve(c net.Conn) error {
	m.mu.Lock()
	m.dials++
	dial := m.dials
	m.mu.Unlock()
	in := bufio.NewReader(c)
	if _, err := io.ReadFull(in, make([]byte, 8)); err != nil { // AMQP and the version
		return err
	}
	start := []byte{0, 10, 0, 10, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5, 'P', 'L', 'A', 'I', 'N', 0, 0, 0, 5, 'e', 'n', '_', 'U', 'S'}
	if err := frame(c, 1, 0, start); err != nil {
		return err
	}
	var tag, left uint64 // of the notification that is coming
	var body []byte
	for {
		head := make([]byte, 7)
		if _, err := io.ReadFull(in, head); err != nil {
			return err
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
		if _, err := io.ReadFull(in, payload); err != nil {
			return err
		}
		channel := binary.BigEndian.Uint16(head[1:])
		switch head[0] {
		case 1:
			method := [2]uint16{binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])}
			if method == [2]uint16{60, 40} {
				tag++
				continue
			}
			answer, known := answers[method]
			if !known {
				return errors.New("a method that it does not know")
			}
			if answer == nil {
				continue
			}
			if err := frame(c, 1, channel, answer); err != nil {
				return err
			}
		case 2:
			left, body = binary.BigEndian.Uint64(payload[4:]), nil
		case 3:
			body = append(body, payload[:len(payload)-1]...)
			if left -= uint64(len(payload) - 1); left > 0 {
				continue
			}
			if err := m.confirm(line{c, channel, dial}, tag, body); err != nil {
				return err
			}
		}
	}
}

// A line is where a notification has come from.
type line struct {
	net.Conn
	channel uint16
	dial    int
}

// confirm says what has become of a notification.
func (m *moody) confirm(l line, tag uint64, body []byte) error {
	var wrapped struct {
		Message string `json:"oslo.message"`
	}
	var told struct {
		ID string `json:"_unique_id"`
	}
	if err := errors.Join(json.Unmarshal(body, &wrapped), json.Unmarshal([]byte(wrapped.Message), &told)); err != nil {
		return err
	}
	m.mu.Lock()
	m.came[told.ID]++
	v := m.judge(l.dial)
	if v == ack {
		m.taken = append(m.taken, told.ID)
	}
	m.mu.Unlock()
	switch v {
	case ack:
		return frame(l, 1, l.channel, append(binary.BigEndian.AppendUint64([]byte{0, 60, 0, 80}, tag), 0))
	case nack:
		return frame(l, 1, l.channel, append(binary.BigEndian.AppendUint64([]byte{0, 60, 0, 120}, tag), 0))
	case hangUp:
		return io.EOF
	}
	return nil
}

// TestBrokerRefuses has brokers that refuse, do not confirm and hang up: what
// they have not taken is sent again, by as many connections as it takes, and
// nobody waits.
func TestBrokerRefuses(t *testing.T) {
	const many = 7
	for _, test := range []struct {
		name  string
		first verdict // of the first connection
		says  string
	}{
		{"refuses", nack, "the broker refuses a notification"},
		{"is silent", withhold, "the broker does not confirm"},
		{"hangs up", hangUp, "the broker does not take notifications, which wait"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log diary
			m := newMoody(t, func(dial int) verdict { return []verdict{test.first, ack}[min(dial-1, 1)] })
			b := notifier.OpenBroker(notifier.BrokerOptions{
				Logins: []notifier.Login{m.login}, Topics: []string{"notifications"}, Patience: 30 * time.Millisecond,
				Log: slog.New(slog.NewTextHandler(&log, nil)),
			})
			n := notifier.New(notifier.Options{Broker: b})
			begin := time.Now()
			for range many {
				n.Notify(t.Context(), glance.Event{Type: "image.create", Image: created()})
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("%d notifications took %v", many, took)
			}
			log.until(t, "the broker takes notifications again")
			if lost := b.Close(t.Context()); lost != 0 {
				t.Errorf("Close = %d lost; want none", lost)
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			again := 0
			for id, times := range m.came {
				again += times - 1
				if taken := strings.Count(strings.Join(m.taken, " "), id); taken != 1 {
					t.Errorf("%s was taken %d times; want once", id, taken)
				}
			}
			if len(m.came) != many || m.dials != 2 || again == 0 {
				t.Errorf("%d notifications came over %d connections, %d of them again; want %d over 2, and some again", len(m.came), m.dials, again, many)
			}
			if !strings.Contains(log.String(), test.says) || strings.Contains(log.String(), "are dropped") {
				t.Errorf("the log does not say %q, or that some are dropped:\n%s", test.says, &log)
			}
		})
	}
}

// TestBrokerNeverConfirms has a broker that takes all and confirms nothing, and
// one that refuses all: the queue fills, what is too much is counted, and Close
// says how many wait.
func TestBrokerNeverConfirms(t *testing.T) {
	for name, v := range map[string]verdict{"withholds": withhold, "refuses": nack} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log diary
			m := newMoody(t, func(int) verdict { return v })
			b := notifier.OpenBroker(notifier.BrokerOptions{
				Logins: []notifier.Login{m.login}, Topics: []string{"notifications"}, MaxLen: 5, Patience: 20 * time.Millisecond,
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
			log.until(t, "the broker does not take notifications, which wait")
			log.until(t, "notifications are dropped: the broker does not take them")
			if lost := b.Close(expired(t)); lost != 5 {
				t.Errorf("Close = %d lost; want the 5 that the queue holds", lost)
			}
			if dropped := log.dropped(t); dropped != 95 {
				t.Errorf("%d are said to be dropped; want 95:\n%s", dropped, &log)
			}
		})
	}
}
