package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/internal/config"
)

const named = `[DEFAULT]
enabled_backends = fast:file, Big.one:file,cheap:swift
[glance_store]
default_backend = Big.one
stores = rbd
[fast]
filesystem_store_datadir = /srv/fast/
store_description = On flash
weight = 100
filesystem_store_file_perm = 644
filesystem_store_chunk_size = 1024
filesystem_thin_provisioning = True
[Big.one]
weight = -5
filesystem_store_datadirs = /srv/a:10
filesystem_store_datadirs = /srv/b: 200
filesystem_store_datadirs = /srv/c/
filesystem_store_datadirs = /srv/d : 200
[cheap]
swift_store_auth_address = http://k/v3
swift_store_user = p:u
swift_store_key = key
swift_store_container = images
[os_glance_staging_store]
filesystem_store_datadir = /srv/staging
[os_glance_tasks_store]
filesystem_store_datadir = /srv/tasks
`

func TestNamedStores(t *testing.T) {
	got, err := load(t, config.API, minimal+named)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Stores{Named: true, Default: "Big.one", All: []config.Store{
		{
			ID: "fast", Kind: "file", Section: "fast", Description: "On flash", Weight: 100,
			Files: config.Files{Dirs: []config.Dir{{Path: "/srv/fast"}}, Mode: 0o644, ChunkSize: 1024, Thin: true},
		},
		{
			ID: "Big.one", Kind: "file", Section: "Big.one", Weight: -5,
			Files: config.Files{
				Dirs:      []config.Dir{{Path: "/srv/b", Priority: 200}, {Path: "/srv/d", Priority: 200}, {Path: "/srv/a", Priority: 10}, {Path: "/srv/c"}},
				ChunkSize: 64 << 10,
			},
		},
		{
			ID: "cheap", Kind: "swift", Section: "cheap",
			Swift: config.Swift{AuthAddress: "http://k/v3", User: "p:u", Key: "key", Container: "images", Reference: "ref1", Pos: "CONF:22"},
		},
	}}
	if diff := cmp.Diff(want, got.Stores); diff != "" {
		t.Errorf("stores (-want +got):\n%s", diff)
	}
	if got.Imports.StagingDir != "/srv/staging" || !got.Imports.StagingNamed {
		t.Errorf("staging is in %s", got.Imports.StagingDir)
	}
	if diff := cmp.Diff([]string{"glance-direct", "web-download", "copy-image"}, got.Imports.Methods); diff != "" {
		t.Errorf("import methods (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"CONF:7: [glance_store] stores has no effect"}, got.Ignored); diff != "" || len(got.Warnings) > 0 {
		t.Errorf("ignored (-want +got):\n%s\nwarnings: %q", diff, got.Warnings)
	}
	got, err = load(t, config.API, minimal+"[DEFAULT]\nenabled_backends = a:file\nnode_staging_uri = file:///tmp/x\n[glance_store]\ndefault_backend = a\n")
	if err != nil {
		t.Fatal(err)
	}
	if got.Imports.StagingDir != "/var/lib/glance/os_glance_staging_store" || got.Imports.StagingNamed {
		t.Errorf("without a section, staging is in %s", got.Imports.StagingDir)
	}
	if dirs := got.Stores.All[0].Files.Dirs; len(dirs) != 1 || dirs[0].Path != "/var/lib/glance/images" {
		t.Errorf("without a directory, images are in %v", dirs)
	}
}

// web is the store of a configuration that says nothing of stores besides the
// one that takes uploads.
var web = config.Store{Kind: "http", Section: "glance_store"}

// A store that is not served and takes no uploads is only warned of.
func TestUnservedStores(t *testing.T) {
	for text, want := range map[string]string{
		"stores = file,rbd,swifft":                      "rbd swifft",
		"stores = rbd,file\ndefault_store = file":       "rbd",
		"stores = rbd\ndefault_store = file":            "rbd",
		"stores = file, glance.store.filesystem.Driver": "",
	} {
		s, err := load(t, config.API, minimal+"[glance_store]\n"+text+"\n")
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, w := range s.Warnings {
			name, rest, _ := strings.Cut(strings.TrimPrefix(w, "CONF:4: [glance_store] stores: there is no store "), ": ")
			if rest != "images that are in it cannot be read" {
				t.Errorf("%q: warning %q", text, w)
			}
			got = append(got, strings.Trim(name, `"`))
		}
		if strings.Join(got, " ") != want || s.Stores.Default != "file" || s.Stores.Named {
			t.Errorf("%q: warned of %q, default is %s; want %s and file", text, got, s.Stores.Default, want)
		}
		all := []config.Store{files("/var/lib/glance/images")}
		if !strings.Contains(text, ",") { // as if there were no list
			all = append(all, web)
		}
		if diff := cmp.Diff(all, s.Stores.All); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestUnnamedDirectories(t *testing.T) {
	s, err := load(t, config.API, minimal+"[glance_store]\nfilesystem_store_datadirs = /srv/a:1\nfilesystem_store_datadirs = /srv/b:2\nfilesystem_store_file_perm = 600\n")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Files{Dirs: []config.Dir{{Path: "/srv/b", Priority: 2}, {Path: "/srv/a", Priority: 1}}, Mode: 0o600, ChunkSize: 64 << 10}
	if diff := cmp.Diff(want, s.Stores.All[0].Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if s.Imports.StagingDir != "/srv/staging" {
		t.Errorf("staging is in %s", s.Imports.StagingDir)
	}
}

func TestMetadataFile(t *testing.T) {
	s, err := load(t, config.API, minimal+"[glance_store]\nfilesystem_store_metadata_file = /etc/glance/fs.json\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"CONF:4: [glance_store] filesystem_store_metadata_file has no effect: locations get no more metadata than the name of their store"}
	if diff := cmp.Diff(want, s.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestMistakesAboutStores(t *testing.T) {
	const a = "[DEFAULT]\nenabled_backends = a:file\n[glance_store]\ndefault_backend = a\n"
	for _, test := range []struct{ text, want string }{
		{"[DEFAULT]\nenabled_backends = a:file\n",
			"CONF:4: [glance_store] default_backend: not set; it names the store of enabled_backends that takes uploads"},
		{"[DEFAULT]\nenabled_backends = a:file\n[glance_store]\ndefault_backend = b\n",
			`CONF:6: [glance_store] default_backend: "b" is not the name of a store in enabled_backends`},
		{"[DEFAULT]\nenabled_backends = a:file,b:rbd\n[glance_store]\ndefault_backend = a\n",
			`CONF:4: [DEFAULT] enabled_backends: store "b": no store is called "rbd"; there are file, http and swift`},
		{"[DEFAULT]\nenabled_backends = a:file,a:swift\n[glance_store]\ndefault_backend = a\n",
			`CONF:4: [DEFAULT] enabled_backends: there are two stores "a"`},
		{"[DEFAULT]\nenabled_backends = a\n",
			`CONF:4: [DEFAULT] enabled_backends: "a" is not a list of stores with their kinds, such as fast:file,cheap:swift`},
		{"[DEFAULT]\nenabled_backends = a:file,os_glance_x:file\n[glance_store]\ndefault_backend = a\n",
			`CONF:4: [DEFAULT] enabled_backends: store "os_glance_x": names that begin with os_glance_ are reserved`},
		{"[DEFAULT]\nenabled_backends = a:file,b:file\n[glance_store]\ndefault_backend = a\n",
			`CONF:4: [b] filesystem_store_datadir: /var/lib/glance/images is the directory of store "a" already`},
		{"[DEFAULT]\nenabled_backends = a:file,b:swift\n[glance_store]\ndefault_backend = a\n",
			"CONF:4: [b] swift needs swift_store_config_file or swift_store_auth_address"},
		{a + "[a]\nfilesystem_store_datadir = /x\nfilesystem_store_datadirs = /y\n",
			"CONF:8: [a] filesystem_store_datadir: set as well as filesystem_store_datadirs; use one of them"},
		{a + "[a]\nfilesystem_store_datadirs = /x:1\nfilesystem_store_datadirs = /y\n[os_glance_staging_store]\nfilesystem_store_datadir = /y/\n",
			"CONF:11: [os_glance_staging_store] filesystem_store_datadir: images are in /y; data has to be staged elsewhere"},
		{"[glance_store]\nfilesystem_store_datadir = /srv/staging\n",
			"CONF:4: [os_glance_staging_store] filesystem_store_datadir: images are in /srv/staging; data has to be staged elsewhere"},
		{a + "[a]\nfilesystem_store_datadirs = /x:high\n", `CONF:8: [a] filesystem_store_datadirs: "/x:high" is not a directory with a priority, such as /srv/images:100`},
		{a + "[a]\nfilesystem_store_datadirs = x:1\n", `CONF:8: [a] filesystem_store_datadirs: "x:1" is not an absolute path with a priority, such as /srv/images:100`},
		{a + "[a]\nfilesystem_store_datadirs = /x:1\nfilesystem_store_datadirs = /x/\n", `CONF:9: [a] filesystem_store_datadirs: "/x/" is not another directory than those before`},
		{a + "[a]\nfilesystem_store_file_perm = 40\n", `CONF:8: [a] filesystem_store_file_perm: "40" is not permissions that let the owner read, such as 640`},
		{a + "[a]\nfilesystem_store_file_perm = 648\n", `CONF:8: [a] filesystem_store_file_perm: "648" is not permissions that let the owner read, such as 640`},
		{a + "[a]\nweight = heavy\n", `CONF:8: [a] weight: "heavy" is not a number from -2147483648 on`},
	} {
		_, err := load(t, config.API, minimal+test.text)
		if err == nil || err.Error() != test.want {
			t.Errorf("Load of %q = %v; want %s", test.text, err, test.want)
		}
	}
}
