package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"glancectl/cmd/glancectl/bundle"
	"glancectl/cmd/glancectl/view"
	"glancectl/proposals"
	"glancectl/proposals/history"
	"glancectl/provision"
	"glancectl/provision/localhost"
	"glancectl/provision/machine"
	"glancectl/provision/sshhost"
	"glancectl/roles"
)

// loadAll reads the proposals at path. All mistakes are shown; then the error
// is a coded one without a text.
func (a *app) loadAll(path string) ([]*proposals.Proposal, error) {
	vars, err := variables(a.vars)
	if err != nil {
		return nil, err
	}
	all, diags := proposals.Load([]string{path}, proposals.Options{Vars: vars, VarFiles: a.varFiles, Env: a.env})
	if len(diags) > 0 {
		a.view.Show(view.Mistakes{Diagnostics: diags})
	}
	if diags.HasErrors() {
		return nil, &coded{code: exitInvalid}
	}
	return all, nil
}

// load reads the proposals at path and returns the one that is meant.
func (a *app) load(path string) (*proposals.Proposal, error) {
	all, err := a.loadAll(path)
	if err != nil {
		return nil, err
	}
	p, err := a.choose(all, path)
	if err == nil {
		a.view.Hide(p.Sensitive()...)
	}
	return p, err
}

// choose returns the proposal that --proposal names, or the only one.
func (a *app) choose(all []*proposals.Proposal, path string) (*proposals.Proposal, error) {
	var names []string
	for _, p := range all {
		if p.Name == a.proposal || a.proposal == "" && len(all) == 1 {
			return p, nil
		}
		names = append(names, p.Name)
	}
	switch {
	case len(all) == 0:
		return nil, &coded{exitInvalid, fmt.Errorf("%s: no proposal block in it", path)}
	case a.proposal == "":
		return nil, fmt.Errorf("%s: %d proposals in it (%s): choose one with --proposal", path, len(all), strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("%s: no proposal %q in it; there is %s", path, a.proposal, strings.Join(names, ", "))
}

// variables splits NAME=VALUE.
func variables(args []string) (map[string]string, error) {
	vars := map[string]string{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			// The argument may hold a secret, so it is not repeated.
			return nil, errors.New("--var: want NAME=VALUE")
		}
		vars[name] = value
	}
	return vars, nil
}

// A session is a run of a verb that contacts nodes.
type session struct {
	proposal *proposals.Proposal
	source   view.Source
	service  func(arch string) (machine.Payload, error)
	view     *view.View
	pool     *provision.Pool
	options  provision.Options
	progress *view.Progress

	mu    sync.Mutex
	trips []func() int64 // of the connections that were opened
}

// begin loads the proposal at path, which lacks nothing, and gets ready to
// connect and to install.
func (a *app) begin(path, operation string) (*session, error) {
	s, err := a.open(path, operation)
	if err != nil {
		return nil, err
	}
	if missing := s.proposal.Missing(); len(missing) > 0 {
		return nil, &coded{exitInvalid, errors.New(strings.Join(missing, "\n"))}
	}
	s.service, err = a.service()
	return s, err
}

// open loads the proposal at path and gets ready to connect.
func (a *app) open(path, operation string) (*session, error) {
	if a.parallelism < 1 {
		return nil, fmt.Errorf("--parallelism %d: must be at least 1", a.parallelism)
	}
	p, err := a.load(path)
	if err != nil {
		return nil, err
	}
	rev, err := a.revision(path, p)
	if err != nil {
		// The revision is for people to know; nothing depends on it.
		a.view.Show(view.Notice{Text: "revision not known: " + err.Error()})
	}
	s := &session{
		proposal: p,
		source:   view.Source{Proposal: p.Name, File: path, Revision: rev.Short, Modified: rev.Modified},
		view:     a.view,
		progress: a.view.Progress(),
	}
	s.pool = provision.NewPool(s.connect)
	s.options = provision.Options{
		Proposal: p.Name, Digest: p.Digest, Revision: rev.Commit, Modified: rev.Modified,
		Version: programVersion(), Operation: operation, Parallel: a.parallelism,
		Root: func(node string) string {
			if n := p.Node(node); n != nil {
				return n.Root
			}
			return ""
		},
		Events: s.progress.Event, CheckTime: a.checkTime,
	}
	return s, nil
}

// revision returns the revision of the proposal at path. It counts as modified
// too when its inventory differs from the commit, or a file of variables that
// is kept in the repository.
func (a *app) revision(path string, p *proposals.Proposal) (history.Revision, error) {
	rev, err := history.Of(path)
	if err != nil || !rev.Known {
		return rev, err
	}
	for _, file := range append([]string{p.Inventory}, a.varFiles...) {
		if file == "" {
			continue
		}
		r, err := history.Of(file)
		if err != nil {
			return rev, err
		}
		if r.Modified && (r.Tracked || file == p.Inventory) {
			rev.Modified = true
		}
	}
	return rev, nil
}

// end closes all connections.
func (s *session) end() {
	s.progress.End()
	_ = s.pool.Close() // there is nothing left to lose on them
}

// thisMachine is what the node "" is called: the one glancectl runs on, from
// which instances without a node are reached.
const thisMachine = "this machine"

// connect opens a connection to a node of the proposal.
func (s *session) connect(ctx context.Context, node string) (provision.Host, error) {
	if node == "" {
		return localhost.New(thisMachine), nil
	}
	way := roles.Reach(s.proposal.Node(node))
	if way.Local {
		return localhost.New(node), nil
	}
	h, err := sshhost.Dial(ctx, way.SSH)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.trips = append(s.trips, h.Trips)
	s.mu.Unlock()
	return h, nil
}

// roundTrips returns the largest number of round trips on one connection.
func (s *session) roundTrips() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var most int64
	for _, trips := range s.trips {
		most = max(most, trips())
	}
	return most
}

// nodes are the names of all machines that the proposal works on.
func (s *session) nodes() ([]string, error) {
	// Which machines they are does not depend on passwords.
	stages, err := roles.Expand(s.proposal, roles.Options{
		Secrets: roles.Generate(s.proposal, roles.Secrets{}), Service: s.service,
	})
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, st := range stages {
		for _, t := range st.Targets {
			names[t.Host] = true
		}
	}
	delete(names, "") // nothing is kept on the machine that glancectl runs on
	return slices.Sorted(maps.Keys(names)), nil
}

// expand returns the proposal's stages, with the passwords that earlier
// applies generated.
func (s *session) expand(ctx context.Context) ([]provision.Stage, error) {
	secrets, err := s.recover(ctx)
	if err != nil {
		return nil, err
	}
	o := roles.Options{NewServicePassword: secrets.ServicePassword.IsZero(), Service: s.service}
	secrets = roles.Generate(s.proposal, secrets)
	o.NewServicePassword = o.NewServicePassword && !secrets.ServicePassword.IsZero()
	o.Secrets = secrets
	s.view.Hide(append(s.proposal.Sensitive(), secrets.DatabasePassword.Reveal(), secrets.ServicePassword.Reveal(),
		secrets.BrokerPassword.Reveal())...)
	return roles.Expand(s.proposal, o)
}

// recover reads generated passwords from the nodes, if the proposal leaves
// any out. Nodes that cannot be reached are left to the plan to report,
// unless one of them may have a password that no other has.
func (s *session) recover(ctx context.Context) (roles.Secrets, error) {
	if s.proposal.Glance == nil || roles.Generate(s.proposal, roles.Secrets{}) == (roles.Secrets{}) {
		return roles.Secrets{}, nil
	}
	var (
		mu      sync.Mutex
		readers []provision.Reader
		failure error
	)
	var g errgroup.Group
	g.SetLimit(s.options.Parallel)
	for _, name := range s.proposal.Glance.Nodes {
		g.Go(func() error {
			h, err := s.pool.Connect(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failure = err
				return nil
			}
			readers = append(readers, provision.NewReader(h))
			return nil
		})
	}
	_ = g.Wait() // each keeps its error
	if err := ctx.Err(); err != nil {
		return roles.Secrets{}, err
	}
	if len(readers) == 0 {
		return roles.Secrets{}, failure
	}
	found, err := roles.Recover(ctx, s.proposal, readers)
	if err == nil && failure != nil && roles.Generate(s.proposal, found) != found {
		// New ones would lock out the services of the node that has them.
		err = fmt.Errorf("the proposal leaves passwords out, no node that answers has them, and one does not answer: bring it back, or give the passwords in the proposal: %w", failure)
	}
	return found, err
}

// service returns where the image service's program comes from.
func (a *app) service() (func(arch string) (machine.Payload, error), error) {
	from := bundle.Services()
	if a.serviceBinary != "" {
		var err error
		if from, err = bundle.FromFile(a.serviceBinary); err != nil {
			return nil, fmt.Errorf("--service-binary: %w", err)
		}
	}
	return func(arch string) (machine.Payload, error) {
		p, err := from(arch)
		return machine.Payload{SHA256: p.SHA256, Size: p.Size, Open: p.Open, Plain: p.Plain, BLAKE2b: p.BLAKE2b}, err
	}, nil
}

// bundled are the architectures whose image service is inside glancectl.
func bundled() []string { return bundle.Architectures() }

func goVersion() string { return runtime.Version() }
