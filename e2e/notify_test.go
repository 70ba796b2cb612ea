package e2e

import (
	"strings"
	"testing"
)

// notifications has a proposal make its account on a RabbitMQ, and the service
// that is installed use it.
func notifications(t *testing.T, s *site, _ draft) {
	d := draft{Name: "told", Nodes: []string{"image-3"}, Alone: true, Rabbit: true}
	p := s.propose(t, d)
	s.Want(t, 0, []string{"+ virtual host glance", "+ broker user glance", "+ permissions of glance in glance"}, "apply", "--auto-approve", p)
	s.Converged(t, p)
	password := s.On(t, "image-3", "sed -n 's/^rabbit_password = //p' /etc/glance/glance-api.conf")
	if len(password) != 32 {
		t.Errorf("the generated password is %q; want 32 characters", password)
	}
	s.On(t, "image-3", `exec 3<>/dev/tcp/127.0.0.1/9292
body='{"name": "told"}'
printf 'POST /v2/images HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' ${#body} "$body" >&3
head -1 <&3 | grep -q ' 201 '`)
	s.On(t, "mq-node", "timeout 20 sh -c 'until rabbitmqctl -q list_queues -p glance name messages durable | grep -q \"^glance_notifications.info.1.true$\"; do sleep 0.1; done'")
	for _, node := range []string{"image-3", "mq-node"} {
		if got := s.On(t, node, "journalctl -q --no-pager; cat /var/log/glance/*.log /var/log/rabbitmq/*.log 2>/dev/null; true"); strings.Contains(got, password) {
			t.Errorf("the log of %s has the password", node)
		}
	}

	// Somebody takes the permissions away.
	s.On(t, "mq-node", "rabbitmqctl -q clear_permissions -p glance glance")
	s.Want(t, 0, []string{"+ permissions of glance in glance"}, "apply", "--auto-approve", p)
	s.Converged(t, p)
	s.Want(t, 0, []string{"- broker user glance", "- virtual host glance with everything in it"}, "destroy", "--auto-approve", "--images", "--database", "--broker", p)
	if got := s.On(t, "mq-node", "rabbitmqctl -q list_vhosts; rabbitmqctl -q list_users"); strings.Contains(got, "glance") {
		t.Errorf("after destroy the broker has %s", got)
	}
}
