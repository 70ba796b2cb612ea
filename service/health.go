package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"glancectl/service/internal/config"
	"glancectl/service/internal/fault"
)

// A health answers load balancers before anybody is asked for a token.
type health struct {
	config.Health
	next http.Handler
}

// A finding is the result of one check.
type finding struct {
	Class   string `json:"class"`
	Details string `json:"details"`
	Reason  string `json:"reason"`
}

const (
	passed   = "OK"
	disabled = "DISABLED BY FILE"
)

// find runs one check.
func find(c config.HealthCheck) finding {
	f := finding{Class: "HealthcheckResult", Reason: passed}
	found := false
	if c.File != "" {
		_, err := os.Stat(c.File)
		found = err == nil
	}
	if found {
		f.Reason = disabled
	}
	switch {
	case c.ByPort: // that check gives no details
	case c.File == "":
		f.Details = "No 'disable_by_file_path' configuration value specified"
	case found:
		f.Details = fmt.Sprintf("Path '%s' was found", c.File)
	default:
		f.Details = fmt.Sprintf("Path '%s' was not found", c.File)
	}
	return f
}

// ServeHTTP implements http.Handler.
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := "/" + strings.TrimLeft(r.URL.Path, "/")
	if path != h.Path && !(h.Below && strings.HasPrefix(path, strings.TrimRight(h.Path, "/")+"/")) {
		h.next.ServeHTTP(w, r)
		return
	}
	findings := []finding{}
	code := http.StatusOK
	for _, c := range h.Checks {
		f := find(c)
		findings = append(findings, f)
		if f.Reason != passed {
			code = http.StatusServiceUnavailable
		}
	}
	kind, body := fault.Choose(r, "text/plain", "text/html", "application/json"), ""
	switch kind {
	case "text/html":
		body = h.page(findings)
	case "application/json":
		body = h.document(findings)
	default:
		kind = "text/plain"
		body = strings.Join(reasons(findings), "\n")
	}
	if r.Method == http.MethodHead {
		kind, body = "text/plain", ""
		if code == http.StatusOK {
			code = http.StatusNoContent
		}
	}
	if strings.HasPrefix(kind, "text/") {
		kind += "; charset=UTF-8"
	}
	if code != http.StatusNoContent {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body) // nobody to tell
}

func reasons(findings []finding) []string {
	list := []string{}
	for _, f := range findings {
		list = append(list, f.Reason)
	}
	return list
}

// document returns the findings as JSON. Of the details that the original
// gives, stacks are left out: they are for nobody outside.
func (h *health) document(findings []finding) string {
	doc := map[string]any{"detailed": false, "reasons": reasons(findings)}
	if h.Detailed {
		counts, threshold := collections()
		doc = map[string]any{
			"detailed":       true,
			"reasons":        findings,
			"now":            now(),
			"platform":       platform,
			"python_version": runtime.Version(),
			"gc":             map[string]any{"counts": counts, "threshold": threshold},
			"greenthreads":   []string{},
			"threads":        []string{},
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	if e.Encode(doc) != nil {
		return "" // these can always be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}

const platform = runtime.GOOS + "-" + runtime.GOARCH

func now() string { return time.Now().UTC().Format("2006-01-02 15:04:05.000000") }

// collections returns how often garbage was collected, and by how many
// percent memory grows until it is again.
func collections() (counts, threshold []int) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return []int{int(m.NumGC)}, []int{100}
}

// page returns the findings as HTML.
func (h *health) page(findings []finding) string {
	var b strings.Builder
	line := func(format string, args ...any) {
		for i, a := range args {
			if s, ok := a.(string); ok {
				args[i] = html.EscapeString(s)
			}
		}
		fmt.Fprintf(&b, format+"\n", args...)
	}
	line("<HTML>\n<HEAD><TITLE>Healthcheck Status</TITLE></HEAD>\n<BODY>")
	if h.Detailed {
		counts, threshold := collections()
		line("<H1>Server status</H1>")
		if name, err := os.Hostname(); err == nil {
			line("<B>Server hostname:</B><PRE>%s</PRE>", name)
		}
		line("<B>Current time:</B><PRE>%s</PRE>", now())
		line("<B>Python version:</B><PRE>%s</PRE>", runtime.Version())
		line("<B>Platform:</B><PRE>%s</PRE>\n<HR></HR>\n<H2>Garbage collector:</H2>", platform)
		line("<B>Counts:</B><PRE>%v</PRE>\n<B>Thresholds:</B><PRE>%v</PRE>\n<HR></HR>", counts, threshold)
	} else {
		line("")
	}
	line(`<H2>Result of %d checks:</H2>`, len(findings))
	line("<TABLE bgcolor=\"#ffffff\" border=\"1\">\n<TBODY>\n<TR>")
	if h.Detailed {
		line("<TH>\nKind\n</TH>\n<TH>\nReason\n</TH>\n<TH>\nDetails\n</TH>\n\n</TR>")
	} else {
		line("\n<TH>\nReason\n</TH>\n</TR>")
	}
	for _, f := range findings {
		if h.Detailed {
			line("<TR>\n<TD>%s</TD>\n    <TD>%s</TD>\n<TD>%s</TD>", f.Class, f.Reason, f.Details)
		} else {
			line("<TR>\n\n    <TD>%s</TD>\n", f.Reason)
		}
		b.WriteString("</TR>")
	}
	line("\n</TBODY>\n</TABLE>\n<HR></HR>\n")
	if h.Detailed {
		line("")
	}
	b.WriteString("</BODY>\n</HTML>")
	return b.String()
}
