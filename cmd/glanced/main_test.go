package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "glance.conf")
	text := "[DEFAULT]\nimage_cache_dir = " + dir + "/cache\nlog_file = " + dir + "/log\n[database]\nconnection = sqlite:///" + dir + "/glance.sqlite\n" +
		"[oslo_concurrency]\nlock_path = " + dir + "/lock\n[glance_store]\nfilesystem_store_datadir = " + dir + "/images\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.conf")
	if err := os.WriteFile(bad, []byte("[DEFAULT]\ndebug = perhaps\nworkers = many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		argv           string
		code           int
		stdout, stderr string // how they begin
	}{
		{"glanced", 2, "", "usage: glanced PROGRAM"},
		{"glanced frobnicate", 2, "", "usage: glanced PROGRAM"},
		{"glanced --version", 0, "glanced devel\n", ""},
		{"glanced version", 0, "glanced devel\n", ""},
		{"glanced api --version", 0, "glance-api (glanced) devel\n", ""},
		{"glanced glance-api --version", 0, "glance-api (glanced) devel\n", ""},
		{"/usr/bin/glance-registry --version", 0, "glance-registry (glanced) devel\n", ""},
		{"glanced --help", 0, "usage: glanced PROGRAM", ""},
		{"glanced help", 0, "usage: glanced PROGRAM", ""},
		{"glanced help api", 2, "", "usage: glanced PROGRAM"},
		{"glance-api --help", 0, "Usage of glance-api:\n", ""},
		{"glance-manage --help", 0, "usage: glance-manage ", ""},
		{"glance-manage help", 0, "usage: glance-manage ", ""},
		{"glance-manage db --help", 0, "usage: glance-manage ", ""},
		{"glance-manage db help", 0, "usage: glance-manage ", ""},
		{"glance-manage db_sync -h", 0, "usage: glance-manage ", ""},
		{"glance-manage db frobnicate", 2, "", "glance-manage: no such command: \"db frobnicate\"\n"},
		{"glance-api --nonsense", 2, "", "flag provided but not defined: -nonsense\nUsage of glance-api:\n"},
		{"glance-api --timeout 1h", 2, "", "flag provided but not defined: -timeout\n"},
		{"glance-cache-pruner --pid-file x", 2, "", "flag provided but not defined: -pid-file\n"},
		{"glance-control", 2, "usage: glance-control ", ""},
		{"glance-control mail start", 2, "", "glance-control: no such server: \"mail\"\n"},
		{"glance-control api dance", 2, "", "glance-control: api: no such command: \"dance\"\n"},
		{"glance-control api", 2, "", "glance-control: want a server, a command"},
		{"glance-control all status --pid-file x", 2, "", "glance-control: a pid file is that of one server\n"},
		{"glance-control api status --pid-file " + dir + "/none.pid", 3, "No glance-api running\n", ""},
		{"glance-control api stop --respawn", 2, "", "glance-control: --await-child and --respawn are for start, not for stop\n"},
		{"glance-control --await-child 2 api restart", 2, "", "glance-control: --await-child and --respawn are for start, not for restart\n"},
		{"glance-control --await-child 2 --respawn api start", 2, "", "glance-control: --await-child and --respawn exclude each other\n"},
		{"glance-control --capture-output api status", 2, "", "glance-control: --capture-output is for what is started, not for status\n"},
		{"glance-control --await-child soon api start", 2, "", `invalid value "soon" for flag -await-child: want a number of seconds`},
		{"glance-control --await-child -1 api start", 2, "", `invalid value "-1" for flag -await-child: want a number of seconds`},
		{"glance-control --use-syslog api start", 2, "", "flag provided but not defined: -use-syslog\n"},
		{"glance-scrubber --timeout soon", 2, "", `invalid value "soon" for flag -timeout`},
		{"glance-replicator", 0, "commands:\n\n  size SERVER", ""},
		{"glance-replicator help", 0, "commands:\n\n  size SERVER", ""},
		{"glance-replicator help dump", 0, "usage: glance-replicator dump SERVER PATH\n", ""},
		{"glance-replicator --help", 0, "usage: glance-replicator COMMAND", ""},
		{"glance-replicator sync a b", 1, "", "glance-replicator: unknown command: sync\n"},
		{"glance-replicator dump a:1", 1, "", "glance-replicator: want SERVER PATH\n"},
		{"glance-replicator -c many size a:1", 2, "", `invalid value "many" for flag -c`},
		{"glance-replicator size nowhere -D name -m --token x -v", 1, "", "glance-replicator: \"nowhere\" is no server: want host:port"},
		{"glance-replicator size 127.0.0.1:1 --sourcetoken secret", 1, "", "glance-replicator: Get \"http://127.0.0.1:1/v2/images?"},
		{"glance-cache-manage", 0, "usage: glance-cache-manage COMMAND", ""},
		{"glance-cache-manage help list-cached", 0, "usage: glance-cache-manage COMMAND", ""},
		{"glance-cache-manage --help", 0, "usage: glance-cache-manage COMMAND", ""},
		{"glance-cache-manage list-all -f", 1, "", "glance-cache-manage: unknown command: list-all\n"},
		{"glance-cache-manage queue-image nonsense -f -v", 1, "Image ID 'nonsense' is not a valid UUID.\n", ""},
		{"glance-cache-manage list-cached --host 127.0.0.1 -p 1 --os-auth-token x", 1, "Failed to show cached images. Got error:\nGet \"http://127.0.0.1:1/v2/cached_images\": dial tcp 127.0.0.1:1: ", ""},
		{"glance-manage -A token -H 127.0.0.1 -p 1 index", 1, "", "glance-manage: Get \"http://127.0.0.1:1/v2/images?limit=100\": dial tcp 127.0.0.1:1: "},
		{"glance-cache-pruner now", 2, "", `glance-cache-pruner: unexpected argument "now"` + "\n"},
		{"glance-manage", 2, "", "glance-manage: no such command: \"\"\nglance-manage: usage: glance-manage "},
		{"glance-api --config-file " + bad, 1, "", "glance-api: " + bad + ":2: [DEFAULT] debug: \"perhaps\" is not a boolean: true, 1, on, yes, false, 0, off or no\n" +
			"glance-api: " + bad + ":3: [DEFAULT] workers: \"many\" is not a number from 0 on\n"},
		{"glance-api --config-dir " + dir + "/none", 1, "", "glance-api: read configuration directory: open " + dir + "/none: no such file or directory\n"},
		{"glance-manage --config-file " + conf + " db check", 3, "Your database is not up to date: ", ""},
		{"glance-manage --config-file " + conf + " db sync", 0, "Database is synced successfully.\n", ""},
		{"glance-manage --config-file " + conf + " db_check", 0, "Database is up to date. No upgrades needed.\n", ""},
		{"glance-manage --config-file " + conf + " upgrade", 0, "Upgraded database, current revision(s): ", ""},
		{"glance-manage --config-file " + conf + " version_control 0", 1, "", "glance-manage: database version control: conflict: "},
		{"glance-scrubber --config-file " + conf + " --jitter 1ms --timeout 1m", 0, "", ""},
		{"glance-cache-reaper --config-file " + conf, 0, "", ""},
		{"glance-cache-cleaner --config-file " + conf + " --debug", 0, "", ""},
		{"glance-cache-pruner --config-file " + conf, 0, "", ""},
		{"glance-cache-prefetcher --config-file " + conf, 0, "", ""},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(test.argv), &stdout, &stderr)
		if code != test.code || !begins(stdout.String(), test.stdout) || !begins(stderr.String(), test.stderr) {
			t.Errorf("%s: exit %d, %q, %q; want %d, %q, %q", test.argv, code, stdout.String(), stderr.String(), test.code, test.stdout, test.stderr)
		}
	}
}

// begins is strings.HasPrefix, but only nothing begins with nothing.
func begins(s, prefix string) bool {
	if prefix == "" {
		return s == ""
	}
	return strings.HasPrefix(s, prefix)
}

func TestUsageListsEveryProgram(t *testing.T) {
	var b bytes.Buffer
	usage(&b)
	for _, name := range []string{"api", "registry", "manage", "scrubber", "cache-reaper", "cache-cleaner", "cache-pruner", "cache-prefetcher"} {
		if p := find("glance-" + name); p == nil || !strings.Contains(b.String(), "  "+name+" ") {
			t.Errorf("there is no %s, or usage does not say so:\n%s", name, b.String())
		}
	}
}
