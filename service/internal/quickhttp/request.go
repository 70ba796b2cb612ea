package quickhttp

import (
	"net/http"
	"net/url"
	"strings"
)

// What the parts of a small request consist of. In none of them is anything
// that two programs have ever read in two ways.
const (
	letters  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	inTarget = letters + "/._~-?&=:%+,@!$'()*;"
	inName   = letters + "-"
	inHost   = letters + ".:-[]_"
)

// A set is of bytes.
type set [256]bool

func setOf(s string) (bytes set) {
	for i := range len(s) {
		bytes[s[i]] = true
	}
	return bytes
}

// all reports whether every byte of s is in the set, and there is one.
func (b *set) all(s string) bool {
	for i := range len(s) {
		if !b[s[i]] {
			return false
		}
	}
	return s != ""
}

var (
	targetSet = setOf(inTarget)
	nameSet   = setOf(inName)
	hostSet   = setOf(inHost)
)

// printable reports whether s is plain text: such are the values of headers.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// unusual are the headers with which a request is not small: they are about
// bodies, and about the connection.
var unusual = map[string]bool{
	"Content-Length": true, "Transfer-Encoding": true, "Trailer": true, "Te": true, "Expect": true,
	"Upgrade": true, "Proxy-Connection": true, "Keep-Alive": true, "Http2-Settings": true,
	"Pragma": true, // which net/http translates
}

// most is how many headers a small request has at most.
const most = 32

// request returns what was read as a request, nil if it is not a small one.
func (c *conn) request() *http.Request {
	text, ok := strings.CutSuffix(string(c.in[:c.have]), "\r\n\r\n")
	if !ok {
		return nil
	}
	line, rest, _ := strings.Cut(text, "\r\n")
	target, get := strings.CutPrefix(line, "GET ")
	target, one := strings.CutSuffix(target, " HTTP/1.1")
	if !get || !one || target[:min(1, len(target))] != "/" || !targetSet.all(target) {
		return nil
	}
	path, _, _ := strings.Cut(target, "?")
	if strings.Contains(path, "%") || !c.server.Small(path) { // it may stand for another path
		return nil
	}
	header, host := headers(rest)
	if host == "" {
		return nil
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil
	}
	return &http.Request{
		Method: http.MethodGet, URL: u, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Host: host, Body: http.NoBody, RemoteAddr: c.remote,
	}
}

// headers returns the headers in some lines, and the host, which is empty if
// the request is not a small one.
func headers(lines string) (h http.Header, host string) {
	n := strings.Count(lines, "\r\n") + 1
	if lines == "" || n > most {
		return nil, ""
	}
	h = make(http.Header, n)
	values := make([]string, n)
	for line := range strings.SplitSeq(lines, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.Trim(value, " ")
		if !nameSet.all(name) || len(name) == len(line) || !printable(value) {
			return nil, ""
		}
		name = http.CanonicalHeaderKey(name)
		if _, again := h[name]; again || unusual[name] || name == "Connection" && !strings.EqualFold(value, "keep-alive") {
			return nil, ""
		}
		if name == "Host" {
			if host != "" || !hostSet.all(value) {
				return nil, ""
			}
			host = value
			continue
		}
		values[0] = value
		h[name], values = values[:1:1], values[1:]
	}
	return h, host
}
