package sqlcatalog

import (
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for _, test := range []struct {
		url                        string
		user, password, host, name string
		network, collation         string
	}{
		{"mysql+pymysql://glance:pw@db:3307/glance?charset=utf8", "glance", "pw", "db:3307", "glance", "tcp", "utf8_general_ci"},
		{"mysql://glance:pw@db/glance", "glance", "pw", "db:3306", "glance", "tcp", "utf8_general_ci"},
		{"mariadb+pymysql://g@[2001:db8::1]:3306/g", "g", "", "[2001:db8::1]:3306", "g", "tcp", "utf8_general_ci"},
		{"mysql://g@[2001:db8::1]/g", "g", "", "[2001:db8::1]:3306", "g", "tcp", "utf8_general_ci"},
		{"mysql+pymysql://gl%40nce:p%3Aw%2F%40%25%3f@db/gl%20nce", "gl@nce", "p:w/@%?", "db:3306", "gl nce", "tcp", "utf8_general_ci"},
		{"mysql+pymysql://g:p@w@db/g", "g", "p@w", "db:3306", "g", "tcp", "utf8_general_ci"},
		{"mysql:///glance?unix_socket=/run/mysqld/mysqld.sock", "", "", "/run/mysqld/mysqld.sock", "glance", "unix", "utf8_general_ci"},
		{"mysql://g:p+w@db/g?charset=utf8mb4", "g", "p+w", "db:3306", "g", "tcp", "utf8mb4_general_ci"},
	} {
		got, err := parseURL(test.url)
		if err != nil {
			t.Errorf("parseURL(%q): %v", test.url, err)
			continue
		}
		s := got.server
		if s.User != test.user || s.Passwd != test.password || s.Addr != test.host || s.DBName != test.name || s.Net != test.network || s.Collation != test.collation {
			t.Errorf("parseURL(%q) = %q, %q at %s %s, %q, %s", test.url, s.User, s.Passwd, s.Net, s.Addr, s.DBName, s.Collation)
		}
		if !s.InterpolateParams || !s.ClientFoundRows || !s.ParseTime {
			t.Errorf("parseURL(%q) lacks settings that the catalog relies on", test.url)
		}
	}
	got, err := parseURL("sqlite:////var/lib/glance//glance.sqlite")
	if err != nil || got.path != "/var/lib/glance/glance.sqlite" {
		t.Errorf("parseURL(sqlite) = %q, %v", got.path, err)
	}
}

func TestParseURLRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"":                                          "not a URL",
		"glance:sesame@db/glance":                   "not a URL",
		"postgresql://glance:sesame@db/g":           `"postgresql"`,
		"sqlite://":                                 "absolute",
		"sqlite:///glance.sqlite":                   "absolute",
		"sqlite://host/glance.sqlite":               "absolute",
		"mysql://glance:sesame@db":                  "database name",
		"mysql://glance:sesame@db/":                 "database name",
		"mysql://glance:sesame%zz@db/g":             "password",
		"mysql://glance:ses/ame@db/g":               "percent-encoded",
		"mysql://glance:sesame@db:x/g":              "port",
		"mysql://glance:sesame@db/g?charset=latin1": "utf8",
		"mysql://glance:sesame@db/g?sesame=1":       "unknown parameter",
		"mysql://glance:sesame@db/g?a=%zz":          "parameters",
	} {
		_, err := Open(url, Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): %v; want an error with %s", url, err, want)
		}
		if err != nil && strings.Contains(strings.ReplaceAll(err.Error(), `"sesame"; charset`, ""), "sesame") {
			t.Errorf("Open(%q): %v; the password is in it", url, err)
		}
	}
}
