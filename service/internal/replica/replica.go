// Package replica takes images from one image service to another, or to a
// directory and back, with their IDs: it is what glance-replicator does.
//
// Package service hands it a client for each side and says what is copied. An
// image appears at its target when it is whole: until then it is private and
// has no data, a file has a temporary name. Whatever breaks off, the next run
// finishes. It speaks version 2 of the Images API by package client, to a source
// version 1 if that has no other, and knows neither Keystone nor how a service works inside.
package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"glancectl/service/client"
)

// Options say what is copied, and who is told. The zero value copies all of it.
type Options struct {
	Leave    []string // attributes and properties that stay as they are; "properties" means all of these
	MetaOnly bool     // no data is copied, and no image is made
	Chunk    int      // bytes that are written to a file at once; 0 means 64 KiB

	Say      func(text string)            // what is being done and what fails; nil means nobody is told
	Detail   func(text string)            // what is looked at; nil means nobody is told
	Progress func(done, total int64)      // of the image that is being copied; nil means nobody is told
	Pause    func(n int) <-chan time.Time // before something is tried again, from 0 on; nil means a while that grows
}

// A Source is an image service that images are taken from.
type Source interface {
	Records(ctx context.Context) ([]client.Record, error)
	Record(ctx context.Context, id string) (client.Record, error)
	Members(ctx context.Context, id string) ([]client.Member, error)
	Download(ctx context.Context, id string, from int64) (data io.ReadCloser, start int64, err error)
}

// A Copier copies images. It is used by one goroutine.
type Copier struct {
	source       Source
	target       *client.Client // a side that is a directory is nil
	o            Options
	failed, seen int
}

// New returns a copier between two services. One that a command does not ask
// may be nil.
func New(source Source, target *client.Client, o Options) *Copier {
	if o.Chunk <= 0 {
		o.Chunk = 64 << 10
	}
	quiet := func(string) {}
	if o.Say == nil {
		o.Say = quiet
	}
	if o.Detail == nil {
		o.Detail = quiet
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if o.Pause == nil {
		o.Pause = func(n int) <-chan time.Time { return time.After(pauses[min(n, len(pauses)-1)]) }
	}
	return &Copier{source: source, target: target, o: o}
}

// pauses are before what a network has spoiled is tried again.
var pauses = []time.Duration{200 * time.Millisecond, time.Second, 3 * time.Second, 9 * time.Second}

// What an image can be, as far as it matters here.
const (
	queued      = "queued"
	saving      = "saving"
	active      = "active"
	deactivated = "deactivated"
)

// An image is what is told of an image: by a service, or by a directory.
type image struct {
	client.Record
	members []client.Member
	shared  bool // members is known
}

func (im *image) title() string {
	if im.Name == "" {
		return im.ID
	}
	return fmt.Sprintf("%s (%s)", im.ID, im.Name)
}

// Size returns how many images of the source have data, and how much.
func (c *Copier) Size(ctx context.Context) (images int, bytes int64, err error) {
	list, err := c.source.Records(ctx)
	for _, r := range list {
		if r.Status == active {
			images++
			bytes += r.Size
		}
	}
	return images, bytes, err
}

// Compare writes to out what the target has otherwise than the source, or has
// not.
func (c *Copier) Compare(ctx context.Context, out io.Writer) error {
	return c.both(ctx, func(from, to *image) error {
		if to == nil {
			if from.Status != active {
				return nil
			}
			_, err := fmt.Fprintf(out, "Image %s (%q) entirely missing from the destination\n", from.ID, from.Name)
			return err
		}
		differences := c.diff(from, to)
		for _, d := range differences {
			if _, err := fmt.Fprintf(out, "%s: field %s differs (source is %s, destination is %s)\n", from.ID, d.name, d.from, d.to); err != nil {
				return err
			}
		}
		if len(differences) == 0 {
			c.o.Detail(from.ID + " is identical")
		}
		return nil
	})
}

// Livecopy copies the images of the source to the target, and makes those that
// are there already as the source has them.
func (c *Copier) Livecopy(ctx context.Context) error {
	return c.both(ctx, func(from, to *image) error {
		return c.put(ctx, from, to, func(ctx context.Context) (io.ReadCloser, error) {
			if from.Size == 0 { // there may be nothing to ask for
				return http.NoBody, nil
			}
			data, _, err := c.source.Download(ctx, from.ID, 0)
			return data, err
		})
	})
}

// both calls do for each image of the source, with what the target has of it.
func (c *Copier) both(ctx context.Context, do func(from, to *image) error) error {
	list, err := c.source.Records(ctx)
	if err != nil {
		return err
	}
	there, err := c.there(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		c.o.Detail("Considering " + list[i].ID)
		err := c.one(ctx, list[i].ID, func() error {
			from, err := c.withMembers(ctx, c.source, &list[i])
			if err != nil {
				return err
			}
			to, err := c.at(ctx, there, from.ID)
			if err != nil {
				return err
			}
			return do(from, to)
		})
		if err != nil {
			return err
		}
	}
	return c.result()
}

// there returns what the target lists.
func (c *Copier) there(ctx context.Context) (map[string]client.Record, error) {
	list, err := c.target.Records(ctx)
	all := make(map[string]client.Record, len(list))
	for _, r := range list {
		all[r.ID] = r
	}
	return all, err
}

// at returns what the target has of an image; nil if it is not there.
func (c *Copier) at(ctx context.Context, there map[string]client.Record, id string) (*image, error) {
	r, ok := there[id]
	if !ok { // there are images that are seen but not listed
		var err error
		r, err = c.target.Record(ctx, id)
		if client.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return c.withMembers(ctx, c.target, &r)
}

// withMembers adds to what a service told of an image whom it is shared with,
// if the caller may know.
func (c *Copier) withMembers(ctx context.Context, at Source, r *client.Record) (*image, error) {
	im := &image{Record: *r}
	if r.Visibility != "shared" || slices.Contains(c.o.Leave, membersName) {
		return im, nil
	}
	members, err := at.Members(ctx, r.ID)
	if hides(err) {
		return im, nil
	}
	im.members, im.shared = members, err == nil
	return im, err
}

// hides says whether an error is that the caller may not see something.
func hides(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && (e.Status == http.StatusNotFound || e.Status == http.StatusForbidden)
}

// one does what there is to do for one image. Only what will not be better with
// the next one ends the run.
func (c *Copier) one(ctx context.Context, id string, do func() error) error {
	c.seen++
	err := do()
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*client.Error](err); errors.Is(err, context.Canceled) || ok && e.Status == http.StatusUnauthorized {
		return err
	}
	if c.gone(ctx, id) {
		c.o.Say(id + ": the source does not have it any more")
		return nil
	}
	c.failed++
	c.o.Say(id + ": " + err.Error())
	return nil
}

// gone says whether an image has left the source since that was asked.
func (c *Copier) gone(ctx context.Context, id string) bool {
	if c.source == nil {
		return false
	}
	_, err := c.source.Record(ctx, id)
	return client.IsNotFound(err)
}

// result is an error if any image failed.
func (c *Copier) result() error {
	if c.failed > 0 {
		return fmt.Errorf("%d of %d images failed", c.failed, c.seen)
	}
	return nil
}

// again does something until it works, fails for good or was tried often
// enough.
func (c *Copier) again(ctx context.Context, id string, do func() error) error {
	for n := 1; ; n++ {
		err := do()
		if err == nil || ctx.Err() != nil || n > len(pauses) || !passing(err) {
			return err
		}
		c.o.Say(fmt.Sprintf("%s: %v; trying again", id, err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.o.Pause(n - 1):
		}
	}
}

// passing says whether an error may be gone after a while: the connection was
// cut, or who is in between has nobody to ask.
func passing(err error) bool {
	if errors.Is(err, errBroken) {
		return true
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return slices.Contains([]int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, e.Status)
	}
	_, unreachable := errors.AsType[*url.Error](err)
	return unreachable
}

// errBroken is in errors of data that ends too early, or does not go on.
var errBroken = errors.New("the transfer broke off")

// left says whether an attribute or a property is not replicated. Words of
// version 1 are known too.
func (c *Copier) left(name string, property bool) bool {
	other := name
	switch name {
	case "visibility":
		other = "is_public"
	case "min_ram", "min_disk":
		other = strings.ReplaceAll(name, "_", "-")
	}
	return slices.Contains(c.o.Leave, name) || slices.Contains(c.o.Leave, other) || property && slices.Contains(c.o.Leave, "properties")
}
