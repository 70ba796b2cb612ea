package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/internal/config"
)

func TestImports(t *testing.T) {
	got, err := load(t, config.API, minimal+`[DEFAULT]
enabled_import_methods = ["web-download", copy-image,web-download, glance-download]
node_staging_uri = file:///tmp/other/
[os_glance_staging_store]
filesystem_store_datadir = /srv/staging/
[task]
task_time_to_live = 1
eventlet_executor_pool_size = 3
[import_filtering_opts]
allowed_schemes = [https]
disallowed_schemes = http
allowed_hosts = [mirror.example, "10.0.0.1"]
disallowed_hosts = []
allowed_ports = []
disallowed_ports = [22,25]
[image_import_opts]
max_parallel_stores = 4
image_import_plugins = [no_op, "image_decompression", image_conversion, inject_image_metadata]
[image_conversion]
output_format = qcow2
[glance_download_properties]
extra_properties = ["os_", architecture]
[inject_metadata_properties]
ignore_user_roles = admin, operator
inject = "os_distro":x, source : "http://y"
`)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Imports{
		Methods: []string{"web-download", "glance-download"}, StagingDir: "/srv/staging", StagingNamed: true, TaskTTL: time.Hour, AtOnce: 3, StoresAtOnce: 4,
		Unpack: true, Inject: map[string]string{"os_distro": "x", "source": "http://y"}, Spared: []string{"admin", "operator"},
		Convert: "qcow2", Copied: []string{"os_", "architecture"},
		Web: config.Web{
			AllowedSchemes: []string{"https"}, DisallowedSchemes: []string{"http"},
			AllowedHosts:    []string{"mirror.example", "10.0.0.1"},
			DisallowedPorts: []int{22, 25},
		},
	}
	if diff := cmp.Diff(want, got.Imports); diff != "" {
		t.Errorf("imports (-want +got):\n%s", diff)
	}
	wantWarnings := []string{"CONF:13: [import_filtering_opts] disallowed_schemes has no effect: what is not in allowed_schemes is refused, and that is [http,https] unless it is set to []"}
	if diff := cmp.Diff(wantWarnings, got.Warnings); diff != "" || len(got.Ignored) > 0 {
		t.Errorf("warnings (-want +got):\n%s\nignored: %q", diff, got.Ignored)
	}
}

func TestStagingDirectory(t *testing.T) {
	for text, want := range map[string]string{
		"": "/var/lib/glance/staging",
		"[glance_store]\nfilesystem_store_datadir = /srv/images\n":      "/srv/staging",
		"[DEFAULT]\nnode_staging_uri = file:///tmp/staging/\n":          "/tmp/staging",
		"[DEFAULT]\nnode_staging_uri = file:///tmp/with%20space/../x\n": "/tmp/x",
	} {
		got, err := load(t, config.API, minimal+text)
		if err != nil || got.Imports.StagingDir != want || got.Imports.StagingNamed != strings.Contains(text, "node_staging_uri") {
			t.Errorf("%q: imports %+v, %v; want %s", text, got.Imports, err, want)
		}
	}
}

func TestImportMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"[DEFAULT]\nenabled_import_methods = [ftp]\n":                 `[DEFAULT] enabled_import_methods: "[ftp]" is not a list of methods that there are: glance-direct, web-download, glance-download`,
		"[image_conversion]\noutput_format = vdi\n":                   `[image_conversion] output_format: "vdi" is not one of qcow2, raw, vmdk`,
		"[DEFAULT]\nnode_staging_uri = /tmp/staging\n":                `[DEFAULT] node_staging_uri: "/tmp/staging" is not a URI of a directory, such as file:///var/lib/glance/staging`,
		"[DEFAULT]\nnode_staging_uri = file://host/staging\n":         `is not a URI of a directory`,
		"[os_glance_staging_store]\nfilesystem_store_datadir = x\n":   `[os_glance_staging_store] filesystem_store_datadir: "x" is not an absolute path`,
		"[import_filtering_opts]\nallowed_ports = [http]\n":           `[import_filtering_opts] allowed_ports: "[http]" is not a list of ports from 1 to 65535`,
		"[import_filtering_opts]\ndisallowed_ports = [0]\n":           `is not a list of ports from 1 to 65535`,
		"[image_import_opts]\nimage_import_plugins = [image_magic]\n": `"[image_magic]" is not a list of plug-ins that there are: image_conversion, image_decompression, inject_image_metadata`,
		"[inject_metadata_properties]\ninject = x\n":                  `[inject_metadata_properties] inject: "x" is not a list of names with values`,
		"[task]\ntask_time_to_live = 0\n":                             `[task] task_time_to_live: "0" is not a number from 1 to`,
	} {
		if _, err := load(t, config.API, minimal+text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
}
