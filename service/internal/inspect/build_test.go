package inspect

import (
	"encoding/binary"
	"strings"
)

// parts are values by where they stand.
type parts map[int]any

// with returns a copy of data, made longer if need be, in which parts stand in
// the byte order of the format: strings as they are, numbers by their type.
func with(order binary.AppendByteOrder, data []byte, size int, p parts) []byte {
	made := make([]byte, max(size, len(data)))
	copy(made, data)
	for off, v := range p {
		switch v := v.(type) {
		case string:
			copy(made[off:], v)
		case byte:
			made[off] = v
		case uint16:
			copy(made[off:], order.AppendUint16(nil, v))
		case uint32:
			copy(made[off:], order.AppendUint32(nil, v))
		case uint64:
			copy(made[off:], order.AppendUint64(nil, v))
		default:
			panic("no value to write")
		}
	}
	return made
}

const disk = 10 << 20 // size of the disk in what is made here

func qcow2(version uint32, p parts) []byte {
	base := with(binary.BigEndian, nil, 1024, parts{0: "QFI\xfb", 4: version, 20: uint32(16), 24: uint64(disk)})
	if version == 3 {
		base = with(binary.BigEndian, base, 0, parts{100: uint32(104)})
	}
	return with(binary.BigEndian, base, 0, p)
}

func vdi(kind uint32) []byte {
	return with(binary.LittleEndian, nil, 1024, parts{0: "<<< disk image >>>\n", 0x40: uint32(0xbeda107f), 0x44: uint32(0x10001), 0x4c: kind, 0x170: uint64(disk)})
}

func luks(version uint16, payload uint32) []byte {
	return with(binary.BigEndian, nil, 8192, parts{0: "LUKS\xba\xbe", 6: version, 8: "aes", 104: payload})
}

func iso(p parts) []byte {
	base := with(binary.LittleEndian, nil, 40<<10, parts{isoArea: "\x01CD001\x01", isoArea + 80: uint32(20), isoArea + 128: uint16(2048)})
	return with(binary.LittleEndian, base, 0, p)
}

// A partition is an entry of a boot record.
type partition struct {
	boot, kind byte
	start      uint32
	chs        string
}

func bootRecord(entries ...partition) []byte {
	p := parts{510: "\x55\xaa"}
	for i, e := range entries {
		at := 446 + 16*i
		p[at], p[at+1], p[at+4], p[at+8], p[at+12] = e.boot, e.chs, e.kind, e.start, uint32(100)
	}
	return with(binary.LittleEndian, nil, 2048, p)
}

var protective = partition{kind: 0xee, start: 1, chs: "\x00\x02\x00"}

// footer is that of a VHD whose disk has a size.
func footer(kind uint32, size uint64) []byte {
	return with(binary.BigEndian, nil, 512, parts{0: "conectix", 40: size, 48: size, 60: kind})
}

func vhd(front, behind uint32) []byte {
	return append(append(footer(front, disk), make([]byte, 1024)...), footer(behind, disk)...)
}

func fixedVHD(content []byte) []byte {
	return append(append([]byte{}, content...), footer(vhdFixed, uint64(len(content)))...)
}

// A vhdxLayout says where things are in a VHDX, and what it has too much of.
type vhdxLayout struct {
	metadata, parameters, size uint64
	flags                      uint32
	more                       parts
}

// plainVHDX is a layout as Hyper-V makes it.
func plainVHDX() vhdxLayout {
	return vhdxLayout{metadata: 1 << 20, parameters: 64 << 10, size: 64<<10 + 8}
}

func (l vhdxLayout) build() []byte {
	base := with(binary.LittleEndian, nil, 1<<20+128<<10, parts{
		0:                       "vhdxfile",
		vhdxRegions:             "regi",
		vhdxRegions + 8:         uint32(2),
		vhdxRegions + 16:        strings.Repeat("\x77", 16), // the block allocation table
		vhdxRegions + 48:        metadataRegion,
		vhdxRegions + 64:        l.metadata,
		1 << 20:                 "metadata",
		1<<20 + 10:              uint16(2),
		1<<20 + 32:              fileParameters,
		1<<20 + 48:              uint32(l.parameters),
		1<<20 + 64:              virtualDiskSize,
		1<<20 + 80:              uint32(l.size),
		1<<20 + 64<<10:          uint32(1 << 20), // parameters as Hyper-V has them
		1<<20 + 64<<10 + 4:      l.flags,
		1<<20 + 64<<10 + 8:      uint64(disk),
		1<<20 + 64<<10 + 16:     uint32(1 << 20),
		1<<20 + 64<<10 + 16 + 4: l.flags,
	})
	return with(binary.LittleEndian, base, 0, l.more)
}

// descriptor is that of a VMDK of a type, with more lines at its end.
func descriptor(createType string, more ...string) string {
	return "# Disk DescriptorFile\nversion=1\nCID=11223344\nparentCID=ffffffff\ncreateType=\"" + createType + "\"\n\n" +
		"# Extent description\nRW 20480 SPARSE \"disk.vmdk\"\n\n#DDB\nddb.adapterType = \"ide\"\n" + strings.Join(more, "\n")
}

func sparseParts(p parts) parts {
	all := parts{0: "KDMV", 4: uint32(1), 8: uint32(3), 12: uint64(disk / 512), 20: uint64(128), 28: uint64(1), 36: uint64(20), 44: uint32(512), 48: uint64(21), 56: uint64(26)}
	for off, v := range p {
		all[off] = v
	}
	return all
}

// sparse is a VMDK with a descriptor inside.
func sparse(text string, p parts) []byte {
	base := with(binary.LittleEndian, nil, 64<<10, sparseParts(p))
	return with(binary.LittleEndian, base, 0, parts{512: text})
}

// stream is a VMDK whose footer counts; of differs from its header.
func stream(marker, of, end parts) []byte {
	data := sparse(descriptor("streamOptimized"), parts{4: uint32(3), 56: uint64(atEnd)})
	data = append(data, with(binary.LittleEndian, with(binary.LittleEndian, nil, 512, parts{0: uint64(1), 12: uint32(3)}), 0, marker)...)
	data = append(data, with(binary.LittleEndian, with(binary.LittleEndian, nil, 512, sparseParts(parts{4: uint32(3)})), 0, of)...)
	return append(data, with(binary.LittleEndian, nil, 512, end)...)
}
