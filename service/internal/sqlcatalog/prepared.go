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

// take returns the plan of a statement, which the caller gives back once the
// statement was called.
func (p *prepared) take(ctx context.Context, query string) (*plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.known[query]; ok {
		p.use(known)
		return known, nil
	}
	p.mu.Unlock() // it may take its time: others go on
	stmt, err := p.db.PrepareContext(ctx, query)
	p.mu.Lock()
	if err != nil {
		return nil, err
	}
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

// within is the same in a transaction.
type within struct {
	*prepared
	tx *sql.Tx
}

// QueryContext implements source.
func (w within) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	known, err := w.take(ctx, query)
	if err != nil {
		return nil, err
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
