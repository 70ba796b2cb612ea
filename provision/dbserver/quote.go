package dbserver

import "strings"

// quoteName quotes an identifier.
func quoteName(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// quoteString quotes a text. It relies on a connection in utf8mb4 with an
// empty sql_mode, where the backslash escapes.
func quoteString(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`).Replace(text) + "'"
}

// grantee is the account that a user has for every host.
func grantee(user string) string { return quoteString(user) + "@'%'" }

// scope is how GRANT names all tables of a database. The name is a pattern
// there, so that glance_1 would also mean glanceX1.
func scope(database string) string {
	return quoteName(strings.NewReplacer(`\`, `\\`, `_`, `\_`, `%`, `\%`).Replace(database)) + ".*"
}
