package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Stores is where image data is kept.
type Stores struct {
	Named   bool // the stores have IDs: enabled_backends names them
	All     []Store
	Default string // ID or, of stores without, kind of one of All
}

// A Store is one place of image data.
type Store struct {
	ID          string // "" if stores have no names
	Kind        string // one of StoreKinds
	Section     string // where its options stand, for errors about them
	Description string
	Weight      int
	Files       Files // of the kind that it is
	Swift       Swift
	HTTP        HTTP
}

// Files are directories with image data.
type Files struct {
	Dirs      []Dir       // at least one
	Mode      fs.FileMode // of files; 0 means the store's own
	ChunkSize int64
	Thin      bool // runs of zeros take no space
}

// A Dir is a directory with image data. Those with the highest priority are
// filled first.
type Dir struct {
	Path     string
	Priority int
}

// A section is where the options of a store stand.
type section string

// unnamed is the section of stores that have no names.
const unnamed section = "glance_store"

// names returns the names that an option has there.
func (s section) names(key string) []string {
	if s == unnamed {
		return []string{"glance_store." + key, "DEFAULT." + key}
	}
	return []string{strings.ToLower(string(s)) + "." + key}
}

// storeKinds has the kinds of store by every name that they have had.
var storeKinds = map[string]string{
	"file":                           "file",
	"filesystem":                     "file",
	"glance.store.filesystem.Store":  "file",
	"glance.store.filesystem.Driver": "file",
	"swift":                          "swift",
	"swift+config":                   "swift",
	"swift+http":                     "swift",
	"swift+https":                    "swift",
	"glance.store.swift.Store":       "swift",
	"http":                           "http",
	"https":                          "http",
	"glance.store.http.Store":        "http",
}

// served lists the kinds of store there are, for errors.
const served = "file, http and swift"

// stores reads where data is kept: in the stores that enabled_backends names,
// or else in those of the releases before, which have no names.
func (r *reader) stores() Stores {
	if pairs := r.backends(); len(pairs) > 0 {
		return r.namedStores(pairs)
	}
	return r.unnamedStores()
}

// A backend is an entry of enabled_backends.
type backend struct{ id, kind string }

var enabledBackends = []string{"DEFAULT.enabled_backends"}

// backends returns the stores that have names.
func (r *reader) backends() []backend {
	v, _ := r.find("", enabledBackends)
	var all []backend
	for _, w := range words(v.Text) {
		id, kind, ok := strings.Cut(w, ":")
		id, kind = strings.TrimSpace(id), strings.TrimSpace(kind)
		if !ok || id == "" || kind == "" {
			r.wrong(v, enabledBackends, "a list of stores with their kinds, such as fast:file,cheap:swift")
			continue
		}
		if slices.ContainsFunc(all, func(b backend) bool { return b.id == id }) {
			r.errs = append(r.errs, fmt.Errorf("%s: [DEFAULT] enabled_backends: there are two stores %q", v.Pos(), id))
			continue
		}
		all = append(all, backend{id, kind})
	}
	return all
}

// namedStores reads the stores that have names, each in a section of its own.
func (r *reader) namedStores(pairs []backend) Stores {
	s := Stores{Named: true}
	for _, b := range pairs {
		kind, ok := storeKinds[b.kind]
		switch {
		case !ok:
			r.errs = append(r.errs, fmt.Errorf("%s: [DEFAULT] enabled_backends: store %q: no store is called %q; there are %s",
				r.pos(enabledBackends...), b.id, b.kind, served))
		case strings.HasPrefix(b.id, "os_glance_"):
			r.errs = append(r.errs, fmt.Errorf("%s: [DEFAULT] enabled_backends: store %q: names that begin with os_glance_ are reserved",
				r.pos(enabledBackends...), b.id))
		default:
			store := r.store(kind, section(b.id))
			store.ID = b.id
			s.All = append(s.All, store)
		}
	}
	names := []string{"glance_store.default_backend"}
	v, set := r.find("", names)
	s.Default = v.Text
	switch {
	case !set || v.Text == "":
		r.errs = append(r.errs, fmt.Errorf("%s: [glance_store] default_backend: not set; it names the store of enabled_backends that takes uploads",
			r.pos(enabledBackends...)))
	case !slices.ContainsFunc(pairs, func(b backend) bool { return b.id == v.Text }):
		r.wrong(v, names, "the name of a store in enabled_backends")
	case slices.ContainsFunc(pairs, func(b backend) bool { return b.id == v.Text && !writable(storeKinds[b.kind]) }):
		r.wrong(v, names, "the name of a store that takes data")
	}
	r.apart(s.All)
	return s
}

// apart reports directories that two stores have in common: what one of them
// deletes would be gone from the other.
func (r *reader) apart(all []Store) {
	owner := make(map[string]string)
	for _, s := range all {
		for _, d := range s.Files.Dirs {
			if other, taken := owner[d.Path]; taken {
				r.errs = append(r.errs, fmt.Errorf("%s: [%s] filesystem_store_datadir: %s is the directory of store %q already",
					r.pos(enabledBackends...), s.ID, d.Path, other))
			}
			owner[d.Path] = s.ID
		}
	}
}

// unnamedStores reads the stores that are known by their kinds. What is not
// served and takes no uploads is not missed before somebody asks for it.
func (r *reader) unnamedStores() Stores {
	names := []string{"glance_store.stores", "glance_store.known_stores", "DEFAULT.known_stores"}
	preferred := []string{"glance_store.default_store", "DEFAULT.default_store"}
	var kinds, missing []string
	for _, name := range r.list(nil, names...) {
		kind, ok := storeKinds[name]
		switch {
		case !ok:
			missing = append(missing, name)
		case !slices.Contains(kinds, kind):
			kinds = append(kinds, kind)
		}
	}
	s := Stores{Default: "file"}
	v, set := r.find("file", preferred)
	if set {
		kind, ok := storeKinds[v.Text]
		if !ok {
			r.noStore(v.Text, preferred)
			kind = "file"
		}
		if !writable(kind) {
			r.wrong(v, preferred, "a store that takes data")
		}
		s.Default = kind
	}
	switch {
	case len(kinds) == 0 && len(missing) > 0 && !set:
		r.noStore(missing[0], names)
	case len(kinds) == 0:
		kinds = []string{s.Default, "http"} // as before there was a list
	case !set:
		s.Default = r.firstWritable(kinds, names)
	case !slices.Contains(kinds, s.Default):
		r.wrong(v, preferred, "one of the stores that are enabled: "+strings.Join(kinds, ", "))
	}
	for _, name := range missing {
		r.warnings = append(r.warnings, fmt.Sprintf("%s: [glance_store] stores: there is no store %q: images that are in it cannot be read", r.pos(names...), name))
	}
	for _, kind := range kinds {
		s.All = append(s.All, r.store(kind, unnamed))
	}
	return s
}

// firstWritable returns the store that takes uploads when no option says so.
func (r *reader) firstWritable(kinds, names []string) string {
	if at := slices.IndexFunc(kinds, writable); at >= 0 {
		return kinds[at]
	}
	v, _, _ := r.lookup(names)
	r.wrong(v, names, "a list with a store that takes data")
	return "file"
}

// noStore notes that an option relies on a store that is not served.
func (r *reader) noStore(name string, option []string) {
	section, key := split(option[0])
	r.errs = append(r.errs, fmt.Errorf("%s: [%s] %s: no store is called %q; there are %s", r.pos(option...), section, key, name, served))
}

// store reads the options of one store.
func (r *reader) store(kind string, in section) Store {
	s := Store{Kind: kind, Section: string(in)}
	if in != unnamed {
		s.Description = r.text("", in.names("store_description")...)
		s.Weight = r.number(0, math.MinInt32, in.names("weight")...)
	}
	switch kind {
	case "file":
		s.Files = r.files(in)
	case "swift":
		s.Swift = r.swift(in)
	case "http":
		s.HTTP = r.http(in)
	}
	return s
}

// files reads the options of a file store. How many threads read and write,
// and when they give up, is nothing that has to be set here.
func (r *reader) files(in section) Files {
	one, many := in.names("filesystem_store_datadir"), in.names("filesystem_store_datadirs")
	f := Files{
		Mode:      r.mode(in.names("filesystem_store_file_perm")...),
		ChunkSize: r.integer(64<<10, 1, 1<<30, in.names("filesystem_store_chunk_size")...),
		Thin:      r.boolean(false, in.names("filesystem_thin_provisioning")...),
	}
	for _, key := range []string{"timeout", "thread_pool_size", "threadpool_threshold"} {
		r.number(0, 0, in.names("filesystem_store_"+key)...)
	}
	if v, set, _ := r.lookup(in.names("filesystem_store_metadata_file")); set && v.Text != "" {
		r.warnings = append(r.warnings, fmt.Sprintf("%s: [%s] filesystem_store_metadata_file has no effect: locations get no more metadata than the name of their store", v.Pos(), in))
	}
	if f.Dirs = r.dirs(many); len(f.Dirs) == 0 {
		f.Dirs = []Dir{{Path: r.directory("/var/lib/glance/images", one...)}}
		return f
	}
	if v, set, _ := r.lookup(one); set && v.Text != "" {
		r.errs = append(r.errs, fmt.Errorf("%s: [%s] filesystem_store_datadir: set as well as filesystem_store_datadirs; use one of them", v.Pos(), in))
	}
	return f
}

// dirs returns directories with priorities, the highest first. The option may
// be there several times.
func (r *reader) dirs(names []string) []Dir {
	var all []Dir
	for _, v := range r.values(names) {
		path, priority := v.Text, 0
		if before, after, ok := cutLast(path, ":"); ok && !strings.Contains(after, "/") {
			n, err := strconv.Atoi(strings.TrimSpace(after))
			if strings.TrimSpace(after) != "" && (err != nil || n < 0) {
				r.wrong(v, names, "a directory with a priority, such as /srv/images:100")
				continue
			}
			path, priority = strings.TrimSpace(before), n
		}
		if !filepath.IsAbs(path) {
			r.wrong(v, names, "an absolute path with a priority, such as /srv/images:100")
			continue
		}
		path = filepath.Clean(path)
		if slices.ContainsFunc(all, func(d Dir) bool { return d.Path == path }) {
			r.wrong(v, names, "another directory than those before")
			continue
		}
		all = append(all, Dir{path, priority})
	}
	slices.SortStableFunc(all, func(a, b Dir) int { return cmp.Compare(b.Priority, a.Priority) })
	return all
}

// cutLast is strings.Cut at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	at := strings.LastIndex(s, sep)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(sep):], true
}

// mode returns permissions, which are written in octal and let the owner read;
// 0 if they are not set.
func (r *reader) mode(names ...string) fs.FileMode {
	v, ok := r.find("0", names)
	text := strings.TrimSpace(v.Text)
	if !ok || text == "" || text == "0" || strings.HasPrefix(text, "-") {
		return 0
	}
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o777 || n&0o400 == 0 {
		r.wrong(v, names, "permissions that let the owner read, such as 640")
		return 0
	}
	return fs.FileMode(n)
}
