package lab

import (
	"context"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// runMake runs a target of the Makefile and returns what it prints.
func runMake(t *testing.T, target string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-C", "../..", target)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("make %s: %v\n%s", target, err, out)
	}
	return string(out)
}

// What make lab prints is what a person logs in with, and make lab-down leaves
// nothing of it.
func TestMakeLab(t *testing.T) {
	t.Cleanup(func() {
		if err := Down(context.Background(), t.Output()); err != nil { // when the test failed before
			t.Error(err)
		}
	})
	out := runMake(t, "lab")
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^(\S+) +(10\.77\.0\.\d+) +(ssh .*@(\S+))$`).FindAllStringSubmatch(out, -1) {
		name, address, command := m[1], m[2], m[3]
		names = append(names, name)
		if m[4] != address {
			t.Errorf("%s has the address %s, and the command goes to %s", name, address, m[4])
		}
		got, err := exec.CommandContext(t.Context(), "sh", "-c", command+" 'hostname; hostname -I'").Output()
		if strings.Join(strings.Fields(string(got)), " ") != name+" "+address {
			t.Errorf("%s: %q, %v; want %s and %s", command, got, err, name, address)
		}
	}
	if want := []string{"db-node", "auth-node", "image-1", "image-2"}; !slices.Equal(names, want) {
		t.Errorf("make lab names %q; want %q:\n%s", names, want, out)
	}
	key := regexp.MustCompile(`(?m)^key +(\S+) \(root, and ` + Operator + ` who may sudo\)\nknown hosts +(\S+)$`).FindStringSubmatch(out)
	if key == nil {
		t.Fatalf("make lab names no key:\n%s", out)
	}
	got, err := exec.CommandContext(t.Context(), "ssh", "-F", "none", "-i", key[1], "-o", "UserKnownHostsFile="+key[2], "-o", "BatchMode=yes",
		Operator+"@10.77.0.21", "sudo -n id -un").Output()
	if string(got) != "root\n" {
		t.Errorf("with the key and the known hosts that it names: %q, %v", got, err)
	}
	if !strings.Contains(out, "make lab-down ends it") {
		t.Errorf("make lab does not say how to end it:\n%s", out)
	}
	runMake(t, "lab-down")
	nothingLeft(t)
}
