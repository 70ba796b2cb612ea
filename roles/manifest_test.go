package roles

import (
	"slices"
	"strings"
	"testing"
)

func TestManifest(t *testing.T) {
	m, err := readManifest(glanceServer)
	if err != nil {
		t.Fatal(err)
	}
	var elements []string
	for _, d := range m.Daemons {
		elements = append(elements, d.Element)
		if !slices.Contains(m.Programs, d.Program) {
			t.Errorf("daemon %s: nothing links %s", d.Element, d.Program)
		}
	}
	for _, j := range m.Jobs {
		elements = append(elements, j.Element)
		if !slices.Contains(m.Programs, j.Program) {
			t.Errorf("job %s: nothing links %s", j.Element, j.Program)
		}
		// The scrubber frees data whether or not anything is cached.
		if j.NeedsCache != (j.Element != "scrubber") {
			t.Errorf("job %s needs the cache: %t", j.Element, j.NeedsCache)
		}
	}
	slices.Sort(elements)
	want := []string{"api", "prefetcher", "pruner", "reaper", "registry", "scrubber"}
	if !slices.Equal(elements, want) {
		t.Errorf("elements %q; want %q", elements, want)
	}
}

func TestManifestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"binary = 1":                      "binary",
		"binnary = '/glanced'":            "binnary",
		"[[daemon]]\nelement = 'apo'":     "apo",
		"[[job]]\nelement = 'scrubbler'":  "scrubbler",
		"[[job]]\nneed_cache = true":      "need_cache",
		"[[daemon]\nelement = 'api'":      "manifest",
		"[[job]]\nneeds_cache = 'always'": "needs_cache",
	} {
		if _, err := readManifest(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("readManifest(%q): error %v; want one with %q", text, err, want)
		}
	}
}
