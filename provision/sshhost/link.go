package sshhost

import (
	"io/fs"
	"net"
	"path"
	"strconv"
	"strings"
)

// fastLink is the speed, in Mbit/s, from which on a machine receives a program
// sooner than it unpacks it.
const fastLink = 10_000

// Near reports whether the machine is on a network that this one is part of,
// by an interface that is fast. What is behind a router may be anywhere.
func (h *Host) Near() bool { return h.near }

// A link is a network that this machine is part of, and by which interface.
type link struct {
	network   *net.IPNet
	name      string
	localhost bool
}

// links returns the networks of this machine.
func links() []link {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var all []link
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				all = append(all, link{network: n, name: i.Name, localhost: i.Flags&net.FlagLoopback != 0})
			}
		}
	}
	return all
}

// isNear answers Near for the peer of a connection. sys is /sys. The
// link-local network is that of every interface; there the peer's zone says
// which one is meant.
func isNear(sys fs.FS, all []link, peer net.Addr) bool {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return false
	}
	for _, l := range all {
		if (tcp.Zone == "" || tcp.Zone == l.name) && l.network.Contains(tcp.IP) {
			return l.localhost || speed(sys, l.name) >= fastLink
		}
	}
	return false
}

// speed is what the kernel knows of an interface, in Mbit/s; 0 is nothing.
func speed(sys fs.FS, name string) int {
	text, err := fs.ReadFile(sys, path.Join("class/net", name, "speed"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return n
}
