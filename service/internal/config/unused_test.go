package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/internal/config"
)

func TestUnusedOptions(t *testing.T) {
	s, err := load(t, config.API, minimal+`[DEFAULT]
bind_prot = 9292
image_cache_sqlite_db = cache.db
verbos = true
flavor = keystone
worker = 4
[Database]
connection_trace = true
max_pol_size = 5
debug = true
[keystone_auth_token]
auth_url = http://k:5000
[import_filtering_opt]
allowed_ports = [80]
[wsgi]
task_pool_threads = 4
[paste_deploy]
flavr =
[cors]
allowed_origin =
`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"CONF:11: [database] max_pol_size has no effect; did you mean max_pool_size?",
		"CONF:12: [database] debug has no effect; did you mean [DEFAULT] debug?",
		"CONF:4: [DEFAULT] bind_prot has no effect; did you mean bind_port?",
		"CONF:6: [DEFAULT] verbos has no effect; did you mean verbose?",
		"CONF:7: [DEFAULT] flavor has no effect; did you mean [paste_deploy] flavor?",
		"CONF:8: [DEFAULT] worker has no effect; did you mean workers?",
		"CONF:14: [keystone_auth_token] auth_url has no effect; did you mean section [keystone_authtoken]?",
		"CONF:16: [import_filtering_opt] allowed_ports has no effect; did you mean section [import_filtering_opts]?",
		"CONF:20: [paste_deploy] flavr has no effect; did you mean flavor?",
	}, s.Warnings); diff != "" {
		t.Errorf("Warnings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"CONF:10: [database] connection_trace has no effect",
		"CONF:5: [DEFAULT] image_cache_sqlite_db has no effect",
		"CONF:18: [wsgi] task_pool_threads has no effect",
	}, s.Ignored); diff != "" {
		t.Errorf("Ignored (-want +got):\n%s", diff)
	}
}

// What one option leaves without effect is warned about, where it stands.
func TestIdleOptions(t *testing.T) {
	for _, test := range []struct {
		program config.Program
		text    string
		want    []string
	}{
		{config.API, "[import_filtering_opts]\nallowed_hosts = [a]\ndisallowed_hosts = [b]\ndisallowed_schemes = ['ftp']\ndisallowed_ports = [22]\n", []string{
			"CONF:4: [import_filtering_opts] disallowed_schemes has no effect: what is not in allowed_schemes is refused, and that is [http,https] unless it is set to []",
			"CONF:3: [import_filtering_opts] disallowed_hosts has no effect: allowed_hosts is set, and what is not in it is refused",
			"CONF:5: [import_filtering_opts] disallowed_ports has no effect: what is not in allowed_ports is refused, and that is [80,443] unless it is set to []",
		}},
		{config.API, "[import_filtering_opts]\nallowed_hosts =\ndisallowed_hosts = [b]\nallowed_ports = []\ndisallowed_ports = [22]\nallowed_schemes = [http]\ndisallowed_schemes =\n", nil},
		{config.API, "[DEFAULT]\nenabled_backends = fast:file,web:http\nnode_staging_uri = file:///s\nfilesystem_store_datadir = /a\n[glance_store]\nstores = file\ndefault_backend = fast\nfilesystem_store_datadir = /b\nrbd_store_pool = p\n" +
			"[fast]\nfilesystem_store_datadir = /f\n[cold]\nfilesystem_store_datadir = /c\n", []string{
			"CONF:3: [DEFAULT] node_staging_uri has no effect: where enabled_backends names stores, [os_glance_staging_store] filesystem_store_datadir says where data is staged",
			"CONF:4: [DEFAULT] filesystem_store_datadir has no effect: enabled_backends names the stores, whose options stand in [fast], [web]",
			"CONF:8: [glance_store] filesystem_store_datadir has no effect: enabled_backends names the stores, whose options stand in [fast], [web]",
			"CONF:9: [glance_store] rbd_store_pool has no effect: enabled_backends names the stores, whose options stand in [fast], [web]",
			`CONF:13: [cold] filesystem_store_datadir has no effect: [DEFAULT] enabled_backends names no store "cold"`,
		}},
		{config.API, "[glance_store]\ndefault_backend = fast\n[fast]\nfilesystem_store_datadir = /f\n", []string{
			"CONF:2: [glance_store] default_backend has no effect: enabled_backends names no stores; the default one of those in stores is called default_store",
			`CONF:4: [fast] filesystem_store_datadir has no effect: [DEFAULT] enabled_backends names no store "fast"`,
		}},
		{config.API, "[inject_metadata_properties]\ninject = a:b\n[image_conversion]\noutput_format = raw\n[image_import_opts]\nimage_import_plugins = ['no_op']\n", []string{
			"CONF:2: [inject_metadata_properties] inject has no effect: inject_image_metadata is not among [image_import_opts] image_import_plugins",
			"CONF:4: [image_conversion] output_format has no effect: image_conversion is not among [image_import_opts] image_import_plugins",
		}},
		{config.API, "[DEFAULT]\nimage_cache_dir = /c\n[keystone_authtoken]\nauth_url = http://k\n", []string{
			"CONF:4: [keystone_authtoken] auth_url has no effect: no token is asked for: whoever reaches the service is an administrator; [paste_deploy] flavor = keystone validates tokens",
			"CONF:2: [DEFAULT] image_cache_dir has no effect: the pipeline has no cache; [paste_deploy] flavor says so, as in keystone+caching",
		}},
		{config.Pruner, "[DEFAULT]\nimage_cache_dir = /c\nimage_cache_driver = sqlite\n", nil},
		{config.Prefetcher, "[DEFAULT]\nimage_cache_dir = /c\nimage_cache_driver = XATTR\n", nil},
		{config.API, "[DEFAULT]\nimage_cache_dir = /c\nimage_cache_driver = centralized_db\n[paste_deploy]\nflavor = caching\n", nil},
		{config.Registry, "[paste_deploy]\nflavor = trusted-auth\n[keystone_authtoken]\nidentity_uri = http://k\n", []string{
			"CONF:4: [keystone_authtoken] identity_uri has no effect: no token is validated: the headers of each request say who asks; [paste_deploy] flavor = keystone validates tokens",
		}},
		{config.Scrubber, "[DEFAULT]\nimage_cache_dir = /c\n[keystone_authtoken]\nauth_url = http://k\n", nil},
		{config.API, "[database]\nslave_connection = mysql://x/y\nmysql_sql_mode = TRADITIONAL\n", []string{
			"CONF:2: [database] slave_connection has no effect: everything is read from connection",
		}},
	} {
		s, err := load(t, test.program, test.text+minimal)
		if err != nil {
			t.Errorf("Load of %q: %v", test.text, err)
			continue
		}
		if diff := cmp.Diff(test.want, s.Warnings); diff != "" {
			t.Errorf("Warnings of %q (-want +got):\n%s", test.text, diff)
		}
	}
}
