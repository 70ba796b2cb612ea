package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
)

// As many connections stay open as are to be kept, and no more are opened than
// there may be.
func TestPool(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	synced(t, url)
	for _, test := range []struct {
		o          Options
		idle, most int
	}{
		{Options{Keep: 1, MaxOpen: 3, IdleTimeout: -1}, 1, 3},
		{Options{MaxOpen: 3}, 3, 3},
		{Options{Keep: 2, MaxOpen: -1}, 2, manyOpen},
	} {
		c, err := Open(url, test.o)
		if err != nil {
			t.Fatal(err)
		}
		var at, done sync.WaitGroup
		at.Add(3)
		for range 3 {
			done.Go(func() {
				if err := c.read(t.Context(), func(*sql.Tx) error {
					at.Done()
					at.Wait()
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		if s := c.readers.Stats(); s.Idle != test.idle || s.MaxOpenConnections != test.most {
			t.Errorf("%+v: %d of %d connections stay open; want %d of %d", test.o, s.Idle, s.MaxOpenConnections, test.idle, test.most)
		}
		c.Close()
	}
}

// Whoever waits for a connection is told after the time that was set.
func TestPoolWait(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	synced(t, url)
	c, err := Open(url, Options{MaxOpen: 1, Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.read(t.Context(), func(*sql.Tx) error {
		return c.read(t.Context(), func(*sql.Tx) error { return nil })
	})
	if !errors.Is(err, glance.ErrUnavailable) {
		t.Errorf("a second reader: %v; want %v", err, glance.ErrUnavailable)
	}
}

// A server that is not there yet is waited for, and one that refuses is not.
func TestAwait(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	c, err := Open("mysql://u:p@"+at+"/glance", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Await(t.Context(), 3, time.Millisecond); !errors.Is(err, glance.ErrUnavailable) {
		t.Errorf("Await of nobody = %v; want %v", err, glance.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Await(ctx, -1, time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Await for ever = %v; want %v", err, context.DeadlineExceeded)
	}
	file, err := Open("sqlite:////nowhere/glance.sqlite", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Await(t.Context(), 3, time.Hour); err != nil {
		t.Errorf("Await of a file = %v", err)
	}
	url := mariaDB(t)
	if url == "" {
		return
	}
	there, err := Open(url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if err := there.Await(t.Context(), 1, time.Hour); err != nil {
		t.Errorf("Await of a server = %v", err)
	}
	other, err := Open(strings.Replace(url, "/glance", "/nothing", 1), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Await(t.Context(), -1, time.Hour); !errors.Is(err, glance.ErrUnavailable) {
		t.Errorf("Await of a database that is not there = %v; want %v, at once", err, glance.ErrUnavailable)
	}
}
