package apiv2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
)

// askTime is how long another service may take for what it is asked.
const askTime = 60 * time.Second

// passedOn marks a request that comes from another service: one that is passed
// on twice would go round for ever, where two services call themselves wrong.
const passedOn = "1.1 glance-stage"

// newPeers returns the client for services on the same catalog. Their URLs
// stand in the catalog and were written there by themselves, so there is no
// filter; but none of them says where to go instead.
func newPeers() *http.Client {
	return &http.Client{
		Timeout:       askTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask has the service that has the staged data do what r asks for, with the
// caller's token and as if the caller had gone there. The error is a fault:
// what that service has refused, or that it does not answer.
func (a *API) ask(r *http.Request, there *glance.Elsewhere, body []byte) error {
	if strings.Contains(strings.Join(r.Header.Values("Via"), ","), passedOn) {
		return fmt.Errorf("%s, which is no other service than this one: worker_self_reference_url is wrong: %w", there, unreachable(http.StatusBadGateway))
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, strings.TrimRight(there.URL, "/")+(&url.URL{Path: r.URL.Path}).EscapedPath(), bytes.NewReader(body))
	if err != nil || out.URL.Scheme != "http" && out.URL.Scheme != "https" || out.URL.Host == "" {
		return fmt.Errorf("%s: not an http URL: %w", there, unreachable(http.StatusBadGateway))
	}
	c := glance.CallerFrom(r.Context())
	out.Header.Set("Via", passedOn)
	out.Header.Set("X-Openstack-Request-Id", c.RequestID)
	if c.Token != "" {
		out.Header.Set("X-Auth-Token", string(c.Token))
	}
	if len(body) > 0 {
		out.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.peers.Do(out)
	if err != nil {
		code := http.StatusBadGateway
		if _, dial := errors.AsType[*net.OpError](err); dial || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			code = http.StatusGatewayTimeout
		}
		return fmt.Errorf("%s: %w: %w", there, unreachable(code), err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return &fault.Fault{Code: max(resp.StatusCode, http.StatusBadRequest), Text: http.StatusText(resp.StatusCode)}
	}
	return nil
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func unreachable(code int) *fault.Fault {
	return &fault.Fault{Code: code, Detail: "Stage host is unavailable"}
}

// deleteStaged is deleteImage for an image that is staged with another service.
// One that is not there, or in trouble, does not keep the image from being
// deleted; what it has of the data it removes when it starts.
func (a *API) deleteStaged(r *http.Request, id glance.ID, there *glance.Elsewhere) error {
	err := a.ask(r, there, nil)
	if f, ok := errors.AsType[*fault.Fault](err); !ok || f.Code < http.StatusInternalServerError {
		return err
	}
	a.o.Log.WarnContext(r.Context(), "an image is deleted without the service that has its staged data", "image", id, "error", err)
	return a.images.Delete(r.Context(), id)
}
