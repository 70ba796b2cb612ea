package roles

import (
	"strings"
	"testing"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/broker"
)

// told is production with a RabbitMQ, whose password is left out.
func told() *proposals.Proposal {
	p := production()
	p.RabbitMQ = []*proposals.RabbitMQ{{Name: "mq", Node: "db-node", Address: "10.77.0.4", Port: 5673}}
	p.Glance.NotifierStrategy = "rabbit"
	p.Glance.RabbitMQ = &proposals.RoleRabbitMQ{Instance: "mq", VirtualHost: "/images", User: "notifier"}
	return p
}

func TestBroker(t *testing.T) {
	stage := func(stages []provision.Stage) provision.Stage {
		t.Helper()
		for _, s := range stages {
			if s.Name == "broker" {
				return s
			}
		}
		t.Fatal("no stage broker")
		return provision.Stage{}
	}
	made := stage(expand(t, told()))
	want := broker.Account{Server: "mq", VirtualHost: "/images", User: "notifier", Password: "generated-broker-password"}
	if len(made.Targets) != 1 || made.Targets[0].Host != "db-node" || made.Targets[0].Name != "rabbitmq mq on db-node" || made.Targets[0].Resources[0] != want {
		t.Errorf("stage broker is %+v; want the account on db-node", made)
	}
	stages, err := ExpandDestroy(told(), options(), DestroyOptions{Broker: true})
	if err != nil {
		t.Fatal(err)
	}
	gone := stage(stages)
	if r := gone.Targets[0].Resources[0]; r != (broker.Removal{Server: "mq", VirtualHost: "/images", User: "notifier"}) {
		t.Errorf("destroy removes %#v", r)
	}
}

func TestBrokerInFiles(t *testing.T) {
	for _, test := range []struct {
		show bool
		want string
	}{{true, "generated-broker-password"}, {false, "GENERATED-AT-APPLY"}} {
		o := options()
		o.ShowSecrets = test.show
		files, err := Render(told(), "image-1", o)
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, f := range files {
			if strings.HasSuffix(f.Path, "glance-api.conf") {
				all.Write(f.Content)
			} else if strings.Contains(string(f.Content), "rabbit_password") {
				t.Errorf("%s has the broker's password", f.Path)
			}
		}
		for _, line := range []string{
			"notifier_strategy = rabbit\n", "rabbit_host = 10.77.0.4\n", "rabbit_port = 5673\n", "rabbit_userid = notifier\n",
			"rabbit_password = " + test.want + "\n", "rabbit_virtual_host = /images\n", "rabbit_durable_queues = True\n",
		} {
			if !strings.Contains(all.String(), line) {
				t.Errorf("glance-api.conf has no %q:\n%s", line, &all)
			}
		}
	}
}

func TestBrokerPassword(t *testing.T) {
	p := told()
	made := Generate(p, Secrets{})
	if made.BrokerPassword.IsZero() || made.BrokerPassword == made.DatabasePassword {
		t.Error("no password of its own is generated for the broker")
	}
	const file = "/var/lib/glancectl/production/secrets.toml"
	node := fakeNode{name: "image-1", files: map[string]string{file: "broker_password = 'kept'\ndatabase_password = 'one'\n"}}
	found, err := Recover(t.Context(), p, []provision.Reader{node})
	if err != nil || found.BrokerPassword.Reveal() != "kept" {
		t.Errorf("Recover = %q, %v; want what is kept", found.BrokerPassword.Reveal(), err)
	}
	p.Glance.RabbitMQ.Password = proposals.NewSecret("given")
	if !Generate(p, made).BrokerPassword.IsZero() {
		t.Error("Generate keeps a password that the proposal gives")
	}
	o := options()
	o.Secrets.BrokerPassword = proposals.Secret{}
	if _, err := Expand(told(), o); err == nil || !strings.Contains(err.Error(), "no password was generated for RabbitMQ") {
		t.Errorf("Expand without a password: %v", err)
	}
}
