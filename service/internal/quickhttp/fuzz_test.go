package quickhttp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// echo answers with all that it sees of a request, so that two servers which
// understand a request in two ways answer it in two ways. Paths that end with a
// number have an answer of that status.
func echo(w http.ResponseWriter, r *http.Request) {
	var names []string
	for name, values := range r.Header {
		names = append(names, fmt.Sprintf("%q=%q", name, values))
	}
	slices.Sort(names)
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	text := fmt.Sprintf("%s %q %q %q %q %s %d %q %q %t %v %q %v\n%s", r.Method, r.RequestURI, r.URL, r.URL.Path, r.URL.RawQuery, r.Proto,
		r.ContentLength, r.TransferEncoding, r.Host, r.Close, r.Trailer, body, err, strings.Join(names, "\n"))
	_, end, _ := strings.Cut(r.URL.Path, "/small/")
	if code, err := strconv.Atoi(end); err == nil && code >= 200 && code < 600 {
		w.WriteHeader(code)
	}
	_, _ = io.WriteString(w, text)
}

// A pair is this server and net/http's own, with one handler.
type pair struct {
	ours, theirs string
	small        atomic.Int64
}

func newPair(tb testing.TB) *pair {
	tb.Helper()
	p := new(pair)
	config := func(h http.HandlerFunc) *http.Server {
		return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0)}
	}
	plain := config(echo)
	quick := &Server{HTTP: config(func(w http.ResponseWriter, r *http.Request) {
		if _, small := w.(*answer); small {
			p.small.Add(1)
		}
		echo(w, r)
	}), Small: func(path string) bool { return strings.HasPrefix(path, "/small") }}
	for _, s := range []struct {
		addr  *string
		serve func(net.Listener) error
		close func() error
	}{{&p.ours, quick.Serve, quick.Close}, {&p.theirs, plain.Serve, plain.Close}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		*s.addr = l.Addr().String()
		ended := make(chan struct{})
		go func() {
			_ = s.serve(l)
			close(ended)
		}()
		tb.Cleanup(func() {
			_ = s.close()
			<-ended
		})
	}
	return p
}

// dates are different in two answers.
var dates = regexp.MustCompile(`\r\nDate: [^\r\n]*\r\n`)

// A talk is what a client sends.
type talk struct {
	before int // small requests, each of them answered before the next is sent
	data   []byte
	cut    int // where data is cut in two pieces
}

// told returns all that comes back of a talk.
func (t talk) told(addr string) (string, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	var all bytes.Buffer
	in := bufio.NewReader(io.TeeReader(c, &all))
	for range t.before {
		if _, err := io.WriteString(c, small); err != nil {
			return "", err
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return "", err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return "", err
		}
	}
	// A server may have answered and closed before it has got all.
	if _, err := c.Write(t.data[:t.cut]); err == nil && t.cut < len(t.data) {
		_, _ = c.Write(t.data[t.cut:])
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if _, err = io.Copy(io.Discard, in); os.IsTimeout(err) {
		return "", fmt.Errorf("after %q the connection stays open", all.Bytes())
	}
	return dates.ReplaceAllString(all.String(), "\r\nDate: now\r\n"), nil
}

// answers takes apart what was told: the answers one by one, and what is left.
func answers(text string) (list []string) {
	in := bufio.NewReader(strings.NewReader(text))
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			rest, _ := io.ReadAll(in)
			return append(list, fmt.Sprintf("%v, then %q", err == io.EOF, rest))
		}
		// Of a long answer net/http does not know the length in time.
		if len(resp.TransferEncoding) > 0 {
			resp.Header.Del("Content-Length")
		}
		body, err := io.ReadAll(resp.Body)
		if resp.Header.Get("Content-Length") == strconv.Itoa(len(body)) {
			resp.Header.Del("Content-Length")
		}
		var head bytes.Buffer
		_ = resp.Header.Write(&head)
		list = append(list, fmt.Sprintf("%s %s\n%s\n%q %v\nclose %t", resp.Proto, resp.Status, head.String(), body, err, resp.Close))
	}
}

// differ tells in what the two servers answer differently, if they do.
func (p *pair) differ(t talk) error {
	p.small.Store(0)
	ours, err := t.told(p.ours)
	if err != nil {
		return err
	}
	if n := p.small.Load(); n < int64(t.before) {
		return fmt.Errorf("%d requests were small; want %d", n, t.before)
	}
	theirs, err := t.told(p.theirs)
	if err != nil {
		return err
	}
	if ours == theirs {
		return nil
	}
	got, want := answers(ours), answers(theirs)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			return fmt.Errorf("answer %d of %d is\n%s\nand net/http's of %d\n%s", i, len(got), at(got, i), len(want), at(want, i))
		}
	}
	return nil
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "none"
}

// sly are requests that other servers have understood in two ways, or have
// fallen over. In them, G stands for a request that is small.
var sly = []string{
	"", "X", "\r\n", "GG", "GGG", "G\r\nG", "\r\nG", "\r\n\r\nG", "G\n", "\nG", " G", "G G", "G\x00", "G\r\n\r\n", "GX", "G\x16\x03\x01\x02\x00\x01",
	"GPUT /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloG",
	"GPUT /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nG",
	"GHEAD /small HTTP/1.1\r\nHost: a\r\n\r\n", "GOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nG", "GCONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\nG",
	"GPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /small HTTP/2.0\r\nHost: a\r\n\r\n", "GET /small HTTP/1.2\r\nHost: a\r\n\r\nG",
	"GET /small HTTP/1.0\r\n\r\nG", "GET /small HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\n\r\nG", "GET /small HTTP/0.9\r\n\r\n", "GET /small\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nKeep-Alive: timeout=5\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nConnection: x-auth-token\r\nX-Auth-Token: t\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhelloG",
	"GET /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhelloG", "GET /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhelloG",
	"GET /small HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\nhelloG", "GET /small HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhelloG",
	"GET /small HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\nhelloG", "GET /small HTTP/1.1\r\nHost: a\r\nX: a\r\nContent-Length: 99999999999999999999\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING: Chunked\r\n\r\n0\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\n\nGET /small?b HTTP/1.1\r\nHost: b\r\n\r\n", "GET /small HTTP/1.1\r\nHost: a\r\n\nG", "GET /small HTTP/1.1\r\nHost: a\n\r\nG", "GET /small HTTP/1.1\rHost: a\r\rG",
	"GET /small HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nExpect: nothing\r\n\r\nG", "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhelloG",
	"GET /small HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nTrailer: X\r\n\r\nG",
	"GET http://a/small HTTP/1.1\r\nHost: b\r\n\r\nG", "GET //b/small HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small//x HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small/../large HTTP/1.1\r\nHost: a\r\n\r\nG",
	"GET /large/../small HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small%00 HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small%2fx HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /%73mall HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small?%zz HTTP/1.1\r\nHost: a\r\n\r\nG",
	"GET /small?a;b=c HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small#a HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small\\x HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small?<> HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small\x00 HTTP/1.1\r\nHost: a\r\n\r\nG",
	"GET\t/small HTTP/1.1\r\nHost: a\r\n\r\nG", "GET  /small HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small HTTP/1.1 \r\nHost: a\r\n\r\nG", "GET /small x HTTP/1.1\r\nHost: a\r\n\r\nG", "GET small HTTP/1.1\r\nHost: a\r\n\r\nG", "GET ? HTTP/1.1\r\nHost: a\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\nG", "GET /small HTTP/1.1\r\nhost: a\r\nHOST: b\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a b\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a,b\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: [::1]:9292\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a@b\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: %61\r\n\r\nG",
	"GET /small HTTP/1.1\r\n Host: a\r\n\r\nG", "GET /small HTTP/1.1\r\n\r\nHost: a\r\n\r\nG", "GET /small HTTP/1.1\r\n: a\r\nHost: a\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\r\nX-Auth-Token: one\r\nX-Auth-Token: two\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nX-Auth-Token: one\r\nx-auth-token: two\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nX_Auth_Token: one\r\nX-Auth-Token: two\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\r\nAuthorization: one\r\nAuthorization: two\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nx-aUTH-tOKEN:one\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nX-Auth-Token: \r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nX-Auth-Token\x00: one\r\n\r\nG",
	"GET /small HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\n\xff: b\r\n\r\nG", "GET /small HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\nG",
	"GET /small/204 HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small/304 HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small/404 HTTP/1.1\r\nHost: a\r\n\r\nG", "GET /small/599 HTTP/1.1\r\nHost: a\r\n\r\nG",
}

// small is a request that the server answers itself.
const small = "GET /small HTTP/1.1\r\nHost: a\r\nX-Auth-Token: t\r\n\r\n"

// filled is a request of so many bytes, which another one follows.
func filled(n int) string {
	const start, end = "GET /small HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n"
	return start + strings.Repeat("x", n-len(start)-len(end)) + end + small
}

// FuzzSameAsNetHTTP holds that whoever speaks to this server cannot tell it
// from net/http's: no bytes are understood in two ways, however they arrive.
func FuzzSameAsNetHTTP(f *testing.F) {
	words := strings.NewReplacer("GET", "GET", "ENCODING", "ENCODING", "G", small)
	add := func(text string) {
		for before := range uint8(2) {
			f.Add(before, []byte(text), uint16(len(text)))
			f.Add(before, []byte(text), uint16(len(text)/2))
		}
		f.Add(uint8(2), []byte(text), uint16(len(text)-1))
	}
	for _, text := range sly {
		add(words.Replace(text))
	}
	for _, r := range requests {
		add(r.text)
		add(r.text + small)
	}
	// Where exactly a head is too long depends on what came before it.
	for _, n := range []int{largest - 1, largest, largest + 1, 2 * largest, 12 << 10, 60 << 10} {
		f.Add(uint8(0), []byte(filled(n)), uint16(n))
		f.Add(uint8(1), []byte(filled(n)), uint16(largest))
	}
	for _, n := range []int{most - 1, most, most + 1, 1000} {
		add("GET /small HTTP/1.1\r\nHost: a\r\n" + manyHeaders(n) + "\r\n" + small)
	}
	p := newPair(f)
	f.Fuzz(func(t *testing.T, before uint8, data []byte, cut uint16) {
		if err := p.differ(talk{int(before % 4), data, min(int(cut), len(data))}); err != nil {
			t.Error(err)
		}
	})
}
