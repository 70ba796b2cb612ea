package notifier

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"
)

// A Login is one node of a broker and how to log in there.
type Login struct {
	Host     string
	Port     int
	User     string
	Password string
}

// address is where it is, which is all of it that may be logged.
func (l Login) address() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

// BrokerOptions say where a Broker is and what is left there. Without Logins
// there is none.
type BrokerOptions struct {
	Logins      []Login // the first that answers is taken
	VirtualHost string  // "" means /
	TLS         *tls.Config
	Exchange    string   // "" means glance
	Topics      []string // a routing key, and a queue, is one of them and the priority: notifications.info
	Bare        bool     // messages are sent without the envelope of version 2.0
	Durable     bool     // the exchange and the queues outlive the broker
	AutoDelete  bool     // they go with the last who uses them
	Name        string   // of this process, for whoever looks at the broker's connections

	MaxLen   int           // notifications that wait for the broker; 0 means 10000
	MaxBytes int           // and their bytes; 0 means 32 MiB
	Every    time.Duration // how often it is logged that some were dropped; 0 means a minute
	Patience time.Duration // how long the broker may take to confirm one before it is sent again; 0 means a minute
	Log      *slog.Logger  // nil means nobody
}

// A Broker delivers notifications to RabbitMQ, each at least once unless it is
// dropped. Whoever opens it closes it.
type Broker struct {
	o     BrokerOptions
	queue *queue
	stop  context.CancelFunc
	done  sync.WaitGroup
	empty chan struct{} // closed when nothing waits after closing
	close chan struct{}
}

// OpenBroker returns a Broker that begins to connect. It does not matter
// whether there is a broker yet.
func OpenBroker(o BrokerOptions) *Broker {
	if o.Exchange == "" {
		o.Exchange = "glance"
	}
	if o.VirtualHost == "" {
		o.VirtualHost = "/"
	}
	if o.MaxLen == 0 {
		o.MaxLen = 10_000
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 32 << 20
	}
	if o.Every == 0 {
		o.Every = time.Minute
	}
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &Broker{
		o: o, queue: newQueue(o.MaxLen, o.MaxBytes), stop: stop,
		empty: make(chan struct{}), close: make(chan struct{}),
	}
	b.done.Go(func() { b.deliver(ctx) })
	b.done.Go(func() { b.count(ctx) })
	return b
}

// offer queues a message for every topic. It never waits.
func (b *Broker) offer(p priority, text []byte) {
	if !b.o.Bare {
		text = envelope(text)
	}
	for _, topic := range b.o.Topics {
		b.queue.put(notification{topic + "." + p.key(), text})
	}
}

// Close delivers what waits, until ctx ends at the latest, and returns how
// many notifications were not delivered.
func (b *Broker) Close(ctx context.Context) int {
	b.queue.close()
	close(b.close)
	if b.queue.length() > 0 {
		select {
		case <-b.empty:
		case <-ctx.Done():
		}
	}
	b.stop()
	b.done.Wait()
	b.tell()
	return b.queue.length()
}

// count tells now and then how many notifications were dropped.
func (b *Broker) count(ctx context.Context) {
	tick := time.NewTicker(b.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			b.tell()
		}
	}
}

func (b *Broker) tell() {
	if n := b.queue.lost(); n > 0 {
		b.o.Log.Error("notifications are dropped: the broker does not take them", slog.Int64("dropped", n), slog.Int("waiting", b.queue.length()))
	}
}

// The waits between two attempts to connect, which double.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 15 * time.Second
)

// deliver connects again and again, and delivers as long as a connection lasts.
func (b *Broker) deliver(ctx context.Context) {
	wait, away := firstWait, false
	for next := 0; ; next++ {
		at := b.o.Logins[next%len(b.o.Logins)]
		l, err := b.connect(ctx, at)
		if err == nil {
			err = b.work(ctx, l, func() { // it works
				if away {
					b.o.Log.Info("the broker takes notifications again", slog.String("broker", at.address()))
				}
				wait, away = firstWait, false
			})
		}
		if errors.Is(err, errDone) {
			close(b.empty)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !away {
			b.o.Log.Warn("the broker does not take notifications, which wait", slog.String("broker", at.address()), slog.Any("error", err))
		}
		away = true
		// Not all who lost a broker come back at the same moment.
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, lastWait)
	}
}

// errDone says that all is delivered and nothing more will come.
var errDone = errors.New("done")

// work delivers over one connection until that breaks or all is done. It calls
// works whenever the broker has taken what there was.
func (b *Broker) work(ctx context.Context, l *line, works func()) error {
	defer l.hangUp()
	closing := b.close
	for {
		batch := b.queue.head(batchSize)
		if len(batch) > 0 {
			n, err := l.publish(ctx, batch)
			b.queue.remove(n)
			if err != nil {
				return err
			}
			continue
		}
		works()
		if closing == nil {
			return errDone
		}
		select {
		case <-b.queue.filled:
		case <-closing:
			closing = nil // once more, for what came in between
		case err := <-l.lost:
			return brokenBy(err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
