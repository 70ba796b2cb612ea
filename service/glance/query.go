package glance

// A Query says which images List returns. The zero value means all that are
// not deleted, newest first.
type Query struct {
	// Who asks. Admin sees every image except others' community images; a
	// caller without admin sees own, public, images without an owner and,
	// by MemberStatus, images shared with the project.
	ProjectID string
	Admin     bool
	AsUser    bool // an admin wants to see what others of the project see

	Visibility   Visibility   // "" means as said above
	AllVisible   bool         // visibility=all: community images as well
	NotPublic    bool         // no public images
	MemberStatus MemberStatus // "" means Accepted
	AnyMember    bool         // member_status=all

	Filters    []Filter          // all of them hold
	Properties map[string]string // custom properties that are equal, all of them
	Tags       []string          // the image has all of them
	Hidden     *bool             // nil means both
	Deleted    bool              // deleted images as well
	Bare       bool              // the images may come without their locations
	Statuses   []Status          // any of them; none means any but Killed

	Sort   []SortKey // empty means created_at descending; created_at and id break ties with the last direction
	Marker ID        // start after this image; ErrNotFound if it cannot be seen. To an admin it may be one that is deleted
	Limit  int       // 0 means none at all; negative means no limit
}

// A Filter compares one attribute.
type Filter struct {
	Attribute string   // name, status, container_format, disk_format, id, size, min_ram, min_disk, owner, checksum, os_hash_algo, os_hash_value, protected, virtual_size, created_at, updated_at, deleted_at
	Op        string   // "eq", "neq", "in", "lt", "lte", "gt", "gte"
	Values    []string // one, or several for "in"; times in RFC 3339 UTC, booleans "true" or "false"
}

// A SortKey is one key of the order.
type SortKey struct {
	Attribute  string // name, status, container_format, disk_format, size, id, created_at, updated_at
	Descending bool
}
