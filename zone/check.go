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
	c := New(s.Apex, s.Records, func(r *Record) {
		s.Warn(report, r, "its TTL differs from others of the same owner and type; the lowest is served (RFC 2181 5.2)")
	})
	defer c.Release()
	if c.Full != nil {
		s.Fault(report, c.Full, fmt.Sprintf("the zone has more than %d names that exist only for others below them", MaxEmpty))
		return nil
	}
	soa := s.makeSOA(c, report)
	c.Put(s.Apex, soa.Set(s.Apex))
	s.check(c, report)
	var t *trap
	if s.Trap != nil {
		t = s.Trap.Build(c, look, s, report)
	}
	if s.checkSizes(c, t, report); report.Faults() > before || s.Partial {
		return nil
	}
	return Compile(c, soa, t)
}

// fault reports what is wrong with a record.
func (s *Source) Fault(report *conf.Report, r *Record, reason string) {
	report.Add(s.problem(r, reason))
}

// warn reports what is doubtful about a record.
func (s *Source) Warn(report *conf.Report, r *Record, reason string) {
	report.Warn(func() conf.Problem { return Warning(s.problem(r, reason)) })
}

func Warning(p conf.Problem) conf.Problem {
	p.Warning = true
	return p
}

// problem tells where a record was written.
func (s *Source) problem(r *Record, reason string) conf.Problem {
	if r.Item != nil {
		return r.Item.Problem(reason)
	}
	file := cmp.Or(s.master, s.Path) // the records of a primary have no file of their own
	if r.Place.File != "" {
		file = filepath.Join(filepath.Dir(s.master), r.Place.File)
	}
	return conf.Problem{File: file, Line: r.Place.Line, Key: r.Owner.String() + " " + dns.Type(r.Typ).String(), Reason: reason}
}

// check holds the rules that concern more than one record.
func (s *Source) check(c *Content, report *conf.Report) {
	if c.Nodes[0].Get(dns.TypeNS) == nil && !s.Partial {
		report.Add(s.table.Problem("name", s.Name(), "the zone has no NS record at its apex"))
	}
	s.CheckMailbox(c, report)
	signed := ""
	var below []bool
	var dname []int
	if c.Parts {
		below, dname = c.Above()
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		occluded := c.Parts && (c.IsCut(i) || below[i])
		for j := range n.Sets {
			set := &n.Sets[j]
			switch set.Typ {
			case dns.TypeSOA:
				if i != 0 {
					s.Fault(report, set.Place(), "an SOA record stands only at the apex")
				}
			case dns.TypeCNAME:
				s.checkCNAME(n, set, report)
			case dns.TypeDNAME:
				if len(set.Records) > 1 {
					s.Fault(report, set.Place(), "an owner has one DNAME record at most (RFC 6672 2.4)")
				}
			case dns.TypeNS, dns.TypeMX:
				if set.Typ == dns.TypeNS && n.Name != s.Apex && n.Name.Label() == "*" {
					s.Warn(report, set.Place(), "NS records at a wildcard mean nothing (RFC 4592 4.2), and BIND refuses such a zone")
				}
				if (!occluded || set.Typ == dns.TypeNS) && !s.Partial {
					s.checkHosts(c, i, set, report)
				}
			case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY:
				signed = dns.TypeToString[set.Typ]
			}
		}
		if c.Parts && dname[i] >= 0 && !occluded && len(n.Sets) > 0 {
			s.Fault(report, n.Sets[0].Place(), "it stands below the DNAME at "+c.Nodes[dname[i]].Name.Relative(s.Apex)+", which leads elsewhere (RFC 6672 2.4)")
		}
	}
	if signed != "" {
		report.Add(Warning(s.table.Problem("name", s.Name(), "the zone holds "+signed+" records, but answers are not signed: remove the DS record from the parent zone")))
	}
}

// checkCNAME: a CNAME stands alone (RFC 1034 3.6.2, RFC 2181 10.1), but for DNSSEC's records (RFC 4034 3, 4).
func (s *Source) checkCNAME(n *Node, set *rrset, report *conf.Report) {
	if len(set.Records) > 1 {
		s.Fault(report, set.Place(), "an owner has one CNAME record at most (RFC 2181 10.1)")
	}
	for _, other := range n.Sets {
		switch other.Typ {
		case dns.TypeCNAME, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeKEY:
		default:
			s.Fault(report, set.Place(), fmt.Sprintf("a CNAME record beside %s of the same owner (RFC 1034 3.6.2)", dns.Type(other.Typ)))
		}
	}
}

// checkHosts warns of name servers and exchanges of this zone that nobody can reach.
func (s *Source) checkHosts(c *Content, node int, set *rrset, report *conf.Report) {
	for i := range set.Records {
		r := &set.Records[i]
		host := r.Host()
		if set.Typ == dns.TypeMX && len(set.Records) > 1 || !host.IsRoot() {
			if why := NoHost(host); why != "" && set.Typ == dns.TypeMX {
				s.Warn(report, r, why)
				continue
			}
		}
		if host.IsRoot() {
			continue
		}
		// A name server below the very cut that it serves: nobody else can tell its address.
		ownGlue := set.Typ == dns.TypeNS && c.IsCut(node) && host.Within(r.Owner)
		what, at := c.Find(host)
		switch {
		case what == IsAlias && set.Typ == dns.TypeMX && s.traps(r.Owner): // a fault, which the trap tells
		case what == IsAlias:
			s.Warn(report, r, TrimDot(host.String())+" is an alias (RFC 2181 10.3)")
		case what == IsGone, what == OwnData && !at.HasAddress(), what == Elsewhere && ownGlue && !c.At(host).HasAddress():
			s.Warn(report, r, TrimDot(host.String())+" has no A or AAAA record"+s.dotMissing(host))
		}
	}
}

// traps says whether an owner's MX set is trapped.
func (s *Source) traps(owner Name) bool {
	if s.Trap == nil {
		return false
	}
	_, found := slices.BinarySearch(s.Trap.Owners, owner)
	return found
}

// dotMissing asks after a final dot where a name has the zone's twice, or looks like one of another zone.
func (s *Source) dotMissing(host Name) string {
	short := strings.TrimSuffix(host.Relative(s.Apex), ".")
	if strings.HasSuffix(short+".", "."+s.Apex.String()) || short+"." == s.Apex.String() || strings.Count(short, ".") > 1 {
		return ": is a final dot missing behind " + short + "?"
	}
	return ""
}

// tooLarge says why an RRset is refused.
var tooLarge = fmt.Sprintf(": its records may have %d, so that they fit into a message with any question, a signature and EDNS", MaxRRset)

// checkSizes refuses what fits into no message, or into no zone, once the trap is built, and warns of answers that UDP cannot carry, so
// that every client has to ask again over TCP.
func (s *Source) checkSizes(c *Content, t *trap, report *conf.Report) {
	if t != nil && (len(t.Hosts) > MaxHosts || len(t.Owners) > MaxHosts) {
		report.Add(s.Trap.table.Problem("at", "", fmt.Sprintf("the trap has %d hosts at %d owners, and a zone may have %d: lower count, or trap fewer owners", len(t.Hosts), len(t.Owners), MaxHosts)))
	}
	for i := range c.Nodes {
		owner := c.Nodes[i].Name
		for j := range c.Nodes[i].Sets {
			set := &c.Nodes[i].Sets[j]
			const header, question, edns = 12, 4, 11
			records := WireSize(c.Apex, set)
			size := header + len(owner) + question + records + edns
			if size <= MaxUDP {
				continue
			}
			what := fmt.Sprintf("the answer to %s %s has %d octets", TrimDot(owner.String()), dns.Type(set.Typ), size)
			r := set.Place()
			made := s.Trap != nil && r.Item == nil && r.Place.Line == 0 // by the trap
			switch {
			case records > MaxRRset && made:
				report.Add(s.Trap.table.Problem("covers", "", what+tooLarge))
			case records > MaxRRset:
				s.Fault(report, r, what+tooLarge)
			case made || set.Typ == dns.TypeMX && s.traps(owner):
				report.Add(Warning(s.Trap.table.Problem("count", "", fmt.Sprintf("%s, above the %d that UDP carries", what, MaxUDP))))
			default:
				s.Warn(report, r, fmt.Sprintf("%s, above the %d that UDP carries", what, MaxUDP))
			}
		}
	}
}
