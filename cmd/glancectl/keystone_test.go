package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"glancectl/provision/hosttest"
)

// A doorkeeper is a Keystone that lets nobody in, and remembers who came.
type doorkeeper struct {
	mu   sync.Mutex
	came []string // each as user@domain:password in project@domain
}

// A named thing is something in a Keystone.
type named struct {
	ID, Name, Password, Secret string

	Domain struct{ ID, Name string }
}

// String is NAME@DOMAIN:PASSWORD, as far as it has them. An id stands for a
// name after a sharp.
func (n named) String() string {
	either := func(name, id string) string {
		if id != "" {
			return name + "#" + id
		}
		return name
	}
	text := strings.TrimSuffix(either(n.Name, n.ID)+"@"+either(n.Domain.Name, n.Domain.ID), "@")
	if key := n.Password + n.Secret; key != "" {
		text += ":" + key
	}
	return text
}

func (k *doorkeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet {
		fmt.Fprint(w, `{"version": {"id": "v3.14"}}`)
		return
	}
	var login struct {
		Auth struct {
			Identity struct {
				Password              struct{ User named }
				ApplicationCredential named `json:"application_credential"`
			}
			Scope struct {
				Project named
				System  json.RawMessage
			}
		}
	}
	err := json.NewDecoder(r.Body).Decode(&login)
	who, where := login.Auth.Identity, login.Auth.Scope
	k.mu.Lock()
	defer k.mu.Unlock()
	k.came = append(k.came, fmt.Sprintf("%s%s in %s%s", who.Password.User, who.ApplicationCredential, where.Project, where.System))
	if err != nil {
		k.came = append(k.came, err.Error())
	}
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprint(w, `{"error": {"code": 401, "message": "The request you have made requires authentication."}}`)
}

// callers returns who came since it was asked last.
func (k *doorkeeper) callers() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	came := k.came
	k.came = nil
	return came
}

// withoutOpenStack is the environment of the test without what OpenStack's
// clients read.
func withoutOpenStack(more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OS_") {
			env = append(env, v)
		}
	}
	return append(env, more...)
}

// The administrator of a Keystone comes from the proposal, its variables, the
// environment of glancectl, or an openrc or clouds.yaml on the node of the
// Keystone. With a node the Keystone is reached through it: its name means
// nothing here.
func TestAdministrator(t *testing.T) {
	k := new(doorkeeper)
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	node := hosttest.NewServer(t)
	node.Names = map[string]string{"keystone.invalid:5000": server.Listener.Addr().String()}
	through := "node = \"auth\"\nauth_url = \"http://keystone.invalid:5000/v3\"\n"
	direct := fmt.Sprintf("auth_url = %q\n", server.URL+"/v3")

	openrc := write(t, "openrc", "export OS_USERNAME=rooty\nexport OS_PASSWORD='from openrc'\nexport OS_PROJECT_NAME=ops\nexport OS_USER_DOMAIN_NAME=People\nexport OS_PROJECT_DOMAIN_NAME=Things\n")
	clouds := write(t, "clouds.yaml", "clouds:\n  one:\n    auth: {username: rooty, password: from clouds, project_name: ops, user_domain_name: People, project_domain_name: Things}\n  two:\n    auth: {username: other, password: other, project_name: other}\n")
	for _, test := range []struct {
		name, keystone string
		env, args      []string
		want           string
	}{
		{
			name: "proposal", keystone: direct + "admin {\nusername = \"rooty\"\npassword = \"in clear text\"\nproject = \"ops\"\nuser_domain = \"People\"\nproject_domain = \"Things\"\n}",
			want: "rooty@People:in clear text in ops@Things",
		},
		{
			name: "variable", keystone: direct + "admin {\nusername = \"rooty\"\npassword = var.secret\n}",
			args: []string{"-var", "secret=of the variable"}, want: "rooty@Default:of the variable in admin@Default",
		},
		{
			name: "environment", keystone: direct, want: "rooty@People:from the environment in ops@Things",
			env: []string{"OS_USERNAME=rooty", "OS_PASSWORD=from the environment", "OS_PROJECT_NAME=ops", "OS_USER_DOMAIN_NAME=People", "OS_PROJECT_DOMAIN_NAME=Things"},
		},
		{
			name: "short environment, through the node", keystone: through, want: "rooty@Default:from the environment in admin@Default",
			env: []string{"OS_USERNAME=rooty", "OS_PASSWORD=from the environment"},
		},
		{
			name: "environment with ids beside names", keystone: direct, want: "rooty@#d1:from the environment in ops@#d2",
			env: []string{
				"OS_USERNAME=rooty", "OS_PASSWORD=from the environment", "OS_USER_DOMAIN_ID=d1", "OS_USER_DOMAIN_NAME=People",
				"OS_TENANT_NAME=ops", "OS_PROJECT_DOMAIN_ID=d2", "OS_PROJECT_DOMAIN_NAME=Things",
			},
		},
		{
			name: "environment with ids", keystone: direct, want: "#rooty:from the environment in #p1",
			env: []string{"OS_USER_ID=rooty", "OS_USERNAME=name", "OS_PASSWORD=from the environment", "OS_PROJECT_ID=p1", "OS_PROJECT_NAME=ops"},
		},
		{
			name: "system scope", keystone: direct, want: `rooty@Default:from the environment in {"all":true}`,
			env: []string{"OS_USERNAME=rooty", "OS_PASSWORD=from the environment", "OS_SYSTEM_SCOPE=all"},
		},
		{
			name: "application credential", keystone: direct, want: "#rooty:its own secret in ",
			env: []string{"OS_APPLICATION_CREDENTIAL_ID=rooty", "OS_APPLICATION_CREDENTIAL_SECRET=its own secret"},
		},
		{
			name: "openrc", keystone: through + fmt.Sprintf("admin { openrc = %q }", openrc), want: "rooty@People:from openrc in ops@Things",
			env: []string{"OS_USERNAME=not", "OS_PASSWORD=these"},
		},
		{
			name: "clouds.yaml", keystone: through + fmt.Sprintf("admin {\nclouds_yaml = %q\ncloud = \"one\"\n}", clouds), want: "rooty@People:from clouds in ops@Things",
			env: []string{"OS_USERNAME=not", "OS_PASSWORD=these"},
		},
	} {
		p := write(t, "p.hcl", fmt.Sprintf(`variable "secret" {
  sensitive = true
  default   = "unused"
}
proposal "p" {
  node "here" {
    address    = "127.0.0.2"
    connection = "local"
    init       = "process"
    root       = %q
  }
  node "auth" {
    address = "127.0.0.1"
    ssh {
      port        = %d
      private_key = %q
      known_hosts = %q
    }
  }
  keystone "main" {
    %s
  }
  role "glance-server" { nodes = ["here"] }
}
`, filepath.Join(t.TempDir(), "root"), node.Port, node.KeyFile, node.KnownHosts, test.keystone))
		c := exec.Command("glancectl", append([]string{"plan", "--service-binary=" + standIn(t), p}, test.args...)...)
		c.Env = withoutOpenStack(test.env...)
		out, err := c.CombinedOutput()
		came := k.callers()
		if err == nil || len(came) == 0 {
			t.Errorf("%s: plan = %v; nobody has come to the Keystone\n%s", test.name, err, out)
			continue
		}
		for _, got := range came {
			if got != test.want {
				t.Errorf("%s: %q has come; want %q", test.name, got, test.want)
			}
		}
		_, password, _ := strings.Cut(test.want, ":")
		password, _, _ = strings.Cut(password, " in ")
		where := "\nkeystone main\n  cannot look at it: keystone:main/glance: log in to keystone main as "
		if strings.HasPrefix(test.keystone, through) {
			where = "\nauth\n  cannot look at it: auth: keystone:main/glance: log in to keystone main as "
		}
		if text := string(out); !strings.Contains(text, where) || !strings.Contains(text, "rooty: refused") || strings.Contains(text, password) {
			t.Errorf("%s: plan must say who was refused, and no password:\n%s", test.name, text)
		}
	}
}
