package v1wire

import (
	"fmt"
	"net/http"

	"glancectl/service/internal/fault"
)

// Refused is a fault with a text of its own.
func Refused(code int, format string, args ...any) *fault.Fault {
	return &fault.Fault{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Detailed is a fault with the code's standard sentence and a detail.
func Detailed(code int, format string, args ...any) *fault.Fault {
	return &fault.Fault{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// NotAllowed is the answer to a method; allow is the value of the Allow
// header, which may be empty.
func NotAllowed(method, allow string) *fault.Fault {
	f := Refused(http.StatusMethodNotAllowed, "The method %s is not allowed for this resource.", method)
	if allow != "" {
		f.Header = http.Header{"Allow": {allow}}
	}
	return f
}
