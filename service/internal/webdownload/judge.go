package webdownload

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A refusal is why a URI is not asked for.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// ports are those of the schemes that can be fetched at all.
var ports = map[string]string{"http": "80", "https": "443"}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return ports[u.Scheme]
}

// judge returns the addresses that the host of u has, if it may be asked; all
// of them may be.
func (f *Fetcher) judge(ctx context.Context, u *url.URL) ([]netip.Addr, error) {
	if err := f.allowURL(u); err != nil {
		return nil, err
	}
	host := canonical(u.Hostname())
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, f.allowAddr(host, addr)
	}
	found, err := f.o.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, refuse("host %q has no address: %v", host, err)
	}
	var addrs []netip.Addr
	for _, addr := range found {
		addr = addr.Unmap()
		if err := f.allowAddr(host, addr); err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	if len(addrs) == 0 {
		return nil, refuse("host %q has no address", host)
	}
	return addrs, nil
}

// allowURL judges a URL by what stands in it.
func (f *Fetcher) allowURL(u *url.URL) error {
	if _, known := ports[u.Scheme]; !known || u.Opaque != "" {
		return refuse("scheme %q cannot be fetched", u.Scheme)
	}
	if !permitted(u.Scheme, f.o.AllowedSchemes, f.o.DisallowedSchemes) {
		return refuse("scheme %q is not allowed", u.Scheme)
	}
	port, err := strconv.Atoi(portOf(u))
	if err != nil || port < 1 || port > 65535 || !permitted(port, f.o.AllowedPorts, f.o.DisallowedPorts) {
		return refuse("port %q is not allowed", portOf(u))
	}
	host := canonical(u.Hostname())
	if !isHost(host) {
		return refuse("host %q is not a name or an address", u.Hostname())
	}
	if !permitted(host, canonicals(f.o.AllowedHosts), canonicals(f.o.DisallowedHosts)) {
		return refuse("host %q is not allowed", host)
	}
	return nil
}

// permitted is how all lists work: only the one of what is allowed counts, if
// there is one.
func permitted[T comparable](v T, allowed, disallowed []T) bool {
	if len(allowed) > 0 {
		return slices.Contains(allowed, v)
	}
	return !slices.Contains(disallowed, v)
}

// allowAddr judges an address that a host has.
func (f *Fetcher) allowAddr(host string, addr netip.Addr) error {
	if slices.Contains(canonicals(f.o.AllowedHosts), host) {
		return nil // whoever runs the service has named it
	}
	if slices.Contains(canonicals(f.o.DisallowedHosts), addr.String()) {
		return refuse("address %s of host %q is not allowed", addr, host)
	}
	if near(addr) {
		return refuse("address %s of host %q is of this machine or its link", addr, host)
	}
	return nil
}

// metadata are addresses outside of the link where clouds tell a machine its
// secrets.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("fd20:ce::254"),
	netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("168.63.129.16"),
	netip.MustParseAddr("192.0.0.192"),
}

// thisNetwork is what Linux takes for this machine.
var thisNetwork = netip.MustParsePrefix("0.0.0.0/8")

// near says whether an address is one of this machine, of its link, of nobody
// in particular, or of a cloud's metadata, also if an IPv4 address of that kind
// is hidden in an IPv6 address.
func near(addr netip.Addr) bool {
	addr = addr.Unmap()
	switch {
	case addr.Zone() != "", addr.IsLoopback(), addr.IsLinkLocalUnicast(), addr.IsMulticast(), addr.IsUnspecified(),
		thisNetwork.Contains(addr), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}), slices.Contains(metadata, addr):
		return true
	}
	hidden, ok := embedded(addr)
	return ok && near(hidden)
}

// tunnels are the networks whose addresses contain an IPv4 address, and where.
var tunnels = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("::/96"), 12},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12},
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
}

// embedded returns the IPv4 address that an IPv6 address contains.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	for _, t := range tunnels {
		if t.prefix.Contains(addr) {
			b := addr.As16()
			return netip.AddrFrom4([4]byte(b[t.at : t.at+4])), true
		}
	}
	return netip.Addr{}, false
}

// canonical returns a host in the one form that it is compared in: names in
// lower case without a dot at the end, addresses as they are usually written,
// whatever C libraries take for one.
func canonical(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return addr.Unmap().String()
	}
	if addr, ok := parseNumeric(host); ok {
		return addr.String()
	}
	return host
}

func canonicals(hosts []string) []string {
	all := make([]string, len(hosts))
	for i, host := range hosts {
		all[i] = canonical(host)
	}
	return all
}

// parseNumeric reads an IPv4 address as inet_aton does: one to four numbers,
// decimal, octal or hexadecimal, the last of which fills what is left.
func parseNumeric(host string) (netip.Addr, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var ip uint64
	for i, part := range parts {
		if !isNumber(part) {
			return netip.Addr{}, false
		}
		n, err := strconv.ParseUint(part, 0, 32)
		limit := uint64(1) << 8
		if i == len(parts)-1 {
			limit = 1 << (8 * (5 - len(parts)))
		}
		if err != nil || n >= limit {
			return netip.Addr{}, false
		}
		if i < len(parts)-1 {
			ip |= n << (24 - 8*i)
		} else {
			ip |= n
		}
	}
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)}), true
}

// isNumber says whether somebody may take s for a number.
func isNumber(s string) bool {
	if rest, ok := strings.CutPrefix(s, "0x"); ok {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// isHost says whether host, in its canonical form, is an address or a name
// that nobody can take for an address.
func isHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	if host == "" || len(host) > 253 {
		return false
	}
	for _, r := range host {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-._", r) {
			return false
		}
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return !isNumber(last) && last != ""
}
