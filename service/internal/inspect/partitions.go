package inspect

import (
	"errors"
	"fmt"
)

// isPartitioned reports whether the data begins with a boot record, which a
// disk with a GPT does too. File systems of the FAT family begin with
// something like it and are no partitioned disks.
func isPartitioned(s *inspection) bool {
	const fats, fixedDisk = 2, 0xf8
	h := s.head
	if len(h) < sectorSize || h[510] != 0x55 || h[511] != 0xaa {
		return false
	}
	return h[0x10] != fats || h[0x15] != fixedDisk
}

// readPartitions checks the four entries of the boot record. One of a GPT has
// a single entry, of type 0xee, which protects the rest.
func readPartitions(s *inspection) (uint64, error) {
	const table, entrySize, protective = 446, 16, 0xee
	size := uint64(s.size)
	used, gpt := 0, false
	for i := range 4 {
		e := s.head[table+i*entrySize:][:entrySize]
		if boot := e[0]; boot != 0 && boot != 0x80 {
			return size, fmt.Errorf("partition %d has boot flag %#x", i, boot)
		}
		kind := e[4]
		if kind == 0 {
			continue
		}
		used++
		if kind != protective {
			continue
		}
		gpt = true
		switch {
		case e[1] != 0 || e[2] != 2 || e[3] != 0:
			return size, errors.New("the protective partition starts at a wrong cylinder, head or sector")
		case le.Uint32(e[8:]) != 1:
			return size, errors.New("the protective partition starts at a wrong sector")
		case i != 0:
			return size, errors.New("the protective partition is not the first")
		}
	}
	switch {
	case used == 0:
		return size, errors.New("no partitions are defined")
	case gpt && used > 1:
		return size, errors.New("there are partitions beside the protective one")
	}
	return size, nil
}
