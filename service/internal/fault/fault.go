// Package fault lays out the answers that are no success: every adapter that
// speaks HTTP writes its errors with it, so that a client meets one form of
// them, whoever refused.
//
// The form is that of webob, which OpenStack Glance writes its errors with:
// HTML, JSON or text, as the client accepts, around a message of two parts.
// What an error means, and which one an answer deserves, is not known here.
package fault

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A Fault is an answer that is no success. Its message has two parts: what is
// wrong, for which every code has a standard sentence, and a detail behind it.
type Fault struct {
	Code   int
	Text   string      // empty means the standard sentence
	Detail string      // may be empty
	Header http.Header // more headers; may be nil
	Bare   bool        // Text is the whole message, without what is around it in others of its code
	Plain  string      // the whole body, in every form; empty means that it is laid out
}

// Error returns what a client is told, without markup.
func (f *Fault) Error() string {
	return strings.TrimSpace(f.text() + " " + f.Detail)
}

// sentences are the standard sentences.
var sentences = map[int]string{
	http.StatusBadRequest: "The server could not comply with the request since it is either malformed or otherwise incorrect.",
	http.StatusUnauthorized: "This server could not verify that you are authorized to access the document you requested. " +
		"Either you supplied the wrong credentials (e.g., bad password), or your browser does not understand how to supply the credentials required.",
	http.StatusForbidden:                    "Access was denied to this resource.",
	http.StatusNotFound:                     "The resource could not be found.",
	http.StatusConflict:                     "There was a conflict when trying to complete your request.",
	http.StatusGone:                         "This resource is no longer available. No forwarding address is given.",
	http.StatusPreconditionFailed:           "Request precondition failed.",
	http.StatusRequestEntityTooLarge:        "The body of your request was too large for this server.",
	http.StatusRequestedRangeNotSatisfiable: "The Range requested is not available.",
	http.StatusRequestHeaderFieldsTooLarge:  "The request header fields were too large",
	http.StatusInternalServerError:          "The server has either erred or is incapable of performing the requested operation.",
	http.StatusBadGateway:                   "Bad gateway.",
	http.StatusServiceUnavailable:           "The server is currently unavailable. Please try again at a later time.",
	http.StatusGatewayTimeout:               "The gateway has timed out.",
}

func (f *Fault) text() string {
	if f.Text != "" {
		return f.Text
	}
	return sentences[f.Code]
}

// title is the name of the code; one is not what Go calls it.
func (f *Fault) title() string {
	if f.Code == http.StatusRequestedRangeNotSatisfiable {
		return "Request Range Not Satisfiable"
	}
	return http.StatusText(f.Code)
}

// message lays out the two parts; the codes that quote the request have forms
// of their own.
func (f *Fault) message(escape func(string) string) string {
	text, detail := escape(f.text()), escape(f.Detail)
	if f.Bare {
		return text
	}
	switch f.Code {
	case http.StatusMethodNotAllowed:
		return text + " <br /><br />\n" + detail
	case http.StatusUnsupportedMediaType:
		return text + "\n<br /><br />\n" + detail
	}
	return text + "<br /><br />\n" + detail + "\n\n"
}

// Write answers r in the form that it accepts, and without a body if it is a
// HEAD, which is told of none but HTML. Nothing may have been written to w
// before.
func (f *Fault) Write(w http.ResponseWriter, r *http.Request) {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if r.Method == http.MethodHead {
		accept = formHTML
	}
	kind, body := f.render(accept)
	h := w.Header()
	for name, values := range f.Header {
		h[name] = values
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.Code)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body) // a client that is gone needs no answer
	}
}

// Page returns the body as text: one service tells another so what is wrong.
func (f *Fault) Page() string {
	_, page := f.render(formText)
	return page
}

// render returns the body in the best form for an Accept header.
func (f *Fault) render(accept string) (contentType, body string) {
	if f.Plain != "" {
		return "text/plain; charset=UTF-8", f.Plain
	}
	status := strconv.Itoa(f.Code) + " " + f.title()
	switch form(accept) {
	case formHTML:
		return "text/html; charset=UTF-8", "<html>\n <head>\n  <title>" + status + "</title>\n </head>\n <body>\n  <h1>" +
			status + "</h1>\n  " + f.message(escapeHTML) + "\n </body>\n</html>"
	case formJSON:
		return "application/json", `{"message": ` + quoted(f.message(asIs)) + `, "code": ` + quoted(status) + `, "title": ` + quoted(f.title()) + `}`
	}
	return "text/plain; charset=UTF-8", status + "\n\n" + untagged(f.message(asIs))
}

func asIs(s string) string { return s }

var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;")

// escapeHTML writes everything beyond ASCII as a number.
func escapeHTML(s string) string {
	s = htmlEscaper.Replace(s)
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		b.WriteString("&#" + strconv.Itoa(int(r)) + ";")
	}
	return b.String()
}

// quoted returns s as a JSON string in ASCII.
func quoted(s string) string {
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string can always be encoded
	var b strings.Builder
	for _, r := range strings.TrimSuffix(plain.String(), "\n") {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b.WriteString(unit(high) + unit(low))
		default:
			b.WriteString(unit(r))
		}
	}
	return b.String()
}

// unit returns the JSON escape of one 16-bit unit.
func unit(r rune) string {
	s := strconv.FormatInt(int64(r), 16)
	return `\u` + strings.Repeat("0", 4-len(s)) + s
}

var (
	lineBreak = regexp.MustCompile(`(?is)<br.*?>`)
	comment   = regexp.MustCompile(`<!--|-->`)
	anyTag    = regexp.MustCompile(`(?s)<.*?>`)
)

// untagged makes text of markup.
func untagged(s string) string {
	s = strings.NewReplacer("\n", " ", "\r", "").Replace(s)
	s = lineBreak.ReplaceAllString(s, "\n")
	return anyTag.ReplaceAllString(comment.ReplaceAllString(s, ""), "")
}
