package service

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
)

// compressed sends answers gzipped to clients that say they take that.
func compressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead || !takesGzip(r.Header.Values("Accept-Encoding")) {
			next.ServeHTTP(w, r)
			return
		}
		z := &gzipped{ResponseWriter: w}
		next.ServeHTTP(z, r)
		z.end()
	})
}

// takesGzip reports whether a client lists gzip and does not mean that it is
// the one thing it does not want.
func takesGzip(accept []string) bool {
	for _, header := range accept {
		for coding := range strings.SplitSeq(header, ",") {
			name, params, _ := strings.Cut(coding, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if strings.TrimPrefix(name, "x-") != "gzip" { // its name before it had one
				continue
			}
			weight, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(params)), "q=")
			q, err := strconv.ParseFloat(weight, 64)
			return !ok || err != nil || q > 0
		}
	}
	return false
}

// A gzipped is a response whose body is compressed on its way.
type gzipped struct {
	http.ResponseWriter
	begun bool
	z     *gzip.Writer // nil: the body goes as it is
}

// WriteHeader implements http.ResponseWriter.
func (g *gzipped) WriteHeader(code int) {
	if !g.begun && code >= 200 {
		g.begun = true
		h := g.Header()
		if code != http.StatusNoContent && code != http.StatusNotModified && h.Get("Content-Encoding") == "" {
			h.Set("Content-Encoding", "gzip")
			h.Del("Content-Length") // it is not known yet
			g.z = gzip.NewWriter(g.ResponseWriter)
		}
	}
	g.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (g *gzipped) Write(p []byte) (int, error) {
	if !g.begun {
		g.WriteHeader(http.StatusOK)
	}
	if g.z == nil {
		return g.ResponseWriter.Write(p)
	}
	return g.z.Write(p)
}

// end sends what is still to be compressed. It is not called if the handler
// panics, which is how a transfer is broken off.
func (g *gzipped) end() {
	if g.z != nil {
		_ = g.z.Close() // a client that is gone needs no end
	}
}
