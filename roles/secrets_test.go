package roles

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/machine"
)

// A fakeNode is a provision.Reader of a machine that has files, and whose
// own addresses are those of the test.
type fakeNode struct {
	name  string
	files map[string]string
	err   error
}

func (n fakeNode) Name() string { return n.name }

func (n fakeNode) Look(_ context.Context, queries []provision.Query) (*provision.Facts, error) {
	facts := &provision.Facts{Files: make(map[string]provision.FileFact)}
	for _, q := range queries {
		if q, ok := q.(provision.FileQuery); ok && q.Content {
			if text, ok := n.files[q.Path]; ok {
				facts.Files[q.Path] = provision.FileFact{Content: []byte(text)}
			}
		}
	}
	return facts, n.err
}

func (n fakeNode) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (n fakeNode) Pipe(context.Context, []string) (net.Conn, error) {
	return nil, errors.New("this node runs no programs")
}

// generous is production with every password left out.
func generous() *proposals.Proposal {
	p := production()
	p.Glance.Keystone.ServicePassword = proposals.Secret{}
	return p
}

// What one apply generates, the next one recovers.
func TestSecretsAreStable(t *testing.T) {
	p := generous()
	made := Generate(p, Secrets{})
	o := options()
	o.Secrets = made
	stages, err := Expand(p, o)
	if err != nil {
		t.Fatal(err)
	}
	n := fakeNode{name: "image-2", files: make(map[string]string)}
	for _, r := range stages[0].Targets[1].Resources {
		if f, ok := r.(machine.File); ok {
			n.files[f.Path] = string(f.Content)
		}
	}
	found, err := Recover(t.Context(), p, []provision.Reader{fakeNode{name: "image-1"}, n})
	if err != nil {
		t.Fatal(err)
	}
	if found != made {
		t.Errorf("recovered other passwords than were generated")
	}
	if again := Generate(p, found); again != made {
		t.Errorf("Generate changed passwords that were there")
	}
}

func TestGenerate(t *testing.T) {
	p := generous()
	a, b := Generate(p, Secrets{}), Generate(p, Secrets{})
	form := regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`)
	for _, s := range []proposals.Secret{a.DatabasePassword, a.ServicePassword} {
		if !form.MatchString(s.Reveal()) {
			t.Errorf("generated password %q; want 32 characters that need no quoting", s.Reveal())
		}
	}
	if a.DatabasePassword == b.DatabasePassword || a.DatabasePassword == a.ServicePassword {
		t.Error("two generated passwords are the same")
	}
	// What the proposal gives is not made, even if it was once.
	given := Generate(swift(), a)
	if !given.DatabasePassword.IsZero() || !given.ServicePassword.IsZero() {
		t.Error("Generate keeps passwords that the proposal gives")
	}
}

func TestRecover(t *testing.T) {
	const first, second = "/var/lib/glancectl/production/secrets.toml", "database_password = 'two'\nservice_password = 'three'\n"
	broken := errors.New("broken")
	for _, test := range []struct {
		name    string
		readers []provision.Reader
		want    Secrets
		err     string // part of it, "" for none
	}{
		{
			name: "the first of the proposal counts, whoever comes first",
			readers: []provision.Reader{
				fakeNode{name: "image-2", files: map[string]string{first: second}},
				fakeNode{name: "image-1", files: map[string]string{first: "database_password = 'one'\n"}},
			},
			want: Secrets{DatabasePassword: proposals.NewSecret("one"), ServicePassword: proposals.NewSecret("three")},
		},
		{
			name: "the first has all, so nobody else is asked",
			readers: []provision.Reader{
				fakeNode{name: "image-1", files: map[string]string{first: second}},
				fakeNode{name: "image-2", err: broken},
			},
			want: Secrets{DatabasePassword: proposals.NewSecret("two"), ServicePassword: proposals.NewSecret("three")},
		},
		{
			name: "the first has not all, so the others have to answer",
			readers: []provision.Reader{
				fakeNode{name: "image-1", files: map[string]string{first: "database_password = 'one'\n"}},
				fakeNode{name: "image-2", err: broken},
			},
			err: "recover passwords from image-2: broken",
		},
		{
			name:    "nothing was generated yet",
			readers: []provision.Reader{fakeNode{name: "image-1"}},
		},
		{
			name:    "nobody can be asked",
			readers: []provision.Reader{fakeNode{name: "db-node"}},
			err:     "no image node can be reached",
		},
		{
			name:    "the file was damaged",
			readers: []provision.Reader{fakeNode{name: "image-1", files: map[string]string{first: "database_password = 'hunter2\n"}}},
			err:     "image-1",
		},
		{
			name:    "the node cannot be read",
			readers: []provision.Reader{fakeNode{name: "image-1", err: broken}},
			err:     "broken",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Recover(t.Context(), generous(), test.readers)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v; want one with %q", err, test.err)
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error shows a password: %v", err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("Recover = %q %q, %v; want %q %q",
					got.DatabasePassword.Reveal(), got.ServicePassword.Reveal(), err,
					test.want.DatabasePassword.Reveal(), test.want.ServicePassword.Reveal())
			}
		})
	}
	// Where everything is given, nobody is asked.
	if got, err := Recover(t.Context(), swift(), nil); err != nil || got != (Secrets{}) {
		t.Errorf("Recover of a proposal with all passwords = %v, %v; want nothing", got, err)
	}
}

func TestMissingSecretsAreAnError(t *testing.T) {
	o := options()
	o.Secrets = Secrets{}
	if _, err := Expand(production(), o); err == nil || !strings.Contains(err.Error(), "database") {
		t.Errorf("Expand without the generated password: error %v; want one about the database", err)
	}
}

func TestSecretsPrintAsAMask(t *testing.T) {
	s := Generate(generous(), Secrets{})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, s); strings.Contains(text, s.DatabasePassword.Reveal()) {
			t.Errorf("%s shows the password: %s", verb, text)
		}
	}
}

// Render shows no password unless it is told to.
func TestRenderMasksSecrets(t *testing.T) {
	p := swift()
	p.Glance.Config[0].Sections[0].Options = append(p.Glance.Config[0].Sections[0].Options,
		proposals.ConfigOption{Key: "metadata_encryption_key", Value: "configsecret", Sensitive: true})
	secrets := []string{"p%40ss%2Fw%24rd", "service/secret", "swiftsecret", "configsecret"}
	for _, show := range []bool{false, true} {
		files, err := Render(p, "image-1", Options{ShowSecrets: show})
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, f := range files {
			all.Write(f.Content)
		}
		for _, secret := range secrets {
			if got := strings.Contains(all.String(), secret); got != show {
				t.Errorf("with ShowSecrets %t, %s is shown: %t", show, secret, got)
			}
		}
	}
	// A generated password is known only after an apply, and then on request.
	for _, show := range []bool{false, true} {
		o := options()
		o.ShowSecrets = show
		files, err := Render(production(), "image-1", o)
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, f := range files {
			all.Write(f.Content)
		}
		if got := strings.Contains(all.String(), "generated-database-password"); got != show {
			t.Errorf("with ShowSecrets %t, the generated password is shown: %t", show, got)
		}
		if got := strings.Contains(all.String(), generatedSecret); got == show {
			t.Errorf("with ShowSecrets %t, the placeholder is shown: %t", show, got)
		}
	}
}

// A short secret hides the value of its own option and not every place that has its letters.
func TestShortSecrets(t *testing.T) {
	p := swift()
	p.Glance.Keystone.ServicePassword = proposals.NewSecret("glance")
	p.Glance.Config[0].Sections[0].Options = []proposals.ConfigOption{{Key: "pin", Value: "12", Sensitive: true}}
	for _, f := range resources[machine.File](t, p) {
		if f.Path != "/etc/glance/glance-api.conf" {
			continue
		}
		masked := string(f.Content)
		for _, s := range f.Secrets {
			masked = strings.ReplaceAll(masked, s, "")
		}
		section := p.Glance.Config[0].Sections[0].Name
		if want := []string{section + "/pin"}; !f.INI || !slices.Equal(f.SecretKeys, want) {
			t.Errorf("secret options = %q; want %q", f.SecretKeys, want)
		}
		if !strings.Contains(masked, "/var/lib/glance/image-cache") || !strings.Contains(masked, "bind_port = 9292") {
			t.Errorf("short secrets hide more than themselves: %q", f.Secrets)
		}
		return
	}
	t.Error("there is no glance-api.conf")
}

// Every secret that stands in a file is named in its Secrets, in the spelling
// of the file, so that a diff can mask it.
func TestFilesNameTheirSecrets(t *testing.T) {
	p := swift()
	p.Glance.Keystone.ServicePassword = proposals.NewSecret("dollar$password")
	spellings := []string{"p%40ss%2Fw%24rd", "dollar$$password", "swiftsecret"}
	found := make(map[string]bool)
	for _, f := range resources[machine.File](t, p) {
		masked := string(f.Content)
		for _, s := range f.Secrets {
			masked = strings.ReplaceAll(masked, s, "")
		}
		for _, s := range spellings {
			found[s] = found[s] || strings.Contains(string(f.Content), s)
			if strings.Contains(masked, s) {
				t.Errorf("%s has %s, but does not name it as a secret", f.Path, s)
			}
		}
	}
	for _, s := range spellings {
		if !found[s] {
			t.Errorf("no file has %s", s)
		}
	}
}
