package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Notifications are who is told what happens.
type Notifications struct {
	Log       bool     // the log is
	Broker    *Broker  // nil means no broker is
	Publisher string   // who tells it
	Disabled  []string // events, and groups of them, that nobody is told of
}

// Broker is a RabbitMQ that is told what happens.
type Broker struct {
	Nodes       []BrokerNode // the first that answers is taken
	VirtualHost string
	Exchange    string
	Topics      []string
	Bare        bool // without an envelope
	Durable     bool // exchange and queues outlive the broker
	AutoDelete  bool

	TLS                       bool
	CAFile, CertFile, KeyFile string // "" means those of the system, and none
}

// BrokerNode is one node of a broker, and who logs in there.
type BrokerNode struct {
	Host     string
	Port     int
	User     string
	Password Secret
}

const (
	notifySection = "oslo_messaging_notifications."
	rabbitSection = "oslo_messaging_rabbit."
)

// drivers are the words for who is told, what the classes were called that
// stood for them in older releases included.
var drivers = map[string]string{
	"messagingv2": "messagingv2", "messaging": "messaging", "log": "log", "noop": "noop",
	"rpc_notifier2": "messagingv2", "rpc_notifier": "messaging", "rabbit_notifier": "messaging",
	"log_notifier": "log", "no_op_notifier": "noop",
}

// notifications reads who is told. The drivers, which are the later way of
// saying it, win over the strategy.
func (r *reader) notifications() Notifications {
	here, err := os.Hostname()
	if err != nil {
		here = "localhost"
	}
	r.text(here, "DEFAULT.host") // what old files name the publisher by: $host
	n := Notifications{
		Publisher: r.text("image.localhost", "DEFAULT.default_publisher_id"),
		Disabled:  r.list(nil, "DEFAULT.disabled_notifications"),
	}
	strategy := r.choice("noop", []string{"noop", "logging", "rabbit", "default"}, "DEFAULT.notifier_strategy")
	chosen := r.drivers()
	old := len(chosen) == 0
	if old {
		// The strategies' own messages had no envelope; whoever reads those reads
		// these, too, and can tell two deliveries of one message.
		chosen = []string{map[string]string{"logging": "log", "rabbit": "messagingv2"}[strategy]}
	}
	b := r.broker(old)
	n.Log = slices.Contains(chosen, "log")
	b.Bare = !slices.Contains(chosen, "messagingv2")
	if !b.Bare || slices.Contains(chosen, "messaging") {
		n.Broker = &b
	}
	return n
}

// drivers returns the drivers by their present names; nil if none are set.
func (r *reader) drivers() []string {
	names := []string{notifySection + "driver", "DEFAULT.notification_driver", "DEFAULT.list_notifier_drivers"}
	var chosen []string
	for _, v := range r.values(names) {
		word := v.Text[strings.LastIndexByte(v.Text, '.')+1:]
		driver, ok := drivers[word]
		if !ok {
			r.wrong(v, names, "one of messagingv2, messaging, log, noop")
			continue
		}
		chosen = append(chosen, driver)
	}
	return chosen
}

// broker reads which RabbitMQ it is; old says that the strategy asks for it,
// which has other names for the exchange and the topic.
func (r *reader) broker(old bool) Broker {
	exchange := []string{"DEFAULT.control_exchange", "DEFAULT.rabbit_notification_exchange"}
	topics := []string{notifySection + "topics", "DEFAULT.notification_topics", "DEFAULT.rabbit_notification_topic"}
	topic := "notifications"
	if old {
		slices.Reverse(exchange)
		slices.Reverse(topics)
		topic = "glance_notifications"
	}
	b := Broker{
		Exchange:   r.text("glance", exchange...),
		Topics:     r.list([]string{topic}, topics...),
		Durable:    r.boolean(false, rabbitSection+"amqp_durable_queues", "DEFAULT.amqp_durable_queues", "DEFAULT.rabbit_durable_queues"),
		AutoDelete: r.boolean(false, rabbitSection+"amqp_auto_delete", "DEFAULT.amqp_auto_delete"),
		TLS:        r.boolean(false, rabbitSection+"ssl", rabbitSection+"rabbit_use_ssl", "DEFAULT.rabbit_use_ssl"),
		CAFile:     r.text("", rabbitSection+"ssl_ca_file", rabbitSection+"kombu_ssl_ca_certs", "DEFAULT.kombu_ssl_ca_certs"),
		CertFile:   r.text("", rabbitSection+"ssl_cert_file", rabbitSection+"kombu_ssl_certfile", "DEFAULT.kombu_ssl_certfile"),
		KeyFile:    r.text("", rabbitSection+"ssl_key_file", rabbitSection+"kombu_ssl_keyfile", "DEFAULT.kombu_ssl_keyfile"),
	}
	if len(b.Topics) == 0 {
		b.Topics = []string{topic}
	}
	both := func(key string) []string { return []string{rabbitSection + key, "DEFAULT." + key} }
	one := BrokerNode{
		Host:     r.text("localhost", both("rabbit_host")...),
		Port:     r.port(5672, both("rabbit_port")...),
		User:     r.text("guest", both("rabbit_userid")...),
		Password: r.secret(both("rabbit_password")...),
	}
	if one.Password == "" {
		one.Password = "guest"
	}
	b.VirtualHost = r.text("/", both("rabbit_virtual_host")...)
	b.Nodes = []BrokerNode{one}
	r.transport(&b)
	return b
}

// transport changes b to what a URL says, if there is one: it wins.
func (r *reader) transport(b *Broker) {
	names := []string{notifySection + "transport_url", "DEFAULT.notification_transport_url", "DEFAULT.transport_url"}
	text := string(r.secret(names...))
	if text == "" {
		return
	}
	if err := b.parse(text); err != nil {
		v, _, _ := r.lookup(names)
		section, key := split(names[0])
		r.errs = append(r.errs, fmt.Errorf("%s: [%s] %s: %w", v.Pos(), section, key, err))
	}
}

// parse reads a URL such as rabbit://user:password@host:5672,user:password@other:5672/vhost.
// Its errors quote nothing of it: it has a password.
func (b *Broker) parse(text string) error {
	form := errors.New("is not of the form rabbit://USER:PASSWORD@HOST:PORT/VHOST")
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return form
	}
	if scheme != "rabbit" && scheme != "kombu" {
		return errors.New("names a kind of broker that is not supported; rabbit is")
	}
	rest, query, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return form
	}
	if on, is := truth(values.Get("ssl")); is {
		b.TLS = on
	}
	nodes, path, _ := strings.Cut(rest, "/")
	b.VirtualHost = "/"
	if path, err = url.PathUnescape(path); err != nil {
		return form
	}
	if path != "" {
		b.VirtualHost = path
	}
	b.Nodes = nil
	for part := range strings.SplitSeq(nodes, ",") {
		n, err := parseNode(part)
		if err != nil {
			return form
		}
		b.Nodes = append(b.Nodes, n)
	}
	return nil
}

// parseNode reads USER:PASSWORD@HOST:PORT, of which only the host must be there.
func parseNode(text string) (BrokerNode, error) {
	n := BrokerNode{Port: 5672, User: "guest", Password: "guest"}
	at := strings.LastIndexByte(text, '@')
	if at >= 0 {
		user, password, _ := strings.Cut(text[:at], ":")
		var err error
		if n.User, err = url.PathUnescape(user); err != nil {
			return n, err
		}
		if password, err = url.PathUnescape(password); err != nil {
			return n, err
		}
		n.Password = Secret(password)
	}
	n.Host = text[at+1:]
	if host, port, err := net.SplitHostPort(n.Host); err == nil {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return n, err
		}
		n.Host, n.Port = host, int(number)
	}
	n.Host = strings.Trim(n.Host, "[]")
	if n.Host == "" {
		return n, errors.New("no host")
	}
	return n, nil
}
