package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
	"glancectl/service/internal/config"
	"glancectl/service/internal/notifier"
	"glancectl/service/internal/oslolog"
)

// flushLimit is how long the end of the process may wait for the broker to
// take what happened last.
const flushLimit = 5 * time.Second

// notifications are who is told what happens.
type notifications struct {
	*notifier.Notifier // nil means nobody
	broker             *notifier.Broker
	inLog              bool // the log is told
	log                *slog.Logger
}

// openNotifications begins to tell whom the configuration names. The caller
// closes what it returns.
func (p *process) openNotifications() (*notifications, error) {
	n := &notifications{log: p.log.With(slog.String(oslolog.NameKey, "glance.notifier"))}
	if !p.Notify.Log && p.Notify.Broker == nil {
		return n, nil
	}
	o := notifier.Options{Publisher: p.Notify.Publisher, Disabled: p.Notify.Disabled}
	if n.inLog = p.Notify.Log; n.inLog {
		o.Line = func(ctx context.Context, level slog.Level, event, text string) {
			p.log.With(slog.String(oslolog.NameKey, "oslo.messaging.notification."+event)).Log(ctx, level, text)
		}
	}
	if b := p.Notify.Broker; b != nil {
		trust, err := brokerTLS(*b)
		if err != nil {
			return nil, p.fault("[oslo_messaging_rabbit] %w", err)
		}
		bo := notifier.BrokerOptions{
			VirtualHost: b.VirtualHost, TLS: trust, Exchange: b.Exchange, Topics: b.Topics, Bare: b.Bare,
			Durable: b.Durable, AutoDelete: b.AutoDelete, Log: n.log,
			Name: fmt.Sprintf("glance-%s:%d", p.program, os.Getpid()),
		}
		for _, node := range b.Nodes {
			bo.Logins = append(bo.Logins, notifier.Login{Host: node.Host, Port: node.Port, User: node.User, Password: string(node.Password)})
		}
		n.broker = notifier.OpenBroker(bo)
		o.Broker = n.broker
	}
	n.Notifier = notifier.New(o)
	return n, nil
}

// brokerTLS returns how a broker is trusted; nil if there is no TLS.
func brokerTLS(b config.Broker) (*tls.Config, error) {
	if !b.TLS {
		return nil, nil
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if b.CAFile != "" {
		pem, err := os.ReadFile(b.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ssl_ca_file: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ssl_ca_file: %s has no certificate", b.CAFile)
		}
	}
	if b.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(b.CertFile, b.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("ssl_cert_file: %w", err)
		}
		trust.Certificates = []tls.Certificate{pair}
	}
	return trust, nil
}

// ofImages is who is told of images and tasks. The log is told of uploads that
// come to nothing in any case.
func (n *notifications) ofImages(log *slog.Logger) glance.Notifier {
	switch {
	case n == nil:
		return nil
	case n.Notifier == nil:
		return failures{log: log}
	case n.inLog:
		return n.Notifier
	}
	return failures{n.Notifier, log}
}

// failures logs the uploads that came to nothing, and passes on to next, if
// there is one, what it is told. That a request was refused is no error of the
// service; of uploads an operator wants to know, as they were data on the way.
type failures struct {
	next glance.Notifier
	log  *slog.Logger
}

// Notify implements glance.Notifier.
func (f failures) Notify(ctx context.Context, e glance.Event) {
	// What is no refusal is logged by who answers the request, with its cause.
	if _, refused := errors.AsType[*glance.Refusal](e.Err); refused && e.Type == "image.upload" {
		f.log.ErrorContext(ctx, e.Words())
	}
	if f.next != nil {
		f.next.Notify(ctx, e)
	}
}

// ofDefinitions is who is told of metadata definitions.
func (n *notifications) ofDefinitions() metadef.Notifier {
	if n == nil || n.Notifier == nil {
		return nil
	}
	return n.Notifier
}

// close delivers what is not delivered yet, as far as that is possible soon.
func (n *notifications) close() {
	if n.broker == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushLimit)
	defer cancel()
	if lost := n.broker.Close(ctx); lost > 0 {
		n.log.Error("notifications are lost: the broker did not take them in time", slog.Int("lost", lost))
	}
}
