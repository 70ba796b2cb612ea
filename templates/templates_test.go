package templates

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/oslo"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The settings of the golden files: everything that can be on is on.
var (
	sampleKeystone = Keystone{
		AuthURL: "http://10.77.0.5:5000/v3", Region: "RegionOne",
		Username: "glance", Password: "pa$$word", Project: "service", Domain: "Default",
	}
	sampleDatabase = Database{
		URL:         "mysql+pymysql://glance:s%40crit@10.77.0.4:3306/glance?charset=utf8",
		IdleTimeout: time.Hour,
	}
	sampleSwift = Swift{
		AuthAddress: "http://10.77.0.6:8080/v1.0", User: "glance", Key: "swiftkey",
		Container: "glance", CreateOnPut: true, ConfigFile: "/etc/glance/glance-swift.conf",
	}
	sampleStores = Stores{
		Types: []string{"file", "swift"}, Default: "file",
		FileDir: "/var/lib/glance/images", Swift: &sampleSwift,
	}
	sampleCache = Cache{
		Management: true, Dir: "/var/lib/glance/image-cache", MaxSize: 10 << 30,
		StallTime: 24 * time.Hour, GracePeriod: time.Hour, ExtraToFree: 0.2,
	}
)

func sampleLog(element string) Log {
	return Log{Verbose: true, File: "/var/log/glance/" + element + ".log"}
}

func sampleAPI() API {
	return API{
		Log:           sampleLog("api"),
		Listen:        Listen{Host: "0.0.0.0", Port: 9292, Workers: 4, PIDFile: "/var/run/glance/glance-api.pid"},
		RegistryHost:  "10.77.0.21",
		RegistryPort:  9191,
		Notifier:      "noop",
		DelayedDelete: true,
		Database:      sampleDatabase,
		Stores:        sampleStores,
		Cache:         &sampleCache,
		Keystone:      &sampleKeystone,
		PasteFile:     "/etc/glance/glance-api-paste.ini",
		LockPath:      "/var/lib/glance/lock",
		StagingDir:    "/var/lib/glance/staging",
		SelfURL:       "http://10.77.0.21:9292",
	}
}

func sampleRegistry() Registry {
	return Registry{
		Log:       sampleLog("registry"),
		Listen:    Listen{Host: "10.77.0.21", Port: 9191, PIDFile: "/var/run/glance/glance-registry.pid"},
		Database:  sampleDatabase,
		Keystone:  &sampleKeystone,
		PasteFile: "/etc/glance/glance-registry-paste.ini",
		LockPath:  "/var/lib/glance/lock",
	}
}

func sampleTools(element string) CacheTools {
	return CacheTools{
		Log: sampleLog(element), Cache: sampleCache,
		RegistryHost: "10.77.0.21", RegistryPort: 9191,
		Database: sampleDatabase, Stores: sampleStores, LockPath: "/var/lib/glance/lock",
	}
}

func sampleScrubber() Scrubber {
	return Scrubber{
		Log: sampleLog("scrubber"), DelayedDelete: true, ScrubTime: 12 * time.Hour,
		Database: sampleDatabase, Stores: sampleStores, LockPath: "/var/lib/glance/lock",
	}
}

func sampleUnit() Unit {
	return Unit{
		Description: "glance-api, the image service",
		User:        "glance", Group: "glance",
		WorkingDirectory: "/var/lib/glance",
		Argv:             []string{"/usr/bin/glance-api", "--config-file", "/etc/glance/glance-api.conf"},
		Reads:            []string{"/etc/glance/glance-api.conf"},
		Writes:           []string{"/var/lib/glance", "/var/log/glance", "/var/run/glance"},
		Port:             9292,
	}
}

func sampleCron() Cron {
	return Cron{
		Description: "Frees the data of images that were deleted.",
		Schedule:    "1 * * * *", User: "glance",
		Argv: []string{"/usr/bin/glance-scrubber", "--config-file", "/etc/glance/glance-scrubber.conf"},
	}
}

func TestGolden(t *testing.T) {
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, got := range map[string][]byte{
		"glance-api.conf":           must(GlanceAPI(sampleAPI())),
		"glance-registry.conf":      must(GlanceRegistry(sampleRegistry())),
		"glance-cache.conf":         must(GlanceCache(sampleTools(""))),
		"glance-prefetcher.conf":    must(GlancePrefetcher(sampleTools("prefetcher"))),
		"glance-pruner.conf":        must(GlancePruner(sampleTools("pruner"))),
		"glance-reaper.conf":        must(GlanceReaper(sampleTools("reaper"))),
		"glance-scrubber.conf":      must(GlanceScrubber(sampleScrubber())),
		"glance-manage.conf":        must(GlanceManage(Manage{Log: Log{Verbose: true}, Database: sampleDatabase})),
		"glance-swift.conf":         must(GlanceSwift(sampleSwift)),
		"glance-api-paste.ini":      GlanceAPIPaste(Paste{DisableFile: "/etc/glance/healthcheck_disable"}),
		"glance-registry-paste.ini": GlanceRegistryPaste(Paste{DisableFile: "/etc/glance/healthcheck_disable"}),
		"glance-api.service":        Service(sampleUnit()),
		"glance-scrubber.cron":      CronFile(sampleCron()),
		"glance.logrotate": Logrotate(Logs{
			Files: []string{"/var/log/glance/api.log", "/var/log/glance/registry.log"},
			User:  "glance", Group: "glance",
		}),
		"glance.tmpfiles": Tmpfiles(RuntimeDir{Dir: "/var/run/glance", User: "glance", Group: "glance"}),
	} {
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s differs from its golden file (-want +got):\n%s", name, diff)
			}
			if !strings.HasPrefix(string(got), Header+"\n") {
				t.Errorf("%s does not begin with the header", name)
			}
		})
	}
}

// parse reads a rendered file the way the service does.
func parse(t *testing.T, text []byte, err error) *oslo.Config {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	c, err := oslo.Parse("rendered", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

func get(c *oslo.Config, section, key string) string {
	value, ok := c.Get(section, key)
	if !ok {
		return "(unset)"
	}
	return value
}

func TestValuesAreReadBackAsTheyWere(t *testing.T) {
	for _, password := range []string{
		"plain", "pa$$word", "$HOME", `"quoted"`, "'", " spaces ", "100%", "a=b:c", "# no comment", `back\$slash`, "ünï",
	} {
		k := sampleKeystone
		k.Password = password
		a := sampleAPI()
		a.Keystone = &k
		text, err := GlanceAPI(a)
		if got := get(parse(t, text, err), "keystone_authtoken", "password"); got != password {
			t.Errorf("password %q is read back as %q", password, got)
		}
	}
}

func TestConfigOverrides(t *testing.T) {
	a := sampleAPI()
	a.Config = []Section{
		{Name: "DEFAULT", Options: []Option{
			{"bind_port", "9393"},
			{"public_endpoint", "http://images.example.org:$bind_port"},
		}},
		{Name: "glance_store", Options: []Option{
			{"filesystem_store_datadirs", "/a:100"},
			{"default_store", "swift"},
			{"filesystem_store_datadirs", "/b:200"},
		}},
		{Name: "cors", Options: []Option{{"allowed_origin", "*"}}},
	}
	text, err := GlanceAPI(a)
	c := parse(t, text, err)
	for _, test := range []struct {
		section, key string
		want         []string
	}{
		{"DEFAULT", "bind_port", []string{"9393"}},
		{"DEFAULT", "bind_host", []string{"0.0.0.0"}},
		{"DEFAULT", "public_endpoint", []string{"http://images.example.org:9393"}},
		{"glance_store", "default_store", []string{"swift"}},
		{"glance_store", "filesystem_store_datadirs", []string{"/a:100", "/b:200"}},
		{"cors", "allowed_origin", []string{"*"}},
	} {
		if diff := cmp.Diff(test.want, c.All(test.section, test.key)); diff != "" {
			t.Errorf("[%s] %s (-want +got):\n%s", test.section, test.key, diff)
		}
	}
}

func TestConfigThatCannotBeWritten(t *testing.T) {
	a := sampleAPI()
	a.Config = []Section{{Name: "DEFAULT", Options: []Option{{"bad=key", "value"}}}}
	_, err := GlanceAPI(a)
	if err == nil || !strings.Contains(err.Error(), "bad=key") {
		t.Errorf("GlanceAPI with the key bad=key: error %v; want one that names it", err)
	}
}

// Every flavor that a glance-api.conf can ask for has its pipeline, and every
// part of a pipeline its section.
func TestFlavorsHavePipelines(t *testing.T) {
	managed, plain := sampleCache, sampleCache
	managed.Management, plain.Management = true, false
	for _, test := range []struct {
		keystone *Keystone
		cache    *Cache
		want     string
	}{
		{nil, nil, ""},
		{nil, &plain, "caching"},
		{nil, &managed, "cachemanagement"},
		{&sampleKeystone, nil, "keystone"},
		{&sampleKeystone, &plain, "keystone+caching"},
		{&sampleKeystone, &managed, "keystone+cachemanagement"},
	} {
		a, r := sampleAPI(), sampleRegistry()
		a.Keystone, a.Cache, r.Keystone = test.keystone, test.cache, test.keystone
		text, err := GlanceAPI(a)
		got := get(parse(t, text, err), "paste_deploy", "flavor")
		if got != test.want {
			t.Errorf("flavor with keystone %t, cache %v = %q; want %q", test.keystone != nil, test.cache, got, test.want)
		}
		checkPipeline(t, parse(t, GlanceAPIPaste(Paste{}), nil), "glance-api", got)
		text, err = GlanceRegistry(r)
		got = get(parse(t, text, err), "paste_deploy", "flavor")
		checkPipeline(t, parse(t, GlanceRegistryPaste(Paste{}), nil), "glance-registry", got)
	}
}

func checkPipeline(t *testing.T, paste *oslo.Config, app, flavor string) {
	t.Helper()
	name := "pipeline:" + app
	if flavor != "" {
		name += "-" + flavor
	}
	parts := strings.Fields(get(paste, name, "pipeline"))
	if len(parts) < 2 {
		t.Errorf("[%s] has the parts %q", name, parts)
		return
	}
	for i, part := range parts {
		kinds := []string{"filter:"}
		if i == len(parts)-1 {
			kinds = []string{"app:", "composite:"}
		}
		found := false
		for _, kind := range kinds {
			found = found || len(paste.Keys(kind+part)) > 0
		}
		if !found {
			t.Errorf("[%s]: nothing defines %s", name, part)
		}
	}
}

// What the cache is not told when it is off cannot turn it on.
func TestNoCache(t *testing.T) {
	a := sampleAPI()
	a.Cache = nil
	text, err := GlanceAPI(a)
	c := parse(t, text, err)
	for _, key := range c.Keys("DEFAULT") {
		if strings.HasPrefix(key, "image_cache") {
			t.Errorf("without a cache glance-api.conf sets %s", key)
		}
	}
}

func TestBooleansAreSpelledOneWay(t *testing.T) {
	for name, text := range map[string]func() ([]byte, error){
		"api":      func() ([]byte, error) { return GlanceAPI(sampleAPI()) },
		"registry": func() ([]byte, error) { return GlanceRegistry(sampleRegistry()) },
		"scrubber": func() ([]byte, error) { return GlanceScrubber(sampleScrubber()) },
		"pruner":   func() ([]byte, error) { return GlancePruner(sampleTools("pruner")) },
	} {
		b, err := text()
		c := parse(t, b, err)
		for _, section := range c.Sections() {
			for _, key := range c.Keys(section) {
				if v := get(c, section, key); v == "true" || v == "false" {
					t.Errorf("%s: [%s] %s = %s; want True or False", name, section, key, v)
				}
			}
		}
	}
}

func TestSwiftAuthVersion(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8080/v1.0":       "1",
		"http://swift:8080/auth/v1": "1",
		"http://swift:8080":         "1",
		"http://auth:5000/v2.0/":    "2",
		"http://auth:5000/v3":       "3",
		"http://auth:5000/v3/":      "3",
	} {
		if got := swiftAuthVersion(address); got != want {
			t.Errorf("swiftAuthVersion(%q) = %s; want %s", address, got, want)
		}
	}
	s := sampleSwift
	s.AuthAddress = "http://auth:5000/v3"
	text, err := GlanceSwift(s)
	if got := get(parse(t, text, err), "ref1", "user_domain_id"); got != "default" {
		t.Errorf("user_domain_id for Keystone = %s; want default", got)
	}
}

// Where config names the stores, nothing is said of those without a name: the
// service would warn of it.
func TestNamedStores(t *testing.T) {
	config := []Section{
		{Name: "glance_store", Options: []Option{{"default_backend", "fast"}}},
		{Name: "DEFAULT", Options: []Option{{"enabled_backends", "fast:file"}}},
	}
	api, scrubber, prefetcher := sampleAPI(), sampleScrubber(), sampleTools("prefetcher")
	for _, named := range []bool{false, true} {
		want := 3
		if named {
			want = 0
			api.Config, scrubber.Config, prefetcher.Config = config, config, config
		}
		var all string
		for _, file := range []func() ([]byte, error){
			func() ([]byte, error) { return GlanceAPI(api) },
			func() ([]byte, error) { return GlanceScrubber(scrubber) },
			func() ([]byte, error) { return GlancePrefetcher(prefetcher) },
		} {
			text, err := file()
			if err != nil {
				t.Fatal(err)
			}
			all += string(text)
		}
		for _, option := range []string{"\nstores = ", "\ndefault_store = ", "\nfilesystem_store_datadir = /var/lib/glance/images", "\nswift_store_config_file = "} {
			if got := strings.Count(all, option); got != want {
				t.Errorf("with named stores %t, %q is %d times in the files; want %d", named, option, got, want)
			}
		}
	}
}
