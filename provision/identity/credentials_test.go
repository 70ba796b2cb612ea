package identity

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/provision"
)

func TestParseOpenrc(t *testing.T) {
	for _, test := range []struct {
		name string
		text string
		want map[string]string
		err  string // what the error contains; "" for none
	}{
		{name: "empty", want: map[string]string{}},
		{
			name: "as clients print it",
			text: "#!/bin/sh\n# for ops\nunset OS_TOKEN\nexport OS_USERNAME=admin\nexport OS_PASSWORD='it is # \"secret\"'\n",
			want: map[string]string{"OS_USERNAME": "admin", "OS_PASSWORD": `it is # "secret"`},
		},
		{
			name: "quotes and escapes",
			text: `OS_A="a \"b\" \\ \$c" OS_B=x\ y'z'"!" # comment` + "\n" + `export OS_C=a#b; export OS_D=  `,
			want: map[string]string{"OS_A": `a "b" \ $c`, "OS_B": "x yz!", "OS_C": "a#b", "OS_D": ""},
		},
		{
			name: "the last one counts, and Windows line ends",
			text: "export OS_USERNAME=a\r\nexport OS_USERNAME=b\r\n",
			want: map[string]string{"OS_USERNAME": "b"},
		},
		{
			name: "a shell is needed for something else",
			text: "echo \"Password for $OS_USERNAME: \"\nif [ -z \"$X\" ]; then unset X; fi\nHOME=$(pwd)\nexport OS_USERNAME=a",
			want: map[string]string{"OS_USERNAME": "a"},
		},
		{
			name: "a dollar in single quotes is a dollar",
			text: "export OS_PASSWORD='a$b`c'",
			want: map[string]string{"OS_PASSWORD": "a$b`c"},
		},
		{name: "asks for the password", text: "read -sr X\nexport OS_PASSWORD=$X", err: "2: OS_PASSWORD needs a shell"},
		{name: "runs a command", text: "export OS_PASSWORD=\"`cat /secret`\"", err: "1: OS_PASSWORD needs a shell"},
		{name: "open quote", text: "export OS_PASSWORD='secret\n'", err: "1: a quote is not closed"},
		{name: "open double quote", text: "export OS_PASSWORD=\"secret\n", err: "1: a quote is not closed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseOpenrc(test.text)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "secret") {
					t.Errorf("parseOpenrc = %v; want an error with %q and no value", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("parseOpenrc (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseOpenrc(f *testing.F) {
	f.Add("export OS_A='x' OS_B=\"y\\\"\" # z")
	f.Add("OS_A=\\")
	f.Fuzz(func(t *testing.T, text string) {
		values, err := parseOpenrc(text)
		if err != nil && values != nil {
			t.Errorf("parseOpenrc(%q) = %v with %v", text, values, err)
		}
		for name := range values {
			if !strings.HasPrefix(name, "OS_") {
				t.Errorf("parseOpenrc(%q) has %q", text, name)
			}
		}
	})
}

const clouds = `
clouds:
  ops:
    auth:
      auth_url: http://elsewhere:5000/v3
      username: admin
      password: from-clouds
      project_name: admin
      user_domain_name: Default
      project_domain_id: default
    region_name: Elsewhere
  app:
    auth_type: v3applicationcredential
    auth:
      application_credential_id: abc
      application_credential_secret: def
`

func TestResolve(t *testing.T) {
	facts := func(files map[string]string) *provision.Facts {
		f := &provision.Facts{Files: map[string]provision.FileFact{}}
		for name, content := range files {
			f.Files[name] = provision.FileFact{Content: []byte(content)}
		}
		return f
	}
	const openrc = "export OS_USERNAME=admin OS_PASSWORD=p OS_PROJECT_NAME=admin OS_USER_DOMAIN_ID=default"
	for _, test := range []struct {
		name  string
		from  Credentials
		files map[string]string
		want  login
		err   string
	}{
		{
			name: "fields", from: Credentials{Username: "admin", Password: "p", Project: "admin"},
			want: login{username: "admin", password: "p", projectName: "admin", userDomainName: "Default", projectDomain: "Default"},
		},
		{name: "fields without a password", from: Credentials{Username: "admin", Project: "admin"}, err: "the proposal has not a password"},
		{name: "fields without a project", from: Credentials{Username: "admin", Password: "p"}, err: "the proposal has not a project"},
		{name: "nothing", err: "has not a user name"},
		{
			name: "openrc", from: Credentials{Openrc: "/root/openrc"}, files: map[string]string{"/root/openrc": openrc},
			want: login{username: "admin", password: "p", projectName: "admin", userDomainID: "default", projectDomain: "Default"},
		},
		{
			name: "openrc with a system scope", from: Credentials{Openrc: "/rc"},
			files: map[string]string{"/rc": "OS_USER_ID=1 OS_PASSWORD=p OS_SYSTEM_SCOPE=all"},
			want:  login{userID: "1", password: "p", system: true, userDomainName: "Default", projectDomain: "Default"},
		},
		{name: "openrc is missing", from: Credentials{Openrc: "/root/openrc"}, err: "/root/openrc on the node is missing"},
		{
			name: "openrc that asks", from: Credentials{Openrc: "/root/openrc"},
			files: map[string]string{"/root/openrc": "export OS_PASSWORD=$P"}, err: "/root/openrc:1: OS_PASSWORD needs a shell",
		},
		{
			name: "clouds.yaml", from: Credentials{CloudsYAML: "/etc/openstack/clouds.yaml", Cloud: "ops"},
			files: map[string]string{"/etc/openstack/clouds.yaml": clouds},
			want: login{username: "admin", password: "from-clouds", projectName: "admin", userDomainName: "Default",
				projectDomainID: "default"},
		},
		{
			name: "secure.yaml is laid over it", from: Credentials{CloudsYAML: "/etc/openstack/clouds.yaml", Cloud: "ops"},
			files: map[string]string{
				"/etc/openstack/clouds.yaml": clouds,
				"/etc/openstack/secure.yaml": "clouds: {ops: {auth: {password: from-secure}}}",
			},
			want: login{username: "admin", password: "from-secure", projectName: "admin", userDomainName: "Default",
				projectDomainID: "default"},
		},
		{
			name: "application credential", from: Credentials{CloudsYAML: "/c.yaml", Cloud: "app"},
			files: map[string]string{"/c.yaml": clouds}, want: login{applicationID: "abc", applicationSecret: "def"},
		},
		{name: "which cloud?", from: Credentials{CloudsYAML: "/c.yaml"}, files: map[string]string{"/c.yaml": clouds}, err: `has no cloud ""`},
		{name: "wrong cloud", from: Credentials{CloudsYAML: "/c.yaml", Cloud: "x"}, files: map[string]string{"/c.yaml": clouds}, err: `has no cloud "x"`},
		{
			name: "not YAML", from: Credentials{CloudsYAML: "/c.yaml", Cloud: "x"},
			files: map[string]string{"/c.yaml": "password: {secret"}, err: "/c.yaml: not a clouds.yaml",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, q := range test.from.queries() {
				if f, ok := q.(provision.FileQuery); !ok || !f.Content {
					t.Errorf("query %#v does not ask for the content of a file", q)
				}
			}
			got, err := test.from.resolve(t.Context(), direct{}, facts(test.files))
			if test.err != "" {
				if !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "secret") {
					t.Errorf("resolve = %v; want ErrCredentials with %q and no value", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(login{})); diff != "" {
				t.Errorf("resolve (-want +got):\n%s", diff)
			}
		})
	}
}

// A certificate that the file names is read on the node and trusted.
func TestOwnAuthority(t *testing.T) {
	k := &keystone{t: t}
	server := httptest.NewUnstartedServer(k)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of clients that do not trust it
	server.StartTLS()
	defer server.Close()
	pemText := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	rc := "OS_USERNAME=admin OS_PASSWORD=p OS_PROJECT_NAME=admin OS_CACERT=/etc/ca.pem"
	g := registration(server.URL)
	g.Keystone.Admin = Credentials{Openrc: "/rc"}
	facts := &provision.Facts{Files: map[string]provision.FileFact{"/rc": {Content: []byte(rc)}}}
	onNode := map[string]provision.FileFact{"/etc/ca.pem": {Content: pemText}}
	if _, err := g.Observe(t.Context(), direct{files: onNode}, facts); err != nil {
		t.Errorf("Observe with the authority: %v", err)
	}
	_, err := g.Observe(t.Context(), direct{}, facts)
	if !errors.Is(err, ErrCredentials) || !strings.Contains(fmt.Sprint(err), "/etc/ca.pem on the node has no certificate") {
		t.Errorf("Observe without the file = %v; want ErrCredentials that names it", err)
	}
	g.Keystone.Admin = Credentials{Username: "admin", Password: "p", Project: "admin"}
	_, err = g.Observe(t.Context(), direct{}, facts)
	if !errors.Is(err, ErrConnect) || !strings.Contains(fmt.Sprint(err), "name it as OS_CACERT or cacert") {
		t.Errorf("Observe without the authority = %v; want ErrConnect that says what to do", err)
	}
}

// direct is a machine whose network is this one's.
type direct struct{ files map[string]provision.FileFact }

func (direct) Name() string { return "auth-node" }
func (d direct) Look(_ context.Context, queries []provision.Query) (*provision.Facts, error) {
	f := &provision.Facts{Files: map[string]provision.FileFact{}}
	for _, q := range queries {
		path := q.(provision.FileQuery).Path
		if slices.Contains(slices.Collect(maps.Keys(d.files)), path) {
			f.Files[path] = d.files[path]
		}
	}
	return f, nil
}
func (direct) Do(context.Context, []provision.Op, func(int)) error { return errors.ErrUnsupported }

func (direct) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}
func (direct) Pipe(context.Context, []string) (net.Conn, error) {
	return nil, errors.New("no programs here")
}
