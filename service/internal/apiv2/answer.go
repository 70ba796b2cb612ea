package apiv2

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"glancectl/service/glance"
)

// A handler answers a request, or returns why it cannot. It must not have
// written anything when it returns an error.
type handler func(w http.ResponseWriter, r *http.Request) error

// A problem is an answer that is no success. Its body has two parts: what is
// wrong, for which every code has a standard sentence, and a detail behind it.
type problem struct {
	code   int
	text   string // empty means the standard sentence
	detail string
	header http.Header // more headers
}

func (p *problem) Error() string {
	return strings.TrimSpace(p.sentence() + " " + p.detail)
}

func bad(format string, args ...any) error {
	return &problem{code: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

func forbidden(format string, args ...any) error {
	return &problem{code: http.StatusForbidden, text: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &problem{code: http.StatusNotFound, text: fmt.Sprintf(format, args...)}
}

// codes says how each kind of failure is answered.
var codes = []struct {
	kind error
	code int
}{
	{glance.ErrNotFound, http.StatusNotFound},
	{glance.ErrExists, http.StatusConflict},
	{glance.ErrConflict, http.StatusConflict},
	{glance.ErrForbidden, http.StatusForbidden},
	{glance.ErrInvalid, http.StatusBadRequest},
	{glance.ErrTooLarge, http.StatusRequestEntityTooLarge},
	{glance.ErrWrongFormat, http.StatusUnsupportedMediaType},
	{glance.ErrStoreFull, http.StatusRequestEntityTooLarge},
	{glance.ErrGone, http.StatusGone},
	{glance.ErrStoreReadOnly, http.StatusServiceUnavailable},
	{glance.ErrUnavailable, http.StatusServiceUnavailable},
}

// problemOf returns how err is answered. What is no known kind is a fault of
// ours; its text is not for the client.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	p := &problem{code: http.StatusInternalServerError}
	for _, c := range codes {
		if errors.Is(err, c.kind) {
			p.code = c.code
			break
		}
	}
	if r, ok := errors.AsType[*glance.Refusal](err); ok {
		if r.Remark {
			p.detail = r.Message
		} else {
			p.text = r.Message
		}
	}
	return p
}

// titles are the names of the codes where Go has another one than Glance.
var titles = map[int]string{
	http.StatusRequestedRangeNotSatisfiable: "Request Range Not Satisfiable",
}

func (p *problem) title() string {
	if t, ok := titles[p.code]; ok {
		return t
	}
	return http.StatusText(p.code)
}

// sentences are the standard sentences.
var sentences = map[int]string{
	http.StatusBadRequest:                   "The server could not comply with the request since it is either malformed or otherwise incorrect.",
	http.StatusForbidden:                    "Access was denied to this resource.",
	http.StatusNotFound:                     "The resource could not be found.",
	http.StatusConflict:                     "There was a conflict when trying to complete your request.",
	http.StatusGone:                         "This resource is no longer available.  No forwarding address is given.",
	http.StatusRequestEntityTooLarge:        "The body of your request was too large for this server.",
	http.StatusRequestedRangeNotSatisfiable: "The Range requested is not available.",
	http.StatusRequestHeaderFieldsTooLarge:  "The server is unwilling to process the request because its header fields are too large.",
	http.StatusInternalServerError:          "The server has either erred or is incapable of performing the requested operation.",
	http.StatusServiceUnavailable:           "The server is currently unavailable. Please try again at a later time.",
}

func (p *problem) sentence() string {
	if p.text != "" {
		return p.text
	}
	return sentences[p.code]
}

// body lays out the message; the two codes that quote the request have forms
// of their own.
func (p *problem) body(escape func(string) string) string {
	switch p.code {
	case http.StatusMethodNotAllowed:
		return escape(p.text) + " <br /><br />\n" + escape(p.detail)
	case http.StatusUnsupportedMediaType:
		return escape(p.text) + "\n<br /><br />\n" + escape(p.detail)
	}
	return escape(p.sentence()) + "<br /><br />\n" + escape(p.detail) + "\n\n"
}

var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;")

var (
	lineBreak = regexp.MustCompile(`(?i)<br.*?>`)
	anyTag    = regexp.MustCompile(`<.*?>`)
)

func plain(s string) string { return s }

// render returns the body in the form that the client accepts.
func (p *problem) render(accept string) (contentType, body string) {
	status := strconv.Itoa(p.code) + " " + p.title()
	switch errorType(accept) {
	case "text/html":
		return "text/html; charset=UTF-8", "<html>\n <head>\n  <title>" + status + "</title>\n </head>\n <body>\n  <h1>" +
			status + "</h1>\n  " + p.body(htmlEscaper.Replace) + "\n </body>\n</html>"
	case "application/json":
		return "application/json", string(appendJSON(nil, object{
			{"message", p.body(plain)}, {"code", status}, {"title", p.title()},
		}))
	}
	text := strings.ReplaceAll(p.body(plain), "\n", " ")
	text = anyTag.ReplaceAllString(lineBreak.ReplaceAllString(text, "\n"), "")
	return "text/plain; charset=UTF-8", status + "\n\n" + text
}

// errorType chooses the form of an error: of those the client accepts best,
// the first of HTML, JSON and text; text if it accepts none.
func errorType(accept string) string {
	if strings.TrimSpace(accept) == "" {
		return "text/html"
	}
	best, bestQ := "text/plain", 0.0
	for _, offer := range []string{"text/html", "application/json", "text/plain"} {
		if q := quality(accept, offer); q > bestQ {
			best, bestQ = offer, q
		}
	}
	return best
}

// quality returns how much the client likes a type, by the most specific
// range of its Accept header that covers it.
func quality(accept, offer string) float64 {
	main, _, _ := strings.Cut(offer, "/")
	q, specific := 0.0, 0
	for part := range strings.SplitSeq(accept, ",") {
		t, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		s := 0
		switch t {
		case offer:
			s = 3
		case main + "/*":
			s = 2
		case "*/*":
			s = 1
		}
		if s <= specific {
			continue
		}
		specific, q = s, 1
		if v, err := strconv.ParseFloat(params["q"], 64); err == nil {
			q = v
		}
	}
	return q
}

// fail answers with what err says and logs the faults of the service, and
// only those. That a client went away is none.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.code >= http.StatusInternalServerError && r.Context().Err() == nil {
		a.o.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path,
			"request", glance.CallerFrom(r.Context()).RequestID, "error", err)
	}
	contentType, body := p.render(r.Header.Get("Accept"))
	h := w.Header()
	for name, values := range p.header {
		h[name] = values
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.code)
	if r.Method != http.MethodHead {
		w.Write([]byte(body))
	}
}

// reply sends a JSON document.
func reply(w http.ResponseWriter, code int, body []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	w.Write(body)
	return nil
}

// done answers that a request was carried out.
func done(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}
