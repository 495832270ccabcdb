package peer

import "net/netip"

// ClientOf is what counts as one client: an IPv4 address, or the /64 of an IPv6 address, which one client has as a whole.
func ClientOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
