package policy

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// personas are who may call. The images are of project p1 and shared with p2.
var personas = []struct {
	name   string
	caller glance.Caller
}{
	{"admin", glance.Caller{ProjectID: "p9", Roles: []string{"admin", "member", "reader"}}},
	{"member", glance.Caller{ProjectID: "p1", Roles: []string{"member", "reader"}}},
	{"reader", glance.Caller{ProjectID: "p1", Roles: []string{"reader"}}},
	{"guest", glance.Caller{ProjectID: "p2", Roles: []string{"member", "reader"}}},
	{"stranger", glance.Caller{ProjectID: "p3", Roles: []string{"member", "reader"}}},
	{"service", glance.Caller{ProjectID: "p8", Roles: []string{"service"}}},
	{"anonymous", glance.Caller{Anonymous: true}},
	{"system", glance.Caller{System: true, Roles: []string{"admin", "member", "reader"}}},
}

var visibilities = []glance.Visibility{glance.Private, glance.Shared, glance.Community, glance.Public}

// targetOf returns what a rule is asked about: an image or a namespace of
// project p1, a member record of p2, or nothing in particular.
func targetOf(rule string, v glance.Visibility) glance.Target {
	general := []string{"get_images", "get_metadef_namespaces", "list_metadef_resource_types", "manage_image_cache", "list_cached_nodes", "stores_info_detail", "tasks_api_access"}
	switch {
	case defaults[rule].helper, slices.Contains(general, rule), strings.HasPrefix(rule, "cache_"),
		strings.HasSuffix(rule, "_task"), strings.HasSuffix(rule, "_tasks"):
		return glance.Target{}
	case strings.Contains(rule, "metadef"):
		return glance.Target{Owner: "p1", Visibility: v}
	}
	t := glance.Target{Image: &glance.Image{Owner: p("p1"), Visibility: v}}
	if strings.HasSuffix(rule, "_member") || strings.HasSuffix(rule, "_members") {
		t.Member = "p2"
	}
	return t
}

// TestPersonas writes down what every persona may do by every default rule,
// with and without those of older releases.
func TestPersonas(t *testing.T) {
	for name, o := range map[string]Options{"personas": {}, "personas-legacy": {Legacy: true, AnyScope: true}} {
		t.Run(name, func(t *testing.T) {
			e, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", name+".golden"), table(e))
		})
	}
}

func table(e *Engine) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, `# Who may do what by default, by the rules alone: that an image which somebody
# cannot see does not exist is no matter of rules. The images and namespaces are
# of the project of member and reader, and shared with that of guest. A cell
# names the visibilities for which a rule says yes: private, shared, community,
# public.`)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := []string{"rule"}
	for _, p := range personas {
		row = append(row, p.name)
	}
	fmt.Fprintln(w, strings.Join(row, "\t"))
	for _, rule := range slices.Sorted(maps.Keys(defaults)) {
		row := []string{rule}
		for _, p := range personas {
			p.caller.Admin = e.Admin(p.caller)
			row = append(row, cell(e, rule, p.caller))
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	return b.Bytes()
}

func cell(e *Engine, rule string, c glance.Caller) string {
	var yes []string
	for _, v := range visibilities {
		if e.Allows(c, glance.Rule(rule), targetOf(rule, v)) {
			yes = append(yes, string(v))
		}
	}
	switch len(yes) {
	case 0:
		return "-"
	case len(visibilities):
		return "yes"
	}
	for i := range yes {
		yes[i] = yes[i][:3]
	}
	return strings.Join(yes, ",")
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("%s (rewrite with -update):\n%s", file, diff)
	}
}

// Every default can be asked and every reference in one leads somewhere; Open
// would say so, but only of the one that it builds.
func TestDefaults(t *testing.T) {
	for name, d := range defaults {
		for _, legacy := range []bool{false, true} {
			if _, err := d.parse(legacy); err != nil {
				t.Errorf("default of %s: %v", name, err)
			}
		}
		if d.helper != (d.calls == "") {
			t.Errorf("%s is a helper: %t, and is asked about %q", name, d.helper, d.calls)
		}
	}
	for _, r := range []glance.Rule{
		glance.AddImage, glance.GetImage, glance.GetImages, glance.ModifyImage, glance.DeleteImage, glance.PublicizeImage, glance.CommunitizeImage,
		glance.UploadImage, glance.DownloadImage, glance.SetImageLocation, glance.GetImageLocation, glance.DeleteImageLocation, glance.AddMember,
		glance.GetMember, glance.GetMembers, glance.ModifyMember, glance.DeleteMember, glance.DeactivateImage, glance.ReactivateImage,
	} {
		if _, ok := defaults[string(r)]; !ok {
			t.Errorf("rule %s is asked for and has no default", r)
		}
	}
	if len(defaults) != 67 {
		t.Errorf("there are %d defaults; want the 67 of the release", len(defaults))
	}
}

// The domain's own policy, which jobs have, is that of the rules for whoever
// has the roles of today.
func TestDomainDefaults(t *testing.T) {
	e, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for rule := range defaults {
		for _, p := range personas {
			p.caller.Admin = e.Admin(p.caller)
			if p.name == "anonymous" || p.name == "system" || p.name == "service" {
				continue // the domain knows none of these
			}
			for _, v := range visibilities {
				target := targetOf(rule, v)
				if target.Image == nil || strings.Contains(rule, "location") || strings.HasPrefix(rule, "download_from") {
					continue
				}
				if v == glance.Private && (p.name == "stranger" || p.name == "guest") {
					continue // invisible: the domain does not ask
				}
				want := e.Allows(p.caller, glance.Rule(rule), target)
				if got := (glance.DefaultPolicy{}).Allows(p.caller, glance.Rule(rule), target); got != want {
					t.Errorf("%s by %s of a %s image: the domain says %t, the rule %t", rule, p.name, v, got, want)
				}
			}
		}
	}
}
