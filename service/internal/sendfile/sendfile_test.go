package sendfile

import (
	"net"
	"runtime"
	"testing"
	"time"
)

// A connection that is full for longer is left to the poller, and so is one
// for which there is no thread.
func TestWait(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
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
