package keystone

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"
)

// A refusal is an answer of the middleware itself.
type refusal struct {
	code int
	text string
}

var (
	unauthorized = refusal{http.StatusUnauthorized, "This server could not verify that you are authorized to access the document you requested.  " +
		"Either you supplied the wrong credentials (e.g., bad password), or your browser does not understand how to supply the credentials required."}
	unavailable = refusal{http.StatusServiceUnavailable, "The Keystone service is temporarily unavailable."}
)

// answer writes f in the form that the client accepts, as Glance does.
func (m *Middleware) answer(w http.ResponseWriter, r *http.Request, f refusal) {
	title := fmt.Sprintf("%d %s", f.code, http.StatusText(f.code))
	kind, body := "text/html; charset=UTF-8", fmt.Sprintf(
		"<html>\n <head>\n  <title>%[1]s</title>\n </head>\n <body>\n  <h1>%[1]s</h1>\n  %[2]s<br /><br />\n\n\n\n </body>\n</html>",
		title, html.EscapeString(f.text))
	switch accept := r.Header.Get("Accept"); {
	case accept == "" || strings.Contains(accept, "html"):
	case strings.Contains(accept, "application/json"):
		kind, body = "application/json", fmt.Sprintf(`{"message": %q, "code": %q, "title": %q}`,
			f.text+"<br /><br />\n\n\n", title, http.StatusText(f.code))
	case strings.Contains(accept, "text/plain"):
		kind, body = "text/plain; charset=UTF-8", title+"\n\n"+f.text+"\n\n   "
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if f.code == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", fmt.Sprintf("Keystone uri=%q", m.uri))
	}
	w.WriteHeader(f.code)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body) // a client that is gone needs no answer
	}
}
