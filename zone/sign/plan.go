package sign

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// Plan is what the signing of a zone comes to from one moment until the next at which something changes. It never changes itself.
type Plan struct {
	Window Window
	NSEC3  bool
	Until  int64  // in seconds since 1970: the window's end, or the next time of a key
	Offset uint32 // that is added to the zone's own serial number: it grows with each window and each time of a key

	policy Policy
	name   dname.Name
	at     int64
	keys   []*Key // that the zone's DNSKEY set has
	apex   []*Key // that sign the sets of keys
	zone   []*Key // that sign the rest
	synced []*Key // that CDS and CDNSKEY ask a DS for
	gone   bool   // the keys that sign are withdrawn: CDS and CDNSKEY ask the parent to delete the DS (RFC 8078 4)
}

// Policy is how a zone is signed.
type Policy struct {
	Keys   []*Key
	NSEC3  bool
	Expire uint32 // of the SOA record, in seconds
	MaxTTL uint32 // of the zone, in seconds
}

// errNoKey is the fault of a policy whose keys' times leave none.
var errNoKey = errors.New("no key that is published signs the zone at this time")

// Plan is what a policy comes to at a time for a zone.
func (p Policy) Plan(zone dname.Name, at time.Time) (*Plan, error) {
	now := at.Unix()
	w := windowAt(zone, now, p.Expire, p.MaxTTL)
	plan := &Plan{Window: w, NSEC3: p.NSEC3, Until: w.End, Offset: uint32(w.Number), policy: p, name: zone, at: now}
	split := map[uint8]uint8{} // bits by algorithm: 1 for a key with SEP that is active and published, 2 for one without
	for _, k := range p.Keys {
		plan.Offset += k.Times.passed(now)
		if next := k.Times.next(now); next != 0 {
			plan.Until = min(plan.Until, next)
		}
		if k.Times.Published(now) {
			plan.keys = append(plan.keys, k)
		}
		if k.Times.Active(now) && k.Times.Published(now) {
			if k.IsEntry() {
				split[k.Algorithm] |= 1
			} else {
				split[k.Algorithm] |= 2
			}
		}
		if k.IsEntry() && k.Times.Synced(now) {
			plan.synced = append(plan.synced, k)
		}
	}
	plan.gone = withdrawn(p.Keys, now)
	for _, k := range p.Keys {
		if !k.Times.Active(now) {
			continue
		}
		// Where there are both kinds of keys of an algorithm, each signs what is its own; or else a key signs everything.
		both := split[k.Algorithm] == 3
		if (k.IsEntry() || !both) && k.Times.Published(now) {
			plan.apex = append(plan.apex, k)
		}
		if !k.IsEntry() || !both {
			plan.zone = append(plan.zone, k)
		}
	}
	published := func(k *Key) bool { return k.Times.Published(now) }
	if !slices.ContainsFunc(plan.zone, published) || len(plan.apex) == 0 {
		return nil, errNoKey
	}
	return plan, nil
}

// At is the plan of the same policy at another time.
func (p *Plan) At(at time.Time) (*Plan, error) { return p.policy.Plan(p.name, at) }

// MaxTTL is the largest TTL of the zone.
func (p *Plan) MaxTTL() time.Duration { return time.Duration(p.policy.MaxTTL) * time.Second }

// Rolls says whether one of the keys will begin or cease to do something.
func (p *Plan) Rolls() bool {
	return slices.ContainsFunc(p.policy.Keys, func(k *Key) bool { return k.Times.next(p.at) != 0 })
}

// Hash tells the signatures of two plans apart.
func (p *Plan) Hash() [sha256.Size]byte {
	text := fmt.Append(nil, p.Window)
	for _, keys := range [][]*Key{p.apex, p.zone} {
		for _, k := range keys {
			text = append(text, k.Data()...)
		}
	}
	return sha256.Sum256(text)
}

// SameRecords says whether two plans of a zone add the same records, but for signatures.
func (p *Plan) SameRecords(other *Plan) bool {
	return slices.EqualFunc(p.keys, other.keys, (*Key).same) && slices.EqualFunc(p.synced, other.synced, (*Key).same) && p.gone == other.gone && p.NSEC3 == other.NSEC3
}

// OfKeys says whether a set of a type is signed by the keys that the parent's DS names, where others sign the rest (RFC 7344 4.1).
func OfKeys(typ uint16) bool {
	return typ == dns.TypeDNSKEY || typ == dns.TypeCDS || typ == dns.TypeCDNSKEY
}

// Signers are the keys that sign a set of a type.
func (p *Plan) Signers(typ uint16) []*Key {
	if OfKeys(typ) {
		return p.apex
	}
	return p.zone
}

// SignaturesSize is how many octets the signatures of an RRset have at most.
func (p *Plan) SignaturesSize() int {
	size := func(keys []*Key) (n int) {
		for _, k := range keys {
			n += k.SignatureSize()
		}
		return n
	}
	return max(size(p.apex), size(p.zone))
}

// Same says whether two plans sign with the same keys in the same window, whatever comes after it.
func (p *Plan) Same(other *Plan) bool {
	return p.Window == other.Window && slices.EqualFunc(p.apex, other.apex, (*Key).same) && slices.EqualFunc(p.zone, other.zone, (*Key).same)
}

// SameFuture says whether the keys of two plans have the same times.
func (p *Plan) SameFuture(other *Plan) bool {
	return p.NSEC3 == other.NSEC3 && slices.EqualFunc(p.policy.Keys, other.policy.Keys, func(a, b *Key) bool { return a.same(b) && a.Times == b.Times })
}

// Apply adds what DNSSEC needs to the content of a zone that is checked and has its trap: the sets of keys, and the chain that tells
// which names and types there are, which it returns. The SOA record must have its final TTL.
func (p *Plan) Apply(c *content.Content, soa *content.SOA) *Chain {
	put := func(typ uint16, data [][]byte) {
		if len(data) == 0 {
			return
		}
		slices.SortFunc(data, bytes.Compare)
		c.Put(c.Apex, recordSet(c.Apex, typ, soa.Ttl, data...))
	}
	var keys, cds, cdnskey [][]byte
	for _, k := range p.keys {
		keys = append(keys, k.Data())
	}
	for _, k := range p.synced {
		cds, cdnskey = append(cds, k.DS(SHA256)), append(cdnskey, k.Data())
	}
	if p.gone { // RFC 8078 4
		cds, cdnskey = [][]byte{{0, 0, 0, 0, 0}}, [][]byte{{0, 0, 3, 0, 0}}
	}
	put(dns.TypeDNSKEY, keys)
	put(dns.TypeCDS, cds)
	put(dns.TypeCDNSKEY, cdnskey)
	ttl := soa.NegativeTTL() // RFC 9077 3
	if p.NSEC3 {
		put(dns.TypeNSEC3PARAM, [][]byte{{1, 0, 0, 0, 0}})
		return p.nsec3Chain(c, ttl)
	}
	return p.nsecChain(c, ttl)
}

// recordSet is an RRset of data.
func recordSet(owner dname.Name, typ uint16, ttl uint32, data ...[]byte) content.RRset {
	set := content.RRset{Typ: typ, Ttl: ttl, Records: make([]content.Record, len(data))}
	for i, d := range data {
		set.Records[i] = content.Record{Owner: owner, Typ: typ, Ttl: ttl, Data: d}
	}
	return set
}

// Made says whether the records of a type are made by signing.
func Made(typ uint16) bool {
	switch typ {
	case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY:
		return true
	}
	return false
}

// SignsAlike says whether the same keys sign the sets of keys and all others.
func (p *Plan) SignsAlike() bool { return slices.Equal(p.apex, p.zone) }
