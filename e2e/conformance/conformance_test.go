package conformance

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glancectl/e2e/lab"
	"glancectl/e2e/peer"
)

// atLeast is how many requests the corpus has to have.
const atLeast = 800

// sites are the configurations that both servers are compared with: the
// folders of testdata. A folder's glance.conf is read by both, and its files
// are where that says $dir/own.
var sites = []struct {
	name   string
	config peer.Config
}{
	{"plain", peer.Config{Cache: true}},
	{"old", peer.Config{OldDefaults: true}},
	{"more", peer.Config{Cache: true}},
	{"stores", peer.Config{Cache: true, Stores: []string{"store1", "store2", "web:http"}}},
}

func TestMain(m *testing.M) {
	lab.Main(m, "the comparison with the original", "conformance")
}

// corpus reads the scripts of a folder of testdata, by name.
func corpus(t *testing.T, folder string) map[string][]Sequence {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata/%s: %v", folder, err)
	}
	all := make(map[string][]Sequence)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sequences, err := Parse(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".txt")] = sequences
	}
	return all
}

func meantList(t *testing.T) []*Meant {
	t.Helper()
	text, err := os.ReadFile("testdata/meant.txt")
	if err != nil {
		t.Fatal(err)
	}
	list, err := ParseMeant(string(text))
	if err != nil {
		t.Fatalf("testdata/meant.txt: %v", err)
	}
	return list
}

func TestCorpus(t *testing.T) {
	n := 0
	for _, s := range sites {
		for _, sequences := range corpus(t, s.name) {
			n += Requests(sequences)
		}
	}
	t.Logf("%d requests", n)
	if n < atLeast {
		t.Errorf("the corpus has %d requests; want at least %d", n, atLeast)
	}
	meantList(t)
}

// web serves what servers are told to download.
func web(t *testing.T) (url string) {
	listener, err := net.Listen("tcp", lab.Bridge+":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir("testdata/web"))}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return "http://" + listener.Addr().String()
}

func TestConformance(t *testing.T) {
	bin, err := filepath.Abs("../../bin/glanced")
	if err != nil {
		t.Fatal(err)
	}
	site, err := NewSite(t.Context(), bin, t.TempDir(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := site.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &comparison{Site: site, meant: meantList(t)}
	total := 0
	for _, s := range sites {
		scripts := corpus(t, s.name)
		for _, sequences := range scripts {
			total += len(sequences)
		}
		t.Run(s.name, func(t *testing.T) {
			config, vars := configured(t, s.name, s.config)
			if err := site.Start(t.Context(), config, vars); err != nil {
				t.Fatal(err)
			}
			for _, name := range slices.Sorted(maps.Keys(scripts)) {
				sequences := scripts[name]
				t.Run(name, func(t *testing.T) {
					for _, sequence := range sequences {
						t.Run(sequence.Name, func(t *testing.T) { c.run(t, s.name+"/"+name, sequence) })
					}
				})
			}
		})
	}
	t.Run("replicator", func(t *testing.T) { testReplicator(t, site) })
	t.Run("clients", func(t *testing.T) { testClients(t, site) })
	t.Logf("%d requests in %d of %d sequences; %d differences are meant", c.requests, c.sequences, total, c.wanted)
	if c.sequences < total {
		return // somebody chose with -run
	}
	for _, m := range c.meant {
		if !m.used {
			t.Errorf("testdata/meant.txt: nothing differs like this any more: remove it\n%v", m)
		}
	}
}

// configured completes a configuration by what the folder of testdata says,
// and with a web server to download from.
func configured(t *testing.T, folder string, c peer.Config) (peer.Config, map[string]string) {
	t.Helper()
	options, err := os.ReadFile(filepath.Join("testdata", folder, "glance.conf"))
	if err != nil {
		t.Fatal(err)
	}
	url := web(t)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	c.Options = strings.ReplaceAll(string(options), "$webport", port)
	c.Files = make(map[string]string)
	files, err := filepath.Glob(filepath.Join("testdata", folder, "files", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c.Files[filepath.Base(file)] = string(text)
	}
	return c, map[string]string{"web": url}
}

// A comparison plays sequences on both servers.
type comparison struct {
	*Site
	meant                       []*Meant
	sequences, requests, wanted int
}

// run plays a sequence, both servers side by side.
func (c *comparison) run(t *testing.T, where string, sequence Sequence) {
	c.sequences++
	if err := c.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept := [2]map[string]string{{}, {}}
	for _, step := range sequence.Steps {
		c.requests++
		var answers [2]Answer
		var errs [2]error
		done := make(chan struct{})
		play := func(i int, s *Server) {
			vars := with(s.Vars, kept[i])
			answers[i], errs[i] = s.play(t.Context(), step, vars)
			for _, k := range step.Capture {
				kept[i][k.Name] = vars[k.Name]
			}
		}
		go func() {
			defer close(done)
			play(0, &c.original)
		}()
		play(1, &c.ours)
		<-done
		if err := errors.Join(errs[0], errs[1]); err != nil {
			t.Fatalf("line %d: %s\n%v\noriginal: %s\nglanced: %s", step.Line, step.Text, err, brief(answers[0]), brief(answers[1]))
		}
		if testing.Verbose() {
			t.Logf("%s\n\toriginal: %s\n\tglanced:  %s", step.Text, brief(answers[0]), brief(answers[1]))
		}
		c.judge(t, where+"/"+sequence.Name+": "+step.Text, step, answers, kept)
	}
}

// judge reports the differences that are not meant.
func (c *comparison) judge(t *testing.T, where string, step Step, answers [2]Answer, kept [2]map[string]string) {
	n, m := newNormal(&c.original, kept[0]), newNormal(&c.ours, kept[1])
	var bad []string
	for _, d := range Differences(answers[0], answers[1], n, m) {
		if wanted(c.meant, where, d) {
			c.wanted++
		} else {
			bad = append(bad, d)
		}
	}
	if len(bad) > 0 {
		t.Errorf("line %d: %s\n  %s\noriginal: %s\nglanced:  %s", step.Line, step.Text, strings.Join(bad, "\n  "), brief(answers[0]), brief(answers[1]))
	}
}

// brief is an answer for people.
func brief(a Answer) string {
	body := string(a.Body)
	if len(body) > 700 {
		body = body[:700] + "..."
	}
	return fmt.Sprintf("%d %q", a.Status, body)
}
