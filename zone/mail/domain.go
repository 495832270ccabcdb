// Package mail looks at a trapped domain as those do who send mail to it: which hosts they find, where each kind of sender connects, and
// what gives the trap away. All of it is computed from the answers that the server gives.
package mail

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/body"
	"mxtrap/zone/trap"
)

// Ask answers a question as the server does, whole, and says how many octets the answer has.
type Ask func(name string, qtype uint16) (answer *dns.Msg, octets int)

// Role is what an exchange is to its domain.
type Role string

// The roles.
const (
	Primary  Role = "primary"  // has the lowest preference number
	Fallback Role = "fallback" // another that the operator wrote
	Decoy    Role = "decoy"    // synthesized
)

// Exchange is a mail host of a domain, as its MX record and the look-up of its addresses show it.
type Exchange struct {
	Host       string       `json:"host"`
	Preference uint16       `json:"preference"`
	Role       Role         `json:"role"`
	CoverFor   string       `json:"cover_for,omitempty"` // the host outside the zone that this name stands for
	Addresses  []netip.Addr `json:"addresses"`           // none: it is outside the zone, and not known here
	ttl        uint32       // of the addresses; the lowest of both families
}

// Domain is an owner of mail addresses.
type Domain struct {
	Owner     string     `json:"owner"`
	Exchanges []Exchange `json:"exchanges"` // in the order of the answer
	ttl       uint32     // of the MX set
	octets    int        // of the whole MX answer, in octets

	zone  string
	turns bool         // the decoys change
	pool  []netip.Addr // that they have in turn, where these are not too many
}

// outside says whether a host is not of the zone.
func (d *Domain) outside(host string) bool {
	return host != d.zone && !strings.HasSuffix(host, "."+d.zone)
}

// Domains are the trapped owners of a zone. What is known of hosts outside the zone comes from look.
func Domains(z *zone.Zone, ask Ask, look trap.Lookups) ([]*Domain, error) {
	var domains []*Domain
	covers := map[string]string{}
	for _, h := range z.Hosts() {
		if !h.Decoy {
			covers[h.Name+"."+z.Name()] = h.For
		}
	}
	for _, t := range z.Traps() {
		d := readDomain(t, z.Name(), ask, covers, look)
		if turns := z.Rotation(); turns != nil {
			d.turns = true
			for _, p := range turns.Pools() {
				d.pool = append(d.pool, p.Each...)
			}
		}
		domains = append(domains, d)
	}
	if len(domains) == 0 {
		return nil, fmt.Errorf("%s has no decoys: the zone needs a [trap], and where that leads to hosts outside the zone their addresses (--resolve)", z.Name())
	}
	return domains, nil
}

func readDomain(t body.Trap, apex string, ask Ask, covers map[string]string, look trap.Lookups) *Domain {
	answer, octets := ask(t.Owner, dns.TypeMX)
	d := &Domain{Owner: t.Owner, octets: octets, zone: apex}
	for _, rr := range answer.Answer {
		mx, ok := rr.(*dns.MX)
		if !ok {
			continue
		}
		host := strings.TrimSuffix(mx.Mx, ".")
		e := Exchange{Host: host, Preference: mx.Preference, Role: Decoy, CoverFor: covers[host]}
		if len(d.Exchanges) < t.Real {
			e.Role = Fallback
		}
		e.Addresses, e.ttl = AddressesOf(ask, host)
		if len(e.Addresses) == 0 && e.Role != Decoy && d.outside(host) {
			e.Addresses = look(host)
		}
		d.ttl = mx.Hdr.Ttl
		d.Exchanges = append(d.Exchanges, e)
	}
	lowest := d.ranks()[0][0].Preference
	for i := range d.Exchanges {
		if d.Exchanges[i].Preference == lowest {
			d.Exchanges[i].Role = Primary
		}
	}
	return d
}

// AddressesOf asks for the addresses of a host, and says the lowest TTL of both families.
func AddressesOf(ask Ask, host string) (addrs []netip.Addr, ttl uint32) {
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		answer, _ := ask(host, qtype)
		for _, rr := range answer.Answer {
			var a netip.Addr
			switch rr := rr.(type) {
			case *dns.A:
				a, _ = netip.AddrFromSlice(rr.A.To4())
			case *dns.AAAA:
				a, _ = netip.AddrFromSlice(rr.AAAA)
			default:
				continue
			}
			if t := rr.Header().Ttl; len(addrs) == 0 || t < ttl {
				ttl = t
			}
			addrs = append(addrs, a)
		}
	}
	return addrs, ttl
}

// ranks are the exchanges by preference, those with the same number together.
func (d *Domain) ranks() (ranks [][]Exchange) {
	sorted := slices.SortedStableFunc(slices.Values(d.Exchanges), func(a, b Exchange) int { return cmp.Compare(a.Preference, b.Preference) })
	for i, e := range sorted {
		if i == 0 || e.Preference != sorted[i-1].Preference {
			ranks = append(ranks, nil)
		}
		ranks[len(ranks)-1] = append(ranks[len(ranks)-1], e)
	}
	return ranks
}

// with are the exchanges that have one of the roles.
func (d *Domain) with(roles ...Role) (out []Exchange) {
	for _, e := range d.Exchanges {
		if slices.Contains(roles, e.Role) {
			out = append(out, e)
		}
	}
	return out
}

// shares says whether two exchanges have an address in common, or are the same host.
func (e Exchange) shares(other Exchange) bool {
	return e.Host == other.Host || slices.ContainsFunc(e.Addresses, func(a netip.Addr) bool { return slices.Contains(other.Addresses, a) })
}

// sharesAny says whether an exchange shares an address with one of the others.
func (e Exchange) sharesAny(others []Exchange) bool { return slices.ContainsFunc(others, e.shares) }
