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

// isNear answers Near for the peer of a connection. sys is /sys.
func isNear(sys fs.FS, peer net.Addr) bool {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return false
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return false
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.Contains(tcp.IP) {
				return i.Flags&net.FlagLoopback != 0 || speed(sys, i.Name) >= fastLink
			}
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
