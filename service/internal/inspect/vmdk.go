package inspect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

const (
	monolithicSparse = "monolithicSparse"
	streamOptimized  = "streamOptimized"

	sparseMagic = "KDMV"
	cowMagic    = "COWD" // what ESX wrote before
)

func isVMDK(s *inspection) bool {
	return s.begins(sparseMagic) || s.begins(cowMagic) || isDescriptor(s.head)
}

// isDescriptor reports whether a text is a descriptor of a VMDK, to the
// readers that ask for its version first or to those that look for its type.
func isDescriptor(head []byte) bool {
	first := head[:min(len(head), sectorSize)]
	for _, c := range first {
		if c > '~' || c < ' ' && (c < '\t' || c > '\r') {
			return false
		}
	}
	for line := range strings.SplitSeq(string(first), "\n") {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' {
			if line == "version=1" || line == "version=2" || line == "version=3" {
				return true
			}
			break
		}
	}
	return strings.Contains(strings.ToLower(text(head)), `createtype="`)
}

// text returns what stands in front of the first zero byte.
func text(b []byte) string {
	t, _, _ := strings.Cut(string(b), "\x00")
	return t
}

// A sparseHeader is what the header and the footer of a sparse VMDK say.
type sparseHeader struct {
	magic            string
	version          uint32
	capacity         uint64 // in sectors, as all that follows
	descriptor, size uint64
	directory        uint64
}

// atEnd is the directory of a header whose footer has the right one.
const atEnd = math.MaxUint64

func parseSparse(b []byte) sparseHeader {
	return sparseHeader{string(b[:4]), le.Uint32(b[4:]), le.Uint64(b[12:]), le.Uint64(b[28:]), le.Uint64(b[36:]), le.Uint64(b[56:])}
}

func readVMDK(s *inspection) (uint64, error) {
	if !s.begins(sparseMagic) {
		return 0, errors.New("the disk is not in this file")
	}
	if len(s.head) < sectorSize {
		return 0, errCut
	}
	h := parseSparse(s.head)
	switch {
	case h.version < 1 || h.version > 3:
		return 0, fmt.Errorf("version %d is not supported", h.version)
	case h.capacity == 0: // a mere envelope of the descriptor
		return 0, errors.New("the disk is not in this file")
	case h.capacity > math.MaxInt64/sectorSize:
		return 0, fmt.Errorf("capacity of %d sectors", h.capacity)
	case h.descriptor != 1:
		return 0, errors.New("the descriptor is at a wrong place")
	case h.size == 0 || h.size >= headSize/sectorSize:
		return 0, fmt.Errorf("the descriptor has %d sectors", h.size)
	}
	end := int(1+h.size) * sectorSize
	if len(s.head) < end {
		return 0, errCut
	}
	if err := s.inspector.checkDescriptor(text(s.head[sectorSize:end])); err != nil {
		return 0, err
	}
	if h.directory == atEnd {
		if err := s.checkFooter(h); err != nil {
			return 0, err
		}
	}
	return h.capacity * sectorSize, nil
}

// checkFooter checks the last three sectors of a stream whose footer counts
// in place of its header h: a marker, the footer, and the end.
func (s *inspection) checkFooter(h sparseHeader) error {
	const footerMarker, endMarker = 3, 0
	if s.size < int64(1+h.size)*sectorSize+tailSize {
		return errCut
	}
	marker, footer, end := s.tail[:sectorSize], s.tail[sectorSize:2*sectorSize], s.tail[2*sectorSize:]
	f := parseSparse(footer)
	if f.directory == atEnd {
		return errors.New("the footer names another footer")
	}
	f.directory = h.directory
	switch {
	case f != h:
		return errors.New("header and footer differ")
	case !isMarker(marker, footerMarker):
		return errors.New("there is no marker in front of the footer")
	case le.Uint64(end) != 0 || !isMarker(end, endMarker):
		return errors.New("there is no end behind the footer")
	}
	return nil
}

// isMarker reports whether a sector is a marker of some kind, and has no data.
func isMarker(b []byte, kind uint32) bool {
	return le.Uint32(b[8:]) == 0 && le.Uint32(b[12:]) == kind && !slices.ContainsFunc(b[16:], func(c byte) bool { return c != 0 })
}

// checkDescriptor refuses what it does not understand: a descriptor is where
// other files are named.
func (i *Inspector) checkDescriptor(text string) error {
	for _, c := range []byte(text) {
		if c > '~' {
			return errors.New("the descriptor is not ASCII")
		}
	}
	text = strings.ToLower(text)
	// Some look for these words in comments too.
	if strings.Contains(text, "parentfilenamehint") {
		return errors.New("has a parent")
	}
	if n := strings.Count(text, "createtype"); n != 1 {
		return fmt.Errorf("createType is given %d times", n)
	}
	var createType string
	var extents []string
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimSpace(line)
		access, _, _ := strings.Cut(line, " ")
		name, value, isField := strings.Cut(line, "=")
		switch {
		case line == "", line[0] == '#', strings.HasPrefix(line, "ddb"):
		case isField && !strings.Contains(name, " "):
			if name == "createtype" {
				createType = strings.Trim(value, `"`)
			}
			if name == "parentcid" && value != "ffffffff" {
				return errors.New("has a parent")
			}
		case access == "rw", access == "rdonly", access == "noaccess":
			extents = append(extents, line)
		default:
			return errors.New("a line of the descriptor cannot be understood")
		}
	}
	if !slices.Contains(i.vmdkTypes, createType) {
		return fmt.Errorf("createType %.40q is not allowed", createType)
	}
	return checkExtents(createType, extents)
}

// checkExtents checks the lines that say where the data is. Of the types that
// are one file there is one, and it means the file itself.
func checkExtents(createType string, extents []string) error {
	if len(extents) == 0 {
		return errors.New("has no extents")
	}
	single := createType == strings.ToLower(monolithicSparse) || createType == strings.ToLower(streamOptimized)
	if single && len(extents) > 1 {
		return errors.New("has several extents")
	}
	for _, e := range extents {
		if strings.ContainsAny(e, `/\`) {
			return errors.New("an extent has a path")
		}
		if words := strings.Fields(e); single && (len(words) < 4 || words[2] != "sparse") {
			return errors.New("the extent is not sparse")
		}
	}
	return nil
}
