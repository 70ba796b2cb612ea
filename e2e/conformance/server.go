package conformance

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answerLimit is how long a server may take for one answer, and how long a
// script waits for what happens in the background.
const answerLimit = 30 * time.Second

// A Server is one of the two that are compared.
type Server struct {
	Name   string
	Addr   string            // host:port
	Tokens map[string]string // by persona
	// Vars are what scripts can name, by the server's own values.
	Vars map[string]string
	// Hide is what only this server says, and what stands for it.
	Hide map[string]string
}

// An Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// send sends a step, its variables replaced, and waits for the answer. Every
// request has a connection of its own and goes out byte by byte as written, so
// that nothing between script and server mends it.
func (s *Server) send(ctx context.Context, step Step, vars map[string]string) (Answer, error) {
	request, err := s.request(step, vars)
	if err != nil {
		return Answer{}, fmt.Errorf("line %d: %w", step.Line, err)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return Answer{}, err
	}
	// A server may answer and close before it has read everything.
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(request)
		sent <- err
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: step.Method})
	if err != nil {
		conn.Close()
		return Answer{}, fmt.Errorf("%s: line %d: %s: %w (sent: %v)", s.Name, step.Line, step.Text, err, <-sent)
	}
	defer resp.Body.Close()
	body, err := readBody(resp)
	conn.Close()
	<-sent // the answer is there: what was not sent is of no interest
	if err != nil {
		return Answer{}, fmt.Errorf("%s: line %d: %s: %w", s.Name, step.Line, step.Text, err)
	}
	if resp.ContentLength >= 0 {
		resp.Header.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	return Answer{resp.StatusCode, resp.Header, body}, nil
}

// readBody reads a body, unpacked if it is packed: what the packed bytes are is
// the packer's matter.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(resp.Body)
	}
	z, err := gzip.NewReader(resp.Body)
	if errors.Is(err, io.EOF) {
		return nil, nil // there is no body
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// request is a step as it goes over the wire.
func (s *Server) request(step Step, vars map[string]string) ([]byte, error) {
	var b bytes.Buffer
	target, err := finish(step.Target, vars)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nConnection: close\r\n", step.Method, target)
	if !hasHeader(step.Headers, "Host") {
		fmt.Fprintf(&b, "Host: %s\r\n", s.Addr)
	}
	if step.Who != "nobody" {
		token, ok := s.Tokens[step.Who]
		if !ok {
			return nil, fmt.Errorf("there is no persona %q", step.Who)
		}
		fmt.Fprintf(&b, "X-Auth-Token: %s\r\n", token)
	}
	for _, h := range step.Headers {
		if h, err = finish(h, vars); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s\r\n", h)
	}
	body := step.Body
	if len(body) < 1<<16 && !bytes.Contains(body, []byte{0}) { // text
		text, err := finish(string(body), vars)
		if err != nil {
			return nil, err
		}
		body = []byte(text)
	}
	switch {
	case step.Chunked:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n")
		if len(body) > 0 {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(body), body)
		}
		fmt.Fprintf(&b, "0\r\n\r\n")
	case step.HasBody && !hasHeader(step.Headers, "Content-Length"):
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	default:
		fmt.Fprintf(&b, "\r\n%s", body)
	}
	return b.Bytes(), nil
}

func hasHeader(headers []string, name string) bool {
	for _, h := range headers {
		if n, _, _ := strings.Cut(h, ":"); strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// play sends a step, again and again if it waits for something, and returns
// the answer. What the step keeps is added to vars.
func (s *Server) play(ctx context.Context, step Step, vars map[string]string) (Answer, error) {
	var a Answer
	var err error
	for deadline := time.Now().Add(answerLimit); ; {
		if a, err = s.send(ctx, step, vars); err != nil {
			return a, err
		}
		path, want, _ := strings.Cut(step.Until, "=")
		if want, err = finish(want, vars); err != nil {
			return a, err
		}
		if got, _ := a.at(path); step.Until == "" || got == want {
			break
		}
		if time.Now().After(deadline) {
			return a, fmt.Errorf("%s: line %d: %s: not within %v: %d %s", s.Name, step.Line, step.Text, answerLimit, a.Status, a.Body)
		}
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	for _, c := range step.Capture {
		v, err := a.at(c.From)
		if err != nil {
			return a, fmt.Errorf("%s: line %d: %s: keep %s: %w: %d %s", s.Name, step.Line, step.Text, c.Name, err, a.Status, a.Body)
		}
		vars[c.Name] = v
	}
	return a, nil
}

// at returns a part of the answer: .name.0.name of a JSON body, or a header.
func (a Answer) at(from string) (string, error) {
	if from == "code" {
		return strconv.Itoa(a.Status), nil
	}
	if name, ok := strings.CutPrefix(from, "header:"); ok {
		if v := a.Header.Get(name); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("there is no header %s", name)
	}
	var v any
	if err := json.Unmarshal(a.Body, &v); err != nil {
		return "", err
	}
	for _, name := range strings.Split(strings.TrimPrefix(from, "."), ".") {
		switch o := v.(type) {
		case map[string]any:
			v = o[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(o) {
				return "", fmt.Errorf("there is no %s", from)
			}
			v = o[i]
		default:
			return "", fmt.Errorf("there is no %s", from)
		}
	}
	if v == nil {
		return "", fmt.Errorf("there is no %s", from)
	}
	if text, err := json.Marshal(v); err == nil && !isText(v) {
		return string(text), nil
	}
	return fmt.Sprint(v), nil
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}
