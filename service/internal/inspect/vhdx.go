package inspect

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"slices"
)

const vhdxMagic = "vhdxfile"

func isVHDX(s *inspection) bool { return s.begins(vhdxMagic) }

func readVHDX(s *inspection) (uint64, error) {
	switch {
	case s.vhdx.err != nil:
		return 0, s.vhdx.err
	case s.vhdx.next != nil:
		return 0, errCut
	}
	return s.vhdx.size, nil
}

// GUIDs as they stand in the file.
const (
	metadataRegion  = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
	fileParameters  = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
	virtualDiskSize = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
)

const (
	vhdxRegions   = 192 << 10 // where the table of regions is
	vhdxTable     = 64 << 10  // the size of it, and of the table of metadata
	vhdxItemSize  = 8         // of the two items that count
	vhdxMaxRows   = 2047
	vhdxRow       = 32
	vhdxHasParent = 1 << 1
)

// A vhdx takes the parts of a VHDX out of the stream that lead to the size of
// its disk: the table of regions names the metadata, whose table names the
// items. Each part is kept only until it is understood, and each must lie
// behind the one before.
type vhdx struct {
	off  int64        // where the part begins that is wanted now
	want int          // its size
	data []byte       // what has been seen of it
	next func() error // what to do with it when it is there; nil at the end
	err  error        // why it cannot be understood

	items []vhdxItem // those that are still to be read
	size  uint64
}

type vhdxItem struct {
	off  int64
	read func() error // takes it from the data
}

func newVHDX() *vhdx {
	v := new(vhdx)
	v.await(vhdxRegions, vhdxTable, v.regions)
	return v
}

func (v *vhdx) await(off int64, size int, next func() error) {
	v.off, v.want, v.data, v.next = off, size, nil, next
}

// write takes what it wants of p, which stands at off in the stream.
func (v *vhdx) write(p []byte, off int64) {
	for v.next != nil {
		from := v.off + int64(len(v.data)) - off
		if from >= int64(len(p)) {
			return
		}
		part := p[from:]
		v.data = append(v.data, part[:min(len(part), v.want-len(v.data))]...)
		if len(v.data) < v.want {
			return
		}
		end, next := v.off+int64(v.want), v.next
		v.next = nil
		v.err = next()
		if v.next != nil && v.off < end {
			v.err = errors.New("the metadata is out of order")
		}
		if v.err != nil {
			v.next = nil
		}
	}
	v.data = nil
}

// regions finds the metadata in the table of regions.
func (v *vhdx) regions() error {
	count := le.Uint32(v.data[8:])
	if !bytes.HasPrefix(v.data, []byte("regi")) || count > vhdxMaxRows {
		return errors.New("the table of regions is damaged")
	}
	row, err := find(v.data[16:], count, metadataRegion)
	if err != nil {
		return err
	}
	at := le.Uint64(row[16:])
	if at > math.MaxInt64-math.MaxUint32-vhdxItemSize {
		return errors.New("the metadata is out of reach")
	}
	v.await(int64(at), vhdxTable, v.metadata)
	return nil
}

// metadata finds the two items that count.
func (v *vhdx) metadata() error {
	count := uint32(le.Uint16(v.data[10:]))
	if !bytes.HasPrefix(v.data, []byte("metadata")) || count > vhdxMaxRows {
		return errors.New("the table of metadata is damaged")
	}
	rows := v.data[vhdxRow:]
	parameters, err := find(rows, count, fileParameters)
	if err != nil {
		return err
	}
	size, err := find(rows, count, virtualDiskSize)
	if err != nil {
		return err
	}
	v.items = []vhdxItem{
		{v.off + int64(le.Uint32(parameters[16:])), v.parameters},
		{v.off + int64(le.Uint32(size[16:])), v.diskSize},
	}
	slices.SortFunc(v.items, func(a, b vhdxItem) int { return cmp.Compare(a.off, b.off) })
	return v.item()
}

// item reads the first item that is left.
func (v *vhdx) item() error {
	if len(v.items) == 0 {
		return nil
	}
	it := v.items[0]
	v.items = v.items[1:]
	v.await(it.off, vhdxItemSize, func() error {
		if err := it.read(); err != nil {
			return err
		}
		return v.item()
	})
	return nil
}

func (v *vhdx) parameters() error {
	if le.Uint32(v.data[4:])&vhdxHasParent != 0 {
		return errors.New("has a parent")
	}
	return nil
}

func (v *vhdx) diskSize() error {
	v.size = le.Uint64(v.data)
	return nil
}

// find returns the one row of a table that begins with guid.
func find(table []byte, rows uint32, guid string) ([]byte, error) {
	var found []byte
	for i := range rows {
		row := table[i*vhdxRow:][:vhdxRow]
		if string(row[:len(guid)]) != guid {
			continue
		}
		if found != nil {
			return nil, errors.New("metadata is given twice")
		}
		found = row
	}
	if found == nil {
		return nil, errors.New("metadata is missing")
	}
	return found, nil
}
