package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"glancectl/service/internal/quickhttp"
	"glancectl/service/internal/sqlcatalog"
)

// headerTimeout is how long a client may take for the head of a request once
// it has begun it, unless client_socket_timeout is shorter.
const headerTimeout = 30 * time.Second

// headLimit is how long a client may take for the head of a request.
func (p *process) headLimit() time.Duration {
	if idle := p.Server.IdleTimeout; idle > 0 {
		return min(headerTimeout, idle)
	}
	return headerTimeout
}

// limit is how long the end of the process may take.
func (p *process) limit() time.Duration {
	if p.Server.ShutdownTimeout == 0 {
		return 24 * time.Hour // as long as it takes
	}
	return p.Server.ShutdownTimeout
}

// serve answers requests until ctx ends. It then takes no new ones, finishes
// those it has, and breaks off what is left after the limit.
func (p *process) serve(ctx context.Context, h http.Handler, catalog *sqlcatalog.Catalog) error {
	if p.Server.Workers > 0 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(p.Server.Workers))
	}
	l, err := p.listen(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	pid := p.Server.PIDFile
	if p.o.PIDFile != "" {
		pid = p.o.PIDFile
	}
	if pid != "" {
		if err := writePID(pid); err != nil {
			return p.fault("[DEFAULT] pid_file: %w", err)
		}
		defer os.Remove(pid)
	}
	defer runtime.KeepAlive(ballast())
	defer debug.SetGCPercent(debug.SetGCPercent(collectAt))
	requests := &underway{next: h}
	server := &quickhttp.Server{Small: p.small(), HTTP: &http.Server{
		Handler:           requests,
		ReadHeaderTimeout: p.headLimit(),
		IdleTimeout:       p.Server.IdleTimeout,
		MaxHeaderBytes:    max(p.Server.MaxHeader, maxHeaders),
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}}
	server.HTTP.SetKeepAlivesEnabled(p.Server.KeepAlive)

	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() { p.checkCatalog(ctx, catalog) })
	serving, stop := context.WithCancel(ctx)
	defer stop()
	background.Go(func() { requests.giveBack(serving, time.Tick(quiet), debug.FreeOSMemory) })
	ended := make(chan error, 1)
	background.Go(func() { ended <- server.Serve(l) })
	p.started(l.Addr())
	return p.await(ctx, server, requests, ended)
}

// collectAt is after how much garbage the collector begins, in percent of what
// is in use and the ballast. Where little is in use, that is three times as
// much as it would be without either, and where 16 MiB are, as much.
const collectAt = 50

// ballast returns memory that is never written to, and so takes no room, but
// counts for the collector of garbage. What the service keeps is so little
// that under load the collector would run a hundred times a second.
func ballast() []byte { return make([]byte, 16<<20) }

// started tells everybody who waits for it.
func (p *process) started(addr net.Addr) {
	p.log.Info("started", slog.String("version", p.o.Version), slog.String("address", addr.String()),
		slog.Int("workers", runtime.GOMAXPROCS(0)))
	p.notify("READY=1")
	if err := p.detach(); err != nil {
		p.log.Warn("standard error is not given up", slog.Any("error", err))
	}
	if p.o.Ready != nil {
		p.o.Ready(addr)
	}
}

// await reopens the log whenever it is told to, and shuts the server down when
// ctx ends.
func (p *process) await(ctx context.Context, server *quickhttp.Server, requests *underway, ended <-chan error) error {
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("serve: %w", err) // nobody has asked it to end
		case <-p.o.Hangup:
			p.notify("RELOADING=1")
			if err := p.output.Reopen(); err != nil {
				p.log.Error("the log stays in its old file", slog.Any("error", err))
			}
			p.notify("READY=1")
		case <-ctx.Done():
			return p.shutDown(ctx, server, requests)
		}
	}
}

// cleanUp is how long requests that were broken off may take to put things in
// order: an upload takes back what it wrote.
const cleanUp = 10 * time.Second

func (p *process) shutDown(ctx context.Context, server *quickhttp.Server, requests *underway) error {
	p.notify("STOPPING=1")
	p.log.Info("stopping")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.limit())
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		p.log.Warn("requests were broken off", slog.Duration("after", p.limit()))
		err = server.Close()
	}
	if !requests.wait(cleanUp) {
		p.log.Error("requests that were broken off did not end", slog.Duration("after", cleanUp))
	}
	p.log.Info("stopped")
	return err
}

// An underway knows whether requests are under way. The server does not, once
// their connections are closed.
type underway struct {
	next   http.Handler
	mu     sync.RWMutex // held for reading by every request
	served atomic.Uint64
}

// quiet is how long there is nothing to do before memory is given back.
const quiet = 5 * time.Second

// giveBack calls free, until ctx ends, whenever there was something to do and
// then, between two ticks, nothing.
func (u *underway) giveBack(ctx context.Context, ticks <-chan time.Time, free func()) {
	var last, freed uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		now := u.served.Load()
		if now == last && now != freed {
			free()
			freed = now
		}
		last = now
	}
}

// ServeHTTP implements http.Handler.
func (u *underway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !u.mu.TryRLock() {
		panic(http.ErrAbortHandler) // it came after its connection was closed
	}
	defer u.mu.RUnlock()
	u.served.Add(1)
	u.next.ServeHTTP(w, r)
}

// wait waits for the requests, which must have been told to end, and lets no
// others begin. It returns false if they take too long.
func (u *underway) wait(limit time.Duration) bool {
	ended := make(chan struct{})
	go func() {
		u.mu.Lock()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-time.After(limit):
		return false // the process ends with the goroutine
	}
}

// listen opens the socket that the configuration names. An address that was
// in use until just now can be taken at once (SO_REUSEADDR, as always in Go).
func (p *process) listen(ctx context.Context) (net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: p.Server.TCPKeepIdle}}
	address := net.JoinHostPort(p.Server.Host, strconv.Itoa(p.Server.Port))
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, p.fault("[DEFAULT] bind_host, bind_port: %w", err)
	}
	if err := setBacklog(l.(*net.TCPListener), p.Server.Backlog); err != nil {
		return nil, errors.Join(p.fault("[DEFAULT] backlog: %w", err), l.Close())
	}
	return l, nil
}

// setBacklog sets how many connections may wait to be accepted. Go asks the
// system for as many as it allows; to listen again changes that.
func setBacklog(l *net.TCPListener, n int) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var lerr error
	if err := raw.Control(func(fd uintptr) { lerr = syscall.Listen(int(fd), n) }); err != nil {
		return err
	}
	return lerr
}

// writePID puts the number of this process into a file that readers see whole
// or not at all.
func writePID(path string) error {
	next := path + ".new"
	if err := os.WriteFile(next, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// notify tells systemd how it is, if systemd asked to be told.
func (p *process) notify(state string) {
	if err := notify(os.Getenv("NOTIFY_SOCKET"), state); err != nil {
		p.log.Warn("systemd was not told", slog.String("state", state), slog.Any("error", err))
	}
}

// notify sends a datagram to a socket; one that begins with @ has no file.
func notify(socket, state string) error {
	if socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(state))
	return errors.Join(err, c.Close())
}
