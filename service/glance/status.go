package glance

import (
	"slices"
	"strings"
)

// next is every way an image's status may change. Deactivated may go to
// PendingDelete although older services know only Deleted: a delete that is
// cut short is then found and finished by the scrubber.
var next = map[Status][]Status{
	Queued:        {Saving, Uploading, Importing, Active, Killed, Deleted},
	Saving:        {Active, Killed, Deleted, Queued},
	Uploading:     {Importing, Queued, Deleted},
	Importing:     {Active, Deleted, Queued},
	Active:        {PendingDelete, Deleted, Deactivated},
	Killed:        {Deleted},
	PendingDelete: {Deleted, Active},
	Deactivated:   {Active, Deleted, PendingDelete},
}

// moveTo changes the status of im, if the table allows it. An image that is
// queued again has no size. Data that is being imported is staged no more.
func (im *Image) moveTo(to Status) error {
	if !slices.Contains(next[im.Status], to) {
		return refuse(ErrConflict, "Image status transition from %s to %s is not allowed", im.Status, to)
	}
	if im.Status == Queued && (to == Saving || to == Active) {
		if err := im.complete(); err != nil {
			return err
		}
	}
	if to == Queued {
		im.Size, im.VirtualSize, im.Checksum, im.HashAlgo, im.HashValue = nil, nil, nil, nil, nil
	}
	if to == Queued || to == Importing {
		delete(im.Properties, StageHost)
	}
	im.Status = to
	return nil
}

// complete reports what has to be set before an image may have data.
func (im *Image) complete() error {
	var missing []string
	if im.DiskFormat == nil || *im.DiskFormat == "" {
		missing = append(missing, "disk_format")
	}
	if im.ContainerFormat == nil || *im.ContainerFormat == "" {
		missing = append(missing, "container_format")
	}
	switch len(missing) {
	case 0:
		return nil
	case 1:
		return refuse(ErrInvalid, "Property %s must be set prior to saving data.", missing[0])
	}
	return refuse(ErrInvalid, "Properties %s must be set prior to saving data.", strings.Join(missing, ", "))
}
