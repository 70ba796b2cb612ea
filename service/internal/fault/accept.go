package fault

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// The forms that a body can have. Text is what is left when neither of the
// others is accepted; nobody is asked whether it is.
const (
	formHTML = "text/html"
	formJSON = "application/json"
	formText = "text/plain"
)

// What an element of an Accept header is made of.
const (
	token     = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
	value     = `(?:` + token + `|"(?:[^"\\]|\\.)*")`
	semicolon = `[ \t]*;[ \t]*`
)

var (
	// element is a type, its parameters and how much it is liked.
	element = regexp.MustCompile(`^(` + token + `/` + token + `)` +
		`((?:` + semicolon + token + `=` + value + `)*?)` +
		`(?:` + semicolon + `[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)(?:` + semicolon + token + `(?:=` + value + `)?)*)?` +
		`[ \t]*(?:,|$)`)
	// weight is what stands among the parameters if it is no number up to 1.
	weight = regexp.MustCompile(semicolon + `[qQ]=`)
)

// form chooses the form of an error by an Accept header. One that is missing,
// or empty, names nothing, and so the answer is text: webob takes the one for
// the other.
func form(accept string) string {
	if chosen := choose(accept, []string{formHTML, formJSON}); chosen != "" {
		return chosen
	}
	return formText
}

// Choose returns which of the offers, the first of which is the service's
// favourite, a request accepts best; "" if it accepts none. Without an Accept
// header everything is accepted.
func Choose(r *http.Request, offers ...string) string {
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return offers[0]
	}
	return choose(strings.Join(accept, ","), offers)
}

// choose is Choose for the value of a header. One that is malformed counts as
// if everything were accepted.
func choose(accept string, offers []string) string {
	ranges, ok := parseAccept(accept)
	if !ok {
		return offers[0]
	}
	best, bestQ := "", 0.0
	for _, offer := range offers {
		if q := quality(ranges, offer); q > bestQ {
			best, bestQ = offer, q
		}
	}
	return best
}

type mediaRange struct {
	name string // lower case
	q    float64
}

// parseAccept returns the ranges without parameters, for the forms have none.
// It returns false if the header is not what one should be.
func parseAccept(s string) (ranges []mediaRange, ok bool) {
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return ranges, true
		}
		m := element.FindStringSubmatch(s)
		if m == nil {
			return nil, false
		}
		s = s[len(m[0]):]
		if weight.MatchString(m[2]) {
			return nil, false
		}
		if m[2] != "" {
			continue
		}
		q := 1.0
		if m[3] != "" {
			q, _ = strconv.ParseFloat(m[3], 64) // the pattern has only numbers there
		}
		ranges = append(ranges, mediaRange{strings.ToLower(m[1]), q})
	}
}

// quality returns how much an offer is liked, by the most specific range that
// covers it; 0 if none does.
func quality(ranges []mediaRange, offer string) float64 {
	main, _, _ := strings.Cut(offer, "/")
	q, specific := 0.0, 0
	for _, r := range ranges {
		s := 0
		switch r.name {
		case offer:
			s = 3
		case main + "/*":
			s = 2
		case "*/*":
			s = 1
		}
		if s > specific {
			specific, q = s, r.q
		}
	}
	return q
}
