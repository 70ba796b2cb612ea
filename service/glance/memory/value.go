package memory

import (
	"strconv"
	"time"

	"glancectl/service/glance"
)

// parse reads s as a value of the same kind as a.
func (a scalar) parse(s string) scalar {
	switch {
	case a.time:
		t, err := time.Parse(time.RFC3339, s)
		return scalar{null: err != nil, numeric: true, n: t.Unix()}
	case a.numeric:
		n, err := strconv.ParseInt(s, 10, 64)
		return scalar{null: err != nil, numeric: true, n: n}
	}
	return scalar{s: s}
}

func text(s string) scalar      { return scalar{s: s} }
func number(n int64) scalar     { return scalar{numeric: true, n: n} }
func moment(t time.Time) scalar { return scalar{numeric: true, time: true, n: t.Unix()} }
func truth(b bool) scalar       { return scalar{s: strconv.FormatBool(b)} }
func optional(s *string) scalar {
	if s == nil {
		return scalar{null: true}
	}
	return text(*s)
}

func optionalNumber(n *int64) scalar {
	if n == nil {
		return scalar{null: true, numeric: true}
	}
	return number(*n)
}

// value returns an attribute that queries may name.
func value(im *glance.Image, attribute string) scalar {
	switch attribute {
	case "id":
		return text(string(im.ID))
	case "name":
		return optional(im.Name)
	case "status":
		return text(string(im.Status))
	case "container_format":
		return optional(im.ContainerFormat)
	case "disk_format":
		return optional(im.DiskFormat)
	case "owner":
		return optional(im.Owner)
	case "checksum":
		return optional(im.Checksum)
	case "os_hash_algo":
		return optional(im.HashAlgo)
	case "os_hash_value":
		return optional(im.HashValue)
	case "size":
		return optionalNumber(im.Size)
	case "virtual_size":
		return optionalNumber(im.VirtualSize)
	case "min_ram":
		return number(im.MinRAM)
	case "min_disk":
		return number(im.MinDisk)
	case "protected":
		return truth(im.Protected)
	case "created_at":
		return moment(im.CreatedAt)
	case "updated_at":
		return moment(im.UpdatedAt)
	}
	return scalar{null: true}
}
