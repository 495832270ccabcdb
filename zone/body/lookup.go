package body

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// MaxAliases is how many CNAME and DNAME records one answer follows.
const MaxAliases = content.MaxAliases

// Answer is what a lookup found: RRsets by section, and the names they stand under. One Answer serves a goroutine for all its
// lookups; nothing is allocated once its slices have grown.
type Answer struct {
	Zone          Body
	Rcode         int
	Authoritative bool
	Answer        []Item
	Authority     []Item
	Proofs        []Item // links of the chain, for the authority section too
	Secure        bool   // the zone is signed, and the client wants signatures: proofs are looked for
	Glue          []Glue // for the NS set in Authority
	Required      int    // so many of Glue, the first ones, must fit (RFC 9471)

	Varied  bool // the name, or one it leads to, is one of any number: a wildcard or a DNAME stands in for it
	Trapped bool // the question asks for an MX set with decoys
	Host    int  // 1 + index in Zone.Hosts where it asks for a name of the trap, else 0

	question *QName
	aliases  [MaxAliases]QName // the names the question led to, in order
	links    int               // how many of them are in use
	apex     int               // offset of the apex in the question's name
}

// Item is an RRset in an answer.
type Item struct {
	Set   RRset
	Owner Owner
	// Alias says that the RRset is a CNAME that leads on: its target is what Owner.Link+1 names. Where Set is empty the
	// record is synthesized from a DNAME (RFC 6672 3.1), with this TTL.
	Alias bool
	TTL   uint32
	// Bare says that the signatures of the RRset are meant, and not its records.
	Bare bool
}

// Owner tells a name of a packet by those that are in it: the name reached after so many aliases (0: the question's), without
// its first octets.
type Owner struct {
	Link  int
	Skip  int
	Chain uint32 // or else a link of the chain, whose owner is written out
}

// Synthesized says whether the record has no RRset of its own.
func (i *Item) Synthesized() bool { return i.Set.off == 0 }

// Target is the name that a link leads to, in wire format: that of link 1 is the first alias's target.
func (a *Answer) Target(link int) []byte { return a.aliases[link-1].Wire() }

// Apex is the offset of the zone's apex in the question's name.
func (a *Answer) Apex() int { return a.apex }

// lookUp answers a question for a name at or below the apex, as RFC 1034 4.3.2 says, with its later companions: it walks down
// from the apex label by label and stops at a cut (referral), a DNAME, a name that is not there (wildcard or NXDOMAIN), or the
// name itself. An alias that stays within the zone begins the walk again.
func (b Body) LookUp(q *QName, typ uint16, a *Answer) {
	a.reset(b, q)
	for b.walk(q, typ, a) {
		q = &a.aliases[a.links-1]
	}
	a.Authoritative = len(a.Answer) > 0 || len(a.Authority) == 0 || a.Authority[0].Set.typ != dns.TypeNS
}

// reset makes the Answer ready for a question. It leaves the aliases alone: links says that none of them counts.
func (a *Answer) reset(b Body, q *QName) {
	a.Zone, a.question, a.apex, a.links = b, q, int(q.starts[q.Labels-b.Labels()]), 0
	a.Rcode, a.Required, a.Varied, a.Trapped, a.Host = dns.RcodeSuccess, 0, false, false, 0
	a.Answer, a.Authority, a.Proofs, a.Glue = a.Answer[:0], a.Authority[:0], a.Proofs[:0], a.Glue[:0]
}

// walk looks one name up. It says whether that name was an alias to be followed.
func (b Body) walk(q *QName, typ uint16, a *Answer) (follow bool) {
	at := b.uint32(headTop)
	for i := q.Labels - b.Labels() - 1; i >= 0; i-- {
		if flags := b.flags(at); flags&(isCut|hasDNAME) != 0 {
			if flags&isCut != 0 {
				return b.referral(q, i+1, at, a)
			}
			return b.dname(q, i+1, typ, at, a)
		}
		next := b.child(at, q.label(i))
		if next == 0 {
			if wildcard := b.uint32(at + nodeWildcard); wildcard != 0 {
				a.Varied = true
				return b.found(q, i+1, typ, wildcard, a) // RFC 4592 3.3.1: the node is the closest encloser
			}
			a.Rcode = dns.RcodeNameError
			b.proveNone(q, i+1, a)
			return b.denied(a)
		}
		at = next
	}
	if b.flags(at)&isCut != 0 && typ != dns.TypeDS { // RFC 4035 3.1.4.1: the DS set is on this side of the cut
		return b.referral(q, 0, at, a)
	}
	if a.links == 0 {
		a.Host = int(binary.LittleEndian.Uint16(b[at+nodeHost:]))
	}
	return b.found(q, 0, typ, at, a)
}

// found answers from a node: the one of the name, or the wildcard that stands in for it, whose parent is the name without so many labels.
func (b Body) found(q *QName, encloser int, typ uint16, node uint32, a *Answer) (follow bool) {
	owner := Owner{Link: a.links}
	if s, ok := b.set(node, typ); ok {
		b.proveWildcard(q, encloser, a)
		a.Trapped = a.links == 0 && typ == dns.TypeMX && b.flags(node)&isTrapped != 0
		if a.links == 0 || !a.holds(s) { // the DNAME that led here may be what is asked for
			a.Answer = append(a.Answer, Item{Set: s, Owner: owner})
		}
		return false
	}
	if sets := b.sets(node); len(sets) > 0 && (typ == dns.TypeANY || typ == dns.TypeRRSIG && a.Secure) { // RFC 8482 4.1: one RRset will do
		b.proveWildcard(q, encloser, a)
		a.Answer = append(a.Answer, Item{Set: readSet(sets), Owner: owner, Bare: typ == dns.TypeRRSIG})
		return false
	}
	s, ok := b.set(node, dns.TypeCNAME)
	if !ok {
		b.proveNoData(q, encloser, a)
		return b.denied(a)
	}
	b.proveWildcard(q, encloser, a)
	a.Answer = append(a.Answer, Item{Set: s, Owner: owner, Alias: a.links < MaxAliases})
	if a.links == MaxAliases {
		return false
	}
	target := &a.aliases[a.links]
	b.target(s, target)
	return b.next(target, a)
}

// next takes a target in and says whether to go on with it: within the zone, and not where the chain has been before.
func (b Body) next(target *QName, a *Answer) bool {
	a.links++
	if target.Labels < b.Labels() || string(target.Suffix(target.Labels-b.Labels())) != string(b.Apex()) || target.equal(a.question) {
		return false
	}
	for i := range a.links - 1 {
		if target.equal(&a.aliases[i]) {
			return false
		}
	}
	return true
}

// dname replaces the suffix of the name (RFC 6672 3.2). The node's name is q without its first labels.
func (b Body) dname(q *QName, labels int, typ uint16, node uint32, a *Answer) (follow bool) {
	a.Varied = true
	s, _ := b.set(node, dns.TypeDNAME)
	if !a.holds(s) {
		a.Answer = append(a.Answer, Item{Set: s, Owner: Owner{Link: a.links, Skip: int(q.starts[labels])}})
	}
	if a.links == MaxAliases {
		return false
	}
	record, _, _ := b.Wire(s)
	target := &a.aliases[a.links]
	if !target.join(q, labels, record[DataAt:]) {
		a.Rcode = dns.RcodeYXDomain
		return false
	}
	a.Answer = append(a.Answer, Item{Owner: Owner{Link: a.links}, Alias: true, TTL: binary.BigEndian.Uint32(record[TTLAt:])})
	// A query for the CNAME itself has its answer now.
	return b.next(target, a) && typ != dns.TypeCNAME && typ != dns.TypeANY
}

// holds says whether a DNAME is in the answer already: a chain may pass it again (RFC 2181 5.5).
func (a *Answer) holds(s RRset) bool {
	for i := range a.Answer {
		if a.Answer[i].Set == s {
			return true
		}
	}
	return false
}

// referral leads to the servers of a delegated name, which is q without its first labels.
func (b Body) referral(q *QName, labels int, at uint32, a *Answer) (follow bool) {
	s, _ := b.set(at, dns.TypeNS)
	owner := Owner{Link: a.links, Skip: int(q.starts[labels])}
	a.Authority = append(a.Authority, Item{Set: s, Owner: owner})
	if a.Secure { // RFC 4035 3.1.4: the DS set, or the proof that there is none
		if ds, ok := b.set(at, dns.TypeDS); ok {
			a.Authority = append(a.Authority, Item{Set: ds, Owner: owner})
		} else {
			b.proveCut(q, labels, a)
		}
	}
	a.Glue, a.Required = b.appendGlue(a.Glue, at)
	return false
}

// denied adds the SOA record of a negative answer (RFC 2308 2).
func (b Body) denied(a *Answer) (follow bool) {
	a.Authority = append(a.Authority, Item{Set: b.negative(), Owner: Owner{Skip: a.apex}})
	return false
}

// target reads where a CNAME leads.
func (b Body) target(s RRset, to *QName) {
	wire, _, apexes := b.Wire(s)
	data := wire[DataAt:]
	if apexes.Len() > 0 {
		var whole [dname.MaxName]byte
		n := copy(whole[:], data[:len(data)-2])
		n += copy(whole[n:], b.Apex())
		data = whole[:n]
	}
	to.Read(data, 0)
}

// Fetch reads what has to be in the cache soon; the sum says nothing.
func (b Body) Fetch(at int) (sum byte) {
	for end := min(len(b), at+192); at < end; at += 64 {
		sum += b[at]
	}
	return sum
}

// Fetch reads the first RRset.
func (a *Answer) Fetch() byte {
	switch {
	case len(a.Answer) > 0:
		return a.Zone.Fetch(int(a.Answer[0].Set.off))
	case len(a.Authority) > 0:
		return a.Zone.Fetch(int(a.Authority[0].Set.off))
	}
	return 0
}
