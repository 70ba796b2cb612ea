package registry

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// A fault is an answer that is not the one asked for.
type fault struct {
	code   int
	text   string // what kind of failure it is
	detail string // what exactly is wrong; may be empty
	allow  string // value of the Allow header; may be empty
}

var (
	notFound      = &fault{code: http.StatusNotFound, text: "The resource could not be found."}
	unauthorized  = &fault{code: http.StatusUnauthorized, text: "This server could not verify that you are authorized to access the document you requested."}
	internalError = &fault{code: http.StatusInternalServerError, text: "The server has either erred or is incapable of performing the requested operation."}
)

// badRequest is a fault with a text of its own.
func badRequest(text string) *fault {
	return &fault{code: http.StatusBadRequest, text: text}
}

// invalid is a fault with the usual text and a detail.
func invalid(detail string) *fault {
	return &fault{
		code:   http.StatusBadRequest,
		text:   "The server could not comply with the request since it is either malformed or otherwise incorrect.",
		detail: detail,
	}
}

func notAllowed(allow string) *fault {
	return &fault{code: http.StatusMethodNotAllowed, allow: allow}
}

func (f *fault) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", f.code, f.text, f.detail))
}

// message returns the text as the original builds it, with its own mixture of
// markup and line ends.
func (f *fault) message(method string, escape func(string) string) string {
	if f.code == http.StatusMethodNotAllowed {
		return fmt.Sprintf("The method %s is not allowed for this resource. <br /><br />\n", escape(method))
	}
	return fmt.Sprintf("%s<br /><br />\n%s\n\n", escape(f.text), escape(f.detail))
}

// write answers r in the form that the client accepts.
func (f *fault) write(w http.ResponseWriter, r *http.Request) {
	status := fmt.Sprintf("%d %s", f.code, http.StatusText(f.code))
	asIs := func(s string) string { return s }
	kind, body := "text/html; charset=UTF-8", fmt.Sprintf(
		"<html>\n <head>\n  <title>%[1]s</title>\n </head>\n <body>\n  <h1>%[1]s</h1>\n  %[2]s\n </body>\n</html>",
		status, f.message(r.Method, escapeHTML))
	switch accept := r.Header.Get("Accept"); {
	case accept == "" || strings.Contains(accept, "html"):
	case strings.Contains(accept, "application/json"):
		kind, body = "application/json", fmt.Sprintf(`{"message": %s, "code": %s, "title": %s}`,
			quoted(f.message(r.Method, asIs)), quoted(status), quoted(http.StatusText(f.code)))
	case strings.Contains(accept, "text/plain"):
		plain := strings.ReplaceAll(f.message(r.Method, asIs), "\n", " ")
		kind, body = "text/plain; charset=UTF-8", status+"\n\n"+strings.ReplaceAll(plain, "<br />", "\n")
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if f.allow != "" {
		h.Set("Allow", f.allow)
	}
	w.WriteHeader(f.code)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body) // a client that is gone needs no answer
	}
}

// escapeHTML escapes s as the original does, which differs from package html in
// the quotes.
func escapeHTML(s string) string {
	return strings.NewReplacer("&#39;", "&#x27;", "&#34;", "&quot;").Replace(html.EscapeString(s))
}
