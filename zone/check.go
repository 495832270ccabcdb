package zone

import (
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
)

// maxUDP is the largest answer that goes over UDP whatever the client says (DNS Flag Day 2020, RFC 9715).
const maxUDP = 1232

// Compile judges the whole of a zone, builds its trap, and makes it ready to be served. It returns nil where something is
// wrong. Addresses of hosts outside the zone come from look, which holds what is known of them.
func (s *Source) Compile(look Lookups, report *conf.Report) *Zone {
	var faults conf.Report
	defer func() { report.Add(faults.Problems()...) }()
	c := newContent(s.apex)
	for _, r := range s.records {
		r.rr = dns.Copy(r.rr)
		if c.add(r) {
			warn(&faults, r.place, "its TTL differs from others of the same owner and type; the lowest is served (RFC 2181 5.2)")
		}
	}
	c.soa = s.makeSOA(c, &faults)
	c.put(&rrset{owner: s.apex, typ: dns.TypeSOA, rrs: []dns.RR{c.soa}})
	s.check(c, &faults)
	var t *trap
	if s.trap != nil {
		t = s.trap.build(c, look, s, &faults)
	}
	if faults.Faulty() || s.partial {
		return nil
	}
	c.checkSizes(s, &faults)
	return compile(c, t)
}

// check holds the rules that concern more than one record.
func (s *Source) check(c *content, faults *conf.Report) {
	if c.get(s.apex, dns.TypeNS) == nil && !s.partial {
		faults.Add(s.table.Problem("name", s.Name(), "the zone has no NS record at its apex"))
	}
	signed := ""
	for _, owner := range c.names() {
		occluded := owner != s.apex && c.occluded(owner.parent()) || c.isCut(owner)
		for _, set := range c.sets[owner] {
			switch set.typ {
			case dns.TypeSOA:
				if owner != s.apex {
					fault(faults, set.place(), "an SOA record stands only at the apex")
				}
			case dns.TypeCNAME:
				c.checkCNAME(set, faults)
			case dns.TypeDNAME:
				if len(set.rrs) > 1 {
					fault(faults, set.place(), "an owner has one DNAME record at most (RFC 6672 2.4)")
				}
			case dns.TypeNS, dns.TypeMX:
				if (!occluded || set.typ == dns.TypeNS) && !s.partial {
					c.checkHosts(set, faults)
				}
			case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY:
				signed = dns.TypeToString[set.typ]
			}
			if _, _, _, err := packRRset(s.apex, set.rrs); err != nil {
				fault(faults, set.place(), err.Error())
			}
		}
		if d := c.dnameAbove(owner); d != "" && !occluded {
			fault(faults, c.sets[owner][0].place(), "it stands below the DNAME at "+d.relative(s.apex)+", which leads elsewhere (RFC 6672 2.4)")
		}
	}
	if signed != "" {
		warn(faults, s.table.Problem("name", s.Name(), ""), "the zone holds "+signed+" records, but answers are not signed: remove the DS record from the parent zone")
	}
}

// checkCNAME: a CNAME stands alone (RFC 1034 3.6.2, RFC 2181 10.1), but for DNSSEC's records (RFC 4034 3, 4).
func (c *content) checkCNAME(set *rrset, faults *conf.Report) {
	if len(set.rrs) > 1 {
		fault(faults, set.place(), "an owner has one CNAME record at most (RFC 2181 10.1)")
	}
	for _, other := range c.sets[set.owner] {
		switch other.typ {
		case dns.TypeCNAME, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeKEY:
		default:
			fault(faults, set.place(), fmt.Sprintf("a CNAME record beside %s of the same owner (RFC 1034 3.6.2)", dns.Type(other.typ)))
		}
	}
}

// checkHosts warns of name servers and exchanges of this zone that nobody can reach.
func (c *content) checkHosts(set *rrset, faults *conf.Report) {
	for i, rr := range set.rrs {
		host := hostOf(rr)
		if host.isRoot() {
			continue
		}
		what, at := c.find(host)
		switch {
		case what == isAlias:
			warn(faults, set.placeOf(i), fmt.Sprintf("%s is an alias (RFC 2181 10.3)", trimDot(host.String())))
		case what == isGone, what == ownData && !c.hasAddress(at), what == elsewhere && c.ownGlue(host, set) && !c.hasAddress(host):
			warn(faults, set.placeOf(i), fmt.Sprintf("%s has no A or AAAA record", trimDot(host.String())))
		}
	}
}

// ownGlue says whether a name server lies below the very cut that it serves, so that nobody else can tell its address.
func (c *content) ownGlue(host name, set *rrset) bool {
	return set.typ == dns.TypeNS && c.isCut(set.owner) && host.within(set.owner)
}

// dnameAbove is the DNAME's owner that a name is below, "" where there is none.
func (c *content) dnameAbove(n name) name {
	for n != c.apex {
		if n = n.parent(); c.get(n, dns.TypeDNAME) != nil {
			return n
		}
	}
	return ""
}

// checkSizes warns of answers that UDP cannot carry, so that every client has to ask again over TCP.
func (c *content) checkSizes(s *Source, faults *conf.Report) {
	for _, owner := range c.names() {
		for _, set := range c.sets[owner] {
			wire, _, _, _ := packRRset(c.apex, set.rrs)
			const header, question, edns = 12, 4, 11
			size := header + len(owner) + question + len(wire) + edns
			if size <= maxUDP {
				continue
			}
			place := set.place()
			if s.trap != nil && set.typ == dns.TypeMX && slices.Contains(s.trap.owners(c.apex), owner) {
				place = s.trap.table.Problem(s.trap.table.Key("count"), "", "")
			}
			warn(faults, place, fmt.Sprintf("the answer to %s %s has %d octets, above the %d that UDP carries", trimDot(owner.String()), dns.Type(set.typ), size, maxUDP))
		}
	}
}

func fault(report *conf.Report, place conf.Problem, text string) {
	place.Reason = text
	report.Add(place)
}

func warn(report *conf.Report, place conf.Problem, text string) {
	place.Reason, place.Warning = text, true
	report.Add(place)
}
