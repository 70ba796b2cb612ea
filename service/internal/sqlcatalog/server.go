package sqlcatalog

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"

	"glancectl/service/glance"
	"glancectl/service/internal/turns"
)

// A server that is stopped, or behind a network that drops what it is sent, is
// not away by any sign but silence. Requests do not end with their callers
// while it is asked something, so everything that is awaited of it has an end.

// manyOpen is any number of connections: more than a server has.
const manyOpen = 1 << 16

// connectTime is how long a server may take to let somebody in.
const connectTime = 10 * time.Second

// connect gives c its pool of connections to a server.
func (c *Catalog) connect(to *mysql.Config, o Options) error {
	to = to.Clone()
	opening, free := connectTime, o.Patience
	if o.Patience > 0 {
		to.ReadTimeout, to.WriteTimeout = o.Patience, o.Patience
		opening, free = min(opening, o.Patience), o.Patience/2
	}
	if o.Wait > 0 {
		free = o.Wait
	}
	connector, err := mysql.NewConnector(to)
	if err != nil {
		return errors.New("database connection: the driver refuses these settings")
	}
	c.readers = sql.OpenDB(door{connector, opening})
	c.writers = c.readers
	c.prepared = &prepared{db: c.readers, known: make(map[string]*plan)}
	c.lanes = &lanes{slots: make(chan struct{}, o.MaxOpen), patience: free}
	c.sharer = new(turns.Group[[]*glance.Image])
	c.gatherer = &gatherer{read: func(ctx context.Context, ids []glance.ID) (list []*glance.Image, err error) {
		err = c.lanes.use(ctx, func() error {
			list, err = c.target.dialect.whole(ctx, c.prepared, ids, wholeOptions{})
			return err
		})
		return list, err
	}}
	c.bare = &gatherer{read: func(ctx context.Context, ids []glance.ID) (list []*glance.Image, err error) {
		err = c.lanes.use(ctx, func() error {
			list, err = c.readBare(ctx, ids)
			return err
		})
		return list, err
	}}
	c.readers.SetConnMaxLifetime(o.IdleTimeout)
	c.readers.SetMaxIdleConns(cmp.Or(o.Keep, o.MaxOpen))
	c.readers.SetMaxOpenConns(o.MaxOpen)
	return nil
}

// Await returns when the database can be asked something, or else the error of
// the last of so many tries, with a pause between two; a negative number means
// that it goes on for ever. A server that refuses the user is not asked again.
// A file needs no waiting for.
func (c *Catalog) Await(ctx context.Context, tries int, pause time.Duration) error {
	if c.target.server == nil {
		return nil
	}
	for try := 1; ; try++ {
		err := c.readers.PingContext(ctx)
		if err == nil || ctx.Err() != nil {
			return cmp.Or(ctx.Err(), err)
		}
		server, _ := codes(err)
		err = c.target.dialect.translate(err)
		refused := server == mysqlDenied || server == mysqlDatabaseDenied || server == mysqlNoDatabase
		if refused || !errors.Is(err, glance.ErrUnavailable) || tries >= 0 && try >= tries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// A door is a driver.Connector that does not wait for a server which takes a
// connection and then says nothing.
type door struct {
	driver.Connector
	patience time.Duration
}

// Connect implements driver.Connector.
func (d door) Connect(ctx context.Context) (driver.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	conn, err := d.Connector.Connect(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: database does not answer within %v", glance.ErrUnavailable, d.patience)
	}
	return conn, err
}

// lanes let as many callers use connections at once as there are connections,
// and have the others wait for a while. The pool would have them wait for ever.
type lanes struct {
	slots    chan struct{}
	patience time.Duration // negative means for ever
}

// use calls f when there is a lane. f uses one connection at a time and does
// not call use. Nil lanes let everybody through.
func (l *lanes) use(ctx context.Context, f func() error) error {
	if l == nil {
		return f()
	}
	select {
	case l.slots <- struct{}{}:
	default:
		if err := l.wait(ctx); err != nil {
			return err
		}
	}
	defer func() { <-l.slots }()
	return f()
}

// wait takes a slot as soon as there is one.
func (l *lanes) wait(ctx context.Context) error {
	var late <-chan time.Time // never
	if l.patience >= 0 {
		timer := time.NewTimer(l.patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late:
		return fmt.Errorf("%w: all %d connections to the database have been in use for %v", glance.ErrUnavailable, cap(l.slots), l.patience)
	}
}
