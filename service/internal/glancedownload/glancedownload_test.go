package glancedownload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

const (
	image  = "71c675ab-d94f-49cd-a114-e12490b328d9"
	secret = "gAAAA-secret"
)

// catalog has one image service, of region Two.
type catalog struct{ at string }

func (c catalog) ImageEndpoint(_ context.Context, token glance.Token, region, face string) (string, error) {
	switch {
	case token != secret:
		return "", glance.ErrForbidden
	case region == "Broken":
		return "", errors.New("Keystone is not there")
	case region != "Two" || face != "public":
		return "", glance.ErrNotFound
	}
	return c.at, nil
}

// web asks everybody but one host.
type web struct{}

func (web) Do(ctx context.Context, method, url string, header http.Header) (*http.Response, error) {
	if strings.HasPrefix(url, "http://inside") {
		return nil, fmt.Errorf("%w: inside", glance.ErrInvalid)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header = header
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", glance.ErrUnavailable, err)
	}
	return resp, nil
}

func TestPeer(t *testing.T) {
	document := `{"hw_disk_bus": "scsi", "os_type": "linux", "os_hidden": false, "os_hash_algo": "sha512", "name": "n", "disk_format": "qcow2",
		"container_format": "bare", "status": "active", "size": 4, "stores": "a", "tags": [], "locations": [], "id": "x", "number": 5}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth-Token") != secret {
			t.Errorf("%s is asked for without the token", r.URL)
		}
		switch r.URL.Path {
		case "/v2/images/" + image:
			io.WriteString(w, document)
		case "/v2/images/" + image + "/file":
			io.WriteString(w, "abcd")
		default:
			http.Error(w, secret, http.StatusNotFound)
		}
	}))
	defer srv.Close()
	var log bytes.Buffer
	p := New(catalog{srv.URL}, web{}, slog.New(slog.NewTextHandler(&log, nil)))
	ctx := glance.WithCaller(t.Context(), glance.Caller{Token: secret})
	from := glance.Source{Region: "Two", Image: image, Interface: "public"}

	got, err := p.Describe(ctx, from)
	if err != nil {
		t.Fatal(err)
	}
	qcow2, bare, size := "qcow2", "bare", int64(4)
	want := &glance.Description{Status: glance.Active, DiskFormat: &qcow2, ContainerFormat: &bare, Size: &size,
		Properties: map[string]string{"hw_disk_bus": "scsi", "os_type": "linux"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Describe (-want +got):\n%s", diff)
	}
	rc, err := p.Fetch(ctx, from)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if data, err := io.ReadAll(rc); string(data) != "abcd" || err != nil {
		t.Errorf("Fetch = %q, %v", data, err)
	}

	other, nowhere, inside, anonymous := from, from, from, glance.WithCaller(t.Context(), glance.Caller{})
	other.Image = strings.Replace(image, "7", "8", 1)
	nowhere.Region, inside.Interface = "Three", "internal"
	for _, test := range []struct {
		name string
		ctx  context.Context
		at   string
		from glance.Source
		kind error
		text string
	}{
		{"no such image", ctx, srv.URL, other, glance.ErrUnavailable, "The image service of region Two answers with status 404."},
		{"no such region", ctx, srv.URL, nowhere, glance.ErrNotFound, "public glance endpoint not found for region Three"},
		{"no such interface", ctx, srv.URL, inside, glance.ErrNotFound, "internal glance endpoint not found for region Two"},
		{"no token", anonymous, srv.URL, from, glance.ErrForbidden, "The token that the import was asked for with is not valid any more."},
		{"filtered", ctx, "http://inside", from, glance.ErrInvalid, "Processed URI for glance-download does not pass filtering: http://inside/v2/images/" + image},
		{"nobody", ctx, "http://127.0.0.1:1", from, glance.ErrUnavailable, "The image service of region Two does not answer."},
	} {
		p := New(catalog{test.at}, web{}, slog.New(slog.NewTextHandler(&log, nil)))
		_, err := p.Describe(test.ctx, test.from)
		if _, ok := errors.AsType[*glance.Refusal](err); !ok || !errors.Is(err, test.kind) || err.Error() != test.text {
			t.Errorf("Describe, %s: %v; want %s", test.name, err, test.text)
		}
		if _, err := p.Fetch(test.ctx, test.from); !errors.Is(err, test.kind) {
			t.Errorf("Fetch, %s: %v; want %v", test.name, err, test.kind)
		}
	}
	broken := from
	broken.Region = "Broken"
	if _, err := p.Describe(ctx, broken); err == nil || errors.As(err, new(*glance.Refusal)) {
		t.Errorf("Describe without Keystone: %v; want a fault", err)
	}
	for _, document = range []string{"", "[]", "<html>"} {
		if _, err := p.Describe(ctx, from); !errors.Is(err, glance.ErrUnavailable) {
			t.Errorf("Describe of %q: %v", document, err)
		}
	}
	document = `{"size": "large", "disk_format": null, "status": 1}`
	if got, err := p.Describe(ctx, from); err != nil || got.Size != nil || got.DiskFormat != nil || got.Status != "" {
		t.Errorf("Describe of nonsense = %+v, %v", got, err)
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("the token is in the log: %s", &log)
	}
}
