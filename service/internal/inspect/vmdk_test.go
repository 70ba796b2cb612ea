package inspect

import (
	"strings"
	"testing"
)

func TestVMDK(t *testing.T) {
	plain := descriptor("monolithicSparse")
	for _, test := range []struct {
		name   string
		data   []byte
		danger string
	}{
		{"monolithicSparse", sparse(plain, nil), ""},
		{"streamOptimized without a footer", sparse(descriptor("streamOptimized"), nil), ""},
		{"any case", sparse(strings.ToUpper(plain), nil), ""},
		{"lines as on Windows", sparse(strings.ReplaceAll(plain, "\n", "\r\n"), nil), ""},
		{"version 2", sparse(plain, parts{4: uint32(2)}), ""},
		{"version 4", sparse(plain, parts{4: uint32(4)}), "version 4"},
		{"four bytes", []byte("KDMV"), "ends too early"},
		{"ends in the descriptor", sparse(plain, nil)[:2048], "ends too early"},
		{"no descriptor", sparse(plain, parts{28: uint64(0), 36: uint64(0)}), "wrong place"},
		{"descriptor elsewhere", sparse(plain, parts{28: uint64(40)}), "wrong place"},
		{"descriptor of no size", sparse(plain, parts{36: uint64(0)}), "0 sectors"},
		{"descriptor of all there is", sparse(plain, parts{36: ^uint64(0)}), "sectors"},
		{"empty descriptor", sparse("", nil), "createType is given 0 times"},
		{"capacity that says to look into the descriptor", sparse(plain, parts{12: uint64(0)}), "not in this file"},
		{"capacity larger than anything", sparse(plain, parts{12: uint64(1 << 56)}), "capacity"},

		{"monolithicFlat", sparse(descriptor("monolithicFlat"), nil), `createType "monolithicflat" is not allowed`},
		{"twoGbMaxExtentSparse", sparse(descriptor("twoGbMaxExtentSparse"), nil), "not allowed"},
		{"a type that goes on and on", sparse(descriptor(strings.Repeat("x", 5000)), nil), "not allowed"},
		{"a second type", sparse(descriptor("monolithicSparse", `createType="monolithicFlat"`), nil), "2 times"},
		{"a type in a comment first", sparse("# createType=\"monolithicSparse\"\n"+descriptor("monolithicFlat"), nil), "2 times"},
		{"a type in a comment only", sparse(strings.Replace(plain, "createType", "# createType", 1), nil), "not allowed"},
		{"parent", sparse(descriptor("monolithicSparse", `parentFileNameHint="/etc/passwd"`), nil), "has a parent"},
		{"parent in a comment", sparse(descriptor("monolithicSparse", `#parentFileNameHint="/etc/passwd"`), nil), "has a parent"},
		{"parent by its ID", sparse(strings.Replace(plain, "ffffffff", "11111111", 1), nil), "has a parent"},
		{"extent with a path", sparse(strings.Replace(plain, "disk.vmdk", "/etc/passwd", 1), nil), "an extent has a path"},
		{"extent with a relative path", sparse(strings.Replace(plain, "disk.vmdk", "../x", 1), nil), "an extent has a path"},
		{"extent with a path of Windows", sparse(strings.Replace(plain, "disk.vmdk", `C:\x`, 1), nil), "an extent has a path"},
		{"second extent", sparse(descriptor("monolithicSparse", `RW 100 SPARSE "other"`), nil), "several extents"},
		{"second extent hidden behind a carriage return", sparse(descriptor("monolithicSparse", "# x\rRW 100 FLAT \"/etc/passwd\" 0"), nil), "several extents"},
		{"flat extent", sparse(strings.Replace(plain, "SPARSE", "FLAT", 1), nil), "not sparse"},
		{"half an extent", sparse(strings.Replace(plain, `20480 SPARSE "disk.vmdk"`, "", 1), nil), "not sparse"},
		{"no extents", sparse(strings.Replace(plain, "RW", "#", 1), nil), "no extents"},
		{"strange line", sparse(descriptor("monolithicSparse", "include /etc/passwd"), nil), "cannot be understood"},
		{"not ASCII", sparse(descriptor("monolithicSparse", "# \xc3\xa9"), nil), "not ASCII"},
		{"lines behind the end", sparse(plain+"\x00\nRW 1 FLAT \"/etc/passwd\"", nil), ""},

		{"footer", stream(nil, nil, nil), ""},
		{"footer of another capacity", stream(nil, parts{12: uint64(0)}, nil), "differ"},
		{"footer with another descriptor", stream(nil, parts{28: uint64(100)}, nil), "differ"},
		{"footer with a longer descriptor", stream(nil, parts{36: uint64(30)}, nil), "differ"},
		{"footer of another version", stream(nil, parts{4: uint32(1)}, nil), "differ"},
		{"footer that is none", stream(nil, parts{0: "COWD"}, nil), "differ"},
		{"footer with a footer", stream(nil, parts{56: uint64(atEnd)}, nil), "another footer"},
		{"marker of another kind", stream(parts{12: uint32(1)}, nil, nil), "no marker"},
		{"marker with data", stream(parts{8: uint32(1)}, nil, nil), "no marker"},
		{"marker with something behind", stream(parts{500: byte(1)}, nil, nil), "no marker"},
		{"end that is none", stream(nil, nil, parts{12: uint32(2)}), "no end"},
		{"end with data", stream(nil, nil, parts{0: uint64(1)}), "no end"},
		{"data behind the end", append(stream(nil, nil, nil), 0), "differ"},
		{"footer promised, nothing there", stream(nil, nil, nil)[:11<<10], "ends too early"},

		{"COWD", append([]byte("COWD\x01"), make([]byte, 2048)...), "not in this file"},
		{"text", []byte(descriptor("monolithicFlat")), "not in this file"},
		{"text of an allowed type", []byte(plain), "not in this file"},
		{"text without a type", []byte("# x\n\n  version=1\r\nCID=1\n"), "not in this file"},
		{"text with its type far away", []byte("version=3\n" + strings.Repeat("#\n", 50_000) + plain), "not in this file"},
		{"text with its type later", []byte(strings.Repeat("#\n", 1000) + plain), "not in this file"},
	} {
		size := int64(disk)
		if test.danger != "" {
			size = 0
		}
		check(t, test.name, verdict(t, New(Options{}), test.data), "vmdk", size, test.danger)
	}
}

func TestNotVMDK(t *testing.T) {
	for _, text := range []string{
		"version=1.0\n", "version=20\n", "x\nversion=1\n", "#!/bin/sh\necho hello\n", "createType=monolithicFlat\n",
		"\x80createType=\"monolithicFlat\"", "createType\x00=\"monolithicFlat\"",
	} {
		check(t, text, verdict(t, New(Options{}), []byte(text)), "raw", int64(len(text)), "")
	}
}

func TestVMDKTypes(t *testing.T) {
	flat := sparse(strings.Replace(descriptor("vmfsSparse"), "SPARSE", "VMFSSPARSE", 1), nil)
	for _, test := range []struct {
		types  []string
		data   []byte
		danger string
	}{
		{nil, flat, "not allowed"},
		{[]string{"VMFSsparse"}, flat, ""},
		{[]string{"vmfsSparse"}, sparse(descriptor("monolithicSparse"), nil), "not allowed"},
		{[]string{}, sparse(descriptor("monolithicSparse"), nil), "not allowed"},
		{[]string{"monolithicFlat"}, []byte(descriptor("monolithicFlat")), "not in this file"},
		{[]string{"vmfsSparse"}, sparse(descriptor("vmfsSparse", `RW 1 FLAT "/etc/passwd"`), nil), "has a path"},
	} {
		size := int64(disk)
		if test.danger != "" {
			size = 0
		}
		check(t, strings.Join(test.types, ","), verdict(t, New(Options{VMDKTypes: test.types}), test.data), "vmdk", size, test.danger)
	}
}
