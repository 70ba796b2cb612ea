package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
)

// A relay stands between a catalog and its server. While it is stopped it
// takes connections, and passes on nothing.
type relay struct {
	net.Listener
	server string

	mu    sync.Mutex
	going chan struct{} // closed while it passes on
}

// newRelay returns a relay to the socket of a test server and the URL to reach
// it by; none if the server has no socket. It ends when all have left it.
func newRelay(t *testing.T, url string) (r *relay, through string) {
	t.Helper()
	before, server, ok := strings.Cut(url, "unix_socket=")
	if !ok {
		t.Log("the test server has no socket")
		return nil, ""
	}
	socket := filepath.Join(t.TempDir(), "relay")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	r = &relay{Listener: l, server: server, going: make(chan struct{})}
	close(r.going)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return r, before + "unix_socket=" + socket
}

func (r *relay) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", r.server)
	if err != nil {
		return
	}
	defer server.Close()
	var back sync.WaitGroup
	back.Go(func() {
		r.pass(client, server)
		client.Close()
	})
	r.pass(server, client)
	server.Close()
	back.Wait()
}

func (r *relay) pass(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		going := r.going
		r.mu.Unlock()
		<-going
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (r *relay) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.going = make(chan struct{})
}

func (r *relay) goOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.going)
}

// A server that says nothing any more holds nobody for ever, though callers do
// not give up: who asks it, who waits for a connection and who opens one is
// told that it is away, and all is well as soon as it answers again.
func TestSilentServer(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	wipe(t, url)
	synced(t, url)
	r, through := newRelay(t, url)
	if r == nil {
		return
	}
	c, err := Open(through, Options{Patience: 400 * time.Millisecond, MaxOpen: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const id = glance.ID("00000000-0000-4000-8000-00000000000a")
	if err := c.Create(t.Context(), &glance.Image{ID: id, Status: glance.Queued, Visibility: glance.Public}); err != nil {
		t.Fatal(err)
	}
	get := func(ctx context.Context) error {
		_, err := c.Get(ctx, id, false)
		return err
	}
	calls := map[string]func(ctx context.Context) error{
		"get": get,
		"list": func(ctx context.Context) error {
			_, err := c.List(ctx, glance.Query{Limit: 5, Admin: true})
			return err
		},
		"update": func(ctx context.Context) error {
			im := &glance.Image{ID: id, Status: glance.Queued, Visibility: glance.Public}
			changed := im.Clone()
			changed.Visibility = glance.Private
			return c.Update(ctx, im, changed)
		},
	}
	if err := errors.Join(calls["get"](t.Context()), calls["list"](t.Context())); err != nil {
		t.Fatal(err)
	}
	r.stop()
	for round := range 2 { // the first finds connections that were open, the second opens some
		var asking sync.WaitGroup
		for range 3 {
			for name, call := range calls {
				asking.Go(func() {
					if err := call(context.Background()); !errors.Is(err, glance.ErrUnavailable) {
						t.Errorf("round %d: %s of a silent server = %v; want %v", round, name, err, glance.ErrUnavailable)
					}
				})
			}
		}
		asking.Wait() // the test's own time limit ends it if they hang
	}
	r.goOn()
	if err := get(t.Context()); err != nil {
		t.Errorf("get once the server answers again: %v", err)
	}
}

// Transactions that read with statements of which there is no plan yet do not
// wait for each other, though they have all connections.
func TestTransactionsNeedOneConnection(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	synced(t, url)
	c, err := Open(url, Options{MaxOpen: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	order, err := orderOf(nil)
	if err != nil {
		t.Fatal(err)
	}
	var begun, done sync.WaitGroup
	begun.Add(2)
	for range 2 {
		done.Go(func() {
			err := c.read(t.Context(), func(tx *sql.Tx) error {
				begun.Done()
				begun.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				_, _, err := c.list(ctx, c.within(tx), pageQuery{q: glance.Query{Limit: -1, Admin: true}, order: order})
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
}
