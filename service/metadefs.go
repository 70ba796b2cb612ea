package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"glancectl/service/glance/metadef"
	"glancectl/service/internal/sqlcatalog"
)

// loadMetadefs puts the namespaces in files into the database, each one whole
// or not at all. A file that is wrong does not keep the others out.
func loadMetadefs(ctx context.Context, c command) (int, error) {
	path, mode, err := c.loadOptions()
	if err != nil {
		return ManageUsage, err
	}
	files, err := metadefFiles(path)
	if err != nil {
		return ManageFailed, fmt.Errorf("load metadefs: %w", err)
	}
	var failures []error
	for _, name := range files {
		ns, loaded, err := loadFile(ctx, c.catalog.Metadefs(), name, mode)
		if ctx.Err() != nil {
			return ManageFailed, ctx.Err()
		}
		line := fmt.Sprintf("%s: namespace %s is loaded.", name, ns)
		if !loaded {
			line = fmt.Sprintf("%s: namespace %s is skipped: it is in the database.", name, ns)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("load metadefs %s: %w", name, err))
			continue
		}
		if _, err := say(c.out, ManageDone, line); err != nil {
			return ManageFailed, err
		}
	}
	if len(failures) > 0 {
		return ManageFailed, errors.Join(failures...)
	}
	return ManageDone, nil
}

// loadOptions reads the flags of load_metadefs. By its old name the command has
// none: there the path stands first, and whatever follows it, second to
// fourth, turns on what the flags do.
func (c command) loadOptions() (path string, mode metadef.Mode, err error) {
	f := flag.NewFlagSet("load_metadefs", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&path, "path", c.p.Metadefs, "")
	merge := f.Bool("merge", false, "")
	prefer := f.Bool("prefer_new", false, "")
	overwrite := f.Bool("overwrite", false, "")
	if err := f.Parse(c.args); err != nil {
		return "", 0, fmt.Errorf("load_metadefs: %w", err)
	}
	rest := f.Args()
	if c.old {
		if len(rest) > 0 && rest[0] != "" {
			path = rest[0]
		}
		for i, on := range []*bool{merge, prefer, overwrite} {
			*on = *on || len(rest) > i+1 && rest[i+1] != ""
		}
		rest = rest[min(len(rest), 4):]
	}
	switch {
	case len(rest) > 0:
		return "", 0, fmt.Errorf("load_metadefs: unexpected argument %q", rest[0])
	case !*merge && (*prefer || *overwrite):
		return "", 0, errors.New("load_metadefs: --prefer_new and --overwrite say how to merge: add --merge")
	case *prefer && *overwrite:
		return "", 0, errors.New("load_metadefs: --prefer_new and --overwrite exclude each other")
	case *overwrite:
		mode = metadef.Overwrite
	case *prefer:
		mode = metadef.PreferNew
	case *merge:
		mode = metadef.Merge
	}
	return path, mode, nil
}

// metadefFiles returns path if it is a file, else the *.json in it.
func metadefFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".json" && !e.IsDir() {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no *.json in it", path)
	}
	return files, nil
}

// loadFile puts the namespace in one file into a catalog.
func loadFile(ctx context.Context, c metadef.Catalog, name string, mode metadef.Mode) (namespace string, loaded bool, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", false, err
	}
	ns, err := metadef.Decode(data)
	if err != nil {
		return "", false, err
	}
	loaded, err = metadef.Load(ctx, c, ns, mode)
	return ns.Name, loaded, err
}

// exportPage is how many namespaces are listed at once.
const exportPage = 100

// exportMetadefs writes every namespace to a file of its own.
func exportMetadefs(ctx context.Context, c command) (int, error) {
	f := flag.NewFlagSet("export_metadefs", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	path := f.String("path", c.p.Metadefs, "")
	if err := f.Parse(c.args); err != nil {
		return ManageUsage, fmt.Errorf("export_metadefs: %w", err)
	}
	rest := f.Args()
	if c.old && len(rest) > 0 {
		*path, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		return ManageUsage, fmt.Errorf("export_metadefs: unexpected argument %q", rest[0])
	}
	catalog := c.catalog.Metadefs()
	q := metadef.Query{Admin: true, Sort: "id", Ascending: true, Limit: exportPage}
	taken := make(map[string]bool)
	for {
		page, err := catalog.Namespaces(ctx, q)
		if err != nil {
			return ManageFailed, fmt.Errorf("export metadefs: %w", err)
		}
		for _, listed := range page {
			ns, err := catalog.Namespace(ctx, listed.Name)
			if err != nil {
				return ManageFailed, fmt.Errorf("export metadefs: %w", err)
			}
			name := filepath.Join(*path, fileName(ns, taken))
			if err := replaceFile(name, ns.Encode()); err != nil {
				return ManageFailed, fmt.Errorf("export namespace %s: %w", ns.Name, err)
			}
			if _, err := say(c.out, ManageDone, fmt.Sprintf("%s: namespace %s is saved.", name, ns.Name)); err != nil {
				return ManageFailed, err
			}
		}
		if len(page) < q.Limit {
			return ManageDone, nil
		}
		q.Marker = page[len(page)-1].Name
	}
}

// maxFileName leaves room for a number and the extension below the 255 bytes
// that a file system allows.
const maxFileName = 200

// fileName returns a name for the file of ns that is not taken yet, made from
// the letters and digits of what people call it.
func fileName(ns *metadef.Namespace, taken map[string]bool) string {
	words := ns.Name
	if ns.DisplayName != nil {
		words = *ns.DisplayName
	}
	base := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, words)
	for len(base) > maxFileName {
		_, last := utf8.DecodeLastRuneInString(base)
		base = base[:len(base)-last]
	}
	if base == "" {
		base = "namespace"
	}
	name := base + ".json"
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d.json", base, n)
	}
	taken[name] = true
	return name
}

// replaceFile writes a file that is there whole, or as it was before. More is
// done with it before it is there.
func replaceFile(name string, data []byte, more ...func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".export-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	for _, do := range more {
		err = errors.Join(err, do(f))
	}
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func unloadMetadefs(ctx context.Context, c *sqlcatalog.Catalog, out io.Writer) (int, error) {
	if err := c.Metadefs().Clear(ctx); err != nil {
		return ManageFailed, err
	}
	return say(out, ManageDone, "All metadata definitions are removed.")
}
