// Package servers tests the resources that live in other people's servers
// against the real ones: MariaDB and Keystone in the lab, reached over SSH.
package servers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"glancectl/e2e/lab"
	"glancectl/provision"
	"glancectl/provision/sshhost"
)

func TestMain(m *testing.M) {
	lab.Main(m, "the tests against real servers", "e2e")
}

// TestServers has one lab for all: what is done on different machines is done
// at the same time.
func TestServers(t *testing.T) {
	l, err := lab.Start(t.Context(), lab.Config{Database: true, Keystone: true, Peer: true, Rabbit: true, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("database", func(t *testing.T) {
		t.Parallel()
		onDatabase(t, newBench(t, l, lab.DatabaseNode))
	})
	t.Run("keystone", func(t *testing.T) {
		t.Parallel()
		onKeystone(t, newBench(t, l, lab.KeystoneNode))
	})
	t.Run("original", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, l)
		mq := newBroker(newBench(t, l, lab.RabbitNode))
		t.Run("at first", func(t *testing.T) {
			t.Run("over and back", func(t *testing.T) {
				t.Parallel()
				overAndBack(t, &site{s.as(t, "root"), s.config})
			})
			t.Run("broker account", func(t *testing.T) {
				t.Parallel()
				brokerAccount(mq.as(t, "root"))
			})
		})
		t.Run("notifications", func(t *testing.T) { notifications(t, &site{s.as(t, "root"), s.config}, mq) })
	})
}

// A bench is a node of a lab and the way to it.
type bench struct {
	t    *testing.T
	lab  *lab.Lab
	node string
	user string // who logs in
}

func newBench(t *testing.T, l *lab.Lab, node string) *bench {
	return &bench{t: t, lab: l, node: node, user: "root"}
}

// as is the same bench for a subtest and another login.
func (b *bench) as(t *testing.T, user string) *bench {
	return &bench{t: t, lab: b.lab, node: b.node, user: user}
}

func (b *bench) connect(ctx context.Context, node string) (provision.Host, error) {
	return sshhost.Dial(ctx, sshhost.Config{
		Name: node, Address: b.lab.Node(node).Address, User: b.user,
		PrivateKey: b.lab.Key(), KnownHosts: b.lab.KnownHosts(),
	})
}

// frugal requires that looking at r takes few round trips, sessions and
// connections together.
func (b *bench) frugal(r provision.Resource, limit int64) {
	b.t.Helper()
	h, err := b.connect(b.t.Context(), b.node)
	if err != nil {
		b.t.Fatal(err)
	}
	defer h.Close()
	stages := []provision.Stage{{Name: "test", Targets: []provision.Target{
		{Host: b.node, Name: b.node, Resources: []provision.Resource{r}},
	}}}
	pool := provision.NewPool(func(context.Context, string) (provision.Host, error) { return h, nil })
	p, err := provision.Observe(b.t.Context(), stages, pool.Connect, provision.Options{Proposal: "test"})
	if err := errors.Join(err, p.Err()); err != nil {
		b.t.Fatal(err)
	}
	if trips := h.(*sshhost.Host).Trips(); trips > limit {
		b.t.Errorf("looking took %d round trips; want at most %d", trips, limit)
	}
}

// sh runs a script on the node as root.
func (b *bench) sh(script string) string {
	b.t.Helper()
	out, err := b.lab.Run(b.t.Context(), b.node, script)
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return strings.TrimSpace(out)
}

// observe plans one resource and returns the summaries of its changes.
func (b *bench) observe(r provision.Resource) (*provision.Plan, []string, error) {
	b.t.Helper()
	stages := []provision.Stage{{Name: "test", Targets: []provision.Target{
		{Host: b.node, Name: b.node, Resources: []provision.Resource{r}},
	}}}
	p, err := provision.Observe(b.t.Context(), stages, b.connect, provision.Options{Proposal: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	target := p.Stages[0].Targets[0]
	var summaries []string
	for _, c := range target.Changes {
		summaries = append(summaries, string(c.Action)+" "+c.Summary)
	}
	return p, summaries, target.Err
}

// apply brings the resource to what is wanted, requires that a second look
// finds nothing more, and returns what was done.
func (b *bench) apply(r provision.Resource) []string {
	b.t.Helper()
	p, summaries, err := b.observe(r)
	if err != nil {
		b.t.Fatal(err)
	}
	report, err := provision.Apply(b.t.Context(), p, b.connect, provision.Options{Proposal: "test"})
	if err != nil {
		b.t.Fatalf("apply %q: %v (%+v)", summaries, err, report)
	}
	if _, again, err := b.observe(r); err != nil || len(again) > 0 {
		b.t.Fatalf("after %q another look finds %q, %v", summaries, again, err)
	}
	return summaries
}

// refused requires that looking at r fails, for the reason kind and with
// texts but without secrets.
func (b *bench) refused(r provision.Resource, kind error, secret string, texts ...string) {
	b.t.Helper()
	_, summaries, err := b.observe(r)
	if !errors.Is(err, kind) || len(summaries) > 0 {
		b.t.Errorf("Observe = %q, %v; want %v", summaries, err, kind)
	}
	for _, text := range texts {
		if !strings.Contains(fmt.Sprint(err), text) {
			b.t.Errorf("Observe: %v; want it to contain %q", err, text)
		}
	}
	if strings.Contains(fmt.Sprint(err), secret) {
		b.t.Errorf("Observe: %v: has a secret", err)
	}
}
