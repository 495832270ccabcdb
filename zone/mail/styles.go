package mail

import "net/netip"

// Style is a domain as it would be served in one of the styles of a trap.
type Style struct {
	Name, Says string
	Domain     *Domain
}

// Styles are a domain's own exchanges with no decoys (S1), decoys that name the primary (S2), decoys with names of their own (S3), and
// with addresses of their own (S4).
func (d *Domain) Styles() []Style {
	primary := d.with(Primary)[0]
	served := func(change func(n int, decoy *Exchange)) *Domain {
		styled := &Domain{Owner: d.Owner}
		for i, e := range d.Exchanges {
			if e.Role == Decoy {
				if change == nil {
					continue
				}
				change(i, &e)
			}
			styled.Exchanges = append(styled.Exchanges, e)
		}
		return styled
	}
	return []Style{
		{"S1", "no decoys", served(nil)},
		{"S2", "decoys name the primary", served(func(_ int, e *Exchange) { e.Host, e.Addresses = primary.Host, primary.Addresses })},
		{"S3", "decoys have names of their own", served(func(n int, e *Exchange) {
			e.Host, e.Addresses = ownName(d, n), primary.Addresses
		})},
		{"S4", "decoys have names and addresses of their own", served(func(n int, e *Exchange) {
			e.Host, e.Addresses = ownName(d, n), []netip.Addr{ownAddress(n)}
		})},
	}
}

// ownName is the name of a decoy, or one that stands for it where it has none of its own.
func ownName(d *Domain, n int) string {
	for _, e := range d.with(Primary, Fallback) {
		if e.Host == d.Exchanges[n].Host {
			return "a name of its own"
		}
	}
	return d.Exchanges[n].Host
}

// ownAddress stands for an address that no other exchange has (RFC 6666: the discard prefix).
func ownAddress(n int) netip.Addr {
	a := netip.MustParseAddr("100::").As16()
	a[14], a[15] = byte(n>>8), byte(n)
	return netip.AddrFrom16(a)
}

// Style is the style in which the domain is served.
func (d *Domain) Style() string {
	real, shared, named := d.with(Primary, Fallback), false, true
	for _, e := range d.with(Decoy) {
		shared = shared || e.sharesAny(real)
		for _, r := range real {
			named = named && r.Host != e.Host
		}
	}
	switch {
	case !named:
		return "S2"
	case shared:
		return "S3"
	}
	return "S4"
}
