package keystone

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"glancectl/service/internal/fault"
)

// refuse answers that the caller did not show a token that is good: in the
// words of the service or, where it is not asked, in those of Keystone.
func (m *Middleware) refuse(w http.ResponseWriter, r *http.Request) {
	challenge := fmt.Sprintf("Keystone uri=%q", m.uri)
	if !m.immediate {
		(&fault.Fault{Code: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {challenge}}}).Write(w, r)
		return
	}
	const body = `{"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}`
	h := w.Header()
	h.Set("Www-Authenticate", challenge)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusUnauthorized)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body) // a client that is gone needs no answer
	}
}

// unavailable answers that nobody can say whether a token is good.
func (m *Middleware) unavailable(w http.ResponseWriter, r *http.Request) {
	(&fault.Fault{Code: http.StatusServiceUnavailable, Detail: "The Keystone service is temporarily unavailable."}).Write(w, r)
}
