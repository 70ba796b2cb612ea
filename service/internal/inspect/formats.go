package inspect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

func isQcow2(s *inspection) bool { return s.begins("QFI\xfb") }

// The incompatible features of qcow2.
const (
	qcow2DataFile = 1 << 2
	// dirty, corrupt, the data file, compression type, extended L2 entries
	qcow2Known = 1<<5 - 1
)

func readQcow2(s *inspection) (uint64, error) {
	h := s.head
	if len(h) < 72 {
		return 0, errCut
	}
	version, backing, size := be.Uint32(h[4:]), be.Uint64(h[8:]), be.Uint64(h[24:])
	switch {
	case version != 2 && version != 3:
		return 0, fmt.Errorf("version %d is not supported", version)
	case backing != 0:
		return 0, errors.New("has a backing file")
	case version == 2: // has no features
		return size, nil
	case len(h) < 104:
		return 0, errCut
	}
	features := be.Uint64(h[72:])
	if features&qcow2DataFile != 0 {
		return 0, errors.New("has an external data file")
	}
	if unknown := features &^ qcow2Known; unknown != 0 {
		return 0, fmt.Errorf("has unknown features %#x", unknown)
	}
	return size, nil
}

func isQED(s *inspection) bool { return s.begins("QED\x00") }

func readQED(*inspection) (uint64, error) {
	return 0, errors.New("this file format is not allowed")
}

func isVDI(s *inspection) bool { return len(s.head) >= 0x44 && le.Uint32(s.head[0x40:]) == 0xbeda107f }

func readVDI(s *inspection) (uint64, error) {
	const dynamic, fixed = 1, 2 // the others are differences to another disk
	if len(s.head) < 0x178 {
		return 0, errCut
	}
	if kind := le.Uint32(s.head[0x4c:]); kind != dynamic && kind != fixed {
		return 0, fmt.Errorf("type %d is not a whole disk", kind)
	}
	return le.Uint64(s.head[0x170:]), nil
}

func isLUKS(s *inspection) bool { return s.begins("LUKS\xba\xbe") }

func readLUKS(s *inspection) (uint64, error) {
	if len(s.head) < 592 {
		return 0, errCut
	}
	if version := be.Uint16(s.head[6:]); version != 1 {
		return 0, fmt.Errorf("version %d is not supported", version)
	}
	payload := int64(be.Uint32(s.head[104:])) * sectorSize
	if payload > s.size {
		return 0, errCut
	}
	return uint64(s.size - payload), nil
}

const isoArea = 32 << 10 // what lies in front of a disc's first descriptor

func isISO(s *inspection) bool {
	if len(s.head) < isoArea+6 {
		return false
	}
	switch string(s.head[isoArea+1 : isoArea+6]) {
	case "CD001", "NSR02", "NSR03":
		return true
	}
	return false
}

func readISO(s *inspection) (uint64, error) {
	const primary = 1
	d := s.head[isoArea:]
	if len(d) < 132 || d[0] != primary {
		return 0, nil
	}
	return uint64(le.Uint32(d[80:])) * uint64(le.Uint16(d[128:])), nil
}

const vhdMagic = "conectix"

// The types of a VHD.
const (
	vhdFixed   = 2
	vhdDynamic = 3
)

func isVHD(s *inspection) bool { return s.begins(vhdMagic) || isFixedVHD(s) }

// isFixedVHD reports whether the data is a raw disk with the footer of a VHD
// behind it.
func isFixedVHD(s *inspection) bool {
	f := s.vhdFooter()
	return f != nil && !s.begins(vhdMagic) && be.Uint32(f[60:]) == vhdFixed && be.Uint64(f[48:]) == uint64(s.size-sectorSize)
}

// vhdFooter returns the footer at the end of the stream, nil if there is none.
func (s *inspection) vhdFooter() []byte {
	f := s.tail[tailSize-sectorSize:]
	if s.size < sectorSize || !bytes.HasPrefix(f, []byte(vhdMagic)) {
		return nil
	}
	return f
}

func readVHD(s *inspection) (uint64, error) {
	if isFixedVHD(s) {
		return uint64(s.size - sectorSize), nil
	}
	if len(s.head) < sectorSize {
		return 0, errCut
	}
	// Some read the copy of the footer in front, some the footer.
	for _, f := range [][]byte{s.head, s.vhdFooter()} {
		if f == nil {
			continue
		}
		if kind := be.Uint32(f[60:]); kind != vhdFixed && kind != vhdDynamic {
			return 0, fmt.Errorf("type %d is not a whole disk", kind)
		}
	}
	return be.Uint64(s.head[48:]), nil
}
