package source

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/body"
	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
	"mxtrap/zone/trap"
)

// Compile judges the whole of a zone, builds its trap, and makes it ready to be served. It returns nil where something is
// wrong. Addresses of hosts outside the zone come from look, which holds what is known of them.
func (s *Zone) Compile(look trap.Lookups, report *conf.Report) *zone.Zone {
	before := report.Faults()
	records, given := s.current(), (*sign.Given)(nil)
	if s.signing != nil {
		records = sign.Without(records)
	} else {
		records, given = sign.Split(s.apex, records)
	}
	empty := cmp.Or(s.empty, content.MaxEmpty)
	c := content.New(s.apex, records, empty, func(r *content.Record) {
		s.warn(report, r, "its TTL differs from others of the same owner and type; the lowest is served (RFC 2181 5.2)")
	})
	defer c.Release()
	if c.Full != nil {
		s.fault(report, c.Full, fmt.Sprintf("the zone has more than %d names that exist only for others below them", empty))
		return nil
	}
	soa := s.makeSOA(c, report)
	c.PutSOA(&soa, &s.arena)
	s.check(c, given != nil, report)
	var t *trap.Trap
	if s.trap != nil {
		t = s.trap.Build(trap.Ground{
			Content: c, Arena: &s.arena, Ttl: s.ttl, Now: s.at.Unix(), Lag: soa.Lag(), Partial: s.partial, Look: look, Report: report,
			FaultOf: func(r *content.Record, reason string) { s.fault(report, r, reason) },
		})
		defer t.Release()
	}
	if t != nil && t.Rotation != nil {
		soa.Serial += uint32(t.Rotation.Number)
		c.PutSOA(&soa, &s.arena)
	}
	chain := s.sign(c, &soa, report)
	if given != nil {
		chain = s.serveSigned(c, given, report)
	}
	if s.checkSizes(c, t, chain, report); report.Faults() > before || s.partial {
		return nil
	}
	return zone.Compile(c, &soa, t, chain)
}

// fault reports what is wrong with a record.
func (s *Zone) fault(report *conf.Report, r *content.Record, reason string) {
	report.Add(s.problem(r, reason))
}

// warn reports what is doubtful about a record.
func (s *Zone) warn(report *conf.Report, r *content.Record, reason string) {
	report.Warn(func() conf.Problem { return s.problem(r, reason).AsWarning() })
}

// problem tells where a record was written.
func (s *Zone) problem(r *content.Record, reason string) conf.Problem {
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
func (s *Zone) check(c *content.Content, given bool, report *conf.Report) {
	if c.Nodes[0].Get(dns.TypeNS) == nil && !s.partial {
		report.Add(s.table.Problem("name", s.Name(), "the zone has no NS record at its apex"))
	}
	s.checkMailbox(c, report)
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
					s.fault(report, set.Place(), "an SOA record belongs only at the apex")
				}
			case dns.TypeCNAME:
				s.checkCNAME(n, set, report)
			case dns.TypeDNAME:
				if len(set.Records) > 1 {
					s.fault(report, set.Place(), "an owner has one DNAME record at most (RFC 6672 2.4)")
				}
			case dns.TypeNS, dns.TypeMX:
				switch wildcard := set.Typ == dns.TypeNS && n.Name != s.apex && n.Name.Label() == "*"; {
				case wildcard && s.signing != nil:
					s.fault(report, set.Place(), "NS records at a wildcard mean nothing (RFC 4592 4.2), and cannot be proved in a signed zone")
				case wildcard:
					s.warn(report, set.Place(), "NS records at a wildcard mean nothing (RFC 4592 4.2), and BIND refuses such a zone")
				}
				if (!occluded || set.Typ == dns.TypeNS) && !s.partial {
					s.checkHosts(c, i, set, report)
				}
			case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY:
				signed = dns.TypeToString[set.Typ]
			}
		}
		if c.Parts && dname[i] >= 0 && !below[dname[i]] && !c.IsCut(dname[i]) && len(n.Sets) > 0 {
			s.fault(report, n.Sets[0].Place(), "it lies below the DNAME at "+c.Nodes[dname[i]].Name.Relative(s.apex)+", which leads elsewhere (RFC 6672 2.4)")
		}
	}
	if signed != "" && !given {
		report.Add(s.table.Problem("name", s.Name(), "the zone holds "+signed+" records, but answers are not signed: remove the DS record from the parent zone").AsWarning())
	}
}

// checkCNAME: a CNAME stands alone (RFC 1034 3.6.2, RFC 2181 10.1), but for DNSSEC's records (RFC 4034 3, 4).
func (s *Zone) checkCNAME(n *content.Node, set *content.RRset, report *conf.Report) {
	if len(set.Records) > 1 {
		s.fault(report, set.Place(), "an owner has one CNAME record at most (RFC 2181 10.1)")
	}
	for _, other := range n.Sets {
		switch other.Typ {
		case dns.TypeCNAME, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeKEY:
		default:
			s.fault(report, set.Place(), fmt.Sprintf("a CNAME record beside %s of the same owner (RFC 1034 3.6.2)", dns.Type(other.Typ)))
		}
	}
}

// checkHosts warns of name servers and exchanges of this zone that nobody can reach.
func (s *Zone) checkHosts(c *content.Content, node int, set *content.RRset, report *conf.Report) {
	for i := range set.Records {
		r := &set.Records[i]
		host := r.Host()
		if set.Typ == dns.TypeMX && len(set.Records) > 1 || !host.IsRoot() {
			if why := trap.NoHost(host); why != "" && set.Typ == dns.TypeMX {
				s.warn(report, r, why)
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
		case what == content.IsAlias && set.Typ == dns.TypeMX && s.traps(r.Owner): // a fault, which the trap tells
		case what == content.IsAlias:
			s.warn(report, r, host.Bare()+" is an alias (RFC 2181 10.3)")
		case what == content.IsGone, what == content.OwnData && !at.HasAddress(), what == content.Elsewhere && ownGlue && !c.At(host).HasAddress():
			s.warn(report, r, host.Bare()+" has no A or AAAA record"+s.dotMissing(host))
		}
	}
}

// traps says whether an owner's MX set is trapped.
func (s *Zone) traps(owner dname.Name) bool {
	if s.trap == nil {
		return false
	}
	_, found := slices.BinarySearch(s.trap.Owners, owner)
	return found
}

// dotMissing asks after a final dot where a name has the zone's twice, or looks like one of another zone.
func (s *Zone) dotMissing(host dname.Name) string {
	short := strings.TrimSuffix(host.Relative(s.apex), ".")
	if strings.HasSuffix(short+".", "."+s.apex.String()) || short+"." == s.apex.String() || strings.Count(short, ".") > 1 {
		return ": is a final dot missing behind " + short + "?"
	}
	return ""
}

// tooLarge says why an RRset is refused.
var tooLarge = fmt.Sprintf(": its records may have %d, so that they fit into a message with any question, a signature and EDNS", zone.MaxRRset)

// wildcardProof is the room of the link that proves that a wildcard may stand in for a name (RFC 4035 3.1.3.3): two names and a bitmap.
const wildcardProof = 2*dname.MaxName + 256

// checkSizes refuses what fits into no message, or into no zone, once the trap is built, and warns of answers that UDP cannot carry, so
// that every client has to ask again over TCP.
func (s *Zone) checkSizes(c *content.Content, t *trap.Trap, chain *sign.Chain, report *conf.Report) {
	if t != nil && (len(t.Hosts) > body.MaxHosts || len(t.Owners) > body.MaxHosts) {
		report.Add(s.trap.Problem("at", "", fmt.Sprintf("the trap has %d hosts at %d owners, and a zone may have %d: lower count, or trap fewer owners", len(t.Hosts), len(t.Owners), body.MaxHosts)))
	}
	for i := range c.Nodes {
		for j := range c.Nodes[i].Sets {
			s.checkSize(c.Apex, c.Nodes[i].Name, &c.Nodes[i].Sets[j], chain, report)
		}
	}
	if chain != nil && chain.Given != nil {
		for _, link := range chain.Links {
			if link.Set != nil {
				s.checkSize(c.Apex, link.Owner, link.Set, chain, report)
			}
		}
	}
}

// checkSize is checkSizes for an RRset.
func (s *Zone) checkSize(apex, owner dname.Name, set *content.RRset, chain *sign.Chain, report *conf.Report) {
	const header, question, edns = 12, 4, 11
	records, proof := body.WireSize(apex, set), 0
	if chain != nil {
		records += chain.SignaturesSize(owner, set.Typ, len(apex))
		if owner.Label() == "*" {
			proof = wildcardProof + chain.SignaturesSize(owner, dns.TypeNSEC, len(apex))
		}
	}
	size := header + len(owner) + question + records + edns
	if size <= zone.MaxUDP {
		return
	}
	what := fmt.Sprintf("the answer to %s %s has %d octets", owner.Bare(), dns.Type(set.Typ), size)
	r := set.Place()
	made := s.trap != nil && r.Item == nil && r.Place.Line == 0 // by the trap
	switch large := records+proof > zone.MaxRRset; {
	case large && made:
		report.Add(s.trap.Problem("covers", "", what+tooLarge))
	case large:
		s.fault(report, r, what+tooLarge)
	case made || set.Typ == dns.TypeMX && s.traps(owner):
		report.Add(s.trap.Problem("count", "", fmt.Sprintf("%s, above the %d that UDP carries", what, zone.MaxUDP)).AsWarning())
	default:
		s.warn(report, r, fmt.Sprintf("%s, above the %d that UDP carries", what, zone.MaxUDP))
	}
}

// checkMailbox warns of a mail address where the SOA record has a name.
func (s *Zone) checkMailbox(c *content.Content, report *conf.Report) {
	set := c.Nodes[0].Get(dns.TypeSOA)
	var r content.SOA
	r.Read(set)
	if !bytes.ContainsRune(r.Rname, '@') {
		return
	}
	if local, domain, ok := strings.Cut(dname.Name(r.Rname).String(), `\@`); ok {
		s.warn(report, set.Place(), fmt.Sprintf("the mailbox %s@%s is written as a name: %s.%s", local, strings.TrimSuffix(domain, "."), strings.ReplaceAll(local, ".", `\.`), domain))
	}
}
