package registryclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/v1wire"
)

// read makes an image of what the registry shows.
func (c *Catalog) read(r v1wire.Record) (*glance.Image, error) {
	im := r.Image()
	for i, l := range im.Locations {
		u, err := c.seal.Open(l.URL)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", im.ID, err)
		}
		im.Locations[i].URL = u
	}
	return im, nil
}

// one makes an image of an answer.
func (c *Catalog) one(body []byte) (*glance.Image, error) {
	var answer struct{ Image v1wire.Record }
	if err := json.Unmarshal(body, &answer); err != nil || answer.Image.ID == "" {
		return nil, fmt.Errorf("%w: the registry's answer is no image", glance.ErrUnavailable)
	}
	return c.read(answer.Image)
}

// Create implements glance.Catalog. A registry knows no tags: an image with
// some is ErrInvalid.
func (c *Catalog) Create(ctx context.Context, im *glance.Image) error {
	if len(im.Tags) > 0 {
		return fmt.Errorf("create image %s: %w: a registry knows no tags", im.ID, glance.ErrInvalid)
	}
	values := changes(&glance.Image{Owner: new(string), Status: "none"}, im)
	values["id"], values["owner"], values["properties"] = im.ID, im.Owner, im.Properties
	made, err := c.send(ctx, &call{method: "POST", path: "/images"}, im, values)
	if errors.Is(err, glance.ErrConflict) {
		err = glance.ErrExists
	}
	if err != nil {
		return fmt.Errorf("create image %s: %w", im.ID, err)
	}
	im.CreatedAt, im.UpdatedAt = made.CreatedAt, made.UpdatedAt
	return nil
}

// send sends values of an image, its locations if they are among them, and
// returns the image as the registry shows it then.
func (c *Catalog) send(ctx context.Context, q *call, im *glance.Image, values map[string]any) (*glance.Image, error) {
	from, conditional := values["from_state"]
	delete(values, "from_state")
	if _, there := values["location_data"]; there {
		places, err := c.places(im.Locations)
		if err != nil {
			return nil, err
		}
		values["location_data"] = places
	}
	request := map[string]any{"image": values}
	if conditional {
		request["from_state"] = from
	}
	var err error
	if q.body, err = json.Marshal(request); err != nil {
		return nil, err
	}
	body, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	return c.one(body)
}

// places are locations as they travel.
func (c *Catalog) places(locations []glance.Location) ([]map[string]any, error) {
	list := make([]map[string]any, 0, len(locations))
	for _, l := range locations {
		u, err := c.seal.Close(l.URL)
		if err != nil {
			return nil, err
		}
		meta := l.Metadata
		if meta == nil {
			meta = map[string]string{}
		}
		place := map[string]any{"url": u, "metadata": meta, "status": l.Status}
		if l.ID != 0 {
			place["id"] = l.ID
		}
		list = append(list, place)
	}
	return list, nil
}

// changes are the attributes that differ. Properties are not among them.
func changes(before, after *glance.Image) map[string]any {
	v := make(map[string]any)
	set(v, "name", before.Name, after.Name)
	set(v, "disk_format", before.DiskFormat, after.DiskFormat)
	set(v, "container_format", before.ContainerFormat, after.ContainerFormat)
	set(v, "size", before.Size, after.Size)
	set(v, "virtual_size", before.VirtualSize, after.VirtualSize)
	set(v, "checksum", before.Checksum, after.Checksum)
	set(v, "os_hash_algo", before.HashAlgo, after.HashAlgo)
	set(v, "os_hash_value", before.HashValue, after.HashValue)
	set(v, "owner", before.Owner, after.Owner)
	set(v, "status", &before.Status, &after.Status)
	set(v, "min_disk", &before.MinDisk, &after.MinDisk)
	set(v, "min_ram", &before.MinRAM, &after.MinRAM)
	set(v, "protected", &before.Protected, &after.Protected)
	was, is := before.Visibility == glance.Public, after.Visibility == glance.Public
	set(v, "is_public", &was, &is)
	if !slices.EqualFunc(before.Locations, after.Locations, func(a, b glance.Location) bool {
		return a.URL == b.URL && a.Status == b.Status
	}) {
		v["location_data"] = nil // send fills it in
	}
	return v
}

func set[T comparable](v map[string]any, name string, before, after *T) {
	if before == nil && after == nil || before != nil && after != nil && *before == *after {
		return
	}
	v[name] = after
}

// Get implements glance.Catalog. The registry shows deleted images to admins
// only.
func (c *Catalog) Get(ctx context.Context, id glance.ID, deleted bool) (*glance.Image, error) {
	body, err := c.do(ctx, &call{method: "GET", path: "/images/" + url.PathEscape(string(id))})
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", id, err)
	}
	im, err := c.one(body)
	if err == nil && !deleted && (v1wire.Gone(im.Status) || im.DeletedAt != nil) {
		return nil, fmt.Errorf("image %s: %w", id, glance.ErrNotFound)
	}
	return im, err
}

// pageSize is how many images are asked for at a time where there is no limit.
const pageSize = 1000

// List implements glance.Catalog, for what a registry can be asked.
func (c *Catalog) List(ctx context.Context, q glance.Query) ([]*glance.Image, error) {
	if q.Limit >= 0 {
		return c.page(ctx, q)
	}
	var all []*glance.Image
	for q.Limit = pageSize; ; {
		page, err := c.page(ctx, q)
		if err != nil || len(page) == 0 { // a registry may give less than is asked for
			return all, err
		}
		all = append(all, page...)
		q.Marker = page[len(page)-1].ID
	}
}

func (c *Catalog) page(ctx context.Context, q glance.Query) ([]*glance.Image, error) {
	if q.Limit == 0 {
		return nil, nil
	}
	body, err := c.do(ctx, &call{method: "GET", path: "/images/detail", query: url.Values(v1wire.ParamsOf(q))})
	if a, ok := errors.AsType[*answer](err); ok && q.Marker != "" && v1wire.IsNoMarker(a.text) {
		err = glance.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var answer struct{ Images []v1wire.Record }
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("list images: %w: the registry's answer is no list", glance.ErrUnavailable)
	}
	list := make([]*glance.Image, len(answer.Images))
	for i, r := range answer.Images {
		if list[i], err = c.read(r); err != nil {
			return nil, fmt.Errorf("list images: %w", err)
		}
	}
	return list, nil
}

// Update implements glance.Catalog. It deletes in the two steps that registries
// have for it. Nothing tells a registry to take one property away and leave
// those that others change at the same time.
func (c *Catalog) Update(ctx context.Context, before, after *glance.Image) error {
	_, err := c.UpdateClaiming(ctx, before, after)
	return err
}

// UpdateClaiming is Update. It says whether the registry did to the claim on
// the image what it had to, in the name of the Claimant: if not, it does not
// remember claims.
func (c *Catalog) UpdateClaiming(ctx context.Context, before, after *glance.Image) (claimed bool, err error) {
	if !slices.Equal(before.Tags, after.Tags) {
		return false, fmt.Errorf("update image %s: %w: a registry knows no tags", after.ID, glance.ErrInvalid)
	}
	path := "/images/" + url.PathEscape(string(before.ID))
	values := changes(before, after)
	if before.Status != after.Status || glance.FormatsDiffer(before, after) {
		values["from_state"] = before.Status
	}
	ends := v1wire.Gone(after.Status) && !v1wire.Gone(before.Status)
	if v1wire.Gone(after.Status) {
		delete(values, "location_data") // the registry ends them with the image
	}
	properties, purge := propertyChanges(before, after)
	if len(properties) > 0 || purge {
		values["properties"] = properties
	}
	q := &call{method: "PUT", path: path, purge: purge, claim: glance.ClaimChange(before, after) != glance.KeepClaim}
	now, err := c.send(ctx, q, after, values)
	if err == nil && ends {
		_, err = c.do(ctx, &call{method: "DELETE", path: path})
	}
	if err != nil {
		return false, fmt.Errorf("update image %s: %w", after.ID, err)
	}
	after.UpdatedAt = now.UpdatedAt
	if after.DeletedAt = now.DeletedAt; ends && after.DeletedAt == nil {
		at := time.Time(now.UpdatedAt)
		after.DeletedAt = &at
	}
	return q.claimed, nil
}

// propertyChanges returns what is sent of properties: what is new, or all of
// them if some are to go.
func propertyChanges(before, after *glance.Image) (send map[string]string, purge bool) {
	for name := range before.Properties {
		if _, stays := after.Properties[name]; !stays {
			return orEmpty(after.Properties), true
		}
	}
	send = make(map[string]string)
	for name, value := range after.Properties {
		if old, was := before.Properties[name]; !was || old != value {
			send[name] = value
		}
	}
	return send, false
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
