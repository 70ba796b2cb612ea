package dbserver

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseGrant(t *testing.T) {
	for _, test := range []struct {
		line string
		want grant
		ok   bool
	}{
		// MariaDB 10.11
		{line: "GRANT USAGE ON *.* TO `glance`@`%` IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'"},
		{line: "SET DEFAULT ROLE `r` FOR `glance`@`%`"},
		{
			line: "GRANT SELECT, INSERT, UPDATE ON `glance`.* TO `glance`@`%`",
			want: grant{privileges: []string{"SELECT", "INSERT", "UPDATE"}, on: "`glance`.*"}, ok: true,
		},
		{
			line: "GRANT USAGE ON `glance`.* TO `glance`@`%` WITH GRANT OPTION",
			want: grant{on: "`glance`.*", option: true}, ok: true,
		},
		{
			line: "GRANT ALL PRIVILEGES ON *.* TO `glance`@`%` IDENTIFIED BY PASSWORD '* TO x WITH GRANT OPTION'",
			want: grant{privileges: []string{allPrivileges}, on: "*.*"}, ok: true,
		},
		{
			line: "GRANT SELECT (`id`, `odd ON name`), INSERT (`id`) ON `a TO b`.`images` TO `glance`@`%`",
			want: grant{privileges: []string{"SELECT (`id`, `odd ON name`)", "INSERT (`id`)"}, on: "`a TO b`.`images`"}, ok: true,
		},
		{
			line: "GRANT EXECUTE ON PROCEDURE `glance`.`p` TO `glance`@`%`",
			want: grant{privileges: []string{"EXECUTE"}, on: "PROCEDURE `glance`.`p`"}, ok: true,
		},
		{line: "GRANT `r` TO `glance`@`%`", want: grant{privileges: []string{"`r`"}}, ok: true},
		// MySQL 8
		{line: "GRANT USAGE ON *.* TO `glance`@`%`"},
		{
			line: "GRANT BACKUP_ADMIN,XA_RECOVER_ADMIN ON *.* TO `glance`@`%` WITH GRANT OPTION",
			want: grant{privileges: []string{"BACKUP_ADMIN", "XA_RECOVER_ADMIN"}, on: "*.*", option: true}, ok: true,
		},
		{line: "GRANT `r`@`%`,`s`@`%` TO `glance`@`%` WITH ADMIN OPTION", want: grant{privileges: []string{"`r`@`%`", "`s`@`%`"}, option: true}, ok: true},
		{line: ""},
		{line: "GRANT"},
	} {
		got, ok := parseGrant(test.line)
		if !ok {
			got = grant{}
		}
		if ok != test.ok || !cmp.Equal(got, test.want, cmp.AllowUnexported(grant{})) {
			t.Errorf("parseGrant(%q) = %+v, %v; want %+v, %v", test.line, got, ok, test.want, test.ok)
		}
	}
}

func TestCompareGrants(t *testing.T) {
	ours := grant{privileges: Privileges(), on: "`glance`.*"}
	reversed := grant{privileges: slices.Clone(Privileges()), on: "`glance`.*"}
	slices.Reverse(reversed.privileges)
	for _, test := range []struct {
		name     string
		database string
		have     []grant
		want     []string
		text     string
	}{
		{name: "as wanted", database: "glance", have: []grant{ours}},
		{name: "another order", database: "glance", have: []grant{reversed}},
		{
			name: "nothing", database: "glance",
			want: []string{"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, REFERENCES ON `glance`.* TO 'glance'@'%'"},
			text: "grant SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, REFERENCES",
		},
		{
			name: "one missing, one too many", database: "glance",
			have: []grant{{privileges: append(slices.Clone(Privileges()[:8]), "TRIGGER"), on: "`glance`.*", option: true}},
			want: []string{
				"GRANT REFERENCES ON `glance`.* TO 'glance'@'%'",
				"REVOKE TRIGGER ON `glance`.* FROM 'glance'@'%'",
				"REVOKE GRANT OPTION ON `glance`.* FROM 'glance'@'%'",
			},
			text: "grant REFERENCES; revoke TRIGGER, GRANT OPTION ON `glance`.*",
		},
		{
			name: "all of the database", database: "glance",
			have: []grant{{privileges: []string{allPrivileges}, on: "`glance`.*"}},
			want: []string{
				"REVOKE ALL PRIVILEGES ON `glance`.* FROM 'glance'@'%'",
				"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, REFERENCES ON `glance`.* TO 'glance'@'%'",
			},
			text: "revoke ALL PRIVILEGES, grant SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, REFERENCES",
		},
		{
			name: "too much elsewhere", database: "glance",
			have: []grant{
				{privileges: []string{"SUPER"}, on: "*.*"}, ours,
				{privileges: []string{"SELECT"}, on: "`nova`.`instances`"}, {privileges: []string{"`r`"}},
			},
			want: []string{
				"REVOKE SUPER ON *.* FROM 'glance'@'%'",
				"REVOKE SELECT ON `nova`.`instances` FROM 'glance'@'%'",
				"REVOKE `r` FROM 'glance'@'%'",
			},
			text: "revoke SUPER ON *.*; revoke SELECT ON `nova`.`instances`; revoke `r`",
		},
		{
			// The pattern without the backslash would also fit glanceXdb.
			name: "a name with an underscore", database: "glance_db",
			have: []grant{{privileges: Privileges(), on: "`glance_db`.*"}},
			want: []string{
				"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, REFERENCES ON `glance\\_db`.* TO 'glance'@'%'",
				"REVOKE SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, REFERENCES ON `glance_db`.* FROM 'glance'@'%'",
			},
			text: "grant SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, REFERENCES; " +
				"revoke SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, REFERENCES ON `glance_db`.*",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := compareGrants(test.have, test.database)
			if d.any() != (len(test.want) > 0) {
				t.Errorf("any() = %v with %d statements", d.any(), len(test.want))
			}
			if diff := cmp.Diff(test.want, d.statements("glance")); diff != "" {
				t.Errorf("statements (-want +got):\n%s", diff)
			}
			if d.String() != test.text {
				t.Errorf("String() = %q; want %q", d.String(), test.text)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{quoteName("a`b"), "`a``b`"},
		{quoteString(`it's \ "x"`), `'it\'s \\ "x"'`},
		{quoteString("a\x00b"), `'a\0b'`},
		{grantee("o'hara"), `'o\'hara'@'%'`},
		{scope("a_b%c"), "`a\\_b\\%c`.*"},
	} {
		if test.got != test.want {
			t.Errorf("got %s; want %s", test.got, test.want)
		}
	}
}

func TestNativeHash(t *testing.T) {
	// SELECT PASSWORD('password') on MariaDB.
	const want = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
	if got := nativeHash("password"); got != want {
		t.Errorf("nativeHash(password) = %s; want %s", got, want)
	}
}
