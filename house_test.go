// Package glancectl_test holds the house rules: who may import whom, what a
// package must say about itself, and the sizes that keep the code readable. It
// parses the files instead of asking the go command, whose answer the test
// cache would go on giving after the files changed.
package glancectl_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "glancectl"

// mayImport says which packages of this module a package may import, by the
// first pattern that fits it. "x/..." stands for x and all below it, and "x/*"
// for what is directly below x. A package may always import what is below
// itself. A new edge is a decision: it is made here, with the code that needs it.
var mayImport = []struct {
	who  string
	what []string
	why  string
}{
	{"cmd/glanced", []string{"service/..."}, "the service knows nothing of deployment"},
	{"cmd/glancectl/...", []string{"cmd/glancectl/...", "proposals/...", "provision/...", "roles", "templates", "service/oslo", "service/client"}, "the tool knows the service by its files and its API"},
	{"proposals", nil, "the language knows neither machines nor files"},
	{"proposals/history", []string{"proposals"}, ""},
	{"templates", []string{"service/oslo"}, "a template knows what a file says and nothing else"},
	{"provision", nil, "machines, and nothing of images"},
	{"provision/*", []string{"provision/..."}, "machines, and nothing of images"},
	{"roles", []string{"proposals", "provision/...", "templates", "service/client", "service/oslo"}, ""},
	{"service", []string{"service/..."}, "it assembles the service"},
	{"service/glance", nil, "the domain imports nothing of ours"},
	{"service/glance/*", []string{"service/glance/..."}, "the suites, and what they are tried on, know the domain only"},
	{"service/oslo", nil, "both halves use it"},
	{"service/client", nil, "both halves use it"},
	{"service/internal/fault", nil, "what all adapters write their errors with leans on nothing"},
	{"service/internal/ownership", nil, "files of every kind, whoever makes them"},
	{"service/internal/seal", []string{"service/glance"}, "a form of text, for catalogs of every kind"},
	{"service/internal/sendfile", nil, "files of every kind, whoever sends them"},
	{"service/internal/turns", nil, "whoever takes turns, whatever is read"},
	{"service/internal/apiv2", []string{"service/glance/...", "service/oslo", "service/internal/fault", "service/internal/turns"}, "who asks for one list at one time gets one answer"},
	{"service/internal/sqlcatalog", []string{"service/glance/...", "service/oslo", "service/internal/fault", "service/internal/seal", "service/internal/turns"}, "its locations are sealed as those that a registry is sent"},
	{"service/internal/quickhttp", []string{"service/internal/sendfile"}, "what is not small may be a file"},
	{"service/internal/registryclient", []string{"service/glance/...", "service/internal/fault", "service/internal/seal", "service/internal/v1wire"}, "it speaks version 1 with sealed locations"},
	{"service/internal/replica", []string{"service/client"}, "it sees image services from outside, as everybody does"},
	{"service/internal/v1wire", []string{"service/glance/...", "service/internal/fault"}, "it is the words of version 1, and knows nobody who speaks them"},
	{"service/internal/apiv1", []string{"service/glance/...", "service/internal/fault", "service/internal/v1wire", "service/internal/turns"}, "who speaks version 1 says it in the same words"},
	{"service/internal/registry", []string{"service/glance/...", "service/internal/fault", "service/internal/v1wire"}, "who speaks version 1 says it in the same words"},
	{"service/internal/*", []string{"service/glance/...", "service/oslo", "service/internal/fault", "service/internal/ownership"}, "an adapter never leans on another"},
	{"examples/...", []string{"proposals/...", "provision/...", "roles", "templates"}, ""},
	{"e2e/...", []string{"e2e/...", "proposals/...", "provision/...", "roles", "templates", "service/client", "service/oslo"}, "the lab sees the programs from outside"},
	{".", nil, "only tests stand here"},
}

// mayNotLink says which modules a program does without, however deep.
var mayNotLink = []struct {
	program string
	without []string
	why     string
}{
	{"cmd/glancectl", []string{"modernc.org/sqlite", "github.com/ncw/swift"}, "the tool reads no image and no catalog"},
	{"cmd/glanced", []string{"golang.org/x/crypto/ssh", "github.com/melbahja/goph", "github.com/pkg/sftp"}, "the service logs in nowhere"},
}

// A goFile is one parsed file.
type goFile struct {
	name    string // slash-separated, from the root of the module
	dir     string // its package
	test    bool
	syntax  *ast.File
	lines   int
	fileSet *token.FileSet
}

func (f goFile) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			p = spec.Path.Value
		}
		paths = append(paths, p)
	}
	return paths
}

// parsed is every Go file of the module, parsed once for all rules.
var parsed = sync.OnceValues(func() ([]goFile, error) {
	var files []goFile
	root := os.DirFS(".")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		syntax, err := parser.ParseFile(set, name, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, goFile{
			name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
			syntax: syntax, lines: strings.Count(string(source), "\n"), fileSet: set,
		})
		return nil
	})
	return files, err
})

// parseAll returns every Go file of the module.
func parseAll(t *testing.T) []goFile {
	t.Helper()
	files, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found %d Go files; is this the root of the module?", len(files))
	}
	return slices.Clone(files)
}

// fits reports whether a package is what a pattern of mayImport stands for.
func fits(pattern, pkg string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	if base, ok := strings.CutSuffix(pattern, "/*"); ok {
		return path.Dir(pkg) == base
	}
	return pkg == pattern
}

// allowed reports whether a package may import another of the module.
func allowed(from, to string) (ok bool, why string) {
	if strings.HasPrefix(to, from+"/") {
		return true, ""
	}
	for _, row := range mayImport {
		if fits(row.who, from) {
			return slices.ContainsFunc(row.what, func(p string) bool { return fits(p, to) }), row.why
		}
	}
	return false, "the table has no row for it"
}

func TestImports(t *testing.T) {
	for _, f := range parseAll(t) {
		for _, p := range f.imports() {
			to, ours := strings.CutPrefix(p, module+"/")
			if !ours || to == f.dir { // an external test imports its own package
				continue
			}
			if ok, why := allowed(f.dir, to); !ok {
				t.Errorf("%s: %s must not import %s: %s", f.name, f.dir, to, why)
			}
		}
	}
}

func TestAllowed(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     bool
	}{
		{"templates", "service/oslo", true},
		{"templates", "proposals", false},
		{"service/internal/filestore", "service/glance", true},
		{"service/internal/filestore", "service/glance/storetest", true},
		{"service/internal/filestore", "service/internal/sqlcatalog", false},
		{"service/internal/keystone", "service/internal/fault", true},
		{"service/internal/fault", "service/glance", false},
		{"service/glance", "service/oslo", false},
		{"service", "service/internal/config", true},
		{"provision/machine", "provision", true},
		{"provision", "provision/machine", true}, // below itself, for its tests
		{"provision/machine", "templates", false},
		{"roles", "provision/dbserver", true},
		{"roles", "service/internal/config", false},
		{"roles", "cmd/glancectl", false},
		{"cmd/glanced", "roles", false},
		{"nowhere", "roles", false},
	} {
		if got, _ := allowed(test.from, test.to); got != test.want {
			t.Errorf("allowed(%s, %s) = %t; want %t", test.from, test.to, got, test.want)
		}
	}
}

func TestProgramsLinkOnlyTheirHalf(t *testing.T) {
	files := parseAll(t)
	for _, row := range mayNotLink {
		seen := map[string]bool{row.program: true}
		for todo := []string{row.program}; len(todo) > 0; todo = todo[1:] {
			for _, f := range files {
				if f.test || f.dir != todo[0] {
					continue
				}
				for _, p := range f.imports() {
					if to, ours := strings.CutPrefix(p, module+"/"); ours && !seen[to] {
						seen[to] = true
						todo = append(todo, to)
					}
					for _, not := range row.without {
						if p == not || strings.HasPrefix(p, not+"/") {
							t.Errorf("%s: %s must not link %s: %s", f.name, row.program, not, row.why)
						}
					}
				}
			}
		}
	}
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	documented := make(map[string]bool)
	for _, f := range parseAll(t) {
		if !f.test {
			documented[f.dir] = documented[f.dir] || f.syntax.Doc != nil
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

func TestPackageNames(t *testing.T) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "types", "models", "base", "misc", "lib"}
	for _, f := range parseAll(t) {
		if name := f.syntax.Name.Name; slices.Contains(vague, name) {
			t.Errorf("%s: package %s: name it for what it gives", f.name, name)
		}
		if depth := strings.Count(f.dir, "/") + 1; depth > 3 {
			t.Errorf("%s: %d folders deep; want at most 3", f.name, depth)
		}
	}
}

func TestNothingHappensOnImport(t *testing.T) {
	for _, f := range parseAll(t) {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: func init: call it where it is needed", f.fileSet.Position(fn.Pos()))
			}
		}
	}
}

func TestNoAssertionLibraries(t *testing.T) {
	for _, f := range parseAll(t) {
		for _, p := range f.imports() {
			for _, not := range []string{"github.com/stretchr/", "gotest.tools/", "github.com/onsi/", "github.com/matryer/is"} {
				if strings.HasPrefix(p, not) {
					t.Errorf("%s imports %s: write an if", f.name, p)
				}
			}
		}
	}
}

func TestFunctionsFitOnAScreen(t *testing.T) {
	const limit, share = 60, 0.05
	var all int
	var long []string
	for _, f := range parseAll(t) {
		if f.test {
			continue
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			all++
			from, to := f.fileSet.Position(fn.Pos()), f.fileSet.Position(fn.End())
			if to.Line-from.Line+1 > limit {
				long = append(long, from.String()+" "+fn.Name.Name)
			}
		}
	}
	if float64(len(long)) > share*float64(all) {
		t.Errorf("%d of %d functions are longer than %d lines; want at most %.0f %%:\n%s",
			len(long), all, limit, share*100, strings.Join(long, "\n"))
	}
}

func TestFilesCanBeReadAtOnce(t *testing.T) {
	const limit = 500
	files := parseAll(t)
	slices.SortFunc(files, func(a, b goFile) int { return a.lines - b.lines })
	if at := files[len(files)*9/10]; at.lines > limit {
		var long []string
		for _, f := range files {
			if f.lines > limit {
				long = append(long, f.name+" "+strconv.Itoa(f.lines))
			}
		}
		t.Errorf("more than one file in ten is longer than %d lines:\n%s", limit, strings.Join(long, "\n"))
	}
}

// exported calls do for every exported name that is declared, with its doc
// comment, that of its group included.
func exported(f goFile, do func(name *ast.Ident, documented bool)) {
	for _, d := range f.syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d.Recv))) {
				do(d.Name, d.Doc != nil)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() {
						do(spec.Name, d.Doc != nil || spec.Doc != nil)
					}
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						if name.IsExported() {
							do(name, d.Doc != nil || spec.Doc != nil || spec.Comment != nil)
						}
					}
				}
			}
		}
	}
}

// receiver returns the name of a method's type.
func receiver(fields *ast.FieldList) string {
	expr := fields.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	if index, ok := expr.(*ast.IndexExpr); ok {
		expr = index.X
	}
	if name, ok := expr.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

func TestExportedNamesAreDocumented(t *testing.T) {
	const share = 0.05
	var all int
	var bare []string
	for _, f := range parseAll(t) {
		if f.test {
			continue
		}
		exported(f, func(name *ast.Ident, documented bool) {
			all++
			if !documented {
				bare = append(bare, f.fileSet.Position(name.Pos()).String()+" "+name.Name)
			}
		})
	}
	if float64(len(bare)) > share*float64(all) {
		t.Errorf("%d of %d exported names have no comment; want at most %.0f %%:\n%s",
			len(bare), all, share*100, strings.Join(bare, "\n"))
	}
}

// Four parameters, not counting the context and the test: beyond that a
// reader of the call has to look them up.
func TestFunctionsTakeFewParameters(t *testing.T) {
	const limit, share = 4, 0.05
	var all int
	var wide []string
	for _, f := range parseAll(t) {
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || f.test {
				continue
			}
			all++
			n := 0
			for _, p := range fn.Type.Params.List {
				if s, ok := p.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "Context" {
					continue
				}
				n += max(1, len(p.Names))
			}
			if n > limit {
				wide = append(wide, f.fileSet.Position(fn.Pos()).String()+" "+fn.Name.Name)
			}
		}
	}
	if float64(len(wide)) > share*float64(all) {
		t.Errorf("%d of %d functions take more than %d parameters; want at most %.0f %%:\n%s",
			len(wide), all, limit, share*100, strings.Join(wide, "\n"))
	}
}
