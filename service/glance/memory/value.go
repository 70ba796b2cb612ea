package memory

import (
	"cmp"
	"strconv"
	"time"

	"glancectl/service/glance"
)

// A kind is what an attribute's values are.
type kind int

const (
	isText kind = iota
	isNumber
	isTime
	isTruth
)

// A scalar is the value of an attribute.
type scalar struct {
	known bool // there is such an attribute
	null  bool
	kind  kind
	n     int64 // numbers, and times as seconds
	s     string
}

// compare orders values of one attribute; null comes before all others.
func (v scalar) compare(w scalar) int {
	switch {
	case v.null || w.null:
		return bit(w.null) - bit(v.null)
	case v.kind == isNumber, v.kind == isTime:
		return cmp.Compare(v.n, w.n)
	}
	return cmp.Compare(v.s, w.s)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// parse reads s as another value of v's attribute.
func (v scalar) parse(s string) (scalar, error) {
	w := scalar{known: true, kind: v.kind, s: s}
	var err error
	switch v.kind {
	case isNumber:
		w.n, err = strconv.ParseInt(s, 10, 64)
	case isTime:
		var t time.Time
		t, err = time.Parse(time.RFC3339, s)
		w.n = t.Unix()
	case isTruth:
		_, err = strconv.ParseBool(s)
	}
	return w, err
}

func text(s string) scalar { return scalar{known: true, s: s} }

func number(n int64) scalar { return scalar{known: true, kind: isNumber, n: n} }

func moment(t time.Time) scalar { return scalar{known: true, kind: isTime, n: t.Unix()} }

func truth(b bool) scalar {
	return scalar{known: true, kind: isTruth, s: strconv.FormatBool(b)}
}

// optional is the value at p, null if there is none.
func optional[T any](p *T, of func(T) scalar) scalar {
	var v T
	if p != nil {
		v = *p
	}
	s := of(v)
	s.null = p == nil
	return s
}

// value returns an attribute that queries may name.
func value(im *glance.Image, attribute string) scalar {
	switch attribute {
	case "id":
		return text(string(im.ID))
	case "name":
		return optional(im.Name, text)
	case "status":
		return text(string(im.Status))
	case "container_format":
		return optional(im.ContainerFormat, text)
	case "disk_format":
		return optional(im.DiskFormat, text)
	case "owner":
		return optional(im.Owner, text)
	case "checksum":
		return optional(im.Checksum, text)
	case "os_hash_algo":
		return optional(im.HashAlgo, text)
	case "os_hash_value":
		return optional(im.HashValue, text)
	case "size":
		return optional(im.Size, number)
	case "virtual_size":
		return optional(im.VirtualSize, number)
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
	case "deleted_at":
		return optional(im.DeletedAt, moment)
	}
	return scalar{}
}
