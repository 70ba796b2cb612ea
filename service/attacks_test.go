package service_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// attacks is the history of attacks on image services of this kind, by the
// names that they were published under, and the tests that try each here. A
// test is named with its package, or stands in this one.
var attacks = []struct {
	names, what string
	tests       string
}{
	{"CVE-2012-4573 CVE-2012-5482", "delete the data of another project's image", "TestForeignDeletes glance.TestDelete"},
	{"CVE-2013-0212 CVE-2024-1141", "read a store's password out of errors, headers and logs",
		"TestStorePasswordsStayInside TestLocationPasswordsStayInside TestServicePasswordsStayInside internal/swiftstore.TestErrorsHideTheKey"},
	{"CVE-2013-1840", "read a location in a cached answer of v1", "TestCachedDownloads TestV1Exchanges"},
	{"CVE-2013-4428", "download from the cache without permission, or after deactivation", "TestCachedDownloads"},
	{"CVE-2014-1948", "read a store's password in the log of a failed login", "TestStorePasswordsStayInside"},
	{"CVE-2014-0162", "have a shell run what is in a name", "TestNoShell internal/qemuimg.TestCommand"},
	{"CVE-2014-5356", "store more than image_size_cap by not saying how much comes", "TestSizeCap"},
	{"CVE-2014-9493 CVE-2015-1195", "have a file of the server, or of its account, for an image's data",
		"TestOldLocationAttacks TestLocationAttacks TestImportTask glance.TestLocationAttacks"},
	{"CVE-2014-9623", "get around the quota by deleting while the data comes", "TestDeleteDuringUpload glance.TestStorageQuotaAndDelete"},
	{"CVE-2014-9684 CVE-2015-1881", "fill the store with tasks that fail", "TestImportTask"},
	{"CVE-2015-3289", "fill the staging area with imports that fail", "TestImportTask TestHostileImports glance.TestImportFails"},
	{"CVE-2015-5163", "read files of the server through the backing file of an image that is converted",
		"TestHostileImports TestImageConversion glance.TestConvertedIsInspected"},
	{"CVE-2015-5251", "change the status of an image, to change its data", "TestOwnAttributes TestV1Exchanges"},
	{"CVE-2015-5286", "leave data behind by deleting while it comes, with a token that ends", "TestDeleteDuringUpload"},
	{"CVE-2015-8234", "forge a signature that is made with MD5", "glance.TestSignatures TestSignedImages"},
	{"CVE-2015-5162", "keep the converter busy for ever, or let it take all memory", "internal/qemuimg.TestLimits"},
	{"CVE-2016-0757", "change the data of an active image by removing its last location", "glance.TestLocationsRefused glance.TestLastLocationAtOnce"},
	{"CVE-2016-8611", "fill the database with images", "TestUnifiedLimits glance.TestLimits"},
	{"CVE-2017-7200", "reach what only the server reaches, by copy_from of v1", "TestOldLocationAttacks"},
	{"CVE-2022-47951", "read files of the server through the extents of a VMDK", "internal/inspect.TestVMDK internal/inspect.TestVMDKTypes TestHostileImages"},
	{"CVE-2024-32498", "read files of the server through the data file of a QCOW2", "internal/inspect.TestFormats TestHostileImages TestHostileImports"},
	{"OSSA-2026-004 CVE-2026-34881", "reach what only the server reaches, by redirects and spellings of addresses",
		"TestWebDownload internal/webdownload.TestCheck internal/webdownload.TestFetch"},
	{"OSSN-0105", "the same by tasks of the old kind", "TestImportTask"},
	{"CVE-2026-71196", "store more than image_size_cap by having it fetched", "TestSizeCap TestWebDownload"},
	{"CVE-2026-71197", "reach what only the server reaches, by a name that changes its address", "TestRebindingAttacks internal/webdownload.TestRebinding"},
	{"CVE-2026-71198", "the same by locations", "TestLocationAttacks TestRebindingAttacks"},
	{"OSSN-0060", "take over the ID of an image that was purged", "internal/sqlcatalog.TestPurge"},
	{"OSSN-0065", "get around property protections by the other version", "TestPropertyProtections TestV1Exchanges"},
	{"OSSN-0088", "change metadata definitions of others", "TestMetadefsByToken"},
	{"OSSN-0090", "learn or change where data is", "TestLocations TestWhoAddsLocations glance.TestShownLocations"},

	{"spoofed headers", "be somebody else by saying so", "TestIdentityHeadersOfClients TestTrustedAuth internal/keystone.TestSpoofedHeaders"},
	{"paths for IDs", "reach files beside the images", "TestPathsForIDs internal/filestore.TestStrangeFiles"},
	{"request smuggling", "put a request where a proxy does not see it", "TestRequestSmuggling"},
	{"slow clients", "hold all connections", "TestSlowHeads TestStalledUploadIsBrokenOff TestStalledDownloadIsBrokenOff"},
	{"large heads", "fill the memory with headers", "TestHeaders"},
	{"reserved properties", "take part in the service's own affairs", "TestOwnAttributes"},
}

// Two more of them need nothing to be tried: CVE-2023-2088 was about volumes,
// which are no store here, and OSSN-0075 and 0076 about quotas that CVE-2016-8611
// stands for.

// Every attack in the table is tried by tests that are there.
func TestAttacksAreTried(t *testing.T) {
	known := make(map[string]map[string]bool)
	for _, attack := range attacks {
		tests := strings.Fields(attack.tests)
		if len(tests) == 0 {
			t.Errorf("%s: nobody tries to %s", attack.names, attack.what)
		}
		for _, test := range tests {
			dir, name := ".", test
			if at := strings.LastIndexByte(test, '.'); at >= 0 {
				dir, name = test[:at], test[at+1:]
			}
			if known[dir] == nil {
				known[dir] = functions(t, dir)
			}
			if !known[dir][name] {
				t.Errorf("%s: there is no test %s", attack.names, test)
			}
		}
	}
}

// functions returns the names of the functions in the tests of a package.
func functions(t *testing.T, dir string) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path.Join(dir, e.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

// Nothing in the service starts a shell: the converter is started by the one
// package that limits it, the daemons and their logger where an operator asks for them, and
// all get their arguments in a list.
func TestNoShell(t *testing.T) {
	starters := []string{"internal/qemuimg/qemuimg.go", "control.go", "respawn.go"}
	for _, dir := range []string{".", "internal", "glance"} {
		for _, pkg := range packages(t, dir) {
			for name, imports := range sources(t, pkg) {
				for _, p := range imports {
					if p == `"os/exec"` && !slices.Contains(starters, name) {
						t.Errorf("%s starts programs", name)
					}
				}
			}
		}
	}
	for _, name := range starters {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, shell := range []string{`"sh"`, `"/bin/sh"`, `"bash"`, `"-c"`} {
			if strings.Contains(string(text), shell) {
				t.Errorf("%s has %s", name, shell)
			}
		}
	}
}

// packages returns a directory and those in it.
func packages(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{dir}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "testdata" {
			all = append(all, path.Join(dir, e.Name()))
		}
	}
	return all
}

// sources returns what each file of a package imports, its tests left out.
func sources(t *testing.T, dir string) map[string][]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			all[name] = append(all[name], spec.Path.Value)
		}
	}
	return all
}
