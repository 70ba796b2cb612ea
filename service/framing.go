package service

import "net/http"

// framed makes a request whose body comes in chunks the last one of its
// connection. It may have had a length as well, which the HTTP server passes
// over and does not report. A proxy may have gone by that length: then what
// follows on the connection is not what the proxy took it for, and belongs to
// somebody else (RFC 9112, section 6.1).
func framed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
