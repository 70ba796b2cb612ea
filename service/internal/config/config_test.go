package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/internal/config"
)

// load reads text as the configuration of p. In errors and positions the name
// of the file is CONF and that of its directory is DIR.
func load(t *testing.T, p config.Program, text string, more ...string) (*config.Settings, error) {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "glance.conf")
	write(t, name, text)
	for i := 0; i < len(more); i += 2 {
		write(t, filepath.Join(dir, more[i]), more[i+1])
	}
	s, err := config.Load(p, config.Source{Files: []string{name}})
	plain := strings.NewReplacer(name, "CONF", dir, "DIR")
	if err != nil {
		err = fmt.Errorf("%s", plain.Replace(err.Error()))
	}
	if s != nil {
		s.Where, s.Schema = plain.Replace(s.Where), plain.Replace(s.Schema)
		s.Database.Pos = plain.Replace(s.Database.Pos)
		for i := range s.Stores.All {
			s.Stores.All[i].Swift.Pos = plain.Replace(s.Stores.All[i].Swift.Pos)
		}
		for _, list := range [][]string{s.Access.Files, s.Access.Dirs} {
			for i := range list {
				list[i] = plain.Replace(list[i])
			}
		}
		s.Access.PropertyFile = plain.Replace(s.Access.PropertyFile)
		for i := range s.Warnings {
			s.Warnings[i] = plain.Replace(s.Warnings[i])
		}
		for i := range s.Ignored {
			s.Ignored[i] = plain.Replace(s.Ignored[i])
		}
	}
	return s, err
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const minimal = "[database]\nconnection = sqlite:////x\n"

func TestDefaults(t *testing.T) {
	t.Setenv("OSLO_LOCK_PATH", "")
	got, err := load(t, config.API, minimal)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Settings{
		Where: "CONF",
		Log:   config.Log{Facility: "LOG_USER"},
		Server: config.Server{
			Host: "0.0.0.0", Port: 9292, Backlog: 4096, MaxHeader: 16384, MaxRequestID: 64, KeepAlive: true, IdleTimeout: 900 * time.Second,
			TCPKeepIdle: 600 * time.Second, ShutdownTimeout: time.Minute,
		},
		Images: config.Images{
			MaxSize: 1 << 40, PropertyQuota: 128, TagQuota: 128, MemberQuota: 128, HashAlgo: "sha512",
			VMDKTypes: []string{"streamOptimized", "monolithicSparse"}, RequireFormat: true,
			LimitDefault: 25, LimitMax: 1000,
		},
		Notify:   config.Notifications{Publisher: "image.localhost"},
		Places:   config.Places{Quota: 10, Retries: 3},
		Cache:    config.Cache{MaxSize: 10 << 30, ExtraToFree: 0.2, StallTimeout: 24 * time.Hour, GracePeriod: time.Hour},
		Scrub:    config.Scrub{Every: 5 * time.Minute},
		Database: config.Database{URL: "sqlite:////x", Pos: "CONF:2", Recycle: time.Hour, Pause: 10 * time.Second},
		Stores:   config.Stores{All: []config.Store{files("/var/lib/glance/images"), web}, Default: "file"},
		Imports: config.Imports{
			Methods: []string{"glance-direct", "web-download"}, StagingDir: "/var/lib/glance/staging", TaskTTL: 48 * time.Hour, AtOnce: 10, StoresAtOnce: 1,
			Copied: []string{"hw_", "trait:", "os_distro", "os_secure_boot", "os_type"},
			Web:    config.Web{AllowedSchemes: []string{"http", "https"}, AllowedPorts: []int{80, 443}},
		},
		Keystone: config.Keystone{
			Project: "service", CacheTime: 5 * time.Minute,
		},
		Limits: config.Limits{Interface: "publicURL"},
		Keys:   config.KeyManager{Interface: "public"},
		Access: config.Access{
			Files: []string{"DIR/policy.yaml", "DIR/policy.json"}, Dirs: []string{"DIR/policy.d"}, Fallback: "default", NewDefaults: true, Scope: true,
		},
		Health: config.Health{Path: "/healthcheck", Checks: []config.HealthCheck{{File: "/etc/glance/healthcheck_disable"}}},
		V1: config.V1{
			Enabled: true, REST: true, RPC: true,
			Registry: config.RegistryAccess{Port: 9191, Timeout: 10 * time.Minute, UserToken: true},
		},
		Pipeline: config.Pipeline{"cors", "healthcheck", "http_proxy_to_wsgi", "versionnegotiation", "unauthenticated-context", "rootapp"},
		Metadefs: "/etc/glance/metadefs",
		Schema:   "DIR/schema-image.json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
	if got, err := load(t, config.Registry, minimal); err != nil || got.Server.Port != 9191 {
		t.Errorf("the registry's port is %d, %v; want 9191", got.Server.Port, err)
	}
}

// TestOptions has each option with its present and its former names, in a
// spelling other than the plainest.
func TestOptions(t *testing.T) {
	keystone := "[keystone_authtoken]\n"
	for _, test := range []struct {
		text string
		got  func(*config.Settings) any
		want any
	}{
		{"debug = yes", func(s *config.Settings) any { return s.Log.Debug }, true},
		{"verbose = On", func(s *config.Settings) any { return s.Log.Verbose }, true},
		{"log_file = /a/b.log", func(s *config.Settings) any { return s.Log.File }, "/a/b.log"},
		{"log_dir = /a\nlog_file = b.log", func(s *config.Settings) any { return s.Log.File }, "/a/b.log"},
		{"log_dir = /a", func(s *config.Settings) any { return s.Log.File }, "/a/glance-api.log"},
		{"use_syslog = 1", func(s *config.Settings) any { return s.Log.Syslog }, true},
		{"syslog_log_facility = log_local3", func(s *config.Settings) any { return s.Log.Facility }, "LOG_LOCAL3"},
		{"bind_host = ::1", func(s *config.Settings) any { return s.Server.Host }, "::1"},
		{"bind_port = 80", func(s *config.Settings) any { return s.Server.Port }, 80},
		{"bind_port =", func(s *config.Settings) any { return s.Server.Port }, 9292},
		{"workers = 3", func(s *config.Settings) any { return s.Server.Workers }, 3},
		{"backlog = 5", func(s *config.Settings) any { return s.Server.Backlog }, 5},
		{"pid_file = /run/a.pid", func(s *config.Settings) any { return s.Server.PIDFile }, "/run/a.pid"},
		{"max_header_line = 5", func(s *config.Settings) any { return s.Server.MaxHeader }, 5},
		{"max_request_id_length = 0", func(s *config.Settings) any { return s.Server.MaxRequestID }, 0},
		{"http_keepalive = off", func(s *config.Settings) any { return s.Server.KeepAlive }, false},
		{"client_socket_timeout = 0", func(s *config.Settings) any { return s.Server.IdleTimeout }, time.Duration(0)},
		{"tcp_keepidle = 5", func(s *config.Settings) any { return s.Server.TCPKeepIdle }, 5 * time.Second},
		{"graceful_shutdown_timeout = 5", func(s *config.Settings) any { return s.Server.ShutdownTimeout }, 5 * time.Second},
		{"public_endpoint = https://a/b/", func(s *config.Settings) any { return s.Server.PublicEndpoint }, "https://a/b"},
		{"allow_anonymous_access = true", func(s *config.Settings) any { return s.Server.AnonymousAllowed }, true},
		{"[oslo_middleware]\nenable_proxy_headers_parsing = true", func(s *config.Settings) any { return s.Server.ProxyHeaders }, true},
		{"image_size_cap = 5", func(s *config.Settings) any { return s.Images.MaxSize }, int64(5)},
		{"image_size_cap = 5 gb", func(s *config.Settings) any { return s.Images.MaxSize }, int64(5 << 30)},
		{"image_property_quota = -1", func(s *config.Settings) any { return s.Images.PropertyQuota }, -1},
		{"image_tag_quota = 5", func(s *config.Settings) any { return s.Images.TagQuota }, 5},
		{"image_tag_quota = 0", func(s *config.Settings) any { return s.Images.TagQuota }, 0},
		{"user_storage_quota = 3GB", func(s *config.Settings) any { return s.Images.StorageQuota }, int64(3 << 30)},
		{keystone + "user_domain_id = d", func(s *config.Settings) any { return s.Keystone.UserDomainID }, "d"},
		{keystone + "auth_url = http://k/v3", func(s *config.Settings) any { return s.Keys.AuthURL }, "http://k/v3"},
		{"[barbican]\nbarbican_endpoint = http://b:9311/\nauth_endpoint = http://k\nbarbican_region_name = r\nbarbican_endpoint_type = internal\nverify_ssl = no\nverify_ssl_path = /ca\n[key_manager]\nbackend = barbican",
			func(s *config.Settings) any { return s.Keys }, config.KeyManager{"http://b:9311", "http://k", "r", "internal", true, "/ca"}},
		{keystone + "delay_auth_decision = no", func(s *config.Settings) any { return s.Keystone.Immediate }, true},
		{keystone + "project_domain_id = d", func(s *config.Settings) any { return s.Keystone.ProjectDomainID }, "d"},
		{"image_member_quota = 5", func(s *config.Settings) any { return s.Images.MemberQuota }, 5},
		{"hashing_algorithm = SHA256", func(s *config.Settings) any { return s.Images.HashAlgo }, "sha256"},
		{"[image_format]\ndisk_formats = raw, qcow2,", func(s *config.Settings) any { return s.Images.DiskFormats }, []string{"raw", "qcow2"}},
		{"container_formats = bare", func(s *config.Settings) any { return s.Images.ContainerFormats }, []string{"bare"}},
		{"[image_format]\nvmdk_allowed_types = vmfs", func(s *config.Settings) any { return s.Images.VMDKTypes }, []string{"vmfs"}},
		{"[image_format]\nvmdk_allowed_types =", func(s *config.Settings) any { return s.Images.VMDKTypes }, []string{}},
		{"[image_format]\nrequire_image_format_match = no", func(s *config.Settings) any { return s.Images.RequireFormat }, false},
		{"[image_format]\ngpt_safety_checks_nonfatal = mbr,", func(s *config.Settings) any { return s.Images.TolerateMBR }, true},
		{"[image_format]\ngpt_safety_checks_nonfatal =", func(s *config.Settings) any { return s.Images.TolerateMBR }, false},
		{"delayed_delete = True", func(s *config.Settings) any { return s.Images.DelayedDelete }, true},
		{"show_image_direct_url = True", func(s *config.Settings) any { return s.Images.ShowDirectURL }, true},
		{"limit_param_default = 5", func(s *config.Settings) any { return s.Images.LimitDefault }, 5},
		{"api_limit_max = 5", func(s *config.Settings) any { return s.Images.LimitMax }, 5},
		{"image_cache_dir = /c/", func(s *config.Settings) any { return s.Cache.Dir }, "/c"},
		{"image_cache_datadir = /c", func(s *config.Settings) any { return s.Cache.Dir }, "/c"},
		{"image_cache_max_size = 5KB", func(s *config.Settings) any { return s.Cache.MaxSize }, int64(5 << 10)},
		{"image_cache_max_size_bytes = 5", func(s *config.Settings) any { return s.Cache.MaxSize }, int64(5)},
		{"image_cache_percent_extra_to_free = 0.05", func(s *config.Settings) any { return s.Cache.ExtraToFree }, 0.05},
		{"image_cache_stall_time = 5", func(s *config.Settings) any { return s.Cache.StallTimeout }, 5 * time.Second},
		{"image_cache_stall_timeout = 5", func(s *config.Settings) any { return s.Cache.StallTimeout }, 5 * time.Second},
		{"image_cache_invalid_entry_grace_period = 5", func(s *config.Settings) any { return s.Cache.GracePeriod }, 5 * time.Second},
		{"scrub_time = 43200", func(s *config.Settings) any { return s.Scrub.After }, 12 * time.Hour},
		{"daemon = True", func(s *config.Settings) any { return s.Scrub.Daemon }, true},
		{"wakeup_time = 5", func(s *config.Settings) any { return s.Scrub.Every }, 5 * time.Second},
		{"sql_idle_timeout = 5", func(s *config.Settings) any { return s.Database.Recycle }, 5 * time.Second},
		{"[database]\nidle_timeout = 5", func(s *config.Settings) any { return s.Database.Recycle }, 5 * time.Second},
		{"[database]\nconnection_recycle_time = 5\nidle_timeout = 6", func(s *config.Settings) any { return s.Database.Recycle }, 5 * time.Second},
		{"[database]\nconnection_recycle_time = -1", func(s *config.Settings) any { return s.Database.Recycle }, -time.Second},
		{"[database]\nmax_pool_size = 8", connections, [2]int{8, 58}},
		{"sql_max_pool_size = 8\nsql_max_overflow = 0", connections, [2]int{8, 8}},
		{"[database]\nmax_overflow = 10", connections, [2]int{5, 15}},
		{"[database]\nmax_overflow = -1", connections, [2]int{5, -1}},
		{"[database]\nmax_pool_size = 0", connections, [2]int{0, -1}},
		{"[database]\npool_timeout = 3", func(s *config.Settings) any { return s.Database.Wait }, 3 * time.Second},
		{"[database]\nmax_retries = -1", func(s *config.Settings) any { return s.Database.Tries }, -1},
		{"sql_max_retries = 4\nsql_retry_interval = 1", func(s *config.Settings) any { return [2]any{s.Database.Tries, s.Database.Pause} }, [2]any{4, time.Second}},
		{"filesystem_store_datadir = /d", func(s *config.Settings) any { return s.Stores.All[0].Files.Dirs }, []config.Dir{{Path: "/d"}}},
		{"[glance_store]\nfilesystem_store_datadir = /d", func(s *config.Settings) any { return s.Stores.All[0].Files.Dirs }, []config.Dir{{Path: "/d"}}},
		{"known_stores = glance.store.filesystem.Store", kinds, []string{"file"}},
		{"[glance_store]\nstores = filesystem,file", kinds, []string{"file"}},
		{keystone + "auth_url = http://k:5000/v3/", func(s *config.Settings) any { return s.Keystone.AuthURL }, "http://k:5000/v3"},
		{keystone + "identity_uri = http://k:5000/v3", func(s *config.Settings) any { return s.Keystone.PublicURI }, "http://k:5000/v3"},
		{keystone + "www_authenticate_uri = http://p", func(s *config.Settings) any { return s.Keystone.PublicURI }, "http://p"},
		{keystone + "admin_user = u", func(s *config.Settings) any { return s.Keystone.Username }, "u"},
		{keystone + "password = p$$w", func(s *config.Settings) any { return string(s.Keystone.Password) }, "p$w"},
		{keystone + "admin_tenant_name = t", func(s *config.Settings) any { return s.Keystone.Project }, "t"},
		{keystone + "user_domain_name = d", func(s *config.Settings) any { return s.Keystone.UserDomain }, "d"},
		{keystone + "project_domain_name = d", func(s *config.Settings) any { return s.Keystone.ProjectDomain }, "d"},
		{keystone + "token_cache_time = 5", func(s *config.Settings) any { return s.Keystone.CacheTime }, 5 * time.Second},
		{"policy_default_rule = d", func(s *config.Settings) any { return s.Access.Fallback }, "d"},
		{"[oslo_policy]\npolicy_default_rule = d", func(s *config.Settings) any { return s.Access.Fallback }, "d"},
		{"[oslo_policy]\nenforce_scope = no", func(s *config.Settings) any { return s.Access.Scope }, false},
		{"metadata_encryption_key = 0123456789abcdef", func(s *config.Settings) any { return string(s.Database.Key) }, "0123456789abcdef"},
		{"metadata_source_path = /m/", func(s *config.Settings) any { return s.Metadefs }, "/m"},
		{"[oslo_concurrency]\nlock_path = /l", func(s *config.Settings) any { return s.LockPath }, "/l"},
		{"bind_port = $backlog", func(s *config.Settings) any { return s.Server.Port }, 4096}, // the default of another option
	} {
		s, err := load(t, config.API, "[DEFAULT]\n"+test.text+"\n"+minimal)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if diff := cmp.Diff(test.want, test.got(s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
		// A program without a pipeline does not miss filters in it.
		if s, err = load(t, config.Scrubber, "[DEFAULT]\n"+test.text+"\n"+minimal); err != nil || len(s.Ignored)+len(s.Warnings) > 0 {
			t.Errorf("%s: %v %q %q", test.text, err, s.Ignored, s.Warnings)
		}
	}
}

// files is an unnamed file store as it is without options.
func files(dir string) config.Store {
	return config.Store{Kind: "file", Section: "glance_store", Files: config.Files{Dirs: []config.Dir{{Path: dir}}, ChunkSize: 64 << 10}}
}

func connections(s *config.Settings) any { return [2]int{s.Database.Keep, s.Database.Open} }

func kinds(s *config.Settings) any {
	var all []string
	for _, store := range s.Stores.All {
		all = append(all, store.Kind)
	}
	return all
}

func TestSwift(t *testing.T) {
	const options = minimal + `[glance_store]
stores = swift,file
default_store = swift
swift_store_config_file = swift.conf
default_swift_reference = ref2
swift_store_container = images
swift_store_create_container_on_put = True
swift_store_large_object_chunk_size = 10
`
	s, err := load(t, config.API, options, "swift.conf",
		"[ref2]\nauth_version = 3\nauth_address = http://k/v3\nuser = p:u\nkey = k$$y\nuser_domain_id = default\nproject_domain_name = d\n")
	if err != nil {
		t.Fatal(err)
	}
	swift := config.Swift{
		AuthAddress: "http://k/v3", User: "p:u", Key: "k$y", ProjectDomain: "d",
		Container: "images", CreateOnPut: true, Reference: "ref2", ChunkSize: 10 << 20, Pos: "DIR/swift.conf:3",
	}
	want := config.Stores{Default: "swift", All: []config.Store{
		{Kind: "swift", Section: "glance_store", Swift: swift},
		files("/var/lib/glance/images"),
	}}
	if diff := cmp.Diff(want, s.Stores); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
	for _, test := range []struct{ file, want string }{
		{"[ref1]\nauth_address = x\n", "CONF:6: [glance_store] swift_store_config_file: DIR/swift.conf: there is no [ref2] with an auth_address"},
		{"ref2\n", `CONF:6: [glance_store] swift_store_config_file: DIR/swift.conf:1: neither a section, a comment nor "key = value": "ref2"`},
		{"[ref2]\nauth_address = x\nuser_domain_id = 1a\n",
			"CONF:6: [glance_store] swift_store_config_file: DIR/swift.conf: [ref2] user_domain_id: domains are named; use user_domain_name"},
	} {
		if _, err := load(t, config.API, options, "swift.conf", test.file); err == nil || err.Error() != test.want {
			t.Errorf("with %q Load = %v; want %s", test.file, err, test.want)
		}
	}
	s, err = load(t, config.API, "[DEFAULT]\ndefault_store = swift\nswift_store_auth_address = 127.0.0.1:8080/v1.0\nswift_store_user = u\nswift_store_key = k\n"+minimal)
	if err != nil {
		t.Fatal(err)
	}
	swift = config.Swift{AuthAddress: "127.0.0.1:8080/v1.0", User: "u", Key: "k", Container: "glance", Reference: "ref1", Pos: "CONF:3"}
	want.All = []config.Store{{Kind: "swift", Section: "glance_store", Swift: swift}, web}
	if diff := cmp.Diff(want, s.Stores); diff != "" {
		t.Errorf("a release without [glance_store] (-want +got):\n%s", diff)
	}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct {
		program    config.Program
		text, want string
	}{
		{config.API, "", "CONF: [database] connection: not set; it names the database, as in sqlite:////var/lib/glance/glance.sqlite"},
		{config.Manage, "", "CONF: [database] connection: not set; it names the database, as in sqlite:////var/lib/glance/glance.sqlite"},
		{config.Manage, minimal + "[DEFAULT]\nmetadata_encryption_key = Planted", "CONF:4: [DEFAULT] metadata_encryption_key: has 7 bytes; want 16, 24 or 32"},
		{config.Pruner, "", "CONF: [DEFAULT] image_cache_dir: not set; it names the directory of the cache"},
		{config.Reaper, minimal + "[a]\nb\n", `CONF:4: neither a section, a comment nor "key = value": "b"`},
		{config.API, minimal + "[paste_deploy]\nflavor = caching", "CONF: [DEFAULT] image_cache_dir: not set; it names the directory of the cache"},
		{config.API, minimal + "[paste_deploy]\nflavor = keystone", `CONF: [keystone_authtoken] auth_url: not set; Keystone is asked about tokens with it
CONF: [keystone_authtoken] username: not set; Keystone is asked about tokens with it
CONF: [keystone_authtoken] password: not set; Keystone is asked about tokens with it`},
		{config.API, minimal + "[image_format]\ngpt_safety_checks_nonfatal = mbr,ebr",
			`CONF:4: [image_format] gpt_safety_checks_nonfatal: "mbr,ebr" is not a list of checks that there are: mbr`},
		{config.API, minimal + "[paste_deploy]\nflavor = keystne", `CONF:4: [paste_deploy] flavor: "keystne" is not a flavor that glance-api has without a paste file`},
		{config.Registry, minimal + "[paste_deploy]\nflavor = caching", `CONF:4: [paste_deploy] flavor: "caching" is not a flavor that glance-registry has without a paste file`},
		{config.API, minimal + "[paste_deploy]\nconfig_file = x.ini", "CONF:4: [paste_deploy] config_file: open DIR/x.ini: no such file or directory"},
		{config.API, minimal + "[glance_store]\nstores = rbd\n", `CONF:4: [glance_store] stores: no store is called "rbd"; there are file, http and swift`},
		{config.API, minimal + "[glance_store]\nstores = file,rbd\ndefault_store = rbd\n",
			`CONF:5: [glance_store] default_store: no store is called "rbd"; there are file, http and swift`},
		{config.API, minimal + "[glance_store]\nstores = swift\n",
			`CONF:4: [glance_store] swift needs swift_store_config_file or swift_store_auth_address`},
		{config.API, minimal + "[glance_store]\nstores = file\ndefault_store = swift\n",
			`CONF:5: [glance_store] default_store: "swift" is not one of the stores that are enabled: file`},
		{config.API, minimal + `[DEFAULT]
debug = maybe
bind_port = 65536
backlog = 0
workers = two
image_size_cap = 10 gigs
image_cache_percent_extra_to_free = 20
hashing_algorithm = md5
notifier_strategy = qpid
syslog_log_facility = LOG_LOCAL9
image_cache_dir = cache
public_endpoint = glance.example.com
log_file = $nowhere
image_cache_max_size = 99999999TB
`, `CONF:4: [DEFAULT] debug: "maybe" is not a boolean: true, 1, on, yes, false, 0, off or no
CONF:15: [DEFAULT] log_file: $nowhere: no such option; write $$ for a dollar sign
CONF:12: [DEFAULT] syslog_log_facility: "LOG_LOCAL9" is not one of LOG_KERN, LOG_USER, LOG_MAIL, LOG_DAEMON, LOG_AUTH, LOG_SYSLOG, LOG_LPR, LOG_NEWS, LOG_UUCP, LOG_CRON, LOG_AUTHPRIV, LOG_FTP, LOG_LOCAL0, LOG_LOCAL1, LOG_LOCAL2, LOG_LOCAL3, LOG_LOCAL4, LOG_LOCAL5, LOG_LOCAL6, LOG_LOCAL7
CONF:5: [DEFAULT] bind_port: "65536" is not a number from 0 to 65535
CONF:7: [DEFAULT] workers: "two" is not a number from 0 on
CONF:6: [DEFAULT] backlog: "0" is not a number from 1 on
CONF:14: [DEFAULT] public_endpoint: "glance.example.com" is not an http or https URL
CONF:8: [DEFAULT] image_size_cap: "10 gigs" is not a size of at least 1 bytes, such as 10737418240 or 10GB
CONF:10: [DEFAULT] hashing_algorithm: "md5" is not one of sha256, sha384, sha512
CONF:13: [DEFAULT] image_cache_dir: "cache" is not an absolute path
CONF:16: [DEFAULT] image_cache_max_size: "99999999TB" is not a size of at least 0 bytes, such as 10737418240 or 10GB
CONF:9: [DEFAULT] image_cache_percent_extra_to_free: "20" is not a number from 0 to 1
CONF:11: [DEFAULT] notifier_strategy: "qpid" is not one of noop, logging, rabbit, default`},
		{config.Pruner, "[DEFAULT]\nimage_cache_dir = /c\nimage_cache_driver = memcached\n", `CONF:3: [DEFAULT] image_cache_driver: "memcached" is not one of sqlite, xattr, centralized_db`},
		{config.API, "[DEFAULT]\ncert_file = /a\nowner_is_tenant = no\nshow_multiple_locations = False\n" + minimal + "[profiler]\nenabled = yes\n",
			`CONF:2: [DEFAULT] cert_file: not supported: TLS is not served; put a proxy in front
CONF:3: [DEFAULT] owner_is_tenant: not supported: images belong to projects
CONF:8: [profiler] enabled: not supported: there is no profiler`},
	} {
		_, err := load(t, test.program, test.text)
		if err == nil {
			t.Errorf("Load of %q: no error", test.text)
			continue
		}
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Errorf("Load of %q (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	s, err := load(t, config.API, `[database]
connection = mysql://glance:Planted@db/glance
[keystone_authtoken]
password = Planted
[DEFAULT]
default_store = swift
swift_store_auth_address = x
swift_store_key = Planted
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(format, s); strings.Contains(text, "Planted") {
			t.Errorf("Sprintf(%q) has the secret: %s", format, text)
		}
	}
	_, err = load(t, config.API, minimal+"[keystone_authtoken]\npassword = pa$Planted\n[glance_store]\nstores=swift\nswift_store_key = $Planted\nswift_store_auth_address=x")
	want := `CONF:7: [glance_store] swift_store_key: a dollar sign that begins no reference is written $$
CONF:4: [keystone_authtoken] password: a dollar sign that begins no reference is written $$`
	if err == nil || err.Error() != want {
		t.Errorf("Load = %v; want %s", err, want)
	}
}

func TestSources(t *testing.T) {
	if _, err := config.Load(config.API, config.Source{}); err == nil ||
		err.Error() != "no configuration: there is no /etc/glance/glance-api.conf; name a file with --config-file" {
		t.Errorf("Load of nothing = %v", err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "10.conf"), minimal+"[paste_deploy]\nconfig_file = p.ini\n")
	write(t, filepath.Join(dir, "p.ini"), "[pipeline:glance-registry]\npipeline = u a\n[filter:u]\n"+
		"paste.filter_factory = glance.api.middleware.context:UnauthenticatedContextMiddleware.factory\n"+
		"[app:a]\npaste.app_factory = glance.registry.api:API.factory\n")
	s, err := config.Load(config.Registry, config.Source{Dirs: []string{dir}, Debug: true})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Log.Debug {
		t.Error("Source.Debug has no effect")
	}
	if diff := cmp.Diff(config.Pipeline{"unauthenticated-context", "registryapp"}, s.Pipeline); diff != "" {
		t.Errorf("Pipeline (-want +got):\n%s", diff)
	}
}
