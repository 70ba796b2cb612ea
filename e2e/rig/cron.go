package rig

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

var (
	cronEntry   = regexp.MustCompile(`(?m)^[-0-9*/,]+ \S+ \S+ \S+ \S+ (\S+) (.+)$`) // schedule, user, command
	cronSetting = regexp.MustCompile(`(?m)^([A-Z]+)=(.*)$`)
)

// CronLine returns a script that runs the one entry of /etc/cron.d/FILE on a
// node as cron would: the exact line, by the file's shell, as the entry's user,
// who has to be glance, with the file's settings and no others.
func (s *Site) CronLine(t testing.TB, node, file string) string {
	t.Helper()
	text := s.On(t, node, "cat /etc/cron.d/"+file)
	m := cronEntry.FindAllStringSubmatch(text, -1)
	if len(m) != 1 || m[0][1] != "glance" {
		t.Fatalf("/etc/cron.d/%s on %s has not one line for glance:\n%s", file, node, text)
	}
	shell, settings := "/bin/sh", ""
	for _, set := range cronSetting.FindAllStringSubmatch(text, -1) {
		value := strings.Trim(set[2], `"`)
		if set[1] == "SHELL" {
			shell = value
		}
		settings += " " + quoted(set[1]+"="+value)
	}
	return fmt.Sprintf("home=$(getent passwd glance | cut -d: -f6); cd $home && exec /usr/bin/env -i HOME=$home LOGNAME=glance%s "+
		"/usr/bin/setpriv --reuid=glance --regid=glance --init-groups %s -c %s",
		settings, shell, quoted(strings.ReplaceAll(m[0][2], `\%`, "%")))
}

// quoted is a word of the shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
