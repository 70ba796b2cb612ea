package digest

import "golang.org/x/sys/cpu"

// capable says whether the processor has the instructions of blocks.
func capable() bool {
	x := &cpu.X86
	return x.HasAVX512F && x.HasAVX512VL && x.HasAVX2 && x.HasBMI1 && x.HasBMI2
}

// blocks goes on from the states of both hashes over n blocks of 128 bytes,
// of which there is at least one.
//
//go:noescape
func blocks(md5 *[4]uint32, sha512 *[8]uint64, data *byte, n int)
