package keystone

import (
	"fmt"
	"net/http"

	"glancectl/service/internal/fault"
)

// refuse answers that the caller did not show a token that is good.
func (m *Middleware) refuse(w http.ResponseWriter, r *http.Request) {
	(&fault.Fault{
		Code:   http.StatusUnauthorized,
		Header: http.Header{"Www-Authenticate": {fmt.Sprintf("Keystone uri=%q", m.uri)}},
	}).Write(w, r)
}

// unavailable answers that nobody can say whether a token is good.
func (m *Middleware) unavailable(w http.ResponseWriter, r *http.Request) {
	(&fault.Fault{Code: http.StatusServiceUnavailable, Text: "The Keystone service is temporarily unavailable."}).Write(w, r)
}
