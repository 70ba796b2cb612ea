package sqlcatalog

import (
	"context"
	"database/sql"
	"sync"
)

// A source answers queries.
type source interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// maxPrepared bounds the statements that a server keeps for each connection.
const maxPrepared = 60

// A prepared is a source that has the server keep the plan of every
// statement: to read, parse and plan a statement is about a third of the
// server's work for a small one. The statements that were not used for longest
// are given up.
type prepared struct {
	db *sql.DB

	mu    sync.Mutex
	known map[string]*plan
	clock uint64
}

type plan struct {
	stmt  *sql.Stmt
	used  uint64 // when it was last asked for
	users int    // who will still call it
	given bool   // up
}

// find returns the plan of a statement if there is one, as take does.
func (p *prepared) find(query string) (*plan, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.known[query]
	if ok {
		p.use(known)
	}
	return known, ok
}

// take returns the plan of a statement, which the caller gives back once the
// statement was called. To make one takes a connection of its own: whoever has
// one already must not wait for it.
func (p *prepared) take(ctx context.Context, query string) (*plan, error) {
	if known, ok := p.find(query); ok {
		return known, nil
	}
	// It may take its time: others go on.
	stmt, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.known[query]; ok { // somebody else was faster
		p.use(known)
		return known, stmt.Close()
	}
	if len(p.known) == maxPrepared {
		p.giveUp()
	}
	fresh := &plan{stmt: stmt}
	p.known[query] = fresh
	p.use(fresh)
	return fresh, nil
}

func (p *prepared) use(known *plan) {
	p.clock++
	known.used = p.clock
	known.users++
}

func (p *prepared) giveBack(known *plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known.users--
	if known.given && known.users == 0 {
		known.stmt.Close() // it has no rows to lose; a server that is gone has no plan either
	}
}

// giveUp forgets the plan that was not used for longest. The caller holds the
// lock.
func (p *prepared) giveUp() {
	oldest, query := p.clock+1, ""
	for text, known := range p.known {
		if known.used < oldest {
			oldest, query = known.used, text
		}
	}
	known := p.known[query]
	delete(p.known, query)
	known.given = true
	if known.users == 0 {
		known.stmt.Close() // as above
	}
}

// QueryContext implements source, each call on a state of its own.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	known, err := p.take(ctx, query)
	if err != nil {
		return nil, err
	}
	defer p.giveBack(known)
	return known.stmt.QueryContext(ctx, args...)
}

// within is the same in a transaction, and has no plans made.
type within struct {
	*prepared
	tx *sql.Tx
}

// QueryContext implements source.
func (w within) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	known, ok := w.find(query)
	if !ok {
		return w.tx.QueryContext(ctx, query, args...)
	}
	defer w.giveBack(known)
	return w.tx.StmtContext(ctx, known.stmt).QueryContext(ctx, args...)
}

// single returns what reads with one statement.
func (c *Catalog) single() source {
	if c.prepared == nil {
		return c.readers
	}
	return c.prepared
}

// within returns what reads with several statements, on the state of tx.
func (c *Catalog) within(tx *sql.Tx) source {
	if c.prepared == nil {
		return tx
	}
	return within{c.prepared, tx}
}
