package answer

import (
	"cmp"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/body"
)

// The reference answers questions the slow and obvious way: it searches lists of records by name, as RFC 1034 4.3.2 and its companions
// tell, and leaves the wire to the DNS library. FuzzAnswers holds the server to it.
type reference struct {
	zones []referenceZone
}

// referenceZone is all that a zone serves, decoys included. Names are in lower case, and absolute.
type referenceZone struct {
	apex    string
	records []dns.RR
}

// answer is the whole response to a query with one question, however long it is.
func (f reference) answer(query *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.Id, m.Response, m.RecursionDesired, m.Question = query.Id, true, query.RecursionDesired, query.Question
	if opt := query.IsEdns0(); opt != nil {
		m.SetEdns0(zone.MaxUDP, opt.Do())
		for _, o := range opt.Option {
			if o.Option() == dns.EDNS0NSID {
				m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: "6e732d74657374"}}
			}
		}
		if opt.Version() > 0 {
			m.Rcode = dns.RcodeBadVers
			return m
		}
	}
	q := query.Question[0]
	qname := strings.ToLower(q.Name)
	z := f.zoneOf(qname, q.Qtype)
	if z == nil {
		m.Rcode = dns.RcodeRefused
		if opt := m.IsEdns0(); opt != nil {
			opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeNotAuthoritative})
		}
		return m
	}
	z.resolve(qname, q.Qtype, m)
	referral := len(m.Ns) > 0 && m.Ns[0].Header().Rrtype == dns.TypeNS
	m.Authoritative = (len(m.Answer) > 0 || !referral) && q.Qclass == dns.ClassINET
	return m
}

// zoneOf finds the zone with the longest apex; for a DS question the one above the name, where there is one (RFC 4035 3.1.4.1).
func (f reference) zoneOf(qname string, qtype uint16) *referenceZone {
	var in []*referenceZone
	for i := range f.zones {
		if dns.IsSubDomain(f.zones[i].apex, qname) {
			in = append(in, &f.zones[i])
		}
	}
	slices.SortFunc(in, func(a, b *referenceZone) int { return cmp.Compare(len(b.apex), len(a.apex)) })
	switch {
	case len(in) == 0:
		return nil
	case qtype == dns.TypeDS && in[0].apex == qname && len(in) > 1:
		return in[1]
	}
	return in[0]
}

// resolve follows a name through the zone, alias by alias.
func (z *referenceZone) resolve(qname string, qtype uint16, m *dns.Msg) {
	passed := []string{qname}
	for range body.MaxAliases + 1 {
		name := passed[len(passed)-1]
		target, stop := z.step(name, qtype, m, len(passed) > body.MaxAliases)
		if stop || !dns.IsSubDomain(z.apex, target) || slices.Contains(passed, target) {
			return
		}
		passed = append(passed, target)
	}
}

// step answers for one name, and returns where it leads if it is an alias.
func (z *referenceZone) step(name string, qtype uint16, m *dns.Msg, last bool) (target string, stop bool) {
	encloser := z.apex
	for _, n := range pathTo(z.apex, name) {
		if ns := z.get(n, dns.TypeNS); n != z.apex && len(ns) > 0 && !(n == name && qtype == dns.TypeDS) {
			m.Ns = append(m.Ns, ns...)
			z.glue(n, ns, m)
			return "", true
		}
		if dname := z.get(n, dns.TypeDNAME); len(dname) > 0 && n != name {
			return z.substitute(name, n, dname[0].(*dns.DNAME), qtype, m, last)
		}
		if !z.exists(n) {
			if wildcard := "*." + encloser; z.exists(wildcard) {
				return z.data(name, wildcard, qtype, m, last)
			}
			m.Rcode = dns.RcodeNameError
			m.Ns = append(m.Ns, z.negative())
			return "", true
		}
		encloser = n
	}
	return z.data(name, name, qtype, m, last)
}

// pathTo lists the names from the apex down to a name.
func pathTo(apex, name string) (path []string) {
	for _, start := range dns.Split(name) {
		if n := name[start:]; dns.IsSubDomain(apex, n) {
			path = append(path, n)
		}
	}
	slices.Reverse(path)
	return path
}

// data answers for a name from the records of an owner: itself, or the wildcard that stands for it.
func (z *referenceZone) data(name, owner string, qtype uint16, m *dns.Msg, last bool) (target string, stop bool) {
	answer := z.get(owner, qtype)
	if qtype == dns.TypeANY {
		lowest := uint16(0xffff)
		for _, rr := range z.records {
			if rr.Header().Name == owner {
				lowest = min(lowest, rr.Header().Rrtype)
			}
		}
		answer = z.get(owner, lowest)
	}
	alias := len(answer) == 0
	if alias {
		answer = z.get(owner, dns.TypeCNAME)
	}
	if len(answer) == 0 {
		m.Ns = append(m.Ns, z.negative())
		return "", true
	}
	for _, rr := range answer {
		rr = dns.Copy(rr)
		rr.Header().Name = name
		if !slices.ContainsFunc(m.Answer, func(other dns.RR) bool { return dns.IsDuplicate(rr, other) }) { // a record stands once (RFC 2181 5.5)
			m.Answer = append(m.Answer, rr)
		}
	}
	if !alias || last {
		return "", true
	}
	return answer[0].(*dns.CNAME).Target, false
}

// substitute answers for a name below a DNAME (RFC 6672 3.2).
func (z *referenceZone) substitute(name, owner string, dname *dns.DNAME, qtype uint16, m *dns.Msg, last bool) (target string, stop bool) {
	if !slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return rr.String() == dname.String() }) {
		m.Answer = append(m.Answer, dname)
	}
	if last {
		return "", true
	}
	target = strings.TrimSuffix(name, owner) + dname.Target
	if dname.Target == "." {
		target = strings.TrimSuffix(name, owner)
	}
	if tooLong(target) {
		m.Rcode = dns.RcodeYXDomain
		return "", true
	}
	m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: dname.Hdr.Ttl}, Target: target})
	return target, qtype == dns.TypeCNAME || qtype == dns.TypeANY
}

// tooLong says whether a name has more than 255 octets on the wire (RFC 1035 2.3.4); these names have no escapes.
func tooLong(name string) bool { return len(name)+1 > 255 }

// glue adds the addresses of name servers that lie below a cut, those below the cut itself first (RFC 9471).
func (z *referenceZone) glue(cut string, servers []dns.RR, m *dns.Msg) {
	for _, own := range []bool{true, false} {
		for _, rr := range servers {
			host := rr.(*dns.NS).Ns
			if dns.IsSubDomain(cut, host) == own && z.belowCut(host) {
				opt := m.Extra
				m.Extra = slices.Concat(opt[:len(opt)-optCount(opt)], z.get(host, dns.TypeA), z.get(host, dns.TypeAAAA), opt[len(opt)-optCount(opt):])
			}
		}
	}
}

// optCount is 1 where the last record is an OPT.
func optCount(extra []dns.RR) int {
	if len(extra) > 0 && extra[len(extra)-1].Header().Rrtype == dns.TypeOPT {
		return 1
	}
	return 0
}

func (z *referenceZone) belowCut(host string) bool {
	return slices.ContainsFunc(pathTo(z.apex, host), func(n string) bool { return n != z.apex && len(z.get(n, dns.TypeNS)) > 0 })
}

// exists says whether a name has records, or others below it do (RFC 4592 2.2.2).
func (z *referenceZone) exists(name string) bool {
	return slices.ContainsFunc(z.records, func(rr dns.RR) bool { return dns.IsSubDomain(name, rr.Header().Name) })
}

func (z *referenceZone) get(owner string, qtype uint16) (rrs []dns.RR) {
	for _, rr := range z.records {
		if rr.Header().Name == owner && rr.Header().Rrtype == qtype {
			rrs = append(rrs, rr)
		}
	}
	return rrs
}

// negative is the SOA record of a negative answer (RFC 2308 5).
func (z *referenceZone) negative() dns.RR {
	soa := dns.Copy(z.get(z.apex, dns.TypeSOA)[0]).(*dns.SOA)
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	return soa
}
