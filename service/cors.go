package service

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"glancectl/service/internal/config"
)

// crossOrigin tells browsers which sites may ask the service from their pages,
// and answers their questions about it. Questions, OPTIONS, are answered with
// 200 whatever the application says to them.
func (p *process) crossOrigin(next http.Handler) http.Handler {
	origins := make(origins)
	for _, o := range p.CORS {
		origins[o.Name] = o
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			q := &preflight{ResponseWriter: w, allow: func(h http.Header) { origins.answer(h, r) }}
			next.ServeHTTP(q, r)
			q.WriteHeader(http.StatusOK) // if nobody has
			return
		}
		origins.expose(w.Header(), r)
		next.ServeHTTP(w, r)
	})
}

// origins are the sites by name.
type origins map[string]config.Origin

// of returns what holds for the site that sends r.
func (all origins) of(r *http.Request) (config.Origin, bool) {
	sent := r.Header["Origin"]
	if len(sent) == 0 {
		return config.Origin{}, false
	}
	if o, ok := all[sent[0]]; ok {
		return o, true
	}
	o, ok := all["*"]
	return o, ok
}

// expose lets the page that sent r read the answer, if it may.
func (all origins) expose(h http.Header, r *http.Request) {
	o, ok := all.of(r)
	if !ok {
		return
	}
	permit(h, o)
	if len(o.Expose) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(o.Expose, ","))
	}
}

func permit(h http.Header, o config.Origin) {
	h.Set("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", o.Name)
	if o.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// simpleHeaders are request headers that every page may send.
var simpleHeaders = []string{"Accept", "Accept-Language", "Content-Type", "Cache-Control", "Content-Language", "Expires", "Last-Modified", "Pragma"}

// answer says whether the request that r asks about may be made. There is no
// answer if it may not.
func (all origins) answer(h http.Header, r *http.Request) {
	o, ok := all.of(r)
	method := r.Header.Get("Access-Control-Request-Method")
	if !ok || !slices.Contains(o.Methods, method) {
		return
	}
	var headers []string
	for name := range strings.SplitSeq(r.Header.Get("Access-Control-Request-Headers"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			headers = append(headers, name)
		}
	}
	for _, name := range headers {
		same := func(other string) bool { return strings.EqualFold(name, other) }
		if !slices.ContainsFunc(o.Headers, same) && !slices.ContainsFunc(simpleHeaders, same) {
			return
		}
	}
	permit(h, o)
	if o.MaxAge > 0 {
		h.Set("Access-Control-Max-Age", strconv.Itoa(o.MaxAge))
	}
	h.Set("Access-Control-Allow-Methods", method)
	if len(headers) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(headers, ","))
	}
}

// A preflight is the answer to an OPTIONS: the application's own if it is a
// success, otherwise an empty one.
type preflight struct {
	http.ResponseWriter
	allow   func(http.Header)
	begun   bool
	replace bool
}

// WriteHeader implements http.ResponseWriter.
func (p *preflight) WriteHeader(code int) {
	if p.begun || code < 200 {
		return
	}
	p.begun = true
	h := p.Header()
	if p.replace = code >= 300; p.replace {
		clear(h)
		h.Set("Content-Length", "0")
		code = http.StatusOK
	}
	p.allow(h)
	p.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (p *preflight) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	if p.replace {
		return len(b), nil
	}
	return p.ResponseWriter.Write(b)
}
