package zone

import (
	"slices"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
)

// content is the records of a zone while it is checked and its trap is built: RRsets by owner.
type content struct {
	apex  name
	sets  map[name][]*rrset // of one owner, by type
	nodes map[name]bool     // every name that exists, empty non-terminals too
	soa   *dns.SOA
}

// rrset is records of one owner and type, none twice.
type rrset struct {
	owner  name
	typ    uint16
	rrs    []dns.RR
	places []conf.Problem // of each record; none where the trap made them
}

// place is where the RRset begins.
func (s *rrset) place() conf.Problem { return s.placeOf(0) }

func (s *rrset) placeOf(i int) conf.Problem {
	if i < len(s.places) {
		return s.places[i]
	}
	return conf.Problem{}
}

func newContent(apex name) *content {
	return &content{apex: apex, sets: map[name][]*rrset{}, nodes: map[name]bool{apex: true}}
}

// add takes a record in. A record that is there already is left out (RFC 2181 5), and where the TTLs within an RRset differ
// the lowest holds (RFC 2181 5.2); it says whether that was so.
func (c *content) add(r record) (ttlsDiffer bool) {
	set := c.get(r.owner, r.rr.Header().Rrtype)
	if set == nil {
		c.put(&rrset{owner: r.owner, typ: r.rr.Header().Rrtype, rrs: []dns.RR{r.rr}, places: []conf.Problem{r.place}})
		return false
	}
	ttl := set.rrs[0].Header().Ttl
	if r.rr.Header().Ttl != ttl {
		ttlsDiffer = true
		ttl = min(ttl, r.rr.Header().Ttl)
		for _, rr := range set.rrs {
			rr.Header().Ttl = ttl
		}
		r.rr.Header().Ttl = ttl
	}
	if !slices.ContainsFunc(set.rrs, func(rr dns.RR) bool { return dns.IsDuplicate(rr, r.rr) }) {
		set.rrs, set.places = append(set.rrs, r.rr), append(set.places, r.place)
	}
	return ttlsDiffer
}

// put adds an RRset, in the place of one of the same type.
func (c *content) put(set *rrset) {
	sets := slices.DeleteFunc(c.sets[set.owner], func(s *rrset) bool { return s.typ == set.typ })
	sets = append(sets, set)
	sortSets(sets)
	c.sets[set.owner] = sets
	for n := set.owner; !c.nodes[n]; n = n.parent() {
		c.nodes[n] = true
	}
}

func (c *content) get(owner name, typ uint16) *rrset {
	for _, set := range c.sets[owner] {
		if set.typ == typ {
			return set
		}
	}
	return nil
}

// names are the owners in canonical order (RFC 4034 6.1).
func (c *content) names() []name {
	owners := make([]name, 0, len(c.sets))
	for owner := range c.sets {
		owners = append(owners, owner)
	}
	slices.SortFunc(owners, name.compare)
	return owners
}

// isCut says whether a name is delegated.
func (c *content) isCut(n name) bool { return n != c.apex && c.get(n, dns.TypeNS) != nil }

// standing is what a name is to this zone.
type standing int

const (
	ownData   standing = iota // authoritative here; its addresses, if any, are known
	isAlias                   // a CNAME, or below a DNAME
	isGone                    // does not exist
	elsewhere                 // outside the zone, or delegated
)

// find says what a name is to this zone, and where its data stand: at itself or at the wildcard that answers for it.
func (c *content) find(n name) (standing, name) {
	if !n.within(c.apex) {
		return elsewhere, ""
	}
	var path []name // from n up to the apex
	for m := n; ; m = m.parent() {
		path = append(path, m)
		if m == c.apex {
			break
		}
	}
	at := c.apex
	for _, next := range slices.Backward(path[:len(path)-1]) {
		if c.get(at, dns.TypeDNAME) != nil {
			return isAlias, at
		}
		if !c.nodes[next] {
			if next = at.wildcard(); !c.nodes[next] {
				return isGone, ""
			}
			at = next
			break
		}
		if at = next; c.isCut(at) {
			return elsewhere, ""
		}
	}
	if c.get(at, dns.TypeCNAME) != nil {
		return isAlias, at
	}
	return ownData, at
}

// occluded says whether a name lies where this zone has nothing to say: at or below a cut, or below a DNAME.
func (c *content) occluded(n name) bool {
	for m := n; m != c.apex; m = m.parent() {
		if c.isCut(m) || c.get(m.parent(), dns.TypeDNAME) != nil {
			return true
		}
	}
	return false
}

// hasAddress says whether a name of this zone has an A or AAAA record.
func (c *content) hasAddress(at name) bool {
	return c.get(at, dns.TypeA) != nil || c.get(at, dns.TypeAAAA) != nil
}

// mentioned are the hosts that records of the zone lead to.
func (c *content) mentioned() map[name]bool {
	hosts := map[name]bool{}
	for _, sets := range c.sets {
		for _, set := range sets {
			for _, rr := range set.rrs {
				if host := hostOf(rr); !host.isRoot() {
					hosts[host] = true
				}
			}
		}
	}
	return hosts
}

// hostOf is the host that a record leads to, the root where it leads to none.
func hostOf(rr dns.RR) name {
	switch rr := rr.(type) {
	case *dns.NS:
		return mustName(rr.Ns)
	case *dns.MX:
		return mustName(rr.Mx)
	case *dns.CNAME:
		return mustName(rr.Target)
	case *dns.PTR:
		return mustName(rr.Ptr)
	case *dns.SRV:
		return mustName(rr.Target)
	case *dns.SVCB:
		return mustName(rr.Target)
	case *dns.HTTPS:
		return mustName(rr.Target)
	case *dns.SOA:
		return mustName(rr.Ns)
	}
	return "\x00"
}
