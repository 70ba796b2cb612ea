// Package glance defines images and what may be done with them.
//
// It knows nothing about HTTP, SQL, Keystone or any storage product. Packages
// that do import this one and are handed to [New] as a [Catalog] and a
// [Store]; everything that must be the same above all stores (hashing, size
// limits, state changes, who may do what) is written once, here.
package glance

import (
	"context"
	"encoding/json"
	"io"
	"time"
)

// An ID is the identity of an image: a UUID in the form that ParseID takes.
type ID string

// Status is where an image is in its life.
type Status string

// The statuses, as they stand in the database and on the wire.
const (
	Queued        Status = "queued"
	Saving        Status = "saving"
	Uploading     Status = "uploading"
	Importing     Status = "importing"
	Active        Status = "active"
	Deactivated   Status = "deactivated"
	Killed        Status = "killed"
	PendingDelete Status = "pending_delete"
	Deleted       Status = "deleted"
)

// Visibility is who can see an image.
type Visibility string

// The visibilities.
const (
	Public    Visibility = "public"
	Private   Visibility = "private"
	Shared    Visibility = "shared"
	Community Visibility = "community"
)

// An Image is the metadata of one image. A nil pointer is a null: never set.
type Image struct {
	ID              ID
	Name            *string
	DiskFormat      *string
	ContainerFormat *string
	Size            *int64
	VirtualSize     *int64
	Status          Status
	Visibility      Visibility
	Checksum        *string // MD5, hex
	HashAlgo        *string
	HashValue       *string
	MinDisk         int64 // GiB
	MinRAM          int64 // MiB
	Owner           *string
	Protected       bool
	Hidden          bool
	CreatedAt       time.Time // UTC; the catalog keeps whole seconds
	UpdatedAt       time.Time
	DeletedAt       *time.Time
	Properties      map[string]string
	Tags            []string // a set, sorted
	Locations       []Location
}

// A Location is where an image's data is.
type Location struct {
	ID       int64             // number of the row in the catalog; 0 in a new one
	URL      string            // as Glance writes it: file:///var/lib/glance/images/ID
	Metadata map[string]string // as in image_locations.meta_data
	// Structured has those values of Metadata that are no text: there they stand
	// as JSON.
	Structured map[string]json.RawMessage
	Status     Status // Active, PendingDelete, Removing or Deleted
}

// Removing is the status of a location of an image in status PendingDelete
// whose data somebody has begun to remove: from then on it is too late to
// restore the image.
const Removing Status = "removing"

// MemberStatus is what a project said to an image that is shared with it.
type MemberStatus string

// The member statuses.
const (
	Pending  MemberStatus = "pending"
	Accepted MemberStatus = "accepted"
	Rejected MemberStatus = "rejected"
)

// A Member is a project that an image is shared with.
type Member struct {
	ImageID   ID
	ProjectID string
	CanShare  bool
	Status    MemberStatus
	CreatedAt time.Time
	UpdatedAt time.Time
}

// A Catalog keeps metadata. Errors are the sentinels of this package, wrapped
// with what they are about. Every method is one transaction.
type Catalog interface {
	// Create adds an image with its properties, tags and locations.
	// ErrExists when there is, or ever was, an image of that ID.
	Create(ctx context.Context, im *Image) error
	// Get returns an image, deleted ones only when asked for; else ErrNotFound.
	Get(ctx context.Context, id ID, deleted bool) (*Image, error)
	// List returns images in the order and within the limits of q, each with
	// its properties, tags and locations, in a constant number of statements
	// for every few hundred. Every image is of one moment; two may be of two.
	List(ctx context.Context, q Query) ([]*Image, error)
	// Update writes what differs between before and after, and only that, so
	// that two updates of different attributes both survive. The status and
	// the formats change only if the row still has before.Status, else
	// ErrConflict and nothing is written: data is looked at as what it was
	// declared to be when it began to come. ErrNotFound if the image is gone. It sets
	// after.UpdatedAt. After status Deleted the row and all that belongs to
	// it count as deleted. PendingDelete hides an image the same way, for Get
	// and List alike, but the image keeps its locations, and an Update may
	// still take it to Deleted or back to Active: back only if all its locations
	// are in the status that they have in before, else ErrConflict, and of an
	// image that is back nothing in before, where it is gone, is written. An image is deleted only if
	// Protected is as in before and it has no location that before lacks, else
	// ErrConflict. The property ImportLock is
	// changed only if it is as in before, else ErrConflict and nothing is
	// written; and so are the locations of an image that has it in before. A
	// location that both have and that is not there any more stays away. Of an
	// image that is and stays active or deactivated, the last location is not
	// taken away, by whatever updates at once: ErrConflict and nothing is
	// written.
	Update(ctx context.Context, before, after *Image) error

	// Members returns the members of an image in the order they were added.
	Members(ctx context.Context, id ID) ([]Member, error)
	// Memberships returns the images that are shared with a project, whatever it
	// said to that, in the order they were shared.
	Memberships(ctx context.Context, projectID string) ([]Member, error)
	// AddMember adds m; ErrExists if the project is a member already.
	AddMember(ctx context.Context, m *Member) error
	// SetMember changes the status and CanShare of a member; else ErrNotFound.
	SetMember(ctx context.Context, m *Member) error
	// RemoveMember takes a member away; ErrNotFound if it is none.
	RemoveMember(ctx context.Context, id ID, projectID string) error
}

// A BareCatalog is a Catalog that reads an image sooner if nobody asks where its
// data is.
type BareCatalog interface {
	// GetBare is Get, not of a deleted image, and without its locations.
	GetBare(ctx context.Context, id ID) (*Image, error)
}

// A Store keeps image data under image IDs.
type Store interface {
	// Scheme is the scheme of the URLs that the store makes, such as "file".
	Scheme() string
	// Put writes everything r yields as the data of image id and returns its
	// URL and the number of bytes. The object appears whole or not at all: if
	// r or the backend fails, or ctx ends, nothing is left behind. ErrExists if
	// the store has data of that image; ErrStoreFull, ErrStoreReadOnly.
	Put(ctx context.Context, id ID, r io.Reader) (url string, n int64, err error)
	// Open returns n bytes of the data from off on, all that is left when n
	// is negative. ErrNotFound if there is no such object.
	Open(ctx context.Context, url string, off, n int64) (io.ReadCloser, error)
	// Delete removes the object; ErrNotFound if there is none.
	Delete(ctx context.Context, url string) error
}
