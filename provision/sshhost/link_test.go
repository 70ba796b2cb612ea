package sshhost

import (
	"net"
	"testing"
	"testing/fstest"
)

// Near is what is on a network of this machine whose interface is fast.
func TestIsNear(t *testing.T) {
	network := func(cidr string) *net.IPNet {
		_, n, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	all := []link{
		{network: network("127.0.0.0/8"), name: "lo", localhost: true},
		{network: network("192.0.2.0/24"), name: "slow"},
		{network: network("fe80::/64"), name: "slow"},
		{network: network("198.51.100.0/24"), name: "fast"},
		{network: network("fe80::/64"), name: "fast"},
		{network: network("2001:db8::/64"), name: "silent"},
	}
	sys := fstest.MapFS{
		"class/net/slow/speed": {Data: []byte("1000\n")},
		"class/net/fast/speed": {Data: []byte("10000\n")},
		"class/net/down/speed": {Data: []byte("-1\n")},
	}
	for _, test := range []struct {
		address, zone string
		want          bool
	}{
		{"127.0.0.1", "", true},
		{"192.0.2.7", "", false},
		{"198.51.100.7", "", true},
		{"fe80::7", "slow", false},
		{"fe80::7", "fast", true},
		{"2001:db8::7", "", false},
		{"203.0.113.7", "", false},
	} {
		if got := isNear(sys, all, &net.TCPAddr{IP: net.ParseIP(test.address), Port: 22, Zone: test.zone}); got != test.want {
			t.Errorf("isNear(%s%%%s) = %v; want %v", test.address, test.zone, got, test.want)
		}
	}
	if got := speed(sys, "down"); got >= fastLink {
		t.Errorf("speed of an interface that is down = %d", got)
	}
	if !isNear(sys, links(), &net.TCPAddr{IP: net.ParseIP("127.0.0.1"), Port: 22}) {
		t.Error("isNear(127.0.0.1) = false by the networks of this machine")
	}
}
