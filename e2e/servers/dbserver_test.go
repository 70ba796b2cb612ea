package servers

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/e2e/lab"
	"glancectl/provision"
	"glancectl/provision/dbserver"
)

const dbSecret = "Planted-DB 'quoted' \\ 5f1c9b7e"

// mysql runs SQL as root on the node.
func (b *bench) mysql(sql string) string {
	b.t.Helper()
	return b.sh("mysql -NB <<'END'\n" + sql + "\nEND")
}

// login runs SQL as the account's user on the node, over TCP.
func (b *bench) login(a dbserver.Account, sql string) (string, error) {
	out, err := b.lab.Run(b.t.Context(), b.node,
		"mysql -NB -h "+b.lab.Node(b.node).Address+" -u "+a.User+" -p'"+strings.ReplaceAll(a.Password, "'", `'\''`)+"' "+a.Database+" <<'END'\n"+sql+"\nEND")
	return strings.TrimSpace(out), err
}

func onDatabase(t *testing.T, b *bench) {
	account := dbserver.Account{
		Server: dbserver.Server{Name: "main", Port: 3306}, Database: "glance", User: "glance", Password: dbSecret,
	}
	b.mysql("SET GLOBAL general_log = 1")
	const grants = "grant SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, REFERENCES"

	t.Run("create", func(t *testing.T) {
		b := b.as(t, "root")
		want := []string{"create database glance", "create database user glance", "create privileges of glance on glance"}
		if diff := cmp.Diff(want, b.apply(account)); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
		// It can do all that the service does, and no more.
		if out, err := b.login(account, "CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (a INT, FOREIGN KEY (a) REFERENCES a (id)); "+
			"INSERT INTO a VALUES (1); ALTER TABLE a ADD n INT; CREATE INDEX i ON a (n); UPDATE a SET n = 2; SELECT n FROM a; DROP TABLE b, a"); err != nil || out != "2" {
			t.Errorf("work as glance = %q, %v", out, err)
		}
		for _, sql := range []string{"CREATE VIEW v AS SELECT 1", "CREATE DATABASE other", "SELECT * FROM mysql.user", "GRANT SELECT ON glance.* TO other@localhost"} {
			if out, err := b.login(account, sql); err == nil {
				t.Errorf("glance may %s: %q", sql, out)
			}
		}
		if got := b.mysql("SELECT DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'glance'"); got != "utf8mb3" {
			t.Errorf("character set is %s", got)
		}
		b.frugal(account, 3)
		b.as(t, lab.Operator).frugal(account, 4)
	})

	for _, test := range []struct {
		name  string
		spoil string
		want  []string
	}{
		{"changed password", "ALTER USER glance@'%' IDENTIFIED BY 'other'", []string{"update database user glance: log-in fails, set the password"}},
		{"other plug-in", "ALTER USER glance@'%' IDENTIFIED VIA unix_socket", []string{"update database user glance: log-in fails, set the password"}},
		{"locked", "ALTER USER glance@'%' ACCOUNT LOCK", []string{"update database user glance: log-in fails, set the password"}},
		{"expired", "ALTER USER glance@'%' PASSWORD EXPIRE", []string{"update database user glance: log-in fails, set the password"}},
		{"character set", "ALTER DATABASE glance CHARACTER SET latin1", []string{"update database glance: character set latin1 -> utf8"}},
		{"privileges lost", "REVOKE ALTER, REFERENCES ON glance.* FROM glance@'%'", []string{"update privileges of glance on glance: grant ALTER, REFERENCES"}},
		{"all privileges", "GRANT ALL ON glance.* TO glance@'%' WITH GRANT OPTION",
			[]string{"update privileges of glance on glance: revoke ALL PRIVILEGES, " + grants + "; revoke GRANT OPTION ON `glance`.*"}},
		{"privileges elsewhere",
			"CREATE DATABASE nova; CREATE TABLE nova.i (a INT, b INT); CREATE ROLE r; CREATE PROCEDURE nova.p() SELECT 1; " +
				"GRANT PROCESS ON *.* TO glance@'%'; GRANT SELECT (a), UPDATE (a, b) ON nova.i TO glance@'%'; " +
				"GRANT EXECUTE ON PROCEDURE nova.p TO glance@'%'; GRANT r TO glance@'%' WITH ADMIN OPTION", nil},
		{"database dropped", "DROP DATABASE glance", []string{"create database glance"}},
		{"user dropped", "DROP USER glance@'%'", []string{"create database user glance", "create privileges of glance on glance"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := b.as(t, "root")
			b.mysql(test.spoil)
			got := b.apply(account)
			if test.want != nil && !slices.Equal(got, test.want) {
				t.Errorf("done = %q; want %q", got, test.want)
			}
			if len(got) == 0 {
				t.Error("nothing was done")
			}
			if out, err := b.login(account, "SELECT 1"); err != nil || out != "1" {
				t.Errorf("log in = %q, %v", out, err)
			}
		})
	}
	t.Run("ways in", func(t *testing.T) { waysIn(t, b, account) })
	t.Run("accounts that hide it", func(t *testing.T) { hiddenAccount(t, b, account) })
	t.Run("odd names", func(t *testing.T) { oddNames(t, b, account) })
	t.Run("remove", func(t *testing.T) { removeDatabase(t, b, account) })

	log := b.sh("cat $(mysql -NBe 'SELECT @@datadir, @@general_log_file' | tr -d '\\t')")
	if !strings.Contains(log, "CREATE USER") || strings.Contains(log, "Planted-DB") {
		t.Errorf("the general log has the password, or is not the general log: %.300q", log)
	}
}

// waysIn enters as somebody with sudo, and with an account of the server.
func waysIn(t *testing.T, b *bench, account dbserver.Account) {
	b.mysql("ALTER USER glance@'%' IDENTIFIED BY 'other'")
	if got := b.as(t, lab.Operator).apply(account); len(got) != 1 {
		t.Errorf("as %s: done = %q; want one change", lab.Operator, got)
	}

	b.mysql("CREATE USER boss@'%' IDENTIFIED BY 'adm1n-secret'; GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION; " +
		"REVOKE SELECT ON glance.* FROM glance@'%'")
	admin := account
	admin.Server.AdminUser, admin.Server.AdminPassword = "boss", "adm1n-secret"
	if got := b.as(t, lab.Operator).apply(admin); len(got) != 1 {
		t.Errorf("by an admin account: done = %q; want one change", got)
	}
	admin.Server.AdminPassword = "wrong-secret"
	b.as(t, "root").refused(admin, dbserver.ErrRefused, "wrong-secret", "mysql main", "boss", "check the admin user and password")
	admin.Server.Port = 3999
	b.as(t, "root").refused(admin, dbserver.ErrConnect, "wrong-secret", "is the server running")

	// An administrator who may only look cannot do it, and is told why.
	b.mysql("CREATE USER clerk@'%' IDENTIFIED BY 'clerk-secret'; GRANT SELECT ON *.* TO clerk@'%'; DROP DATABASE glance")
	clerk := account
	clerk.Server.AdminUser, clerk.Server.AdminPassword = "clerk", "clerk-secret"
	p, summaries, err := b.observe(clerk)
	if err != nil || len(summaries) != 1 {
		t.Fatalf("Observe as clerk = %q, %v; want one change", summaries, err)
	}
	if _, err := provision.Apply(t.Context(), p, b.connect, provision.Options{Proposal: "test"}); err == nil || strings.Contains(err.Error(), "clerk-secret") {
		t.Errorf("Apply as clerk = %v; want an error without a secret", err)
	}
	b.as(t, "root").apply(account)

	missing := account
	missing.Server.Socket = "/run/no.sock"
	b.as(t, "root").refused(missing, dbserver.ErrConnect, dbSecret, "is the server running")
}

// hiddenAccount has accounts that the server prefers for log-ins on its own
// machine.
func hiddenAccount(t *testing.T, b *bench, account dbserver.Account) {
	b = b.as(t, "root")
	for _, other := range []string{"''@localhost", "glance@localhost"} {
		b.mysql("CREATE USER " + other + " IDENTIFIED BY 'theirs'; ALTER USER glance@'%' IDENTIFIED BY 'other'")
		want := []string{"update database user glance: stored password differs, set the password"}
		if got := b.apply(account); !slices.Equal(got, want) {
			t.Errorf("with %s: done = %q; want %q", other, got, want)
		}
		if out, err := b.login(account, "SELECT CURRENT_USER()"); err != nil || out != "glance@%" {
			t.Errorf("with %s: log in from outside = %q, %v", other, out, err)
		}
		b.mysql("DROP USER " + other)
	}
}

// oddNames needs quoting everywhere.
func oddNames(t *testing.T, b *bench, account dbserver.Account) {
	b = b.as(t, "root")
	account.Database, account.User = "gl`an_ce'db", `o'ha\ra`
	b.apply(account)
	if got := b.apply(account); len(got) > 0 {
		t.Errorf("a second time: %q", got)
	}
	// The underscore is no pattern: a database that it would fit is closed.
	b.mysql("CREATE DATABASE `gl``anXce'db`")
	got := b.mysql(`SHOW GRANTS FOR 'o\'ha\\ra'@'%'`)
	if !strings.Contains(got, "`gl``an\\\\_ce'db`.*") && !strings.Contains(got, "`gl``an\\_ce'db`.*") {
		t.Errorf("privileges are %q; want a backslash before the underscore", got)
	}
	b.apply(dbserver.Removal{Server: account.Server, Database: account.Database, User: account.User})
}

func removeDatabase(t *testing.T, b *bench, account dbserver.Account) {
	b = b.as(t, lab.Operator)
	b.apply(account)
	userOnly := dbserver.Removal{Server: account.Server, User: "glance"}
	if got, want := b.apply(userOnly), []string{"delete database user glance"}; !slices.Equal(got, want) {
		t.Errorf("done = %q; want %q", got, want)
	}
	b.apply(account)
	both := dbserver.Removal{Server: account.Server, User: "glance", Database: "glance"}
	want := []string{"delete database user glance", "delete database glance with everything in it"}
	if got := b.apply(both); !slices.Equal(got, want) {
		t.Errorf("done = %q; want %q", got, want)
	}
	if got := b.mysql("SELECT User FROM mysql.user WHERE User = 'glance'; SHOW DATABASES LIKE 'glance'"); got != "" {
		t.Errorf("left: %q", got)
	}
}
