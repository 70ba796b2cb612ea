package view

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// A paper is what text is written on: it knows whether it takes colour.
type paper struct {
	w      io.Writer
	colour bool
}

// The colours, as terminals take them.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// print writes like fmt.Printf. There is nobody to tell when it fails.
func (p *paper) print(format string, args ...any) {
	fmt.Fprintf(p.w, format, args...)
}

// in returns s in a colour.
func (p *paper) in(colour, s string) string {
	if !p.colour || s == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// indented writes the lines of s with a margin.
func (p *paper) indented(margin, s string) {
	for _, line := range strings.Split(strings.TrimRight(s, "\n"), "\n") {
		p.print("%s%s\n", margin, line)
	}
}

// count returns "1 thing" or "n things".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// since writes a duration the way people read it.
func since(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
