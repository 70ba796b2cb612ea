package fault

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The types are those that webob 1.8.6 chose for the same headers.
func TestForm(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                   formText,
		", ,":                                formText,
		"*/*":                                formHTML,
		"text/html":                          formHTML,
		"text/*":                             formHTML,
		"application/*":                      formJSON,
		"application/json":                   formJSON,
		"APPLICATION/JSON":                   formJSON,
		"application/json;Q=1":               formJSON,
		"application/json, text/plain":       formJSON,
		"text/plain, application/json;q=0.1": formJSON,
		"application/json;q=0.5, */*;q=0.1":  formJSON,
		"text/plain":                         formText,
		"image/png":                          formText,
		"*/json":                             formText,
		"*/*;q=0":                            formText,
		"text/html;q=0, text/html":           formText,
		"application/json;q=0, */*":          formHTML,
		"text/html;q=0.5, application/json":  formJSON,
		"application/json ; q=0.8 , text/html;q=0.9":      formHTML,
		"text/html, application/xhtml+xml, */*;q=0.8":     formHTML,
		"application/vnd.openstack.images-v2":             formText,
		"text/html;level=1":                               formText,
		"text/html;a=b;q=0.5":                             formText,
		"application/json;charset=utf-8":                  formText,
		`application/json;charset="a,b", text/html;q=0.1`: formHTML,
		"text/html;q=0.5;level=1":                         formHTML,
		"text/html;q=1;ext":                               formHTML,
		// What is malformed counts for nothing.
		"garbage":                   formHTML,
		"application/json;q=2":      formHTML,
		"application/json;q=.5":     formHTML,
		"application/json;q=0.1234": formHTML,
		"application/json;q":        formHTML,
		"application/json;":         formHTML,
		"application/json a/b":      formHTML,
		`"x"/json`:                  formHTML,
	} {
		if got := form(accept); got != want {
			t.Errorf("form(%q) = %s; want %s", accept, got, want)
		}
	}
}

const (
	head = "<html>\n <head>\n  <title>"
	body = "</title>\n </head>\n <body>\n  <h1>"
	tail = "\n </body>\n</html>"
)

// The bodies are those that webob 1.8.6 wrote for the same messages.
func TestWrite(t *testing.T) {
	odd := &Fault{Code: 404, Text: "it's <b>\"x\" ü 🐘 ${status}"}
	for _, test := range []struct {
		fault              *Fault
		accept, kind, want string
	}{
		{odd, "*/*", "text/html; charset=UTF-8", head + "404 Not Found" + body +
			"404 Not Found</h1>\n  it&#x27;s &lt;b&gt;&quot;x&quot; &#252; &#128024; ${status}<br /><br />\n\n\n" + tail},
		{odd, "application/json", "application/json",
			`{"message": "it's <b>\"x\" \u00fc \ud83d\udc18 ${status}<br /><br />\n\n\n", "code": "404 Not Found", "title": "Not Found"}`},
		{odd, "", "text/plain; charset=UTF-8", "404 Not Found\n\nit's \"x\" ü 🐘 ${status}\n\n   "},
		{&Fault{Code: 416, Detail: "d"}, "*/*", "text/html; charset=UTF-8", head + "416 Request Range Not Satisfiable" + body +
			"416 Request Range Not Satisfiable</h1>\n  The Range requested is not available.<br /><br />\nd\n\n" + tail},
		{&Fault{Code: 416, Detail: "d"}, "text/plain", "text/plain; charset=UTF-8",
			"416 Request Range Not Satisfiable\n\nThe Range requested is not available.\n\n d  "},
		{&Fault{Code: 409, Detail: "<br>d\nd2<!-- c -->"}, "text/plain", "text/plain; charset=UTF-8",
			"409 Conflict\n\nThere was a conflict when trying to complete your request.\n\n \nd d2 c   "},
		{&Fault{Code: 405, Text: "The method POST is not allowed for this resource."}, "*/*", "text/html; charset=UTF-8",
			head + "405 Method Not Allowed" + body + "405 Method Not Allowed</h1>\n  The method POST is not allowed for this resource. <br /><br />\n" + tail},
		{&Fault{Code: 405, Text: "The method POST is not allowed for this resource."}, "application/json", "application/json",
			`{"message": "The method POST is not allowed for this resource. <br /><br />\n", "code": "405 Method Not Allowed", "title": "Method Not Allowed"}`},
		{&Fault{Code: 405, Text: "The method POST is not allowed for this resource."}, "", "text/plain; charset=UTF-8",
			"405 Method Not Allowed\n\nThe method POST is not allowed for this resource. \n\n "},
		{&Fault{Code: 415, Text: "The request media type text/plain is not supported by this server."}, "*/*", "text/html; charset=UTF-8",
			head + "415 Unsupported Media Type" + body + "415 Unsupported Media Type</h1>\n  The request media type text/plain is not supported by this server.\n<br /><br />\n" + tail},
		{&Fault{Code: 413, Text: "e"}, "application/json", "application/json",
			`{"message": "e<br /><br />\n\n\n", "code": "413 Request Entity Too Large", "title": "Request Entity Too Large"}`},
	} {
		r := httptest.NewRequest("POST", "/x", nil)
		if test.accept != "" {
			r.Header.Set("Accept", test.accept)
		}
		w := httptest.NewRecorder()
		test.fault.Write(w, r)
		if w.Code != test.fault.Code || w.Body.String() != test.want || w.Header().Get("Content-Type") != test.kind {
			t.Errorf("%v for %q: %d %s\n%q\nwant %s\n%q", test.fault, test.accept, w.Code, w.Header().Get("Content-Type"), w.Body, test.kind, test.want)
		}
	}
}

func TestEveryCodeHasASentence(t *testing.T) {
	for code, sentence := range sentences {
		f := &Fault{Code: code}
		if f.title() == "" || f.Error() != sentence || !strings.Contains(f.message(asIs), sentence) {
			t.Errorf("a fault of code %d is %q, %v", code, f.title(), f)
		}
	}
}

func TestHead(t *testing.T) {
	w := httptest.NewRecorder()
	f := &Fault{Code: 405, Text: "The method HEAD is not allowed for this resource.", Header: http.Header{"Allow": {"GET, PATCH"}}}
	f.Write(w, httptest.NewRequest("HEAD", "/x", nil))
	if w.Code != 405 || w.Body.Len() > 0 || w.Header().Get("Allow") != "GET, PATCH" {
		t.Errorf("HEAD is answered with %d, %q, %v", w.Code, w.Body, w.Header())
	}
}

// TestBodiesOfTheirOwn checks what is written as it is, and what services tell
// one another.
func TestBodiesOfTheirOwn(t *testing.T) {
	r := httptest.NewRequest("PUT", "/", nil)
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	(&Fault{Code: http.StatusConflict, Plain: "Image <operation> conflicts"}).Write(w, r)
	if got, kind := w.Body.String(), w.Header().Get("Content-Type"); w.Code != 409 || got != "Image <operation> conflicts" || kind != "text/plain; charset=UTF-8" {
		t.Errorf("a plain body is answered with %d %s %q", w.Code, kind, got)
	}
	const want = "400 Bad Request\n\nThe server could not comply with the request since it is either malformed or otherwise incorrect.\n\n limit param must be positive  "
	if got := (&Fault{Code: http.StatusBadRequest, Detail: "limit param must be positive"}).Page(); got != want {
		t.Errorf("Page() = %q; want %q", got, want)
	}
}
