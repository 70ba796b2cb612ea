package service_test

import (
	"database/sql"
	"net"
	"os"
	"strings"
	"testing"

	"glancectl/service"
)

// TestStartErrors has what keeps a program from starting. Each is one line
// that says where to look.
func TestStartErrors(t *testing.T) {
	s := newSite(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	s.write("file", "")
	if err := os.Symlink(s.path("images"), s.path("link")); err != nil {
		t.Fatal(err)
	}
	s.write("wrong.yaml", "get_image: (role:reader\n")
	s.write("remote.json", "{\"get_image\":\n\"http://decide.example.com/\"}")
	s.write("protect.conf", "[a]\ncreate = @\nread = @\nupdate = licensing\ndelete = !\n")
	const database = "[database]\nconnection = sqlite:///DIR/glance.sqlite\n"
	const store = "[glance_store]\nfilesystem_store_datadir = DIR/images\n"
	for _, test := range []struct {
		name string
		run  runner
		conf string // "" means that there is no file
		want string
	}{
		{"no database", service.RunAPI, "[DEFAULT]\n", "DIR/x.conf: [database] connection: not set; it names the database, as in sqlite:////var/lib/glance/glance.sqlite"},
		{"unknown database", service.RunAPI, "[database]\nconnection = postgresql://glance:Planted@db/glance",
			`DIR/x.conf:2: [database] connection: database connection: "postgresql" is no database this service can use; use mysql+pymysql or sqlite`},
		{"unknown store", service.RunAPI, database + "[glance_store]\nstores = s3", `DIR/x.conf:4: [glance_store] stores: no store is called "s3"; there are file, http and swift`},
		{"store in a file", service.RunAPI, database + "[glance_store]\nfilesystem_store_datadir = DIR/file/images",
			"DIR/x.conf: [glance_store] filesystem_store_datadir: "},
		{"two stores in one directory", service.RunAPI, database + "[DEFAULT]\nenabled_backends = a:file, b:file\n[glance_store]\ndefault_backend = a\n[a]\nfilesystem_store_datadir = DIR/images\n[b]\nfilesystem_store_datadir = DIR/link",
			"DIR/x.conf: [b] filesystem_store_datadir: DIR/link is the directory DIR/images of [a]"},
		{"staged among images", service.RunAPI, database + store + "[os_glance_staging_store]\nfilesystem_store_datadir = DIR/link",
			"DIR/x.conf: [os_glance_staging_store] filesystem_store_datadir: DIR/link is the directory DIR/images of [glance_store]"},
		{"bad swift address", service.RunAPI, database + "[glance_store]\nstores = swift\nswift_store_auth_address = http://k:5000/", "DIR/x.conf:5: swift store: "},
		{"cache in a file", service.RunAPI, database + store + "[paste_deploy]\nflavor = caching\n[DEFAULT]\nimage_cache_dir = DIR/file/cache",
			"DIR/x.conf: [DEFAULT] image_cache_dir: "},
		{"port in use", service.RunAPI, database + store + "[DEFAULT]\nbind_host = 127.0.0.1\nbind_port = " + port,
			"DIR/x.conf: [DEFAULT] bind_host, bind_port: listen tcp 127.0.0.1:" + port + ": bind: address already in use"},
		{"address of another machine", service.RunRegistry, database + "[DEFAULT]\nbind_host = 192.0.2.1",
			"DIR/x.conf: [DEFAULT] bind_host, bind_port: listen tcp 192.0.2.1:9191: bind: cannot assign requested address"},
		{"pid file", service.RunRegistry, database + "[DEFAULT]\nbind_port = 0\npid_file = DIR/none/pid",
			"DIR/x.conf: [DEFAULT] pid_file: open DIR/none/pid.new: no such file or directory"},
		{"log file", service.RunPruner, "[DEFAULT]\nimage_cache_dir = DIR/cache\nlog_file = DIR/none/log",
			"DIR/x.conf: [DEFAULT] log_file: open DIR/none/log: no such file or directory"},
		{"lock path", service.RunPruner, "[DEFAULT]\nimage_cache_dir = DIR/cache\n[oslo_concurrency]\nlock_path = DIR/file/lock",
			"DIR/x.conf: [oslo_concurrency] lock_path: mkdir DIR/file: not a directory"},
		{"missing file", service.RunScrubber, "", "read configuration: open DIR/x.conf: no such file or directory"},
		{"cafile", service.RunAPI, database + store + tokenOptions("https://k") + "cafile = DIR/file", "DIR/x.conf: [keystone_authtoken] cafile: DIR/file has no certificate"},
		{"missing cafile", service.RunAPI, database + store + tokenOptions("https://k") + "cafile = DIR/none", "DIR/x.conf: [keystone_authtoken] cafile: open DIR/none: no such file or directory"},
		{"wrong rule", service.RunAPI, database + store + "[oslo_policy]\npolicy_file = wrong.yaml", `policy: DIR/wrong.yaml:1: rule "get_image": a parenthesis is not closed`},
		{"remote rule", service.RunRegistry, database + "[oslo_policy]\npolicy_file = remote.json",
			`policy: DIR/remote.json:1: rule "get_image": "http://decide.example.com/": http checks are not supported`},
		{"missing rules", service.RunAPI, database + store + "[oslo_policy]\npolicy_file = none.yaml", "policy: DIR/none.yaml: there is no such file"},
		{"unequal defaults", service.RunAPI, database + store + "[DEFAULT]\nenforce_secure_rbac = True\n[oslo_policy]\nenforce_new_defaults = False",
			"DIR/x.conf:6: [DEFAULT] enforce_secure_rbac: true, and [oslo_policy] enforce_new_defaults is false"},
		{"missing protections", service.RunAPI, database + store + "[DEFAULT]\nproperty_protection_file = none.conf", "property_protection_file: open DIR/none.conf: no such file"},
		{"protections by a rule that is not there", service.RunAPI, database + store + "[DEFAULT]\nproperty_protection_file = protect.conf\nproperty_protection_rule_format = policies",
			`property_protection_file: DIR/protect.conf:1: there is no rule "licensing"`},
	} {
		name := s.path("x.conf")
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
		if test.conf != "" {
			s.write("x.conf", test.conf)
		}
		err := test.run(t.Context(), service.Options{Files: []string{name}, Stderr: new(logBuffer)})
		if err == nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		got := strings.ReplaceAll(err.Error(), s.dir, "DIR")
		if !strings.HasPrefix(got, test.want) || strings.Contains(got, "\n") || strings.Contains(got, "Planted") {
			t.Errorf("%s: error %q; want one line that begins with %q", test.name, got, test.want)
		}
	}
}

func TestManage(t *testing.T) {
	s := &site{t, t.TempDir()}
	good := s.conf("manage", "")
	unreachable := s.conf("unreachable", "[database]\nconnection = mysql://glance:Planted@127.0.0.1:1/glance\n")
	for _, test := range []struct {
		name, file string
		args       []string
		code       int
		want, err  string
	}{
		{"nothing", good, nil, 2, "", `no such command: ""`},
		{"unknown", good, []string{"db", "rollback"}, 2, "", `no such command: "db rollback"`},
		{"downgrade of nothing", good, []string{"downgrade"}, 1, "", "the database is at revision none"},
		{"bad file", s.path("none"), []string{"db", "sync"}, 1, "", "no such file or directory"},
		{"check before", good, []string{"db", "check"}, 3, "Your database is not up to date: ", ""},
		{"version before", good, []string{"db", "version"}, 0, "The database is not under version control", ""},
		{"migrate before", good, []string{"db", "migrate"}, 1, "", "run: glance-manage db expand"},
		{"contract before", good, []string{"db", "contract"}, 1, "", "run: glance-manage db expand"},
		{"mark", good, []string{"db_version_control", "0"}, 0, "Placed database under migration control at revision: none yet\n", ""},
		{"mark again", good, []string{"db_version_control", "0"}, 1, "", "under version control already"},
		{"check of a mark", good, []string{"db", "check"}, 3, "Your database is not up to date: ", ""},
		{"sync to nothing", good, []string{"db", "sync", "pike_contract01"}, 2, "", `revision "pike_contract01"`},
		{"too many words", good, []string{"db", "sync", "heads", "1", "2"}, 2, "", `unexpected argument "2"`},
		{"sync", good, []string{"db", "sync"}, 0, "Database is synced successfully.\n", ""},
		{"sync again", good, []string{"db_sync", "heads"}, 0, "Database is up to date. No migrations needed.\n", ""},
		{"expand", good, []string{"db", "expand"}, 0, "Database is up to date. No migrations needed.\n", ""},
		{"migrate", good, []string{"db_migrate"}, 0, "Database is up to date. No migrations needed.\n", ""},
		{"contract", good, []string{"db_contract"}, 0, "Database is up to date. No migrations needed.\n", ""},
		{"check after", good, []string{"db_check"}, 0, "Database is up to date. No upgrades needed.\n", ""},
		{"version after", good, []string{"db_version"}, 0, "wallaby_contract01\n", ""},
		{"downgrade to what is there", good, []string{"db_downgrade", "wallaby_contract01"}, 0, "The database is at revision wallaby_contract01 already.\n", ""},
		{"downgrade", good, []string{"db", "downgrade", "--version", "queens_contract01"}, 1, "", "from which there is no way back: nothing is changed"},
		{"downgrade to two", good, []string{"downgrade", "1", "2"}, 2, "", `unexpected argument "2"`},
		{"upgrade", good, []string{"db_upgrade"}, 0, "Upgraded database, current revision(s): wallaby_contract01\n", ""},
		{"upgrade to a revision", good, []string{"db", "upgrade", "--version", "2024_1_contract01"}, 0, "Upgraded database, current revision(s): 2024_1_contract01\n", ""},
		{"check after that", good, []string{"db", "check"}, 0, "Database is up to date. No upgrades needed.\n", ""},
		{"purge", good, []string{"db", "purge"}, 0, "", ""},
		{"purge by flags", good, []string{"db_purge", "--age_in_days", "7", "--max_rows=-1"}, 0, "", ""},
		{"purge by words", good, []string{"db", "purge", "7", "500"}, 0, "", ""},
		{"purge images", good, []string{"db", "purge_images_table", "--age_in_days", "0"}, 0, "", ""},
		{"purge of no age", good, []string{"db", "purge", "--age_in_days", "x"}, 1, "", `--age_in_days "x": not a number`},
		{"purge of the future", good, []string{"db", "purge", "--age_in_days=-1"}, 1, "", "must not be negative"},
		{"purge of the past", good, []string{"db", "purge", "--age_in_days", "99999"}, 1, "", "before 1970"},
		{"purge of less than all", good, []string{"db", "purge", "--max_rows=-2"}, 1, "", "must be -1"},
		{"purge of too much", good, []string{"db", "purge", "1", "2", "3"}, 2, "", `unexpected argument "3"`},
		{"unreachable check", unreachable, []string{"db", "check"}, 1, "", "connection refused"},
		{"unreachable sync", unreachable, []string{"db", "sync"}, 1, "", "connection refused"},
	} {
		var out, log logBuffer
		code, err := service.Manage(t.Context(), service.Options{Files: []string{test.file}, Stdout: &out, Stderr: &log}, test.args)
		if code != test.code || !strings.HasPrefix(out.String(), test.want) || test.want == "" && out.String() != "" {
			t.Errorf("%s: exit %d, %q; want %d, %q", test.name, code, out.String(), test.code, test.want)
		}
		if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: error %v; want %q", test.name, err, test.err)
		}
		if err != nil && strings.Contains(err.Error()+log.String(), "Planted") {
			t.Errorf("%s: the password is shown: %v", test.name, err)
		}
	}
}

// OpenStack Glance upgrades in steps. The first leaves two revisions, and a
// database that says by its exit code what is next: there is nothing to
// migrate, so that is the contraction.
func TestManageExpanded(t *testing.T) {
	s := newSite(t)
	file := s.path("manage.conf")
	database, err := sql.Open("sqlite", s.path("glance.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	expanded := func(revisions ...string) {
		t.Helper()
		if _, err := database.ExecContext(t.Context(), `DELETE FROM alembic_version`); err != nil {
			t.Fatal(err)
		}
		for _, v := range revisions {
			if _, err := database.ExecContext(t.Context(), `INSERT INTO alembic_version (version_num) VALUES (?)`, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	manage := func(want int, says, fails string, args ...string) {
		t.Helper()
		var out, log logBuffer
		code, err := service.Manage(t.Context(), service.Options{Files: []string{file}, Stdout: &out, Stderr: &log}, args)
		if code != want || out.String() != says || (err != nil) != (fails != "") || err != nil && !strings.Contains(err.Error(), fails) {
			t.Errorf("glance-manage %s = %d, %v, %q; want %d, %q, %q", args, code, err, out.String(), want, fails, says)
		}
	}
	const both = "train_contract01\nwallaby_expand01\n"
	for _, test := range []struct{ last, says string }{
		{"contract", "Upgraded database, current revision(s): wallaby_contract01\n"},
		{"sync", "Database is synced successfully.\n"},
		{"upgrade", "Upgraded database, current revision(s): wallaby_contract01\n"},
	} {
		expanded("train_contract01", "wallaby_expand01")
		for range 2 { // no step but the last changes anything
			manage(5, "Your database is not up to date: database check: unavailable: an upgrade is half done (train_contract01, wallaby_expand01); run: glance-manage db contract\n", "", "db", "check")
			manage(0, both, "", "db", "version")
			manage(0, "Database expansion is up to date. No expansion needed.\n", "", "db", "expand")
			manage(0, "Database migration is up to date. No migration needed.\n", "", "db", "migrate")
		}
		manage(0, test.says, "", "db", test.last)
		manage(0, "Database is up to date. No upgrades needed.\n", "", "db", "check")
		manage(0, "wallaby_contract01\n", "", "db", "version")
	}

	// One that only its own release can finish is left to it by all of them.
	expanded("ocata_contract01", "wallaby_expand01")
	manage(3, "Your database is not up to date: database check: unavailable: an upgrade is half done (ocata_contract01, wallaby_expand01); finish it with glance-manage db sync of the OpenStack Glance that began it\n", "", "db", "check")
	for _, step := range []string{"expand", "migrate", "contract", "sync"} {
		manage(1, "", "finish it with glance-manage db sync of the OpenStack Glance that began it", "db", step)
	}
	manage(0, "ocata_contract01\nwallaby_expand01\n", "", "db", "version")
}
