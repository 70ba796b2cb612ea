package templates

import "strings"

// specifiers escapes the percent signs that systemd would expand.
func specifiers(s string) string {
	return strings.ReplaceAll(s, "%", "%%")
}

// unitWord quotes s as one word of a systemd unit or a tmpfiles.d line.
func unitWord(s string) string {
	s = specifiers(s)
	if s != "" && !strings.ContainsAny(s, " \t\"'\\;") {
		return s
	}
	s = strings.ReplaceAll(s, `\`, `\\`)
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}

func unitWords(words []string) string {
	return join(words, unitWord)
}

// execWords quotes a command line for a systemd unit: only there is a dollar
// sign a reference.
func execWords(words []string) string {
	return strings.ReplaceAll(join(words, unitWord), "$", "$$")
}

// cronWords quotes a command line for cron, which hands it to a shell after it
// has made a newline of every percent sign that has no backslash before it,
// quoted or not.
func cronWords(words []string) string {
	return strings.ReplaceAll(join(words, shellWord), "%", `\%`)
}

// shellWord quotes s as one word for a shell.
func shellWord(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n\"'\\$`!*?[]{}()<>|&;#~") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// logWord quotes s as a file name for logrotate.
func logWord(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}

func join(words []string, quote func(string) string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}
