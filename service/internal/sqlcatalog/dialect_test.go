package sqlcatalog

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"glancectl/service/glance"
)

func TestTranslate(t *testing.T) {
	server := func(code uint16) error {
		return fmt.Errorf("begin: %w", &mysql.MySQLError{Number: code, Message: "said the server"})
	}
	other := errors.New("something else")
	for _, test := range []struct {
		err   error
		again bool
		want  error
	}{
		{server(1213), true, nil},
		{server(1205), true, nil},
		{server(1020), true, nil},
		{server(1406), false, glance.ErrInvalid},
		{server(1366), false, glance.ErrInvalid},
		{server(1264), false, glance.ErrInvalid},
		{server(1040), false, glance.ErrUnavailable},
		{server(1045), false, glance.ErrUnavailable},
		{server(1047), false, glance.ErrUnavailable},
		{server(1049), false, glance.ErrUnavailable},
		{server(1146), false, glance.ErrUnavailable},
		{&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, false, glance.ErrUnavailable},
		{driver.ErrBadConn, false, glance.ErrUnavailable},
		{mysql.ErrInvalidConn, false, glance.ErrUnavailable},
		{context.DeadlineExceeded, false, context.DeadlineExceeded},
		{other, false, other},
		{fmt.Errorf("x: %w", glance.ErrNotFound), false, glance.ErrNotFound},
	} {
		if got := mariadb.again(test.err); got != test.again {
			t.Errorf("again(%v) = %t; want %t", test.err, got, test.again)
		}
		if got := mariadb.translate(test.err); test.want != nil && !errors.Is(got, test.want) {
			t.Errorf("translate(%v) = %v; want %v", test.err, got, test.want)
		}
	}
}

// A transaction that always meets another one is given up in the end, and at
// once when the caller is gone.
func TestRetry(t *testing.T) {
	c := &Catalog{target: target{dialect: mariadb}}
	tries := 0
	deadlock := func() error {
		tries++
		return &mysql.MySQLError{Number: mysqlDeadlock}
	}
	if err := c.retry(t.Context(), deadlock); !errors.Is(err, glance.ErrUnavailable) || tries != attempts {
		t.Errorf("retry of endless deadlocks = %v after %d tries; want %v after %d", err, tries, glance.ErrUnavailable, attempts)
	}
	ctx, cancel := context.WithCancel(t.Context())
	tries = 0
	err := c.retry(ctx, func() error {
		cancel()
		return deadlock()
	})
	if !errors.Is(err, context.Canceled) || tries != 1 {
		t.Errorf("retry for a caller who left = %v after %d tries; want %v after 1", err, tries, context.Canceled)
	}
	tries = 0
	err = c.retry(t.Context(), func() error {
		if tries == 3 {
			return nil
		}
		return deadlock()
	})
	if err != nil || tries != 3 {
		t.Errorf("retry = %v after %d tries; want success after 3", err, tries)
	}
}

func TestStamp(t *testing.T) {
	want := time.Date(2024, 2, 29, 23, 59, 58, 120_000_000, time.UTC)
	for _, v := range []any{
		"2024-02-29 23:59:58.120000",
		[]byte("2024-02-29 23:59:58.12"),
		want,
		want.In(time.FixedZone("far", 3600)),
	} {
		var s stamp
		if err := s.Scan(v); err != nil || !s.Equal(want) || s.Location() != time.UTC || s.pointer() == nil {
			t.Errorf("Scan(%v) = %v, %v; want %v", v, s.Time, err, want)
		}
	}
	var s stamp
	if err := s.Scan(nil); err != nil || s.pointer() != nil {
		t.Errorf("Scan(nil) = %v, %v; want none", s.pointer(), err)
	}
	for _, v := range []any{"yesterday", int64(5)} {
		if err := s.Scan(v); err == nil {
			t.Errorf("Scan(%v) succeeds", v)
		}
	}
}

// A server that was restarted has dropped all connections. Nobody notices.
func TestDroppedConnections(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	wipe(t, url)
	c, killer := synced(t, url), open(t, url)
	im := &glance.Image{ID: "71c675ab-d94f-49cd-a114-e12490b328d9", Status: glance.Queued, Visibility: glance.Shared}
	for i := range 3 {
		processes := cells(t, killer, `SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND db = DATABASE()`)
		if len(processes) == 0 {
			t.Fatal("the catalog keeps no connection")
		}
		for _, p := range processes {
			// One may have gone by itself meanwhile: then its thread is unknown.
			if _, err := killer.writers.ExecContext(t.Context(), `KILL CONNECTION `+p); err != nil && !strings.Contains(err.Error(), "1094") {
				t.Fatalf("KILL CONNECTION %s: %v", p, err)
			}
		}
		im.ID = im.ID[:len(im.ID)-1] + glance.ID(fmt.Sprint(i))
		if err := c.Create(t.Context(), im); err != nil {
			t.Errorf("Create after the connections were dropped: %v", err)
		}
		if _, err := c.Get(t.Context(), im.ID, false); err != nil {
			t.Errorf("Get after the connections were dropped: %v", err)
		}
	}
}
