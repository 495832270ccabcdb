package zone

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
)

// MaxUDP is how many octets a message over UDP has at most: our responses, whatever the client says, and the responses that we ask for
// (DNS Flag Day 2020, RFC 9715).
const MaxUDP = 1232

// Compile judges the whole of a zone, builds its trap, and makes it ready to be served. It returns nil where something is
// wrong. Addresses of hosts outside the zone come from look, which holds what is known of them.
func (s *Source) Compile(look Lookups, report *conf.Report) *Zone {
	before := report.Faults()
	c := newContent(s.apex, s.records, func(r *record) {
		s.warn(report, r, "its TTL differs from others of the same owner and type; the lowest is served (RFC 2181 5.2)")
	})
	defer c.release()
	if c.full != nil {
		s.fault(report, c.full, fmt.Sprintf("the zone has more than %d names that exist only for others below them", maxEmpty))
		return nil
	}
	soa := s.makeSOA(c, report)
	c.put(s.apex, soa.set(s.apex))
	s.check(c, report)
	var t *trap
	if s.trap != nil {
		t = s.trap.build(c, look, s, report)
	}
	if s.checkSizes(c, t, report); report.Faults() > before || s.partial {
		return nil
	}
	return compile(c, soa, t)
}

// fault reports what is wrong with a record.
func (s *Source) fault(report *conf.Report, r *record, reason string) {
	report.Add(s.problem(r, reason))
}

// warn reports what is doubtful about a record.
func (s *Source) warn(report *conf.Report, r *record, reason string) {
	report.Warn(func() conf.Problem { return warning(s.problem(r, reason)) })
}

func warning(p conf.Problem) conf.Problem {
	p.Warning = true
	return p
}

// problem tells where a record was written.
func (s *Source) problem(r *record, reason string) conf.Problem {
	if r.item != nil {
		return r.item.Problem(reason)
	}
	file := cmp.Or(s.master, s.Path) // the records of a primary have no file of their own
	if r.place.File != "" {
		file = filepath.Join(filepath.Dir(s.master), r.place.File)
	}
	return conf.Problem{File: file, Line: r.place.Line, Key: r.owner.String() + " " + dns.Type(r.typ).String(), Reason: reason}
}

// check holds the rules that concern more than one record.
func (s *Source) check(c *content, report *conf.Report) {
	if c.nodes[0].get(dns.TypeNS) == nil && !s.partial {
		report.Add(s.table.Problem("name", s.Name(), "the zone has no NS record at its apex"))
	}
	s.checkMailbox(c, report)
	signed := ""
	var below []bool
	var dname []int
	if c.parts {
		below, dname = c.above()
	}
	for i := range c.nodes {
		n := &c.nodes[i]
		occluded := c.parts && (c.isCut(i) || below[i])
		for j := range n.sets {
			set := &n.sets[j]
			switch set.typ {
			case dns.TypeSOA:
				if i != 0 {
					s.fault(report, set.place(), "an SOA record stands only at the apex")
				}
			case dns.TypeCNAME:
				s.checkCNAME(n, set, report)
			case dns.TypeDNAME:
				if len(set.records) > 1 {
					s.fault(report, set.place(), "an owner has one DNAME record at most (RFC 6672 2.4)")
				}
			case dns.TypeNS, dns.TypeMX:
				if set.typ == dns.TypeNS && n.name != s.apex && n.name.label() == "*" {
					s.warn(report, set.place(), "NS records at a wildcard mean nothing (RFC 4592 4.2), and BIND refuses such a zone")
				}
				if (!occluded || set.typ == dns.TypeNS) && !s.partial {
					s.checkHosts(c, i, set, report)
				}
			case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY:
				signed = dns.TypeToString[set.typ]
			}
		}
		if c.parts && dname[i] >= 0 && !occluded && len(n.sets) > 0 {
			s.fault(report, n.sets[0].place(), "it stands below the DNAME at "+c.nodes[dname[i]].name.relative(s.apex)+", which leads elsewhere (RFC 6672 2.4)")
		}
	}
	if signed != "" {
		report.Add(warning(s.table.Problem("name", s.Name(), "the zone holds "+signed+" records, but answers are not signed: remove the DS record from the parent zone")))
	}
}

// checkCNAME: a CNAME stands alone (RFC 1034 3.6.2, RFC 2181 10.1), but for DNSSEC's records (RFC 4034 3, 4).
func (s *Source) checkCNAME(n *contentNode, set *rrset, report *conf.Report) {
	if len(set.records) > 1 {
		s.fault(report, set.place(), "an owner has one CNAME record at most (RFC 2181 10.1)")
	}
	for _, other := range n.sets {
		switch other.typ {
		case dns.TypeCNAME, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeKEY:
		default:
			s.fault(report, set.place(), fmt.Sprintf("a CNAME record beside %s of the same owner (RFC 1034 3.6.2)", dns.Type(other.typ)))
		}
	}
}

// checkHosts warns of name servers and exchanges of this zone that nobody can reach.
func (s *Source) checkHosts(c *content, node int, set *rrset, report *conf.Report) {
	for i := range set.records {
		r := &set.records[i]
		host := r.host()
		if set.typ == dns.TypeMX && len(set.records) > 1 || !host.isRoot() {
			if why := noHost(host); why != "" && set.typ == dns.TypeMX {
				s.warn(report, r, why)
				continue
			}
		}
		if host.isRoot() {
			continue
		}
		// A name server below the very cut that it serves: nobody else can tell its address.
		ownGlue := set.typ == dns.TypeNS && c.isCut(node) && host.within(r.owner)
		what, at := c.find(host)
		switch {
		case what == isAlias && set.typ == dns.TypeMX && s.traps(r.owner): // a fault, which the trap tells
		case what == isAlias:
			s.warn(report, r, trimDot(host.String())+" is an alias (RFC 2181 10.3)")
		case what == isGone, what == ownData && !at.hasAddress(), what == elsewhere && ownGlue && !c.at(host).hasAddress():
			s.warn(report, r, trimDot(host.String())+" has no A or AAAA record"+s.dotMissing(host))
		}
	}
}

// traps says whether an owner's MX set is trapped.
func (s *Source) traps(owner name) bool {
	if s.trap == nil {
		return false
	}
	_, found := slices.BinarySearch(s.trap.owners, owner)
	return found
}

// dotMissing asks after a final dot where a name has the zone's twice, or looks like one of another zone.
func (s *Source) dotMissing(host name) string {
	short := strings.TrimSuffix(host.relative(s.apex), ".")
	if strings.HasSuffix(short+".", "."+s.apex.String()) || short+"." == s.apex.String() || strings.Count(short, ".") > 1 {
		return ": is a final dot missing behind " + short + "?"
	}
	return ""
}

// tooLarge says why an RRset is refused.
var tooLarge = fmt.Sprintf(": its records may have %d, so that they fit into a message with any question, a signature and EDNS", maxRRset)

// checkSizes refuses what fits into no message, or into no zone, once the trap is built, and warns of answers that UDP cannot carry, so
// that every client has to ask again over TCP.
func (s *Source) checkSizes(c *content, t *trap, report *conf.Report) {
	if t != nil && (len(t.hosts) > maxHosts || len(t.owners) > maxHosts) {
		report.Add(s.trap.table.Problem("at", "", fmt.Sprintf("the trap has %d hosts at %d owners, and a zone may have %d: lower count, or trap fewer owners", len(t.hosts), len(t.owners), maxHosts)))
	}
	for i := range c.nodes {
		owner := c.nodes[i].name
		for j := range c.nodes[i].sets {
			set := &c.nodes[i].sets[j]
			const header, question, edns = 12, 4, 11
			records := wireSize(c.apex, set)
			size := header + len(owner) + question + records + edns
			if size <= MaxUDP {
				continue
			}
			what := fmt.Sprintf("the answer to %s %s has %d octets", trimDot(owner.String()), dns.Type(set.typ), size)
			r := set.place()
			made := s.trap != nil && r.item == nil && r.place.Line == 0 // by the trap
			switch {
			case records > maxRRset && made:
				report.Add(s.trap.table.Problem("covers", "", what+tooLarge))
			case records > maxRRset:
				s.fault(report, r, what+tooLarge)
			case made || set.typ == dns.TypeMX && s.traps(owner):
				report.Add(warning(s.trap.table.Problem("count", "", fmt.Sprintf("%s, above the %d that UDP carries", what, MaxUDP))))
			default:
				s.warn(report, r, fmt.Sprintf("%s, above the %d that UDP carries", what, MaxUDP))
			}
		}
	}
}
