package service_test

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"glancectl/service"
)

// TestDataChangesWhileSent has the file of an image changed while a client
// downloads it, which has another request on the way. What it gets is the data,
// or an end that it notices; in no case does the next answer begin in the middle
// of it.
func TestDataChangesWhileSent(t *testing.T) {
	const size = 24 << 20 // more than connections hold
	data := strings.Repeat("0123456789abcdef", size/16)
	sum := sha256.Sum256([]byte(data))
	ok := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	for _, test := range []struct {
		name   string
		change func(t *testing.T, file string)
		whole  bool
	}{
		{"nothing", func(*testing.T, string) {}, true},
		{"removed", func(t *testing.T, file string) { ok(t, os.Remove(file)) }, true},
		{"replaced", func(t *testing.T, file string) {
			ok(t, errors.Join(os.WriteFile(file+".new", []byte("other"), 0o600), os.Rename(file+".new", file)))
		}, true},
		{"longer", func(t *testing.T, file string) {
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
			ok(t, err)
			_, err = f.WriteString("HTTP/1.1 200 OK\r\n\r\n")
			ok(t, errors.Join(err, f.Close()))
		}, true},
		{"shorter", func(t *testing.T, file string) { ok(t, os.Truncate(file, size-4<<20)) }, false},
	} {
		for _, flavor := range []string{"", "[paste_deploy]\nflavor = caching\n"} {
			t.Run(test.name+strings.TrimSpace(flavor), func(t *testing.T) {
				s := newSite(t)
				d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", flavor)}})
				d.create(imageA, data)
				c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				ok(t, c.SetDeadline(time.Now().Add(20*time.Second)))
				get := func(path string) { // the small one first, so that it is on a connection of which that is known
					fmt.Fprintf(c, "GET /v2/images/%s HTTP/1.1\r\nHost: a\r\n\r\n", path)
				}
				in := bufio.NewReader(c)
				get(imageA)
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.Copy(io.Discard, resp.Body)
				ok(t, err)
				get(imageA + "/file")
				get(imageA + "?next")
				if resp, err = http.ReadResponse(in, nil); err != nil || resp.ContentLength != size {
					t.Fatalf("%v, %v", resp, err)
				}
				test.change(t, s.path("images", imageA))
				got := sha256.New()
				n, err := io.Copy(got, resp.Body)
				if whole := n == size && err == nil && [32]byte(got.Sum(nil)) == sum; whole != test.whole {
					t.Errorf("%d bytes came, %v; want all: %t", n, err, test.whole)
				}
				next, err := http.ReadResponse(in, nil)
				if test.whole != (err == nil && next.StatusCode == http.StatusOK) {
					t.Errorf("the next answer is %v, %v; want one: %t", next, err, test.whole)
				}
			})
		}
	}
}
