package inspect

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// judged checks what holds for every stream: no panic, a bound on what is
// kept, one verdict however it is cut, and none that says nothing.
func judged(t *testing.T, data []byte, seed uint64) {
	t.Helper()
	i := New(Options{})
	v := look(t, i, data, pieces(max(1, len(data))))
	for _, w := range ways(seed) {
		if got := look(t, i, data, w.next); fmt.Sprint(got) != fmt.Sprint(v) {
			t.Errorf("the verdict on %s is %v; as a whole %v", w.name, got, v)
		}
	}
	if v.Format == "" || v.VirtualSize < 0 || v.Unsafe != nil && v.VirtualSize != 0 || v.Format == "raw" && v.Unsafe != nil {
		t.Errorf("verdict %+v makes no sense", v)
	}
	if v.Unsafe == nil && !i.Knows(v.Format) {
		t.Errorf("%q is harmless and nobody knows it", v.Format)
	}
}

// FuzzHead has anything at the beginning of a stream and anything at its end.
func FuzzHead(f *testing.F) {
	names, err := filepath.Glob("testdata/*.gz")
	if err != nil || len(names) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, name := range names {
		data := sample(f, strings.TrimSuffix(filepath.Base(name), ".gz"))
		f.Add(data[:min(len(data), 2048)], uint32(len(data)), data[max(0, len(data)-tailSize):], uint64(1))
	}
	whole := stream(nil, nil, nil)
	f.Add(whole[:len(whole)-tailSize], uint32(0), whole[len(whole)-tailSize:], uint64(2))
	f.Add(qcow2(3, nil), uint32(0), footer(vhdFixed, 1024), uint64(3))
	f.Add([]byte(descriptor("monolithicFlat")), uint32(0), []byte(nil), uint64(4))
	f.Fuzz(func(t *testing.T, head []byte, gap uint32, tail []byte, seed uint64) {
		data := append(append(head, make([]byte, gap%(70<<10))...), tail...)
		judged(t, data, seed)
	})
}

// FuzzDescriptor has anything as the descriptor of a VMDK. One that is taken
// names one file, without a path, and no parent.
func FuzzDescriptor(f *testing.F) {
	f.Add(descriptor("monolithicSparse"))
	f.Add(descriptor("streamOptimized", `createType="monolithicFlat"`))
	f.Add(descriptor("monolithicSparse", "# x\rRW 100 FLAT \"/etc/passwd\" 0"))
	f.Fuzz(func(t *testing.T, text string) {
		if New(Options{}).checkDescriptor(text) != nil {
			return
		}
		lower := strings.ToLower(text)
		if strings.Contains(lower, "parentfilenamehint") || strings.Count(lower, "createtype") != 1 {
			t.Errorf("%q is taken", text)
		}
		for line := range strings.SplitSeq(strings.ReplaceAll(lower, "\r", "\n"), "\n") {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "rw ") && strings.Contains(line, "/") || strings.Contains(line, "flat") && strings.HasPrefix(line, "createtype") {
				t.Errorf("%q is taken, with the line %q", text, line)
			}
		}
	})
}

// FuzzVHDX has anything in the tables of a VHDX.
func FuzzVHDX(f *testing.F) {
	l := plainVHDX()
	l.metadata = vhdxRegions + vhdxTable
	plain := l.build()
	f.Add(plain[vhdxRegions:vhdxRegions+80], plain[1<<20:1<<20+96], plain[1<<20+vhdxTable:1<<20+vhdxTable+32], uint32(0), uint64(1))
	f.Add([]byte("regi"), []byte("metadata"), []byte{}, uint32(512), uint64(2))
	f.Fuzz(func(t *testing.T, regions, metadata, items []byte, at uint32, seed uint64) {
		at = vhdxRegions + vhdxTable + at%(64<<10)
		data := with(binary.LittleEndian, []byte("vhdxfile"), int(at)+2*vhdxTable, nil)
		copy(data[vhdxRegions:vhdxRegions+vhdxTable], regions)
		copy(data[at:at+vhdxTable], metadata)
		copy(data[at+vhdxTable:], items)
		judged(t, data, seed)
	})
}

// The samples are small enough for everybody's checkout.
func TestSamplesAreSmall(t *testing.T) {
	names, err := filepath.Glob("testdata/*.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Size() > 20<<10 {
			t.Errorf("%s: %v, %v; want at most 20 KiB", name, info, err)
		}
	}
}
