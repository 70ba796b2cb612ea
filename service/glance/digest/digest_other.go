//go:build !amd64

package digest

func capable() bool { return false }

func blocks(*[4]uint32, *[8]uint64, *byte, int) { panic("digest: not for this processor") }
