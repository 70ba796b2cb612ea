package glance

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestStatus goes through every pair of statuses.
func TestStatus(t *testing.T) {
	all := []Status{Queued, Saving, Uploading, Importing, Active, Deactivated, Killed, PendingDelete, Deleted}
	want := map[Status]string{
		Queued:        "saving uploading importing active killed deleted",
		Saving:        "active killed deleted queued",
		Uploading:     "importing queued deleted",
		Importing:     "active deleted queued",
		Active:        "pending_delete deleted deactivated",
		Killed:        "deleted",
		PendingDelete: "deleted active",
		Deactivated:   "active deleted pending_delete",
	}
	for _, from := range all {
		for _, to := range all {
			text, n := "x", int64(1)
			im := &Image{Status: from, DiskFormat: &text, ContainerFormat: &text, Size: &n, VirtualSize: &n, Checksum: &text}
			err := im.moveTo(to)
			if may := strings.Contains(" "+want[from]+" ", " "+string(to)+" "); may {
				if err != nil || im.Status != to {
					t.Errorf("from %s to %s: %v, image is %s", from, to, err, im.Status)
				}
				if fresh := im.Size == nil && im.VirtualSize == nil && im.Checksum == nil; fresh != (to == Queued) {
					t.Errorf("from %s to %s: size and checksum are cleared: %v; want %v", from, to, fresh, to == Queued)
				}
				continue
			}
			if !errors.Is(err, ErrConflict) || im.Status != from {
				t.Errorf("from %s to %s: %v, image is %s; want %v", from, to, err, im.Status, ErrConflict)
				continue
			}
			if want := fmt.Sprintf("Image status transition from %s to %s is not allowed", from, to); err.Error() != want {
				t.Errorf("from %s to %s: %q; want %q", from, to, err, want)
			}
		}
	}
}
