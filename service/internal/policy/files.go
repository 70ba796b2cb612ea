package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v2"
)

// A definition is one rule as a file has it.
type definition struct {
	name string
	rule any // text, or the list of lists of old files
	file string
	line int // 0 if it is not known
}

func (d definition) place() string {
	if d.line == 0 {
		return d.file
	}
	return fmt.Sprintf("%s:%d", d.file, d.line)
}

// A surveyed is what the files look like without being read.
type surveyed struct {
	file   string    // "" if there is none
	more   []string  // of the directories, in order
	stamp  string    // differs when a file was changed, came or went
	newest time.Time // when a file was last changed
	err    error
}

func (s surveyed) paths() []string {
	if s.file == "" {
		return s.more
	}
	return append([]string{s.file}, s.more...)
}

// survey looks which files there are.
func survey(o Options) surveyed {
	var s surveyed
	var stamp strings.Builder
	note := func(name string, info fs.FileInfo) {
		fmt.Fprintf(&stamp, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		if info.ModTime().After(s.newest) {
			s.newest = info.ModTime()
		}
	}
	for _, name := range o.Files {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return surveyed{err: err, stamp: err.Error()}
		}
		s.file = name
		note(name, info)
		break
	}
	if s.file == "" && o.Required {
		err := fmt.Errorf("%s: there is no such file", strings.Join(o.Files, ", "))
		return surveyed{err: err, stamp: err.Error()}
	}
	for _, dir := range o.Dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return surveyed{err: err, stamp: err.Error()}
		}
		for _, entry := range entries {
			name := filepath.Join(dir, entry.Name())
			info, err := os.Stat(name)
			if strings.HasPrefix(entry.Name(), ".") || err != nil || !info.Mode().IsRegular() {
				continue
			}
			s.more = append(s.more, name)
			note(name, info)
		}
	}
	s.stamp = stamp.String()
	return s
}

// readAll returns the definitions of all files, in order.
func readAll(names []string) ([]definition, error) {
	var list []definition
	var errs []error
	for _, name := range names {
		text, err := readFile(name)
		if err == nil {
			var more []definition
			more, err = parseFile(name, text)
			list = append(list, more...)
		}
		errs = append(errs, err)
	}
	return list, errors.Join(errs...)
}

// maxFile is how large a file may be.
const maxFile = 1 << 20

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: larger than %d bytes", name, maxFile)
	}
	return text, err
}

// parseFile returns the rules of a file. It may be JSON under any name; what
// is not, and is not called .json, is YAML.
func parseFile(name string, text []byte) ([]definition, error) {
	list, err := parseJSON(name, text)
	if err != nil && filepath.Ext(name) != ".json" {
		list, err = parseYAML(name, text)
	}
	if err != nil {
		return nil, err
	}
	seen := make(map[string]definition)
	var errs []error
	for _, d := range list {
		if first, again := seen[d.name]; again {
			errs = append(errs, fmt.Errorf("%s: rule %s is there twice, first at %s", d.place(), quoted(d.name), first.place()))
		}
		seen[d.name] = d
	}
	return list, errors.Join(errs...)
}

var errNoMap = errors.New("want one map of rules by their names")

func parseJSON(name string, text []byte) ([]definition, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	line := func() int { return 1 + bytes.Count(text[:d.InputOffset()], []byte("\n")) }
	fault := func(err error) error {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return fmt.Errorf("%s:%d: %w", name, 1+bytes.Count(text[:syntax.Offset], []byte("\n")), err)
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("%s:%d: %w", name, line(), err)
	}
	if t, err := d.Token(); err != nil {
		return nil, fault(err)
	} else if t != json.Delim('{') {
		return nil, fault(errNoMap)
	}
	var list []definition
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fault(err)
		}
		def := definition{name: key.(string), file: name, line: line()} // the decoder takes no other keys
		if err := d.Decode(&def.rule); err != nil {
			return nil, fault(err)
		}
		list = append(list, def)
	}
	if _, err := d.Token(); err != nil {
		return nil, fault(err)
	}
	if t, err := d.Token(); err != io.EOF {
		return nil, fault(fmt.Errorf("%v after the end", t))
	}
	return list, nil
}

func parseYAML(name string, text []byte) ([]definition, error) {
	var rules yaml.MapSlice
	if err := yaml.Unmarshal(text, &rules); err != nil {
		if _, is := errors.AsType[*yaml.TypeError](err); is {
			err = errNoMap
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	list := make([]definition, 0, len(rules))
	for _, item := range rules {
		key, ok := item.Key.(string)
		if !ok {
			return nil, fmt.Errorf("%s: %v is not the name of a rule", name, item.Key)
		}
		d := definition{name: key, rule: item.Value, file: name}
		var source string
		d.line, source = locate(text, key)
		if err := plain(d.rule, source); err != nil {
			return nil, fmt.Errorf("%s: rule %s: %w", d.place(), quoted(key), err)
		}
		list = append(list, d)
	}
	return list, nil
}

// locate returns where in a YAML text the value of a key begins: the number of
// the line, and the text from there on. It is good enough for rules, which are
// all at the top; the library does not tell.
func locate(text []byte, key string) (line int, source string) {
	at := regexp.MustCompile(`(?m)(?:^|[{,])[ \t{?]*["']?` + regexp.QuoteMeta(key) + `["']?[ \t]*:\s*`).FindIndex(text)
	if at == nil {
		return 0, ""
	}
	begin := bytes.TrimLeft(text[at[0]:], "{,? \t\n")
	return 1 + bytes.Count(text[:len(text)-len(begin)], []byte("\n")), string(text[at[1]:])
}

// plain refuses a rule that YAML understands as another one than is written:
// a mark without quotes, as in "delete_image: !", is taken as a tag of an
// empty text, and an empty rule is open to everybody.
func plain(rule any, source string) error {
	empty := rule == "" && !strings.HasPrefix(source, `"`) && !strings.HasPrefix(source, `'`)
	if strings.HasPrefix(source, "!") || empty {
		return errors.New(`put it in quotes: "" for everybody, "!" for nobody`)
	}
	return nil
}
