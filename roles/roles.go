// Package roles says what a role means: it turns a proposal into the
// resources that package provision brings about.
//
// What no proposal can change stands in a manifest a role, a TOML file in this
// folder. What a proposal asks for is filled into package templates. The
// result is a list of stages that are worked on in order, and nothing here
// contacts a machine, except [Recover], the checks, which only look, and [RunJob].
package roles

import (
	"fmt"
	"io/fs"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/machine"
	"glancectl/templates"
)

// stateDir is where package provision keeps receipts, below the node's root.
const stateDir = "/var/lib/glancectl"

const header = templates.Header + "\n"

// Options are what Expand and its kin need beside the proposal.
type Options struct {
	// Secrets are the passwords that the proposal leaves out, complete as
	// Generate returns them.
	Secrets Secrets
	// NewServicePassword says that Generate made the service's password in
	// Keystone a moment ago.
	NewServicePassword bool
	// Service returns the image service's binary for an architecture.
	Service func(arch string) (machine.Payload, error)
	// ShowSecrets makes Render show the proposal's passwords.
	ShowSecrets bool
}

// Expand returns the stages that make p so:
//
//   - secrets: generated passwords are kept on the image nodes;
//   - database: the database and its user;
//   - install: users, directories, the program, files, units;
//   - keystone: project, user, role, service and endpoints, at the same time;
//   - broker: virtual host, user and permissions, at the same time;
//   - schema: the tables;
//   - services: the daemons run with what is installed, and cron starts the jobs;
//   - images: what is to be preloaded is there.
//
// A stage that has nothing to do for p is left out. Required stages are those
// without which the ones after them would fail on every node.
func Expand(p *proposals.Proposal, o Options) ([]provision.Stage, error) {
	if p.Glance == nil {
		return nil, nil
	}
	if err := o.Secrets.complete(p); err != nil {
		return nil, err
	}
	sites, err := sitesOf(p, o)
	if err != nil {
		return nil, err
	}
	var stages []provision.Stage
	for _, stageOf := range []func([]site) (provision.Stage, error){
		secretsStage, databaseStage, installStage, keystoneStage, brokerStage, schemaStage, servicesStage, imagesStage,
	} {
		stage, err := stageOf(sites)
		if err != nil {
			return nil, fmt.Errorf("proposal %s: %w", p.Name, err)
		}
		if len(stage.Targets) > 0 {
			stages = append(stages, stage)
		}
	}
	return stages, nil
}

// DestroyOptions say what ExpandDestroy takes away beside programs, files,
// services and jobs.
type DestroyOptions struct {
	Database bool // the database with all metadata, and its user
	Keystone bool // what was registered
	Broker   bool // the virtual host and the user on a RabbitMQ
	Images   bool // image data and whatever else is in directories with data
}

// ExpandDestroy returns the stages that take away what Expand's stages put
// there, in reverse: first the service, then what it used.
func ExpandDestroy(p *proposals.Proposal, o Options, d DestroyOptions) ([]provision.Stage, error) {
	if p.Glance == nil {
		return nil, nil
	}
	sites, err := sitesOf(p, o)
	if err != nil {
		return nil, err
	}
	nodes := provision.Stage{Name: "nodes"}
	for _, s := range sites {
		nodes.Targets = append(nodes.Targets, s.target(machine.Removal{Images: d.Images}))
	}
	stages := []provision.Stage{nodes}
	if d.Keystone {
		stage, err := keystoneRemoval(sites)
		if err != nil {
			return nil, fmt.Errorf("proposal %s: %w", p.Name, err)
		}
		stages = append(stages, stage)
	}
	if d.Broker {
		stage, err := brokerRemoval(sites)
		if err != nil {
			return nil, fmt.Errorf("proposal %s: %w", p.Name, err)
		}
		stages = append(stages, stage)
	}
	if d.Database {
		stage, err := databaseRemoval(sites)
		if err != nil {
			return nil, fmt.Errorf("proposal %s: %w", p.Name, err)
		}
		stages = append(stages, stage)
	}
	var wanted []provision.Stage
	for _, s := range stages {
		if len(s.Targets) > 0 {
			wanted = append(wanted, s)
		}
	}
	return wanted, nil
}

// A RenderedFile is one file as it would land on a node.
type RenderedFile struct {
	Path    string
	Mode    fs.FileMode
	Owner   string // "" where the calling user owns everything
	Group   string
	Content []byte
}

// The passwords that Render does not show.
const (
	hiddenSecret    = "(sensitive)"
	generatedSecret = "GENERATED-AT-APPLY"
)

// Render returns the files that Expand would put on a node of the role, in
// the order they are written. It contacts nobody, so a password that the
// proposal leaves out is the text GENERATED-AT-APPLY, unless o.Secrets has it
// and o.ShowSecrets is set. One that the proposal gives is a mask, unless
// o.ShowSecrets is set.
func Render(p *proposals.Proposal, node string, o Options) ([]RenderedFile, error) {
	o.Secrets = o.Secrets.placeholders(p, o.ShowSecrets)
	sites, err := sitesOf(p, o)
	if err != nil {
		return nil, err
	}
	for _, s := range sites {
		if s.node.Name != node {
			continue
		}
		s.masked = !o.ShowSecrets
		files, err := s.files()
		if err != nil {
			return nil, fmt.Errorf("proposal %s: %w", p.Name, err)
		}
		var rendered []RenderedFile
		for _, f := range files {
			rendered = append(rendered, f.RenderedFile)
		}
		return rendered, nil
	}
	return nil, fmt.Errorf("proposal %s: node %q does not have the role glance-server", p.Name, node)
}
