// Package glancedownload gets images from the image services of other regions,
// with the token of whoever wants them: a [glance.Peer].
//
// The service opens one for imports. Where a region's service is, is in the
// service catalog of the caller, and whether it may be asked is for the [Web] to
// say: an endpoint in a catalog is no more to be trusted than a URI that
// somebody gives. The token goes there and nowhere else, and neither it nor an
// answer appears in an error.
package glancedownload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"

	"glancectl/service/glance"
)

// Endpoints finds image services by the catalog of whoever has a token:
// glance.ErrNotFound if there is none, glance.ErrForbidden if the token is not
// valid.
type Endpoints interface {
	ImageEndpoint(ctx context.Context, token glance.Token, region, face string) (string, error)
}

// A Web asks web servers. The answer comes whatever its status is, and its body
// must be closed. The error is a glance.ErrInvalid if the URL must not be asked
// for.
type Web interface {
	Do(ctx context.Context, method, url string, header http.Header) (*http.Response, error)
}

// A Peer is a glance.Peer. Its methods may be called from several goroutines at
// once.
type Peer struct {
	endpoints Endpoints
	web       Web
	log       *slog.Logger
}

var _ glance.Peer = (*Peer)(nil)

// New returns a peer. The log is told why something fails.
func New(endpoints Endpoints, web Web, log *slog.Logger) *Peer { return &Peer{endpoints, web, log} }

func refuse(kind error, format string, args ...any) error {
	return &glance.Refusal{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// maxDocument is how much of the document of an image is read.
const maxDocument = 10 << 20

// Describe implements glance.Peer.
func (p *Peer) Describe(ctx context.Context, s glance.Source) (*glance.Description, error) {
	resp, err := p.ask(ctx, s, "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var doc map[string]any
	d := json.NewDecoder(io.LimitReader(resp.Body, maxDocument))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		p.log.InfoContext(ctx, "the image service of another region answers with no document", "region", s.Region, "error", err)
		return nil, refuse(glance.ErrUnavailable, "The image service of region %s does not answer as one.", s.Region)
	}
	return describe(doc), nil
}

// attributes are what every image has, and what says where it is.
var attributes = []string{
	"name", "disk_format", "container_format", "visibility", "size", "virtual_size", "status", "checksum", "protected", "min_ram", "min_disk",
	"owner", "os_hidden", "os_hash_algo", "os_hash_value", "id", "created_at", "updated_at", "locations", "direct_url", "tags", "self", "file",
	"schema", "stores",
}

func describe(doc map[string]any) *glance.Description {
	text := func(name string) *string {
		if s, ok := doc[name].(string); ok {
			return &s
		}
		return nil
	}
	d := &glance.Description{DiskFormat: text("disk_format"), ContainerFormat: text("container_format"), Properties: make(map[string]string)}
	if status := text("status"); status != nil {
		d.Status = glance.Status(*status)
	}
	if number, ok := doc["size"].(json.Number); ok {
		if n, err := number.Int64(); err == nil && n >= 0 {
			d.Size = &n
		}
	}
	for name := range doc {
		if value := text(name); value != nil && !slices.Contains(attributes, name) {
			d.Properties[name] = *value
		}
	}
	return d
}

// Fetch implements glance.Peer.
func (p *Peer) Fetch(ctx context.Context, s glance.Source) (io.ReadCloser, error) {
	resp, err := p.ask(ctx, s, "/file")
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// ask returns the answer to a question about an image, which is a success and
// whose body must be closed.
func (p *Peer) ask(ctx context.Context, s glance.Source, path string) (*http.Response, error) {
	token := glance.CallerFrom(ctx).Token
	at, err := p.endpoints.ImageEndpoint(ctx, token, s.Region, s.Interface)
	switch {
	case errors.Is(err, glance.ErrNotFound):
		return nil, refuse(glance.ErrNotFound, "%s glance endpoint not found for region %s", s.Interface, s.Region)
	case errors.Is(err, glance.ErrForbidden):
		return nil, refuse(glance.ErrForbidden, "The token that the import was asked for with is not valid any more.")
	case err != nil:
		return nil, fmt.Errorf("region %s: %w", s.Region, err)
	}
	url := at + "/v2/images/" + s.Image + path
	resp, err := p.web.Do(ctx, http.MethodGet, url, http.Header{"X-Auth-Token": {string(token)}})
	if errors.Is(err, glance.ErrInvalid) {
		p.log.InfoContext(ctx, "an image service may not be asked", "region", s.Region, "error", err)
		return nil, refuse(glance.ErrInvalid, "Processed URI for %s does not pass filtering: %s", glance.GlanceDownload, url)
	}
	if err != nil {
		p.log.InfoContext(ctx, "an image service does not answer", "region", s.Region, "error", err)
		return nil, refuse(glance.ErrUnavailable, "The image service of region %s does not answer.", s.Region)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, refuse(glance.ErrUnavailable, "The image service of region %s answers with status %d.", s.Region, resp.StatusCode)
	}
	return resp, nil
}
