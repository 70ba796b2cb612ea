package inspect

import (
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"glancectl/service/glance"
)

// maxKept is how much of a stream an inspection may keep.
const maxKept = headSize + tailSize + vhdxTable

// look shows the data to a new inspection in pieces that next says the size of.
func look(t testing.TB, i *Inspector, data []byte, next func() int) glance.Verdict {
	t.Helper()
	s := i.Inspect().(*inspection)
	for len(data) > 0 {
		piece := append([]byte{}, data[:min(len(data), next())]...)
		data = data[len(piece):]
		if n, err := s.Write(piece); n != len(piece) || err != nil {
			t.Fatalf("Write of %d bytes = %d, %v", len(piece), n, err)
		}
		clear(piece) // it is not ours to keep
		kept := len(s.head) + len(s.tail)
		if s.vhdx != nil {
			kept += len(s.vhdx.data)
		}
		if kept > maxKept {
			t.Fatalf("%d bytes are kept; want at most %d", kept, maxKept)
		}
	}
	return s.Verdict()
}

func pieces(size int) func() int { return func() int { return size } }

// A way is a cut of a stream; the verdict must not depend on it.
type way struct {
	name string
	next func() int
}

func ways(seed uint64) []way {
	r := rand.New(rand.NewPCG(seed, seed))
	return []way{
		{"blocks", pieces(128 << 10)},
		{"odd pieces", pieces(70001)},
		{"random pieces", func() int { return 1 + r.IntN(100_000) }},
		{"small pieces", func() int { return 1 + r.IntN(3000) }},
	}
}

// verdict returns what is found in the data, however it is cut.
func verdict(t testing.TB, i *Inspector, data []byte) glance.Verdict {
	t.Helper()
	want := look(t, i, data, pieces(max(1, len(data))))
	all := ways(uint64(len(data)))
	if len(data) < 10_000 {
		all = append(all, way{"bytes", pieces(1)}, way{"sectors", pieces(512)})
	}
	for _, w := range all {
		if got := look(t, i, data, w.next); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the verdict on %s is %v; as a whole %v", w.name, got, want)
		}
	}
	return want
}

// check compares a verdict; danger is a part of why the data is unsafe, empty
// if it is not.
func check(t *testing.T, name string, got glance.Verdict, format string, size int64, danger string) {
	t.Helper()
	if got.Format != format || got.VirtualSize != size || (got.Unsafe == nil) != (danger == "") ||
		got.Unsafe != nil && !strings.Contains(got.Unsafe.Error(), danger) {
		t.Errorf("%s: verdict is %+v; want %s of %d bytes, unsafe: %q", name, got, format, size, danger)
	}
}

// TestSamples has images that qemu-img, sfdisk, xorriso and cryptsetup made,
// the last without its keys. The sizes are those that qemu-img info says.
func TestSamples(t *testing.T) {
	for _, test := range []struct {
		name, format string
		size         int64
		danger       string
	}{
		{"qcow2-v2", "qcow2", 10 << 20, ""},
		{"qcow2-v3", "qcow2", 10 << 20, ""},
		{"qcow2-extended-l2", "qcow2", 10 << 20, ""},
		{"qcow2-backing", "qcow2", 0, "has a backing file"},
		{"qcow2-data-file", "qcow2", 0, "has an external data file"},
		{"qed", "qed", 0, "not allowed"},
		{"vdi", "vdi", 10 << 20, ""},
		{"vdi-static", "vdi", 1 << 20, ""},
		{"vhd", "vhd", 10514432, ""},
		{"vhd-fixed", "vhd", 1079296, ""},
		{"vhdx", "vhdx", 10 << 20, ""},
		{"vmdk-sparse", "vmdk", 10 << 20, ""},
		{"vmdk-stream", "vmdk", 10 << 20, ""},
		{"vmdk-child", "vmdk", 0, "has a parent"},
		{"vmdk-flat", "vmdk", 0, "not in this file"},
		{"gpt", "gpt", 3 << 20, ""},
		{"mbr", "gpt", 3 << 20, ""},
		{"iso", "iso", 376832, ""},
		{"iso-hybrid", "iso", 444416, ""},
		{"luks", "luks", 2 << 20, ""},
		{"luks-v2", "luks", 0, "version 2 is not supported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			check(t, test.name, verdict(t, New(Options{}), sample(t, test.name)), test.format, test.size, test.danger)
		})
	}
}

// sample returns a file of testdata as it was before it was compressed.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFormats(t *testing.T) {
	big := binary.BigEndian
	for _, test := range []struct {
		name   string
		data   []byte
		format string
		size   int64
		danger string
	}{
		{"nothing", nil, "raw", 0, ""},
		{"text", []byte("hello"), "raw", 5, ""},
		{"zeros", make([]byte, 200_000), "raw", 200_000, ""},
		{"noise", noise(200_000), "raw", 200_000, ""},

		{"qcow2 v2", qcow2(2, nil), "qcow2", disk, ""},
		{"qcow2 v2 has extensions where v3 has features", qcow2(2, parts{72: ^uint64(0)}), "qcow2", disk, ""},
		{"qcow2 v3", qcow2(3, nil), "qcow2", disk, ""},
		{"qcow2 v3 dirty, corrupt, zstd, extended L2", qcow2(3, parts{72: uint64(1 | 2 | 8 | 16)}), "qcow2", disk, ""},
		{"qcow2 with compatible features that nobody knows", qcow2(3, parts{80: ^uint64(0), 88: ^uint64(0)}), "qcow2", disk, ""},
		{"qcow2 v1", qcow2(1, nil), "qcow2", 0, "version 1"},
		{"qcow2 v4", qcow2(4, nil), "qcow2", 0, "version 4"},
		{"qcow2 v2 with a backing file", qcow2(2, parts{8: uint64(512), 16: uint32(11), 512: "/etc/passwd"}), "qcow2", 0, "backing file"},
		{"qcow2 v3 with a backing file", qcow2(3, parts{8: uint64(512), 16: uint32(11), 512: "/etc/passwd"}), "qcow2", 0, "backing file"},
		{"qcow2 with a backing file far away", qcow2(3, parts{8: uint64(1) << 40}), "qcow2", 0, "backing file"},
		{"qcow2 with a data file", qcow2(3, parts{72: uint64(4), 104: uint32(0x44415441), 108: uint32(11), 112: "/etc/shadow"}), "qcow2", 0, "external data file"},
		{"qcow2 with a data file and other features", qcow2(3, parts{72: uint64(1 | 4)}), "qcow2", 0, "external data file"},
		{"qcow2 with feature 5", qcow2(3, parts{72: uint64(1 << 5)}), "qcow2", 0, "unknown features 0x20"},
		{"qcow2 with feature 63", qcow2(3, parts{72: uint64(1 << 63)}), "qcow2", 0, "unknown features"},
		{"qcow2 with feature 8", qcow2(3, parts{72: uint64(1 << 8)}), "qcow2", 0, "unknown features"},
		{"qcow2 larger than anything", qcow2(3, parts{24: uint64(1 << 63)}), "qcow2", 0, "virtual size"},
		{"qcow2 of four bytes", []byte("QFI\xfb"), "qcow2", 0, "ends too early"},
		{"qcow2 v3 that ends before its features", qcow2(3, nil)[:80], "qcow2", 0, "ends too early"},

		{"qed", with(binary.LittleEndian, nil, 512, parts{0: "QED\x00"}), "qed", 0, "not allowed"},
		{"vdi", vdi(1), "vdi", disk, ""},
		{"vdi, difference", vdi(4), "vdi", 0, "type 4"},
		{"vdi that ends early", vdi(1)[:0x100], "vdi", 0, "ends too early"},
		{"luks", luks(1, 4), "luks", 8192 - 2048, ""},
		{"luks v2", luks(2, 4), "luks", 0, "version 2"},
		{"luks with more in front than there is", luks(1, 1<<31), "luks", 0, "ends too early"},
		{"luks that ends early", luks(1, 0)[:591], "luks", 0, "ends too early"},

		{"vhd", vhd(vhdDynamic, vhdDynamic), "vhd", disk, ""},
		{"vhd without a footer", vhd(vhdDynamic, vhdDynamic)[:1024], "vhd", disk, ""},
		{"vhd, differencing", vhd(4, 4), "vhd", 0, "type 4"},
		{"vhd, differencing in its footer", vhd(vhdDynamic, 4), "vhd", 0, "type 4"},
		{"vhd that ends early", vhd(vhdDynamic, vhdDynamic)[:100], "vhd", 0, "ends too early"},
		{"vhd, fixed", fixedVHD(make([]byte, 4096)), "vhd", 4096, ""},
		{"vhd, fixed and partitioned", fixedVHD(bootRecord(protective)), "vhd", 2048, ""},
		{"a footer of another disk", append(make([]byte, 4096), footer(vhdFixed, disk)...), "raw", 4608, ""},
		{"a fixed vhd that begins as a qcow2", fixedVHD(qcow2(3, nil)), "qcow2 and vhd", 0, "multiple formats detected: qcow2 and vhd"},

		{"iso", iso(nil), "iso", 40960, ""},
		{"iso, UDF", iso(parts{isoArea: "\x00NSR03"}), "iso", 0, ""},
		{"iso with a boot record first", iso(parts{isoArea: "\x00CD001"}), "iso", 0, ""},
		{"iso that can be put on a disk", append(bootRecord(protective), iso(nil)[2048:]...), "iso", 40960, ""},
		{"iso with a boot record that is no good", append(bootRecord(partition{boot: 1, kind: 0x17}), iso(nil)[2048:]...), "iso", 40960, ""},
		{"iso and qcow2", append(qcow2(3, nil), iso(nil)[1024:]...), "iso and qcow2", 0, "multiple formats"},
		{"iso, partitioned, and luks", append(with(big, luks(1, 0), 0, parts{510: "\x55\xaa"}), iso(nil)[8192:]...), "iso and luks", 0, "multiple formats"},
		{"partitions and vdi", with(big, vdi(1), 0, parts{510: "\x55\xaa"}), "gpt and vdi", 0, "multiple formats"},
		{"partitions and qcow2", with(big, qcow2(3, nil), 0, parts{510: "\x55\xaa"}), "gpt and qcow2", 0, "multiple formats"},
	} {
		check(t, test.name, verdict(t, New(Options{}), test.data), test.format, test.size, test.danger)
	}
}

func noise(n int) []byte {
	data := make([]byte, n)
	c := rand.NewChaCha8([32]byte{1})
	c.Read(data)
	return data
}

func TestPartitions(t *testing.T) {
	linux := partition{kind: 0x83, start: 2048}
	fat := with(binary.LittleEndian, bootRecord(), 0, parts{0x10: byte(2), 0x15: byte(0xf8)})
	for _, test := range []struct {
		name   string
		data   []byte
		danger string
	}{
		{"one", bootRecord(linux), ""},
		{"bootable", bootRecord(partition{0x80, 0x83, 1, ""}), ""},
		{"four", bootRecord(linux, linux, linux, linux), ""},
		{"the last of four", bootRecord(partition{}, partition{}, partition{}, linux), ""},
		{"gpt", bootRecord(protective), ""},
		{"none", bootRecord(), "no partitions"},
		{"boot flag", bootRecord(linux, partition{boot: 1}), "partition 1 has boot flag 0x1"},
		{"gpt and more", bootRecord(protective, linux), "beside the protective"},
		{"gpt second", bootRecord(linux, protective), "not the first"},
		{"gpt from another cylinder", bootRecord(partition{kind: 0xee, start: 1, chs: "\x00\x01\x00"}), "wrong cylinder"},
		{"gpt from another sector", bootRecord(partition{kind: 0xee, start: 2, chs: "\x00\x02\x00"}), "wrong sector"},
	} {
		size := int64(2048)
		if test.danger != "" {
			size = 0
		}
		check(t, test.name, verdict(t, New(Options{}), test.data), "gpt", size, test.danger)
		got := verdict(t, New(Options{TolerateMBR: true}), test.data)
		check(t, test.name+", tolerated", got, "gpt", 2048, "")
		if (got.Doubt == nil) != (test.danger == "") {
			t.Errorf("%s: doubt is %v; want one if there is a danger", test.name, got.Doubt)
		}
	}
	check(t, "a FAT", verdict(t, New(Options{}), fat), "raw", 2048, "")
	check(t, "a short record", verdict(t, New(Options{}), bootRecord(linux)[:511]), "raw", 511, "")
}

// What is tolerated of partition tables is not tolerated of anything else.
func TestTolerateMBR(t *testing.T) {
	check(t, "backing file", verdict(t, New(Options{TolerateMBR: true}), qcow2(3, parts{8: uint64(1)})), "qcow2", 0, "backing file")
}

func TestVHDX(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(l *vhdxLayout)
		size   int64
		danger string
	}{
		{"plain", func(*vhdxLayout) {}, disk, ""},
		{"size before the parameters", func(l *vhdxLayout) { l.parameters = 64<<10 + 16 }, disk, ""},
		{"has a parent", func(l *vhdxLayout) { l.flags = vhdxHasParent }, 0, "has a parent"},
		{"blocks stay allocated", func(l *vhdxLayout) { l.flags = 1 }, disk, ""},
		{"one item on the other", func(l *vhdxLayout) { l.size = 64<<10 + 4 }, 0, "out of order"},
		{"metadata before the tables", func(l *vhdxLayout) { l.metadata = 64 << 10 }, 0, "out of order"},
		{"metadata in the table of regions", func(l *vhdxLayout) { l.metadata = vhdxRegions + 1024 }, 0, "out of order"},
		{"metadata behind the end", func(l *vhdxLayout) { l.metadata = 1 << 40 }, 0, "ends too early"},
		{"metadata out of reach", func(l *vhdxLayout) { l.metadata = 1 << 63 }, 0, "out of reach"},
		{"metadata nearly out of reach", func(l *vhdxLayout) { l.metadata = 1<<63 - 1 }, 0, "out of reach"},
		{"item in the table of metadata", func(l *vhdxLayout) { l.size = 100 }, 0, "out of order"},
		{"item behind the end", func(l *vhdxLayout) { l.size = 1<<32 - 1 }, 0, "ends too early"},
		{"no table of regions", func(l *vhdxLayout) { l.more = parts{vhdxRegions: "none"} }, 0, "regions is damaged"},
		{"too many regions", func(l *vhdxLayout) { l.more = parts{vhdxRegions + 8: uint32(2048)} }, 0, "regions is damaged"},
		{"all regions that there may be", func(l *vhdxLayout) { l.more = parts{vhdxRegions + 8: uint32(2047)} }, disk, ""},
		{"no regions", func(l *vhdxLayout) { l.more = parts{vhdxRegions + 8: uint32(0)} }, 0, "missing"},
		{"metadata twice", func(l *vhdxLayout) { l.more = parts{vhdxRegions + 16: metadataRegion} }, 0, "twice"},
		{"no table of metadata", func(l *vhdxLayout) { l.more = parts{1 << 20: "none"} }, 0, "metadata is damaged"},
		{"too much metadata", func(l *vhdxLayout) { l.more = parts{1<<20 + 10: uint16(2048)} }, 0, "metadata is damaged"},
		{"no size", func(l *vhdxLayout) { l.more = parts{1<<20 + 64: "none"} }, 0, "missing"},
		{"no parameters", func(l *vhdxLayout) { l.more = parts{1<<20 + 32: "none"} }, 0, "missing"},
		{"size larger than anything", func(l *vhdxLayout) { l.more = parts{1<<20 + 64<<10 + 8: ^uint64(0)} }, 0, "virtual size"},
	} {
		l := plainVHDX()
		test.change(&l)
		check(t, test.name, verdict(t, New(Options{}), l.build()), "vhdx", test.size, test.danger)
	}
	check(t, "eight bytes", verdict(t, New(Options{}), []byte("vhdxfile")), "vhdx", 0, "ends too early")
}

// However much data comes, hardly anything is kept, and nothing is allocated.
func TestMemory(t *testing.T) {
	block := make([]byte, 128<<10)
	i := New(Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, begin := range [][]byte{nil, []byte("vhdxfile"), sparse(descriptor("streamOptimized"), parts{56: uint64(atEnd)})} {
		s := i.Inspect()
		s.Write(begin)
		for range 1 << 30 / len(block) {
			s.Write(block)
		}
		s.Verdict()
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("inspecting 3 GiB allocated %d bytes; want at most 2 MiB", got)
	}
}

func TestKnows(t *testing.T) {
	i := New(Options{})
	for format, want := range map[string]bool{
		"raw": true, "qcow2": true, "qed": true, "vhd": true, "vhdx": true, "vmdk": true, "vdi": true, "iso": true, "gpt": true, "luks": true,
		"ami": false, "ari": false, "aki": false, "ploop": false, "": false,
	} {
		if got := i.Knows(format); got != want {
			t.Errorf("Knows(%q) = %t; want %t", format, got, want)
		}
	}
}
