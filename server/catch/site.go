package catch

import (
	"iter"
	"net"
	"net/netip"
	"slices"
	"time"

	"mxtrap/zone/trap"
)

// Decoy is a decoy at an address.
type Decoy struct {
	Host  string // its name; of decoys that change, the one that it has now
	Owner string // the domain that has it among its MX records
	Zone  string
	Rank  int            // among the decoys of its owner, counted from 1
	Turns *trap.Rotation // nil: it never changes

	Pooled bool // it has an address of a pool in turn
}

// Site is what is known of an address of decoys, or of addresses that decoys have in turn. It never changes but in its health.
type Site struct {
	Decoys []Decoy     // that have the address, one of each owner
	Well   func() bool // whether all real exchanges of all owners are well, and have been long enough

	owners map[string]int // places in Decoys
}

// NewSite makes a site of decoys.
func NewSite(decoys []Decoy, well func() bool) *Site {
	s := &Site{Decoys: decoys, Well: well, owners: make(map[string]int, len(decoys))}
	for i, d := range decoys {
		s.owners[d.Owner] = i
	}
	return s
}

// met is a decoy that a client has come to.
type met struct {
	Decoy
	held trap.Holder
}

// decoy is that of an owner which has an address, or had it last.
func (s *Site) decoy(owner string, a netip.Addr, now time.Time) (met, bool) {
	i, ok := s.owners[owner]
	if !ok {
		return met{}, false
	}
	return s.Decoys[i].at(a, now)
}

func (d Decoy) at(a netip.Addr, now time.Time) (m met, ok bool) {
	if m.Decoy = d; d.Turns == nil {
		return m, true
	}
	if !d.Pooled { // all of the owner's decoys lead to one address
		if name := d.Turns.Name(d.Owner, now.Unix()); name != "" {
			m.Host = name
		}
		return m, true
	}
	m.held, ok = d.Turns.Had(d.Owner, a, now.Unix())
	m.Host, m.Rank = m.held.Host, m.held.Rank
	return m, ok
}

// mostGuesses is of how many owners it is looked who has an address, as long as the client has not said whom it wants.
const mostGuesses = 64

// first is a decoy that has an address. Where that is not found, it is called by its address (RFC 5321 4.1.3), and nobody's: the name of another
// domain would be wrong.
func (s *Site) first(a netip.Addr, now time.Time) Decoy {
	for _, d := range s.Decoys[:min(mostGuesses, len(s.Decoys))] {
		if m, ok := d.at(a, now); ok {
			return m.Decoy
		}
	}
	if a.Is6() {
		return Decoy{Host: "[IPv6:" + a.String() + "]"}
	}
	return Decoy{Host: "[" + a.String() + "]"}
}

// Sites are what is known of the addresses of decoys.
type Sites struct {
	At    map[netip.Addr]*Site
	Pools []Pool // others that decoys have in turn
	Real  map[netip.Addr]bool
}

// Pool is addresses that decoys have in turn.
type Pool struct {
	trap.Pool
	Site *Site
}

// Of is the site of an address; nil: no decoy has it. One that a real exchange has is none.
func (s *Sites) Of(a netip.Addr) *Site {
	if s == nil || s.Real[a] {
		return nil
	}
	if site := s.At[a]; site != nil {
		return site
	}
	for i := range s.Pools {
		if p := &s.Pools[i]; p.Has(a) {
			return p.Site
		}
	}
	return nil
}

// All are the sites, each with the prefix that tells it from others.
func (s *Sites) All() iter.Seq2[netip.Prefix, *Site] {
	return func(yield func(netip.Prefix, *Site) bool) {
		for a, site := range s.At {
			if !yield(netip.PrefixFrom(a, a.BitLen()), site) {
				return
			}
		}
		for _, p := range s.Pools {
			if !yield(p.Prefixes[0], p.Site) {
				return
			}
		}
	}
}

// addresses are those at which decoys may be met here. Of pools that are too large to be gone through, they are this host's.
func (s *Sites) addresses() (list []netip.Addr) {
	for a := range s.At {
		list = append(list, a)
	}
	var own []netip.Addr
	for i := range s.Pools {
		p := &s.Pools[i]
		list = append(list, p.Each...)
		if p.Each != nil {
			continue
		}
		if own == nil {
			own = hostAddresses()
		}
		for _, a := range own {
			if p.Has(a) {
				list = append(list, a)
			}
		}
	}
	return slices.DeleteFunc(list, func(a netip.Addr) bool { return s.Real[a] })
}

// hostAddresses are those of this host's interfaces.
func hostAddresses() (list []netip.Addr) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range found {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				list = append(list, ip.Unmap())
			}
		}
	}
	return list
}
