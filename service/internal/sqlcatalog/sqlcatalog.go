// Package sqlcatalog keeps the metadata of images in SQL: a [glance.Catalog]
// in the tables of OpenStack Glance, on SQLite or on MariaDB and MySQL.
//
// The service opens one per process; glance-manage uses [Catalog.Sync] and
// [Catalog.Version] as well. The tables, their columns and what stands in them
// are Glance's, so that the Python service and this one can take turns on one
// database or run on it side by side. The package knows nothing of HTTP, of
// who may do what, or of where the data of images is.
package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/seal"
	"glancectl/service/internal/turns"
)

// Options are the optional settings of Open. The zero value is ready to use.
type Options struct {
	// IdleTimeout is how old a connection to a database server may get before
	// a new one replaces it: connection_recycle_time. 0 means an hour, negative
	// any age.
	IdleTimeout time.Duration
	// MaxOpen bounds the connections in use at once; 0 means 20, negative any
	// number.
	MaxOpen int
	// Keep is how many connections to a server stay open when nobody uses
	// them; 0 means MaxOpen.
	Keep int
	// Wait is how long a caller waits for a connection to a server while all
	// are in use; 0 means half of Patience.
	Wait time.Duration
	// Patience is how long a database server may say nothing while it is asked
	// something, before it counts as away; 0 means a minute, which is more than
	// it waits for a lock by itself. Negative means for ever.
	Patience time.Duration
	// Owner is the name of this process in the claims that it makes on images;
	// empty means that it makes none.
	Owner string
	// Key hides the URLs of locations from whoever reads the database without
	// it: metadata_encryption_key, of 16, 24 or 32 bytes. Empty hides nothing.
	Key string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// A Catalog is a glance.Catalog in an SQL database. Its methods may be called
// from several goroutines at once, and other processes may use the same
// database meanwhile.
type Catalog struct {
	target  target
	readers *sql.DB
	writers *sql.DB // the same as readers unless the database has one writer at a time
	// prepared has the plans of what is read most; nil for SQLite, which has no
	// use for them.
	prepared *prepared
	// gatherer asks for images, bare for images without their locations, and
	// sharer for lists, likewise.
	gatherer *gatherer
	bare     *gatherer
	sharer   *turns.Group[[]*glance.Image]
	lanes    *lanes // at the connections to a server; nil for SQLite
	now      func() time.Time
	owner    string
	// window is how many images a page is looked for among before the planner
	// decides how to look. Until few, in Unix nanoseconds, there are not even
	// that many.
	window int
	few    atomic.Int64
	// rowsEach is how many rows of a join are read for an image. Until wide, in
	// Unix nanoseconds, there are images with more.
	rowsEach int
	wide     atomic.Int64
}

// The suite in catalogtest holds Catalog to the interface's comments.
var (
	_ glance.Catalog     = (*Catalog)(nil)
	_ glance.BareCatalog = (*Catalog)(nil)
)

// Open returns the catalog at a URL as SQLAlchemy writes it:
// mysql+pymysql://USER:PASSWORD@HOST:PORT/DATABASE?charset=utf8 or
// sqlite:////absolute/path. It connects to nothing yet, so that a service can
// start before its database; Check says whether the database can be used. No
// error of Open or of the Catalog shows the password.
func Open(url string, o Options) (*Catalog, error) {
	t, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if t.dialect.seal, err = seal.New(o.Key); err != nil {
		return nil, err
	}
	c := &Catalog{target: t, now: o.Now, owner: o.Owner, window: 2000, rowsEach: rowsEach}
	if c.now == nil {
		c.now = time.Now
	}
	switch {
	case o.MaxOpen == 0:
		o.MaxOpen = 20
	case o.MaxOpen < 0:
		o.MaxOpen = manyOpen
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = time.Hour
	}
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	if err := t.open(c, o); err != nil {
		return nil, err
	}
	return c, nil
}

// Close closes the connections. Calls that still run fail.
func (c *Catalog) Close() error {
	if c.target.server != nil {
		// All that can go wrong is that the server has closed them already.
		c.readers.Close()
		return nil
	}
	return errors.Join(c.readers.Close(), c.writers.Close())
}

// time returns the current time as the catalog keeps it.
func (c *Catalog) time() time.Time { return c.now().UTC().Truncate(time.Second) }

// read runs f on one consistent state of the database.
func (c *Catalog) read(ctx context.Context, f func(tx *sql.Tx) error) error {
	return c.connected(ctx, func() error {
		tx, err := c.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := f(tx); err != nil {
			return err
		}
		return tx.Commit()
	})
}

// write runs f and commits what it did, unless it fails. When the database
// gives up on the transaction to let another one through, f runs again: it
// must have no effect but those on tx.
func (c *Catalog) write(ctx context.Context, f func(tx *sql.Tx) error) error {
	return c.connected(ctx, func() error {
		tx, err := c.writers.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := f(tx); err != nil {
			return err
		}
		return tx.Commit()
	})
}

// connected is retry for an f that uses one connection at a time, as soon as
// there is one.
func (c *Catalog) connected(ctx context.Context, f func() error) error {
	return c.retry(ctx, func() error { return c.lanes.use(ctx, f) })
}

// attempts is how often a transaction that meets others is tried. Twenty
// writers on one row need about as many turns in the worst case.
const attempts = 25

// retry calls f until it does not fail for want of a lock, and returns its
// error in the terms of package glance.
func (c *Catalog) retry(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !c.target.dialect.again(err) {
			return c.target.dialect.translate(err)
		}
		if try == attempts {
			return fmt.Errorf("%w: database is busy: %v", glance.ErrUnavailable, err)
		}
		// The pause grows and is uneven, so that two that met do not meet again.
		pause := time.Duration(try) * time.Duration(1+rand.IntN(10)) * time.Millisecond
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
