package service_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// raw sends text on a connection of its own and returns the codes of all
// answers until the service closes the connection, which it must soon; open
// says that it has not.
func (d *daemon) raw(text string) (codes []int, open bool) {
	d.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		d.t.Fatal(err)
	}
	_, _ = io.WriteString(c, text) // it may close before it has read all
	in := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return codes, errors.Is(err, os.ErrDeadlineExceeded)
		}
		codes = append(codes, resp.StatusCode)
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return codes, errors.Is(err, os.ErrDeadlineExceeded)
		}
		resp.Body.Close()
	}
}

// A request whose end a proxy may see elsewhere is the last one of its
// connection: what a stranger has put behind it is never carried out.
func TestRequestSmuggling(t *testing.T) {
	s := newSite(t)
	d := s.api("[DEFAULT]\nclient_socket_timeout = 1\n")
	smuggled := "DELETE /v2/images/" + imageA + " HTTP/1.1\r\nHost: x\r\nX-Auth-Token: alice\r\n\r\n"
	head := "POST /v2/images HTTP/1.1\r\nHost: x\r\nX-Auth-Token: bob\r\nContent-Type: application/json\r\n"
	chunk := "2\r\n{}\r\n0\r\n\r\n"
	d.create(imageA, "data", as("alice")...)
	for name, text := range map[string]string{
		"both lengths":                        head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"both lengths, the other way round":   head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunk,
		"two lengths":                         head + "Content-Length: 2\r\nContent-Length: 0\r\n\r\n{}",
		"two lengths in one":                  head + "Content-Length: 2, 0\r\n\r\n{}",
		"length with a sign":                  head + "Content-Length: +2\r\n\r\n{}",
		"negative length":                     head + "Content-Length: -2\r\n\r\n{}",
		"length in hex":                       head + "Content-Length: 0x2\r\n\r\n{}",
		"length over two lines":               head + "Content-Length: 2\r\n 0\r\n\r\n{}",
		"length before a space":               head + "Content-Length : 2\r\n\r\n{}",
		"encoding before a space":             head + "Transfer-Encoding : chunked\r\n\r\n" + chunk,
		"unknown encoding":                    head + "Transfer-Encoding: xchunked\r\n\r\n" + chunk,
		"two encodings":                       head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunk,
		"encodings in one":                    head + "Transfer-Encoding: identity, chunked\r\n\r\n" + chunk,
		"encoding after a tab":                head + "Transfer-Encoding:\vchunked\r\n\r\n" + chunk,
		"encoding of an old version":          strings.Replace(head, "HTTP/1.1", "HTTP/1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n" + chunk,
		"chunk that ends in a line feed":      head + "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
		"chunk of a negative length":          head + "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
		"chunk that is longer than it says":   head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
		"chunk with a huge length":            head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("f", 17) + "\r\n{}\r\n0\r\n\r\n",
		"line that ends in a carriage return": head + "X: y\rContent-Length: 2\r\n\r\n{}",
		"name with a null":                    head + "X\x00: y\r\nContent-Length: 2\r\n\r\n{}",
		"value with a null":                   head + "X: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
		"two hosts":                           head + "Host: y\r\nContent-Length: 2\r\n\r\n{}",
		"line without a colon":                head + "X\r\nContent-Length: 2\r\n\r\n{}",
	} {
		codes, open := d.raw(text + smuggled)
		if len(codes) > 1 || open {
			t.Errorf("%s: answers %v, left open: %t; want at most one answer and the end", name, codes, open)
		}
	}
	d.want(200, "data", "GET", "/v2/images/"+imageA+"/file", "", as("alice")...)
}

// What is no ID leads nowhere, however it is spelled.
func TestPathsForIDs(t *testing.T) {
	s := newSite(t)
	d := s.api("[paste_deploy]\nflavor = keystone+cachemanagement\n")
	secret := s.write("images/secret", "of the server")
	d.create(imageA, "data", as("alice")...)
	spellings := []string{
		"..%2fsecret", "%2e%2e%2fsecret", "..%252fsecret", "secret", "%2fetc%2fpasswd", "..%5csecret", imageA + "%00", imageA + "%2f..%2fsecret", imageA + "%0a",
		strings.ToUpper(imageA), "%7b" + imageA + "%7d", strings.Repeat("a", 300), "-", "%", "..", ".",
	}
	for _, id := range spellings {
		for _, call := range []string{
			"GET /v2/images/%s", "DELETE /v2/images/%s", "GET /v2/images/%s/file", "PUT /v2/images/%s/file", "PUT /v2/images/%s/stage", "GET /v2/images/%s/members",
			"PUT /v2/cache/%s", "DELETE /v2/cache/%s", "PUT /v2/queued_images/%s", "DELETE /v2/cached_images/%s", "GET /v2/tasks/%s", "DELETE /v2/stores/file/%s",
			"GET /v1/images/%s", "HEAD /v1/images/%s", "DELETE /v1/images/%s", "PUT /v1/images/%s",
		} {
			line := fmt.Sprintf(call, id)
			codes, _ := d.raw(line + " HTTP/1.1\r\nHost: x\r\nX-Auth-Token: admin\r\nContent-Type: " + octets + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			// Those two are for admins and know the names in the cache's own
			// directory only.
			harmless := strings.HasPrefix(call, "PUT /v2/queued") || strings.HasPrefix(call, "DELETE /v2/cached") ||
				strings.HasPrefix(call, "GET /v2/images/%s") && (id == "." || id == "..") // proxies and clients clean such paths
			if len(codes) != 1 || codes[0] < 300 && !harmless || codes[0] >= 500 {
				t.Errorf("%s = %v; want a refusal", line, codes)
			}
		}
	}
	for _, id := range []string{"../secret", "secret", "/etc/passwd", imageA + "\\n", "", ".", imageA[:35]} {
		d.want(400, "", "POST", "/v2/images", `{"id": "`+id+`"}`, as("alice")...)
		if a := d.call("POST", "/v1/images", "data", as("alice", "X-Image-Meta-Id", strings.TrimSuffix(id, "\\n"), "X-Image-Meta-Name", "x",
			"X-Image-Meta-Disk-Format", "raw", "X-Image-Meta-Container-Format", "bare")...); a.code < 400 && id != "" && id != imageA+"\\n" {
			t.Errorf("POST to v1 with ID %q = %d", id, a.code)
		}
	}
	if text, err := os.ReadFile(secret); string(text) != "of the server" {
		t.Errorf("the file beside the images is %q, %v", text, err)
	}
	d.want(200, "data", "GET", "/v2/images/"+imageA+"/file", "", as("alice")...)
}

// A client that takes its time over the head of a request does not keep a
// connection for longer than client_socket_timeout, however it goes about it;
// nor does one that asks for nothing.
func TestSlowHeads(t *testing.T) {
	s := newSite(t)
	d := s.api("[DEFAULT]\nclient_socket_timeout = 1\n")
	for name, text := range map[string]string{
		"nothing":         "",
		"half a line":     "GET /v2/im",
		"half a head":     "GET /v2/images HTTP/1.1\r\nHost: x\r\n",
		"after a request": "GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slow := strings.HasPrefix(name, "half") // a byte now and then, as long as somebody takes it
			if took := d.hang(t, text, slow); took > 8*time.Second {
				t.Errorf("the connection is still open after %v", took)
			}
		})
	}
}

// hang sends the beginning of a request, and more of it very slowly if slow,
// and returns how long the service puts up with it, ten seconds at most.
func (d *daemon) hang(t *testing.T, text string, slow bool) time.Duration {
	c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := c.SetDeadline(begun.Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if slow {
		go func() {
			for tick := time.Tick(100 * time.Millisecond); ; <-tick {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		}()
	}
	_, _ = io.Copy(io.Discard, c) // how it ends does not matter
	return time.Since(begun)
}
