package service

import (
	"context"
	"net/http"
	"strings"
)

// forwarded takes from the headers of a proxy how the client has reached it,
// if the configuration says that they can be believed.
func (p *process) forwarded(next http.Handler) http.Handler {
	if !p.Server.ProxyHeaders {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := hop{r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-For")}
		if f := r.Header.Get("Forwarded"); f != "" {
			from = parseForwarded(f)
		}
		ctx := context.WithValue(r.Context(), prefixKey{}, r.Header.Get("X-Forwarded-Prefix"))
		r = r.WithContext(ctx)
		if from.proto == "http" || from.proto == "https" {
			u := *r.URL
			u.Scheme = from.proto
			r.URL = &u
		}
		if from.host != "" {
			r.Host = from.host
		}
		if from.client != "" {
			r.RemoteAddr = from.client
		}
		next.ServeHTTP(w, r)
	})
}

type prefixKey struct{}

// prefix returns what a proxy has in front of our paths.
func prefix(r *http.Request) string {
	s, _ := r.Context().Value(prefixKey{}).(string)
	return strings.TrimRight(s, "/")
}

// A hop is how a client has reached a proxy.
type hop struct{ proto, host, client string }

// parseForwarded returns what the first proxy in a Forwarded header says
// (RFC 7239).
func parseForwarded(s string) (h hop) {
	first, _, _ := strings.Cut(s, ",")
	for pair := range strings.SplitSeq(first, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "proto":
			h.proto = strings.ToLower(value)
		case "host":
			h.host = value
		case "for":
			h.client = value
		}
	}
	return h
}
