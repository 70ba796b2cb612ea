package service_test

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"glancectl/service"
)

// TestRegistryLog: the registry logs what debug and verbose of its own file say,
// and to the file that is named there.
func TestRegistryLog(t *testing.T) {
	for _, test := range []struct {
		options     string
		info, debug bool
	}{
		{"verbose = False\n", false, false},
		{"verbose = True\n", true, false},
		{"verbose = False\ndebug = True\n", true, true},
	} {
		s := newSite(t)
		conf := s.conf("registry", "[DEFAULT]\nlog_file = DIR/registry.log\nolive = green\n"+test.options)
		d := start(t, service.RunRegistry, service.Options{Files: []string{conf}})
		d.want(200, "", "GET", "/images", "")
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(s.path("registry.log"))
		if err != nil {
			t.Fatal(err)
		}
		if info := strings.Contains(string(text), `"GET /images HTTP/1.1" 200`); info != test.info {
			t.Errorf("with %q the request is in the log: %t; want %t", test.options, info, test.info)
		}
		if debug := strings.Contains(string(text), " DEBUG "); debug != test.debug {
			t.Errorf("with %q there are debugging lines in the log: %t; want %t", test.options, debug, test.debug)
		}
	}
}

// An emptyServer speaks as much of MySQL as it takes to log in and to be told that
// there is no such table. It counts who logs in.
func emptyServer(t *testing.T, logins *atomic.Int64) net.Addr {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			logins.Add(1)
			go func() {
				defer c.Close()
				serveNothing(c)
			}()
		}
	}()
	return l.Addr()
}

// serveNothing talks to one client until that goes.
func serveNothing(c net.Conn) {
	send := func(number byte, payload string) error {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
		b[3] = number
		_, err := c.Write(append(b, payload...))
		return err
	}
	const (
		ok     = "\x00\x00\x00\x02\x00\x00\x00"
		absent = "\xff\x7a\x04#42S02no such table" // 1146
		// Version, thread, half of what to scramble passwords with, what it can
		// do, charset, status, the other half and how that is done.
		greeting = "\x0a10.11.0\x00\x01\x00\x00\x00abcdefgh\x00\x00\xa2\x21\x02\x00\x08\x00\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00ijklmnopqrst\x00mysql_native_password\x00"
	)
	if send(0, greeting) != nil {
		return
	}
	for login := true; ; login = false {
		head := make([]byte, 4)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		number := head[3]
		head[3] = 0
		payload := make([]byte, binary.LittleEndian.Uint32(head))
		if _, err := io.ReadFull(c, payload); err != nil {
			return
		}
		answer := absent
		text := strings.ToUpper(string(payload[1:]))
		if login || payload[0] == 0x0e || payload[0] == 0x03 && !strings.HasPrefix(text, "SELECT") {
			answer = ok
		}
		if send(number+1, answer) != nil {
			return
		}
	}
}

// TestRegistryIdleTimeout: the registry's connections to the database get as old
// as its own file says, by either name of the option.
func TestRegistryIdleTimeout(t *testing.T) {
	for _, option := range []string{"[DEFAULT]\nsql_idle_timeout = 1\n", "[database]\nconnection_recycle_time = 1\n"} {
		t.Run(strings.Fields(option)[1], func(t *testing.T) {
			t.Parallel()
			s := &site{t, t.TempDir()}
			var logins atomic.Int64
			at := emptyServer(t, &logins)
			d := start(t, service.RunRegistry, service.Options{Files: []string{
				s.conf("registry", option+"[database]\nconnection = mysql+pymysql://glance:x@"+at.String()+"/glance\nmax_retries = 0\n"),
			}})
			ask := func() { d.call("GET", "/images", "") }
			ask()
			ask()
			begun := logins.Load()
			if begun == 0 {
				t.Fatal("the database is not asked")
			}
			eventually(t, "another connection to be made", func() bool { ask(); return logins.Load() > begun })
		})
	}
}
