package roles

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/sync/errgroup"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/machine"
	"glancectl/service/oslo"
)

// Secrets are the passwords that a proposal leaves out. They are made once
// and kept on the image nodes. They print as a mask.
type Secrets struct {
	DatabasePassword proposals.Secret // of the service's MySQL user
	ServicePassword  proposals.Secret // of the service's Keystone user
	BrokerPassword   proposals.Secret // of the service's RabbitMQ user
}

// savedSecrets is secrets.toml.
type savedSecrets struct {
	DatabasePassword string `toml:"database_password,omitempty"`
	ServicePassword  string `toml:"service_password,omitempty"`
	BrokerPassword   string `toml:"broker_password,omitempty"`
}

// wanted reports which passwords p leaves out.
func wanted(p *proposals.Proposal) (database, service, broker bool) {
	g := p.Glance
	if g == nil {
		return false, false, false
	}
	database = g.Database.Type == proposals.DatabaseMySQL && g.Database.Password.IsZero()
	service = g.Keystone != nil && g.Keystone.ServicePassword.IsZero()
	broker = g.RabbitMQ != nil && g.RabbitMQ.Password.IsZero()
	return database, service, broker
}

// Generate returns s with a new password for each one that p leaves out and s
// does not have, and without those that p gives: 32 characters that need no
// quoting in a URL.
func Generate(p *proposals.Proposal, s Secrets) Secrets {
	database, service, broker := wanted(p)
	s.DatabasePassword = fill(s.DatabasePassword, database)
	s.ServicePassword = fill(s.ServicePassword, service)
	s.BrokerPassword = fill(s.BrokerPassword, broker)
	return s
}

func fill(s proposals.Secret, want bool) proposals.Secret {
	if !want {
		return proposals.Secret{}
	}
	if !s.IsZero() {
		return s
	}
	random := make([]byte, 24)
	rand.Read(random) // never fails
	return proposals.NewSecret(base64.RawURLEncoding.EncodeToString(random))
}

// Recover returns the passwords that earlier applies generated and left on
// the image nodes; one that no node has is zero. The readers are those of the
// image nodes that could be reached, in any order. Where nodes differ, the
// first of the proposal that has a password counts, and the next apply makes
// the others follow.
//
// It is an error if p needs generated passwords and there is no reader: the
// passwords may be on the nodes, and new ones would lock the service out.
func Recover(ctx context.Context, p *proposals.Proposal, readers []provision.Reader) (Secrets, error) {
	var s Secrets
	database, service, broker := wanted(p)
	if !database && !service && !broker {
		return s, nil
	}
	var nodes []provision.Reader // in the order of the proposal
	for _, name := range p.Glance.Nodes {
		if i := slices.IndexFunc(readers, func(r provision.Reader) bool { return r.Name() == name }); i >= 0 {
			nodes = append(nodes, readers[i])
		}
	}
	if len(nodes) == 0 {
		return Secrets{}, errors.New("recover passwords: no image node can be reached, and they are kept there")
	}
	// The first has all, as a rule. The others are asked at the same time.
	for _, some := range [][]provision.Reader{nodes[:1], nodes[1:]} {
		saved, err := readAllSecrets(ctx, p, some)
		if err != nil {
			return Secrets{}, err
		}
		for _, one := range saved {
			if s.DatabasePassword.IsZero() && database {
				s.DatabasePassword = proposals.NewSecret(one.DatabasePassword)
			}
			if s.ServicePassword.IsZero() && service {
				s.ServicePassword = proposals.NewSecret(one.ServicePassword)
			}
			if s.BrokerPassword.IsZero() && broker {
				s.BrokerPassword = proposals.NewSecret(one.BrokerPassword)
			}
		}
		if s == Generate(p, s) {
			break
		}
	}
	return s, nil
}

// readersAtOnce is how many nodes are read at the same time.
const readersAtOnce = 10

// readAllSecrets reads what is kept on nodes, in their order.
func readAllSecrets(ctx context.Context, p *proposals.Proposal, nodes []provision.Reader) ([]savedSecrets, error) {
	saved := make([]savedSecrets, len(nodes))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readersAtOnce)
	for i, r := range nodes {
		g.Go(func() (err error) {
			if saved[i], err = readSecrets(ctx, r, secretsPath(p, p.Node(r.Name()))); err != nil {
				err = fmt.Errorf("recover passwords from %s: %w", r.Name(), err)
			}
			return err
		})
	}
	return saved, g.Wait()
}

func readSecrets(ctx context.Context, r provision.Reader, name string) (savedSecrets, error) {
	var saved savedSecrets
	facts, err := r.Look(ctx, []provision.Query{provision.FileQuery{Path: name, Content: true}})
	if err != nil {
		return saved, err
	}
	f, ok := facts.Files[name]
	if !ok {
		return saved, nil
	}
	if err := toml.Unmarshal(f.Content, &saved); err != nil {
		// The decoder quotes the line that it cannot read.
		return saved, fmt.Errorf("%s is not readable as TOML; put back the file or remove it to have new passwords made", name)
	}
	return saved, nil
}

func secretsPath(p *proposals.Proposal, n *proposals.Node) string {
	return path.Join(n.Root, "/", stateDir, p.Name, "secrets.toml")
}

// secretsStage keeps generated passwords on every image node, before anything
// uses them: an apply that is cut afterwards finds them again.
func secretsStage(sites []site) (provision.Stage, error) {
	stage := provision.Stage{Name: "secrets"}
	for _, s := range sites {
		text, err := toml.Marshal(savedSecrets{
			DatabasePassword: s.o.Secrets.DatabasePassword.Reveal(),
			ServicePassword:  s.o.Secrets.ServicePassword.Reveal(),
			BrokerPassword:   s.o.Secrets.BrokerPassword.Reveal(),
		})
		if err != nil {
			return stage, fmt.Errorf("write passwords: %w", err)
		}
		if len(text) == 0 {
			return stage, nil
		}
		name := secretsPath(s.p, s.node)
		stage.Targets = append(stage.Targets, s.target(
			machine.Dir{Path: path.Dir(path.Dir(name)), Owner: s.root(), Group: s.root(), Mode: 0o755},
			machine.Dir{Path: path.Dir(name), Owner: s.root(), Group: s.root(), Mode: 0o700},
			machine.File{
				Path: name, Owner: s.root(), Group: s.root(), Mode: 0o600,
				Content: []byte(header + string(text)), Secrets: s.secrets(),
			},
		))
	}
	return stage, nil
}

// complete fails if a password that p leaves out is not in s, and takes away
// those that p gives.
func (s *Secrets) complete(p *proposals.Proposal) error {
	database, service, broker := wanted(p)
	if database && s.DatabasePassword.IsZero() {
		return fmt.Errorf("proposal %s: no password was generated for the database", p.Name)
	}
	if service && s.ServicePassword.IsZero() {
		return fmt.Errorf("proposal %s: no password was generated for Keystone", p.Name)
	}
	if broker && s.BrokerPassword.IsZero() {
		return fmt.Errorf("proposal %s: no password was generated for RabbitMQ", p.Name)
	}
	*s = Generate(p, *s)
	return nil
}

// placeholders returns s with a text that says so in place of each password
// that is generated, unless it is known and to be shown.
func (s Secrets) placeholders(p *proposals.Proposal, show bool) Secrets {
	generated := proposals.NewSecret(generatedSecret)
	if !show || s.DatabasePassword.IsZero() {
		s.DatabasePassword = generated
	}
	if !show || s.ServicePassword.IsZero() {
		s.ServicePassword = generated
	}
	if !show || s.BrokerPassword.IsZero() {
		s.BrokerPassword = generated
	}
	return Generate(p, s)
}

// wordLength is the length below which a password is too likely to be a word
// of the file too: masking "glance" wherever it stands would hide the file.
// Diffs mask such a password by the name of its option.
const wordLength = 8

// secrets are the passwords in the files of the node, in every spelling.
func (s site) secrets() []string {
	passwords := []proposals.Secret{s.servicePassword(), s.databasePassword(), s.brokerPassword()}
	if b := s.swiftBacking(); b != nil {
		passwords = append(passwords, b.Key)
	}
	var all []string
	add := func(spelling string) {
		if spelling != "" && !slices.Contains(all, spelling) {
			all = append(all, spelling)
		}
	}
	for _, p := range passwords {
		if len(p.Reveal()) < wordLength {
			continue
		}
		add(p.Reveal())
		add(oslo.Literal(p.Reveal()))
		add(percentEncode(p.Reveal()))
	}
	for o := range s.sensitiveOptions() {
		if len(o.Value) >= wordLength {
			add(o.Value)
		}
	}
	return all
}

// secretKeys are the options that config blocks give a secret, as SECTION/KEY.
func (s site) secretKeys() []string {
	var keys []string
	for o, section := range s.sensitiveOptions() {
		if key := section + "/" + o.Key; !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// sensitiveOptions yields the sensitive options of config blocks and the
// sections they are in.
func (s site) sensitiveOptions() iter.Seq2[proposals.ConfigOption, string] {
	return func(yield func(proposals.ConfigOption, string) bool) {
		for _, f := range s.g.Config {
			for _, section := range f.Sections {
				for _, o := range section.Options {
					if o.Sensitive && !yield(o, section.Name) {
						return
					}
				}
			}
		}
	}
}
