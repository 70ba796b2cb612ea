// Package swiftstore keeps image data in OpenStack Swift, or in anything that
// speaks its API: a [glance.Store] whose objects are CONTAINER/ID, as
// OpenStack Glance's swift store lays them out.
//
// The service opens one for the "swift" store of its configuration. It
// connects when it is first used. The package knows nothing of what is in the
// objects, and what it knows of the account never gets into an error.
package swiftstore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ncw/swift/v2"

	"glancectl/service/glance"
)

// A Config says where the objects are and how to log in.
type Config struct {
	// AuthAddress is where to log in: HOST:PORT/v1.0 for Swift's own
	// authentication, a Keystone's URL that ends in /v3 otherwise. Without a
	// scheme it means http.
	AuthAddress string
	// User is ACCOUNT:USER for v1.0, PROJECT:USER for v3.
	User, Key string
	// UserDomain and ProjectDomain are names of domains for v3; "" means Default.
	UserDomain, ProjectDomain string
	Region                    string
	// EndpointType is public, internal or admin; "" means public.
	EndpointType string

	Container string
	// CreateContainer lets a Put make the container if it is missing.
	CreateContainer bool
	// Reference is the name of this account in the service's configuration. It
	// stands in the URLs instead of the credentials.
	Reference string
	// ChunkSize is how much one object of the cluster may take; an image that
	// is larger becomes several. 0 means DefaultChunkSize.
	ChunkSize int64
}

// DefaultChunkSize is the ChunkSize of a Config that does not say.
const DefaultChunkSize int64 = 200 << 20

// A Store keeps image data in one container. Its methods may be called from
// several goroutines at once, and other processes may use the same container
// meanwhile.
type Store struct {
	conn *swift.Connection
	c    Config
	// commits keeps two Puts of one image in this process apart while they
	// look whether the other was first. Two processes rely on the cluster.
	commits [64]sync.Mutex
	page    int // names in one part of a listing
}

var (
	_ glance.Store     = (*Store)(nil)
	_ glance.Owner     = (*Store)(nil)
	_ glance.Discarder = (*Store)(nil)
)

// Open returns the store that c describes. It does not connect.
func Open(c Config) (*Store, error) {
	if c.Container == "" || strings.ContainsAny(c.Container, "/%?#") {
		return nil, fmt.Errorf("swift store: container %q: not a name of a container", c.Container)
	}
	if c.Reference == "" || strings.ContainsAny(c.Reference, "/%?#") {
		return nil, fmt.Errorf("swift store: reference %q: not a name", c.Reference)
	}
	address, version, err := authAddress(c.AuthAddress)
	if err != nil {
		return nil, fmt.Errorf("swift store: auth address: %w", err)
	}
	if c.User == "" || c.Key == "" {
		return nil, errors.New("swift store: user and key are needed")
	}
	if c.ChunkSize == 0 {
		c.ChunkSize = DefaultChunkSize
	}
	conn := &swift.Connection{
		AuthUrl:      address,
		AuthVersion:  version,
		UserName:     c.User,
		ApiKey:       c.Key,
		Region:       c.Region,
		EndpointType: swift.EndpointType(strings.TrimSuffix(c.EndpointType, "URL")),
		UserAgent:    "glance",
		// Image data comes at the pace of the client that sends it.
		Timeout: 5 * time.Minute,
	}
	conn.Transport = newTransport(conn)
	if version == 3 {
		project, user, ok := strings.Cut(c.User, ":")
		if !ok {
			return nil, errors.New("swift store: user must be PROJECT:USER for Keystone")
		}
		conn.Tenant, conn.UserName = project, user
		conn.Domain, conn.TenantDomain = orDefault(c.UserDomain), orDefault(c.ProjectDomain)
	}
	return &Store{conn: conn, c: c, page: objectsPage}, nil
}

func orDefault(domain string) string {
	if domain == "" {
		return "Default"
	}
	return domain
}

// authAddress returns the URL to log in at and the version of the protocol.
func authAddress(s string) (string, int, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", 0, errors.New("neither HOST:PORT/v1.0 nor a URL")
	}
	if u.User != nil {
		return "", 0, errors.New("credentials do not belong into it")
	}
	switch path := strings.TrimSuffix(u.Path, "/"); {
	case strings.HasSuffix(path, "/v1.0"), strings.HasSuffix(path, "/v1"):
		return strings.TrimSuffix(u.String(), "/"), 1, nil
	case strings.HasSuffix(path, "/v3"):
		return strings.TrimSuffix(u.String(), "/"), 3, nil
	}
	return "", 0, fmt.Errorf("%s names no version this service speaks; it must end in /v1.0 or /v3", u)
}

// Scheme implements glance.Store.
func (s *Store) Scheme() string { return "swift+config" }

func (s *Store) url(id glance.ID) string {
	return "swift+config://" + s.c.Reference + "/" + s.c.Container + "/" + string(id)
}

// object returns the container and the object that a location means. The
// container may be one that the configuration named earlier.
func (s *Store) object(location string) (container, name string, err error) {
	rest, ok := strings.CutPrefix(location, "swift+config://"+s.c.Reference+"/")
	container, name, found := strings.Cut(rest, "/")
	if !ok || !found || container == "" || strings.ContainsAny(container, "%?#\x00") || strings.Trim(container, ".") == "" || !safe(name) {
		return "", "", fmt.Errorf("image data %q: %w: not in this store", location, glance.ErrNotFound)
	}
	return container, name, nil
}

// Owns implements glance.Owner.
func (s *Store) Owns(location string) bool {
	_, _, err := s.object(location)
	return err == nil
}

// safe tells whether an object of that name is one of an image.
func safe(name string) bool {
	return name != "" && len(name) <= 200 && name[0] != '.' && !strings.ContainsAny(name, "/%?#\x00")
}

// Open implements glance.Store.
func (s *Store) Open(ctx context.Context, location string, off, n int64) (io.ReadCloser, error) {
	container, name, err := s.object(location)
	if err != nil {
		return nil, err
	}
	h := swift.Headers{}
	switch {
	case n == 0:
		// No range means no bytes; that there is an object must be known still.
		_, _, err := s.conn.Object(ctx, container, name)
		if err != nil {
			return nil, s.failed(ctx, "read image data "+location, err)
		}
		return http.NoBody, nil
	case n > 0:
		h["Range"] = fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	case off > 0:
		h["Range"] = fmt.Sprintf("bytes=%d-", off)
	}
	f, got, err := s.conn.ObjectOpen(ctx, container, name, false, h)
	if e, ok := errors.AsType[*swift.Error](err); ok && e.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return http.NoBody, nil // there is nothing from off on
	}
	if err != nil {
		return nil, s.failed(ctx, "read image data "+location, err)
	}
	if h["Range"] != "" && got["Content-Range"] == "" {
		f.Close()
		return nil, fmt.Errorf("read image data %s: %w: the cluster sends the whole object for a range", location, glance.ErrUnavailable)
	}
	return f, nil
}

// Delete implements glance.Store. The segments of a large object go first: if
// that fails, the object is still there and can be deleted again.
func (s *Store) Delete(ctx context.Context, location string) error {
	container, name, err := s.object(location)
	if err != nil {
		return err
	}
	what := "delete image data " + location
	_, h, err := s.conn.Object(ctx, container, name)
	if err != nil {
		return s.failed(ctx, what, err)
	}
	if manifest := h["X-Object-Manifest"]; manifest != "" {
		if err := s.deleteSegments(ctx, manifest, name); err != nil {
			return s.failed(ctx, what, err)
		}
	}
	if err := s.conn.ObjectDelete(ctx, container, name); err != nil {
		return s.failed(ctx, what, err)
	}
	return nil
}

// Discard implements glance.Discarder. Segments that no object holds together
// are not found.
func (s *Store) Discard(ctx context.Context, id glance.ID) error {
	if err := s.Delete(ctx, s.url(id)); err != nil && !errors.Is(err, glance.ErrNotFound) {
		return err
	}
	return nil
}

// deleteSegments deletes what a manifest refers to, if it is named after the
// image. Anything else was never written by an image service.
func (s *Store) deleteSegments(ctx context.Context, manifest, name string) error {
	manifest, err := url.PathUnescape(manifest)
	if err != nil {
		return err
	}
	container, prefix, _ := strings.Cut(manifest, "/")
	if !strings.HasPrefix(prefix, name+"-") {
		return nil
	}
	names, err := s.conn.ObjectNamesAll(ctx, container, &swift.ObjectsOpts{Prefix: prefix})
	if err != nil {
		return err
	}
	for _, segment := range names {
		if err := s.conn.ObjectDelete(ctx, container, segment); err != nil && !errors.Is(err, swift.ObjectNotFound) {
			return err
		}
	}
	return nil
}

// lock returns the mutex for the last step of a Put of an image.
func (s *Store) lock(id glance.ID) *sync.Mutex {
	return &s.commits[crc32.ChecksumIEEE([]byte(id))%uint32(len(s.commits))]
}

// failed returns what went wrong in the terms of package glance. The cluster's
// own words are in it, without the credentials should they repeat them.
func (s *Store) failed(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	words := strings.NewReplacer(s.c.Key, "***", url.QueryEscape(s.c.Key), "***", strconv.Quote(s.c.Key), "***").Replace(err.Error())
	if k := kind(err); k != nil {
		return fmt.Errorf("%s: %w: %s", what, k, words)
	}
	return fmt.Errorf("%s: %s", what, words)
}

// kind returns what an error of the client means; nil if that is unknown.
func kind(err error) error {
	if e, ok := errors.AsType[*swift.Error](err); ok {
		switch e.StatusCode {
		case http.StatusNotFound:
			return glance.ErrNotFound
		case http.StatusPreconditionFailed:
			return glance.ErrExists
		case http.StatusRequestEntityTooLarge, http.StatusInsufficientStorage:
			return glance.ErrStoreFull
		case http.StatusForbidden:
			return glance.ErrStoreReadOnly
		case 0, http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooManyRequests, swift.RateLimit.StatusCode:
			return glance.ErrUnavailable
		}
		if e.StatusCode >= 500 {
			return glance.ErrUnavailable
		}
		return nil
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return glance.ErrUnavailable
	}
	return nil
}
