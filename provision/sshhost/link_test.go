package sshhost

import (
	"net"
	"testing"
	"testing/fstest"
)

// Near is what is on a network of this machine whose interface is fast.
func TestIsNear(t *testing.T) {
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			tried++
			for text, want := range map[string]bool{"10000\n": true, "25000\n": true, "1000\n": false, "-1\n": false, "": false} {
				sys := fstest.MapFS{"class/net/" + i.Name + "/speed": {Data: []byte(text)}}
				if got := isNear(sys, &net.TCPAddr{IP: n.IP, Port: 22}); got != want {
					t.Errorf("%s by %s with speed %q: isNear = %v; want %v", n, i.Name, text, got, want)
				}
			}
		}
	}
	if tried == 0 {
		t.Log("this machine has no network; only the addresses below are tried")
	}
	for address, want := range map[string]bool{"127.0.0.1": true, "203.0.113.7": false} {
		if got := isNear(fstest.MapFS{}, &net.TCPAddr{IP: net.ParseIP(address), Port: 22}); got != want {
			t.Errorf("isNear(%s) = %v; want %v", address, got, want)
		}
	}
}
