package notifier

import (
	"context"
	"strings"
	"time"

	"glancectl/service/glance"
)

// stamp returns a time as payloads have it; nil for one that there is not.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// A tombstone is how payloads say whether something is still there.
type tombstone struct {
	Deleted bool `json:"deleted"`
	At      any  `json:"deleted_at"`
}

// tomb returns the tombstone of an event: its type ends with delete or not.
func tomb(event string, now time.Time) tombstone {
	if strings.HasSuffix(event, ".delete") {
		return tombstone{true, stamp(now)}
	}
	return tombstone{}
}

// payloadOf returns the payload of an event.
func payloadOf(ctx context.Context, e glance.Event, now time.Time) any {
	switch {
	case e.Task != nil:
		return taskOf(e, now)
	case e.Member != nil:
		return memberOf(e, now)
	case e.Type == "image.send":
		return transferOf(ctx, e)
	case e.Err != nil:
		return e.Words()
	}
	return imageOf(e, now)
}

// An image has no field for locations, on purpose: they may hold passwords.
type image struct {
	ID              glance.ID         `json:"id"`
	Name            *string           `json:"name"`
	Status          glance.Status     `json:"status"`
	CreatedAt       any               `json:"created_at"`
	UpdatedAt       any               `json:"updated_at"`
	MinDisk         int64             `json:"min_disk"`
	MinRAM          int64             `json:"min_ram"`
	Protected       bool              `json:"protected"`
	Checksum        *string           `json:"checksum"`
	Owner           *string           `json:"owner"`
	DiskFormat      *string           `json:"disk_format"`
	ContainerFormat *string           `json:"container_format"`
	Size            *int64            `json:"size"`
	VirtualSize     *int64            `json:"virtual_size"`
	IsPublic        bool              `json:"is_public"`
	Visibility      glance.Visibility `json:"visibility"`
	Properties      map[string]string `json:"properties"`
	Tags            []string          `json:"tags"`
	tombstone
	*progress
	Backend string `json:"backend,omitempty"`
}

// progress is how far an import into several stores is.
type progress struct {
	Importing []string `json:"os_glance_importing_to_stores"`
	Failed    []string `json:"os_glance_failed_import"`
}

func imageOf(e glance.Event, now time.Time) image {
	im := e.Image
	p := image{
		ID: im.ID, Name: im.Name, Status: im.Status,
		CreatedAt: stamp(im.CreatedAt), UpdatedAt: stamp(im.UpdatedAt),
		MinDisk: im.MinDisk, MinRAM: im.MinRAM, Protected: im.Protected,
		Checksum: im.Checksum, Owner: im.Owner,
		DiskFormat: im.DiskFormat, ContainerFormat: im.ContainerFormat,
		Size: im.Size, VirtualSize: im.VirtualSize,
		IsPublic: im.Visibility == glance.Public, Visibility: im.Visibility,
		Properties: im.Properties, Tags: im.Tags,
		tombstone: tomb(e.Type, now), Backend: e.Store,
	}
	if p.Properties == nil {
		p.Properties = map[string]string{}
	}
	if p.Tags == nil {
		p.Tags = []string{}
	}
	if e.Type == "image.prepare" || e.Type == "image.upload" {
		p.progress = &progress{
			stores(im.Properties[glance.ImportingStores]), stores(im.Properties[glance.FailedStores]),
		}
	}
	return p
}

// stores returns the words of a list, which is never nil.
func stores(list string) []string {
	if list == "" {
		return []string{}
	}
	return strings.Split(list, ",")
}

type member struct {
	Image     glance.ID           `json:"image_id"`
	Project   string              `json:"member_id"`
	Status    glance.MemberStatus `json:"status"`
	CreatedAt any                 `json:"created_at"`
	UpdatedAt any                 `json:"updated_at"`
	tombstone
}

func memberOf(e glance.Event, now time.Time) member {
	m := e.Member
	return member{m.ImageID, m.ProjectID, m.Status, stamp(m.CreatedAt), stamp(m.UpdatedAt), tomb(e.Type, now)}
}

// A transfer is what was sent to whom.
type transfer struct {
	Bytes   int64     `json:"bytes_sent"`
	Image   glance.ID `json:"image_id"`
	Owner   *string   `json:"owner_id"`
	Project *string   `json:"receiver_tenant_id"`
	User    *string   `json:"receiver_user_id"`
	To      string    `json:"destination_ip,omitempty"`
}

func transferOf(ctx context.Context, e glance.Event) transfer {
	c := glance.CallerFrom(ctx)
	return transfer{e.Sent, e.Image.ID, e.Image.Owner, known(c.ProjectID), known(c.UserID), e.To}
}

// known returns nil for text that is not there.
func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// A task has neither its input nor what it says of itself: both may hold what
// not everybody may know.
type task struct {
	ID        string            `json:"id"`
	Type      glance.TaskType   `json:"type"`
	Status    glance.TaskStatus `json:"status"`
	Result    any               `json:"result"`
	Owner     string            `json:"owner"`
	Message   any               `json:"message"`
	ExpiresAt any               `json:"expires_at"`
	CreatedAt any               `json:"created_at"`
	UpdatedAt any               `json:"updated_at"`
	tombstone
}

func taskOf(e glance.Event, now time.Time) task {
	t := e.Task
	expires := now // of a task that does not expire yet, with the original as well
	if t.ExpiresAt != nil {
		expires = *t.ExpiresAt
	}
	return task{
		ID: t.ID, Type: t.Type, Status: t.Status, Owner: t.Owner, ExpiresAt: stamp(expires),
		CreatedAt: stamp(t.CreatedAt), UpdatedAt: stamp(t.UpdatedAt), tombstone: tomb(e.Type, now),
	}
}
