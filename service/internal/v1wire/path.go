package v1wire

import (
	"net/url"
	"strings"
)

// Segments returns the parts of a path, each as it was before it was escaped;
// ok is false if a part is no such thing or has a slash in it.
func Segments(path string) (parts []string, ok bool) {
	parts = strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, p := range parts {
		plain, err := url.PathUnescape(p)
		if err != nil || strings.Contains(plain, "/") {
			return nil, false
		}
		parts[i] = plain
	}
	return parts, true
}
