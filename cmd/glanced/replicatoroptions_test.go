package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestReplicatorOptions tries what each option of glance-replicator changes,
// by each of its names.
func TestReplicatorOptions(t *testing.T) {
	for _, name := range []string{"OS_TOKEN", "OS_AUTH_TOKEN", "OS_AUTH_URL"} {
		t.Setenv(name, "")
	}
	program := build(t)
	fromConf, from := configure(t, program)
	toConf, to := configure(t, program)
	source, target := launch(t, program, fromConf, from), launch(t, program, toConf, to)
	defer func() { end(t, source); end(t, target) }()
	const known, fresh = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"
	data := make([]byte, 4<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	for address, ids := range map[string][]string{from: {known, fresh}, to: {known}} {
		for _, id := range ids {
			send(t, "POST", "http://"+address+"/v2/images", "application/json", []byte(`{"id": "`+id+`", "name": "of `+address+`", "disk_format": "raw", "container_format": "bare"}`))
			send(t, "PUT", "http://"+address+"/v2/images/"+id+"/file", "application/octet-stream", data)
		}
	}
	names := strings.NewReplacer("FROM", front(t, from, false).Host, "TO", front(t, to, false).Host, "SAFE", front(t, from, true).String(), "DIR", t.TempDir())
	call := func(code int, says, line string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		got := run(t.Context(), append([]string{"glance-replicator"}, strings.Fields(names.Replace(line))...), &stdout, &stderr)
		if all := stdout.String() + stderr.String(); got != code || !strings.Contains(all, names.Replace(says)) || says == "" && all != "" {
			t.Errorf("glance-replicator %s = %d,\n%s\nwant %d and %q", line, got, all, code, says)
		}
	}
	const size, missing, differs = "Total size is 8388608 bytes (8.0 MiB) across 2 images\n", "Image " + fresh, known + ": field name differs (source is of "

	// Who asks: both servers, or one of them, by the names of all times.
	for _, flag := range []string{"-t", "--token"} {
		call(0, size, "size FROM "+flag+" right")
		call(1, "401", "size FROM "+flag+" wrong")
		call(0, missing, "compare FROM TO "+flag+" right")
		call(1, "403", "compare FROM TO "+flag+" member")
	}
	for _, source := range []string{"-M", "--mastertoken", "--sourcetoken"} {
		for _, target := range []string{"-S", "--slavetoken", "--targettoken"} {
			call(0, missing, source+" right "+target+" right compare FROM TO")
			call(1, "403", source+" right "+target+" member compare FROM TO")
			call(1, "403", source+" member "+target+" right compare FROM TO")
		}
	}
	conf := filepath.Join(t.TempDir(), "r.conf")
	touch(t, conf, "[DEFAULT]\nsourcetoken = right\ntargettoken = member\n")
	call(0, size, "--config-file "+conf+" size FROM")
	call(1, "403", "--config-file "+conf+" compare FROM TO")

	for _, flag := range []string{"-k", "--insecure"} {
		call(1, "certificate", "size SAFE -t right")
		call(0, size, "size SAFE -t right "+flag)
	}
	for _, flag := range []string{"-D", "--dontreplicate"} {
		call(0, differs, "compare FROM TO -t right")
		call(0, known+" is identical", "compare FROM TO -t right -v "+flag+" name")
	}
	for _, flag := range []string{"-v", "--verbose", "-d", "--debug"} {
		call(0, "Considering "+known, "compare FROM TO -t right "+flag)
	}

	// Metadata alone: no data moves, and no image is made.
	for _, flag := range []string{"-m", "--metaonly"} {
		dir := filepath.Join(t.TempDir(), "dump")
		call(0, "", flag+" -t right dump FROM "+dir)
		if !exists(dir+"/"+known) || exists(dir+"/"+known+".img") {
			t.Errorf("%s dump: metadata there: %t, data: %t", flag, exists(dir+"/"+known), exists(dir+"/"+known+".img"))
		}
		call(0, fresh+" dump is missing image data, skipping", flag+" -v -t right load TO "+dir)
		call(0, missing, "compare FROM TO -t right -D name")
		send(t, "POST", "http://"+from+"/v2/images/"+known+"/actions/deactivate", "application/json", nil)
		call(0, "field status differs", "compare FROM TO -t right -D name")
		call(0, "", flag+" -t right livecopy FROM TO")
		call(0, missing, "compare FROM TO -t right")
		send(t, "POST", "http://"+from+"/v2/images/"+known+"/actions/reactivate", "application/json", nil)
		call(0, "", flag+" -t right livecopy FROM TO")
	}

	// What is done is told to a file in place of the standard error.
	for _, flag := range []string{"-l", "--logfile", "--log-file"} {
		log := filepath.Join(t.TempDir(), "log")
		call(0, "", flag+" "+log+" -v -t right livecopy FROM TO -m")
		if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "Considering "+known+"\n") {
			t.Errorf("%s: %q, %v", flag, text, err)
		}
	}

	// How much is written to a file at once.
	writes := func(args ...string) int {
		t.Helper()
		g := newGate(t, from)
		g.waiting.Store(1)
		dir := t.TempDir()
		c := exec.Command(program, append([]string{"replicator", "dump", g.URL, dir}, args...)...)
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		<-g.held
		awaits(t, "half of the data", func() bool {
			parts, err := filepath.Glob(dir + "/*.part")
			if err != nil || len(parts) != 1 {
				return false
			}
			info, err := os.Stat(parts[0])
			return err == nil && info.Size() == int64(len(data))/2
		})
		n := writeCalls(t, c.Process.Pid)
		g.open <- struct{}{}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
		return n
	}
	usual := writes()
	for _, flag := range []string{"-c", "--chunksize"} {
		if n := writes(flag, "500"); n < len(data)/2/500 || usual > n/2 {
			t.Errorf("%d bytes are written in %d calls with %s 500, otherwise in %d; want at least %d", len(data)/2, n, flag, usual, len(data)/2/500)
		}
		call(1, "chunksize: -3 is not between 1 and ", flag+" -3 size FROM -t right")
	}
}

// writeCalls returns how often a process has called the system to write.
func writeCalls(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if number, ok := strings.CutPrefix(line, "syscw: "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no count of writes in %s", text)
	return 0
}
