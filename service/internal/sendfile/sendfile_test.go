package sendfile

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// file makes a file of n bytes.
func file(t *testing.T, n int) (f *os.File, content []byte) {
	t.Helper()
	content = make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(content)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, content
}

// pair returns the two ends of a connection.
func pair(t *testing.T) (server, client *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// What is sent arrives whole, and counts as sent.
func TestSend(t *testing.T) {
	const size = 2*atOnce + 1000
	f, content := file(t, size)
	for _, test := range []struct {
		name         string
		off, n, want int
	}{
		{"all", 0, size, size},
		{"from the middle", 12345, atOnce, atOnce},
		{"past the end", atOnce, size, size - atOnce},
		{"at the end", size, 1, 0},
		{"nothing", 0, 0, 0},
	} {
		part := &Part{File: f, N: int64(test.n), Moved: func() {}}
		limited := &io.LimitedReader{R: f, N: int64(test.n)}
		read := &io.LimitedReader{R: struct{ io.Reader }{f}, N: int64(test.n)}
		for _, form := range []struct {
			name string
			r    io.Reader
			left *int64
		}{{"a part", part, &part.N}, {"a file", limited, &limited.N}, {"no file", read, &read.N}} {
			if _, err := f.Seek(int64(test.off), io.SeekStart); err != nil {
				t.Fatal(err)
			}
			server, client := pair(t)
			got := make(chan []byte, 1)
			go func() {
				b, err := io.ReadAll(client)
				if err != nil {
					t.Errorf("%s, %s: %v", test.name, form.name, err)
				}
				got <- b
			}()
			n, err := new(Sender).Send(server, form.r)
			if n != int64(test.want) || err != nil || *form.left != int64(test.n-test.want) {
				t.Errorf("%s, %s: Send = %d, %v and leaves %d; want %d", test.name, form.name, n, err, *form.left, test.want)
			}
			if err := server.Close(); err != nil {
				t.Error(err)
			}
			if b := <-got; !bytes.Equal(b, content[test.off:test.off+test.want]) {
				t.Errorf("%s, %s: %d bytes arrive, or other ones; want %d", test.name, form.name, len(b), test.want)
			}
		}
	}
}

// The last bytes leave at once, although the connection stays open. A cork
// that stayed in would keep them for 200 ms.
func TestSendKeepsNothingBack(t *testing.T) {
	f, content := file(t, 100)
	server, client := pair(t)
	if n, err := new(Sender).Send(server, &Part{File: f, N: 100}); n != 100 || err != nil {
		t.Fatalf("Send = %d, %v", n, err)
	}
	if err := client.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%q arrives, %v", got, err)
	}
	raw, err := server.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var corked int
	if err := raw.Control(func(fd uintptr) { corked, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK) }); err != nil {
		t.Fatal(err)
	}
	if corked != 0 || err != nil {
		t.Errorf("the connection is still corked: %d, %v", corked, err)
	}
}

// A file that the system does not send is copied.
func TestSendCopies(t *testing.T) {
	fd, err := unix.Eventfd(42, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "event")
	defer f.Close()
	server, client := pair(t)
	if n, err := new(Sender).Send(server, &Part{File: f, N: 8}); n != 8 || err != nil {
		t.Fatalf("Send = %d, %v; want 8", n, err)
	}
	got := make([]byte, 8)
	if _, err := io.ReadFull(client, got); err != nil || got[0]+got[7] != 42 {
		t.Errorf("%v arrives, %v", got, err)
	}
}

// A deadline moves along as long as the client takes something, and no longer.
func TestSendMoves(t *testing.T) {
	const size = 64 << 20
	f, content := file(t, size)
	server, client := pair(t)
	var moved atomic.Int64
	ended := make(chan error, 1)
	go func() {
		_, err := new(Sender).Send(server, &Part{File: f, N: size, Moved: func() {
			moved.Add(1)
			if err := server.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
				t.Error(err)
			}
		}})
		ended <- err
	}()
	got := make([]byte, 0, size)
	for range 3 {
		before := moved.Load()
		for begun := time.Now(); moved.Load() == before; {
			if time.Since(begun) > 10*time.Second {
				t.Fatalf("it is not told that the client takes more than %d bytes", len(got))
			}
			n, err := io.ReadFull(client, got[len(got):len(got)+64<<10])
			if err != nil {
				t.Fatal(err)
			}
			got = got[:len(got)+n]
		}
	}
	if !bytes.Equal(got, content[:len(got)]) {
		t.Errorf("other bytes arrive")
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("for a client that takes nothing: %v; want a deadline", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the client is waited for, and takes nothing")
	}
}

// A connection that is closed is sent to no longer, by whichever end.
func TestSendClosed(t *testing.T) {
	f, _ := file(t, 64<<20)
	for _, ours := range []bool{true, false} {
		server, client := pair(t)
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := new(Sender).Send(server, &Part{File: f, N: 64 << 20})
			ended <- err
		}()
		if _, err := io.ReadFull(client, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		end := client
		if ours {
			end = server
		}
		if err := end.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err == nil || ours != errors.Is(err, net.ErrClosed) {
				t.Errorf("closed by the server: %t: %v", ours, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("closed by the server: %t: it is still sent to", ours)
		}
	}
}

// A connection that is full for longer is left to the poller, and so is one
// for which there is no thread.
func TestWait(t *testing.T) {
	c, _ := pair(t)
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	wait := func(s *Sender) (ready bool) {
		if err := raw.Control(func(fd uintptr) { ready = s.wait(int(fd)) }); err != nil {
			t.Error(err)
		}
		return ready
	}
	s := new(Sender)
	if !wait(s) {
		t.Error("a connection with room is not ready")
	}
	s.waiting.Store(int64(runtime.GOMAXPROCS(0)))
	if wait(s) {
		t.Error("it is waited for although all threads that may wait do")
	}
	s.waiting.Store(0)
	// The system makes room for a while yet.
	for begun := time.Now(); wait(s); {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("a connection from which nobody reads is ready again and again")
		}
		if err := c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(make([]byte, 64<<20)); err == nil {
			t.Fatal("everything was taken")
		}
	}
	if n := s.waiting.Load(); n != 0 {
		t.Errorf("%d threads wait", n)
	}
}
