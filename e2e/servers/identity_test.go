package servers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/e2e/lab"
	"glancectl/provision/identity"
)

const serviceSecret = "Planted-Service-5f1c9b7e"

func onKeystone(t *testing.T, b *bench) {
	k := newKeystone(t, b.lab.AdminPassword())
	g := identity.Registration{
		Keystone: identity.Keystone{
			Name: "main", AuthURL: lab.AuthURL, Region: lab.Region, Admin: identity.Credentials{Openrc: lab.AdminOpenrc},
		},
		User: "glance", Password: serviceSecret,
		ServiceName: "glance", ServiceType: "image", Description: "OpenStack Image Service",
		PublicURL: "http://10.77.0.21:9292", InternalURL: "http://10.77.0.21:9292", AdminURL: "http://10.77.0.21:9292",
	}
	t.Run("create", func(t *testing.T) {
		b := b.as(t, "root")
		want := []string{
			"create project service", "create user glance", "create service glance (image)",
			"create role admin for user glance on project service", "create public endpoint in RegionOne: http://10.77.0.21:9292",
			"create internal endpoint in RegionOne: http://10.77.0.21:9292", "create admin endpoint in RegionOne: http://10.77.0.21:9292",
		}
		if diff := cmp.Diff(want, b.apply(g)); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
		answer, _ := k.call("POST", "/auth/tokens", loginAs("glance", serviceSecret, "service"), 201)
		if text := fmt.Sprint(answer); !strings.Contains(text, "http://10.77.0.21:9292") {
			t.Errorf("the catalog of glance's token has no endpoint of the service: %s", text)
		}
		b.frugal(g, 3)
	})

	for _, test := range []struct {
		name  string
		spoil func(k *keystone)
		want  []string
	}{
		{
			"password", func(k *keystone) { k.patch(k.path("users", "name", "glance"), "user", object{"password": "other"}) },
			[]string{"update user glance: log-in fails, set the password"},
		},
		{
			"disabled, with another password", func(k *keystone) {
				k.patch(k.path("users", "name", "glance"), "user", object{"password": "other", "enabled": false})
			},
			[]string{"update user glance: enable"},
		},
		{
			"endpoint moved and doubled", func(k *keystone) {
				k.patch(k.path("endpoints", "interface", "internal", "service_id", serviceID(k)), "endpoint", object{"url": "http://old:9292/v1"})
				for region, address := range map[string]string{"RegionOne": "http://other:9292", "RegionTwo": "http://two:9292"} {
					if region == "RegionTwo" {
						k.create("regions", "region", object{"id": region})
					}
					k.create("endpoints", "endpoint", object{"interface": "public", "region_id": region, "url": address, "service_id": serviceID(k)})
				}
			},
			[]string{
				"update public endpoint in RegionOne: remove duplicates (1)",
				"update internal endpoint in RegionOne: http://old:9292/v1 -> http://10.77.0.21:9292",
			},
		},
		{
			"service renamed and disabled", func(k *keystone) {
				k.patch("/services/"+serviceID(k), "service", object{"name": "pictures", "enabled": false})
			},
			[]string{"update service glance (image): name pictures -> glance"},
		},
		{
			"role taken away", func(k *keystone) { k.remove(k.assignment()) },
			[]string{"create role admin for user glance on project service"},
		},
		{
			"project gone", func(k *keystone) { k.remove(k.path("projects", "name", "service")) },
			[]string{"create project service", "create role admin for user glance on project service"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := k.as(t)
			test.spoil(k)
			if diff := cmp.Diff(test.want, b.as(t, "root").apply(g)); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
			k.call("POST", "/auth/tokens", loginAs("glance", serviceSecret, "service"), 201)
		})
	}
	t.Run("credentials", func(t *testing.T) { credentials(t, b, k.as(t), g) })
	t.Run("another role", func(t *testing.T) {
		h := g
		h.Role = "imagemaster"
		want := []string{"create role imagemaster", "create role imagemaster for user glance on project service"}
		if got := b.as(t, "root").apply(h); !slices.Equal(got, want) {
			t.Errorf("done = %q; want %q", got, want)
		}
	})
	t.Run("several services", func(t *testing.T) { severalServices(t, b, k.as(t), g) })
	t.Run("waits", func(t *testing.T) { waits(t, b, g) })
	t.Run("remove", func(t *testing.T) { unregister(t, b, k.as(t), g) })
}

// credentials come from all places that can be named.
func credentials(t *testing.T, b *bench, k *keystone, g identity.Registration) {
	b.sh(`mkdir -p /etc/openstack && cd /etc/openstack && umask 077 && . ` + lab.AdminOpenrc + `
cat >clouds.yaml <<END
clouds:
  lab:
    auth: {auth_url: $OS_AUTH_URL, username: admin, project_name: admin, user_domain_name: Default, project_domain_name: Default}
END
echo "clouds: {lab: {auth: {password: '$OS_PASSWORD'}}}" >secure.yaml`)
	for name, admin := range map[string]identity.Credentials{
		"clouds.yaml": {CloudsYAML: "/etc/openstack/clouds.yaml", Cloud: "lab"},
		"fields":      {Username: "admin", Password: b.lab.AdminPassword(), Project: "admin"},
	} {
		h := g
		h.Keystone.Admin = admin
		k.remove(k.assignment())
		// As an ordinary login, who reads root's files through sudo.
		if got := b.as(t, lab.Operator).apply(h); len(got) != 1 {
			t.Errorf("%s: done = %q; want one change", name, got)
		}
	}
	b = b.as(t, "root")
	k.remove(k.assignment()) // otherwise nobody asks for an administrator
	wrong := g
	wrong.Keystone.Admin = identity.Credentials{Username: "admin", Password: "wrong-secret", Project: "admin"}
	b.refused(wrong, identity.ErrRefused, "wrong-secret", "log in to keystone main as admin", "wrong user name, password")
	wrong.Keystone.Admin = identity.Credentials{Openrc: lab.DemoOpenrc}
	b.refused(wrong, identity.ErrRefused, b.lab.DemoPassword(), "lacks the administrator's role")
	wrong.Keystone.Admin = identity.Credentials{Openrc: "/root/nothing"}
	b.refused(wrong, identity.ErrCredentials, serviceSecret, "/root/nothing")
	domain := g
	domain.Domain = "nowhere"
	if _, _, err := b.observe(domain); err == nil || !strings.Contains(err.Error(), "domain nowhere") {
		t.Errorf("Observe with an unknown domain = %v", err)
	}
	b.apply(g)
}

func severalServices(t *testing.T, b *bench, k *keystone, g identity.Registration) {
	b = b.as(t, "root")
	k.create("services", "service", object{"name": "second", "type": "image"})
	if got := b.apply(g); len(got) > 0 {
		t.Errorf("with another service of the type: done = %q; want nothing", got)
	}
	h := g
	h.ServiceName = "third"
	if _, _, err := b.observe(h); err == nil || !strings.Contains(err.Error(), "several services of type image") {
		t.Errorf("Observe = %v; want an error, because nobody can tell which service is meant", err)
	}
	k.remove(k.path("services", "name", "second"))
}

// waits looks while the Keystone is being restarted.
func waits(t *testing.T, b *bench, g identity.Registration) {
	b = b.as(t, "root")
	b.sh("systemctl kill -s KILL keystone; systemctl stop keystone; systemd-run --quiet --on-active=3 --timer-property=AccuracySec=100ms systemctl start keystone")
	told := make(chan string, 1)
	g.Keystone.Progress = func(text string) { told <- text }
	if got := b.apply(g); len(got) > 0 {
		t.Errorf("after a restart: done = %q; want nothing", got)
	}
	select {
	case text := <-told:
		if !strings.Contains(text, lab.AuthURL) {
			t.Errorf("progress = %q", text)
		}
	default:
		t.Error("nobody was told of the waiting")
	}
}

func unregister(t *testing.T, b *bench, k *keystone, g identity.Registration) {
	b = b.as(t, "root")
	m := identity.Removal{Keystone: g.Keystone, User: "glance", ServiceName: "glance", ServiceType: "image"}
	got := b.apply(m)
	if len(got) != 4 || got[3] != "delete user glance" {
		t.Errorf("done = %q; want three endpoints and the user, because another region has endpoints", got)
	}
	k.remove(k.path("endpoints", "service_id", serviceID(k)))
	if got, want := b.apply(m), []string{"delete service glance (image)"}; !slices.Equal(got, want) {
		t.Errorf("done = %q; want %q", got, want)
	}
	for _, collection := range []string{"services", "users"} {
		if left := k.list(collection, "name", "glance"); len(left) > 0 {
			t.Errorf("left of %s: %v", collection, left)
		}
	}
	k.path("projects", "name", "service") // stays
}

// serviceID is the ID of the one image service.
func serviceID(k *keystone) string {
	k.t.Helper()
	return strings.TrimPrefix(k.path("services", "type", "image"), "/services/")
}
