package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/internal/config"
)

// local is the broker that the options mean which nobody sets.
func local(change func(*config.Broker)) *config.Broker {
	b := &config.Broker{
		Nodes:       []config.BrokerNode{{Host: "localhost", Port: 5672, User: "guest", Password: "guest"}},
		VirtualHost: "/", Exchange: "glance", Topics: []string{"notifications"},
	}
	change(b)
	return b
}

func TestNotifications(t *testing.T) {
	node := func(host string, port int, user, password string) config.BrokerNode {
		return config.BrokerNode{Host: host, Port: port, User: user, Password: config.Secret(password)}
	}
	const v2 = "[oslo_messaging_notifications]\ndriver = messagingv2\n"
	for _, test := range []struct {
		text string
		want config.Notifications
	}{
		{"notifier_strategy = default", config.Notifications{}},
		{"notifier_strategy = Logging", config.Notifications{Log: true}},
		{"default_publisher_id = image.a\ndisabled_notifications = image.send, task", config.Notifications{Publisher: "image.a", Disabled: []string{"image.send", "task"}}},
		{"notifier_strategy = rabbit", config.Notifications{Broker: local(func(b *config.Broker) { b.Topics = []string{"glance_notifications"} })}},
		{"notifier_strategy = rabbit\nrabbit_host = mq\nrabbit_port = 5671\nrabbit_use_ssl = True\nrabbit_userid = u\nrabbit_password = p\nrabbit_virtual_host = v\n" +
			"rabbit_notification_exchange = e\nrabbit_notification_topic = t\nrabbit_durable_queues = True",
			config.Notifications{Broker: &config.Broker{Nodes: []config.BrokerNode{node("mq", 5671, "u", "p")}, VirtualHost: "v", Exchange: "e", Topics: []string{"t"}, TLS: true, Durable: true}}},
		{v2, config.Notifications{Broker: local(func(*config.Broker) {})}},
		{"[oslo_messaging_notifications]\ndriver = messaging", config.Notifications{Broker: local(func(b *config.Broker) { b.Bare = true })}},
		{"[oslo_messaging_notifications]\ndriver = log\ndriver = messagingv2\ntopics = a, b", config.Notifications{Log: true,
			Broker: local(func(b *config.Broker) { b.Topics = []string{"a", "b"} })}},
		{"notifier_strategy = rabbit\n[oslo_messaging_notifications]\ndriver = noop", config.Notifications{}},
		{"notification_driver = glance.openstack.common.notifier.rpc_notifier\nnotification_topics = a", config.Notifications{
			Broker: local(func(b *config.Broker) { b.Bare, b.Topics = true, []string{"a"} })}},
		{"transport_url = rabbit://u:p%40@mq:5673,u2:p2@[fd00::1]:5674,mq3/v%2Fw?ssl=1&x=y\n" + v2, config.Notifications{Broker: local(func(b *config.Broker) {
			b.Nodes = []config.BrokerNode{node("mq", 5673, "u", "p@"), node("fd00::1", 5674, "u2", "p2"), node("mq3", 5672, "guest", "guest")}
			b.VirtualHost, b.TLS = "v/w", true
		})}},
		{"control_exchange = x\ntransport_url = rabbit://a\n" + v2 + "transport_url = kombu://b//\n[oslo_messaging_rabbit]\namqp_durable_queues = true\namqp_auto_delete = true\nssl_ca_file = /ca",
			config.Notifications{Broker: local(func(b *config.Broker) {
				b.Nodes = []config.BrokerNode{node("b", 5672, "guest", "guest")}
				b.Exchange, b.Durable, b.AutoDelete, b.CAFile = "x", true, true, "/ca"
			})}},
	} {
		if test.want.Publisher == "" {
			test.want.Publisher = "image.localhost"
		}
		s, err := load(t, config.API, minimal+"[DEFAULT]\n"+test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if diff := cmp.Diff(test.want, s.Notify); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
	}
}

// Files of the first releases name the machine by an option that it gives a
// value itself.
func TestPublisherByHost(t *testing.T) {
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"": "image." + here, "host = node1\n": "image.node1"} {
		s, err := load(t, config.API, minimal+"[DEFAULT]\ndefault_publisher_id = image.$host\n"+text)
		if err != nil || s.Notify.Publisher != want || len(s.Warnings)+len(s.Ignored) > 0 {
			t.Errorf("%q: publisher is %q, %v %q; want %q", text, s.Notify.Publisher, err, s.Warnings, want)
		}
	}
}

func TestNotificationMistakes(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"[oslo_messaging_notifications]\ndriver = kafka", `CONF:4: [oslo_messaging_notifications] driver: "kafka" is not one of messagingv2, messaging, log, noop`},
		{"[DEFAULT]\ntransport_url = qpid://u:planted@a", "CONF:4: [oslo_messaging_notifications] transport_url: names a kind of broker that is not supported; rabbit is"},
		{"[DEFAULT]\ntransport_url = u:planted@a", "CONF:4: [oslo_messaging_notifications] transport_url: is not of the form rabbit://USER:PASSWORD@HOST:PORT/VHOST"},
		{"[DEFAULT]\ntransport_url = rabbit://u:planted@a:70000/", "CONF:4: [oslo_messaging_notifications] transport_url: is not of the form rabbit://USER:PASSWORD@HOST:PORT/VHOST"},
		{"[DEFAULT]\ntransport_url = rabbit://u:planted@/v", "CONF:4: [oslo_messaging_notifications] transport_url: is not of the form rabbit://USER:PASSWORD@HOST:PORT/VHOST"},
		{"[DEFAULT]\ntransport_url = rabbit://u:planted%zz@a/v", "CONF:4: [oslo_messaging_notifications] transport_url: is not of the form rabbit://USER:PASSWORD@HOST:PORT/VHOST"},
	} {
		_, err := load(t, config.API, minimal+test.text)
		if err == nil || err.Error() != test.want || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v; want %s", test.text, err, test.want)
		}
	}
}
