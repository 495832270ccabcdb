package answer

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/body"
)

// maxPointer is the largest offset that a compression pointer can hold (RFC 1035 4.1.4).
const maxPointer = 1<<14 - 1

// encoder writes a response: it copies RRsets as they were packed when the zone was compiled, and patches what depends on the
// packet.
type encoder struct {
	out    []byte
	limit  int                      // of the packet, less what the OPT record needs
	apex   int                      // offset of the zone's apex in the packet
	names  [body.MaxAliases + 1]int // offset of the question's name and of each alias's target
	count  [3]uint16
	cut    bool             // something did not fit
	fault  bool             // a signature could not be made
	signed *zone.Signatures // nil: the answer has none
}

// The sections that count counts.
const (
	AnswerSection = iota
	authoritySection
	AdditionalSection
)

// answer writes the sections, by whole RRsets; what does not fit sets TC (RFC 2181 9).
func (e *encoder) answer(a *body.Answer, signed *zone.Signatures) {
	e.signed = signed
	e.apex = HeaderSize + a.Apex()
	e.names[0] = HeaderSize
	for i := range a.Answer {
		if e.owner(&a.Answer[i]) > maxPointer {
			e.breakOff(a, i)
			break
		}
		if !e.item(a, &a.Answer[i], AnswerSection) {
			return
		}
	}
	servers := len(e.out)
	for i := range a.Authority {
		if e.owner(&a.Authority[i]) > maxPointer {
			e.breakOff(a, len(a.Answer))
			break
		}
		if !e.item(a, &a.Authority[i], authoritySection) {
			return
		}
	}
	for i := range a.Proofs {
		if !e.item(a, &a.Proofs[i], authoritySection) {
			return
		}
	}
	for i := range a.Glue {
		if !e.glue(a, &a.Glue[i], servers) && i < a.Required {
			e.cut = true // RFC 9471 3
			return
		}
	}
}

// breakOff ends an answer behind so many of its RRsets, at an alias whose target stands where no pointer leads to. A resolver asks for the
// target next, as it does for one in another zone (RFC 1034 5.3.3); the proofs of the aliases before it stay.
func (e *encoder) breakOff(a *body.Answer, records int) {
	a.Answer, a.Authority, a.Glue, a.Rcode = a.Answer[:records], a.Authority[:0], a.Glue[:0], dns.RcodeSuccess
}

// owner is the offset of an RRset's owner in the packet.
func (e *encoder) owner(item *body.Item) int { return e.names[item.Owner.Link] + item.Owner.Skip }

func (e *encoder) item(a *body.Answer, item *body.Item, section int) bool {
	begin, count := len(e.out), e.count[section]
	owner := e.owner(item)
	if item.Alias {
		e.names[item.Owner.Link+1] = begin + HeaderSize // where its data will begin: two octets of owner, ten of header
	}
	switch {
	case item.Synthesized():
		e.cut = !e.cname(a.Target(item.Owner.Link+1), item.TTL, owner)
	case item.Owner.Chain != 0:
		e.cut = !e.link(a, item)
	default:
		e.cut = !item.Bare && !e.rrset(a.Zone, item.Set, owner, section) || e.signed != nil && !e.signatures(a, item.Set, nil, owner, section)
	}
	if e.cut { // an RRset goes with its signatures, or not at all
		e.out, e.count[section] = e.out[:begin], count
	}
	return !e.cut
}

// link adds a link of the chain, its owner written out, and its signatures.
func (e *encoder) link(a *body.Answer, item *body.Item) bool {
	labels, begin := a.Zone.LinkLabels(item.Owner.Chain), len(e.out)
	if begin+len(labels) > e.limit {
		return false
	}
	e.out = append(e.out, labels...)
	if !e.rrset(a.Zone, item.Set, e.apex, authoritySection) {
		return false
	}
	if len(labels) == 0 || begin > maxPointer { // behind that nothing can be pointed to
		return e.signatures(a, item.Set, labels, e.apex, authoritySection)
	}
	return e.signatures(a, item.Set, nil, begin, authoritySection)
}

// signatures adds those of an RRset, where they fit.
func (e *encoder) signatures(a *body.Answer, set body.RRset, labels []byte, owner, section int) bool {
	octets, records := e.signed.Size(a.Zone, set)
	if len(e.out)+octets+records*len(labels) > e.limit {
		return false
	}
	var ok bool
	e.out, ok = e.signed.Append(e.out, a.Zone, set, labels, owner)
	e.fault = e.fault || !ok
	e.count[section] += uint16(records)
	return true
}

// rrset copies an RRset, where it fits.
func (e *encoder) rrset(z body.Body, set body.RRset, owner, section int) bool {
	wire, owners, apexes := z.Wire(set)
	at := len(e.out)
	if at+len(wire) > e.limit {
		return false
	}
	e.out = append(e.out, wire...)
	for i := range owners.Len() {
		pointer(e.out[at+owners.At(i):], owner)
	}
	for i := range apexes.Len() {
		pointer(e.out[at+apexes.At(i):], e.apex)
	}
	e.count[section] += uint16(owners.Len())
	return true
}

// glue adds the addresses of a name server, whose owner is what the NS record names.
func (e *encoder) glue(a *body.Answer, g *body.Glue, servers int) bool {
	_, records, _ := a.Zone.Wire(a.Authority[0].Set)
	owner := servers + records.At(g.NS) + HeaderSize
	return owner <= maxPointer && e.rrset(a.Zone, g.Set, owner, AdditionalSection)
}

// cname adds the CNAME that a DNAME amounts to (RFC 6672 3.1).
func (e *encoder) cname(target []byte, ttl uint32, owner int) bool {
	if len(e.out)+HeaderSize+len(target) > e.limit {
		return false
	}
	e.out = append(e.out, 0, 0, 0, byte(dns.TypeCNAME), 0, dns.ClassINET)
	pointer(e.out[len(e.out)-6:], owner)
	e.out = binary.BigEndian.AppendUint32(e.out, ttl)
	e.out = binary.BigEndian.AppendUint16(e.out, uint16(len(target)))
	e.out = append(e.out, target...)
	e.count[AnswerSection]++
	return true
}

func pointer(to []byte, offset int) {
	to[0], to[1] = 0xc0|byte(offset>>8), byte(offset)
}
