package benchservice

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// A target is an HTTP server that is put to work.
type target struct {
	addr  string
	token string // of Keystone; "" for a server that asks for none
}

// patience is how long the whole of a transfer may take.
const patience = 2 * time.Minute

// A conn is a connection for one request after another. It does little more
// than the system calls, so that the machine's time goes to the server.
type conn struct {
	target
	net.Conn
	in *bufio.Reader
}

func (t target) dial(ctx context.Context) (*conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &conn{target: t, Conn: c, in: bufio.NewReaderSize(c, 32<<10)}, nil
}

// head returns the head of a request, with more lines if there are any.
func (t target) head(method, path string, more ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n", method, path, t.addr)
	if t.token != "" {
		fmt.Fprintf(&b, "X-Auth-Token: %s\r\n", t.token)
	}
	for _, line := range more {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// A response is the head of an answer.
type response struct {
	code   int
	length int64
}

// receive reads the head of an answer, which must say how long it is.
func (c *conn) receive() (r response, err error) {
	r.length = -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return r, fmt.Errorf("read an answer: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case first && len(line) >= 12:
			r.code, _ = strconv.Atoi(string(line[9:12])) // 0 is no code
		case len(line) == 0:
			if r.length < 0 && r.code != 204 {
				return r, fmt.Errorf("answer %d does not say how long it is", r.code)
			}
			return r, nil
		case len(line) > 15 && bytes.EqualFold(line[:15], []byte("content-length:")):
			r.length, err = strconv.ParseInt(string(bytes.TrimSpace(line[15:])), 10, 64)
			if err != nil {
				return r, fmt.Errorf("read an answer: %w", err)
			}
		}
	}
}

// do sends a request without a body and returns the body of the answer, which
// must be 200.
func (c *conn) do(request []byte) ([]byte, error) {
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	r, err := c.receive()
	if err != nil {
		return nil, err
	}
	body := make([]byte, max(r.length, 0))
	if _, err := io.ReadFull(c.in, body); err != nil {
		return nil, err
	}
	if r.code != 200 {
		return nil, fmt.Errorf("%s answered %d: %.300s", bytes.SplitN(request, []byte("\r\n"), 2)[0], r.code, body)
	}
	return body, nil
}

// ask is do on a connection of its own.
func (t target) ask(ctx context.Context, method, path string) ([]byte, error) {
	c, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.do(t.head(method, path))
}

// discard sends a request and reads over the answer, which must be 200.
func (c *conn) discard(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	r, err := c.receive()
	if err != nil {
		return err
	}
	if r.code != 200 {
		return fmt.Errorf("%s answered %d", bytes.SplitN(request, []byte("\r\n"), 2)[0], r.code)
	}
	_, err = c.in.Discard(int(r.length))
	return err
}
