package main

import (
	"context"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
	"glancectl/provision"
	"glancectl/roles"
)

func (a *app) destroyVerb() *cobra.Command {
	var approve bool
	var what roles.DestroyOptions
	c := &cobra.Command{
		Use:   "destroy FILE",
		Short: "take away what apply put there",
		Long: `Destroy stops the services and removes what apply put on the nodes: services,
jobs, files, users and receipts; what was there before comes back. Images, the
database, the Keystone objects and what is on a RabbitMQ stay unless a flag says
otherwise.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.destroy(c.Context(), args[0], what, approve)
		},
	}
	a.nodeFlags(c)
	c.Flags().BoolVar(&approve, "auto-approve", false, "do not ask")
	c.Flags().BoolVar(&what.Database, "database", false, "drop the database with all image metadata, and its user")
	c.Flags().BoolVar(&what.Keystone, "keystone", false, "remove user, service and endpoints from the Keystone")
	c.Flags().BoolVar(&what.Broker, "broker", false, "remove virtual host and user from the RabbitMQ")
	c.Flags().BoolVar(&what.Images, "images", false, "remove the images and whatever else is in the service's directories")
	return c
}

func (a *app) destroy(ctx context.Context, path string, what roles.DestroyOptions, approve bool) error {
	s, err := a.begin(path, "destroy")
	if err != nil {
		return err
	}
	defer s.end()
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	s.options.Lost = lost // somebody took the lock over: stop
	if err := a.mayAsk(approve); err != nil {
		return err
	}
	nodes, err := s.nodes()
	if err != nil {
		return err
	}
	s.progress.Begin("looking at the nodes")
	unlock, err := provision.Lock(ctx, nodes, s.pool.Connect, s.options)
	if err != nil {
		return err
	}
	defer unlock()
	stages, err := roles.ExpandDestroy(s.proposal, roles.Options{Service: s.service}, what)
	if err != nil {
		return err
	}
	p, err := provision.Observe(ctx, stages, s.pool.Connect, s.options)
	if err != nil {
		return err
	}
	if !reached(p) {
		return p.Err()
	}
	s.progress.End()
	a.view.Show(view.Plan{Source: s.source, Plan: p, Trips: s.roundTrips(), Nothing: "Nothing to take away."})
	if !p.Empty() {
		if err := a.confirm(ctx, approve, "Take this away?"); err != nil {
			return err
		}
	}
	return a.execute(ctx, s, p)
}
