package notifier

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	batchSize   = 100 // notifications that are on their way at the same time
	greetLimit  = 10 * time.Second
	heartbeat   = 10 * time.Second
	contentType = "application/json"
)

// A line is a connection to the broker on which notifications can be sent.
type line struct {
	o       BrokerOptions
	c       *amqp.Connection
	ch      *amqp.Channel
	lost    chan *amqp.Error
	strayed chan amqp.Return
	unwatch func() bool
}

// connect opens a line and sees to it that what is sent arrives somewhere.
func (b *Broker) connect(ctx context.Context, at Login) (*line, error) {
	dialer := net.Dialer{Timeout: greetLimit}
	conn, err := dialer.DialContext(ctx, "tcp", at.address())
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(greetLimit)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	// A broker that says and takes nothing must not keep the process from ending.
	wire := conn
	unwatch := context.AfterFunc(ctx, func() { wire.Close() })
	if b.o.TLS != nil {
		config := b.o.TLS.Clone()
		config.ServerName = at.Host
		conn = tls.Client(conn, config)
	}
	c, err := amqp.Open(conn, amqp.Config{
		SASL:       []amqp.Authentication{&amqp.PlainAuth{Username: at.User, Password: at.Password}},
		Vhost:      b.o.VirtualHost,
		Heartbeat:  heartbeat,
		Locale:     "en_US",
		Properties: amqp.Table{"product": "glance", "connection_name": b.o.Name},
	})
	if err != nil {
		unwatch()
		wire.Close() // which the library has done for most errors
		return nil, err
	}
	l := &line{o: b.o, c: c, unwatch: unwatch}
	if err = l.declare(); err == nil {
		err = l.open()
	}
	if err != nil {
		l.hangUp()
		return nil, err
	}
	return l, nil
}

// open opens the channel that notifications are sent on.
func (l *line) open() error {
	ch, err := l.c.Channel()
	if err != nil {
		return err
	}
	l.ch = ch
	l.lost = l.c.NotifyClose(make(chan *amqp.Error, 1))
	l.strayed = ch.NotifyReturn(make(chan amqp.Return, batchSize))
	return ch.Confirm(false)
}

// declare makes the exchange and the queues, as the original does, so that
// notifications wait for whoever comes to read them. What is there already,
// and is made differently, is taken as it is.
func (l *line) declare() error {
	err := l.try(func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(l.o.Exchange, "topic", l.o.Durable, l.o.AutoDelete, false, false, nil)
	})
	if err != nil {
		return fmt.Errorf("declare exchange %s: %w", l.o.Exchange, err)
	}
	for _, topic := range l.o.Topics {
		for _, p := range []priority{info, failure} {
			name := topic + "." + p.key()
			err := l.try(func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare(name, l.o.Durable, l.o.AutoDelete, false, false, nil)
				return err
			})
			if err == nil {
				err = l.try(func(ch *amqp.Channel) error { return ch.QueueBind(name, name, l.o.Exchange, false, nil) })
			}
			if err != nil {
				return fmt.Errorf("declare queue %s: %w", name, err)
			}
		}
	}
	return nil
}

// try does something on a channel of its own, for a refusal closes it. That a
// thing is there in another form is no error.
func (l *line) try(do func(*amqp.Channel) error) error {
	ch, err := l.c.Channel()
	if err != nil {
		return err
	}
	err = do(ch)
	if refusal, ok := errors.AsType[*amqp.Error](err); ok && refusal.Code == amqp.PreconditionFailed {
		return nil
	}
	if err != nil {
		return err
	}
	return ch.Close()
}

// publish sends a batch and returns how many of its first notifications the
// broker has taken on.
func (l *line) publish(ctx context.Context, batch []notification) (int, error) {
	sent := make([]*amqp.DeferredConfirmation, 0, len(batch))
	var failed error
	for _, n := range batch {
		c, err := l.ch.PublishWithDeferredConfirm(l.o.Exchange, n.key, true, false, amqp.Publishing{
			ContentType: contentType, ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent, Body: n.body,
		})
		if err != nil {
			failed = err
			break
		}
		sent = append(sent, c)
	}
	limit := time.NewTimer(l.o.Patience)
	defer limit.Stop()
	for i, c := range sent {
		select {
		case <-c.Done():
			if c.Acked() {
				limit.Reset(l.o.Patience)
				continue
			}
			if !l.c.IsClosed() {
				return i, errors.New("the broker refuses a notification")
			}
			return i, brokenBy(<-l.lost)
		case err := <-l.lost:
			return i, brokenBy(err)
		case <-limit.C:
			return i, fmt.Errorf("the broker does not confirm a notification within %v", l.o.Patience)
		case <-ctx.Done():
			return i, ctx.Err()
		}
	}
	select {
	case r := <-l.strayed:
		// Somebody has removed the queue. The next connection makes it again, and
		// the batch is sent again: twice is better than never.
		return 0, fmt.Errorf("no queue takes %s", r.RoutingKey)
	default:
	}
	return len(sent), failed
}

// hangUp ends the connection, as politely as a second allows.
func (l *line) hangUp() {
	_ = l.c.CloseDeadline(time.Now().Add(time.Second)) // nothing depends on it any more
	l.unwatch()
}

// brokenBy returns why a connection ended; a nil err is an end in order.
func brokenBy(err *amqp.Error) error {
	if err == nil {
		return errors.New("the broker has closed the connection")
	}
	return err
}
