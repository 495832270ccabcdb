package zone

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/miekg/dns"
)

// Where the parts of a record stand in [Zone.Wire], behind two octets for its owner.
const (
	ttlAt   = 6
	rdataAt = 12
)

// maxRRset is the longest RRset that fits into a message with its question and EDNS (RFC 1035 4.2.2: 65535 octets).
const maxRRset = math.MaxUint16 - 12 - maxName - 4 - 11 - 4 - 255

// compiler turns records into a Zone.
type compiler struct {
	zone    *Zone
	index   map[name]uint32
	order   []name            // of the nodes
	wires   map[string]uint32 // what is in wire and patches already: equal RRsets are stored once, so that a decoy with
	patches map[string]uint32 // its target's addresses costs no more than its name
}

// compile makes the Zone of checked content.
func compile(c *content, t *trap) *Zone {
	b := &compiler{
		zone:    &Zone{apex: c.apex, labels: len(c.apex.labels()), serial: c.soa.Serial},
		index:   map[name]uint32{},
		wires:   map[string]uint32{},
		patches: map[string]uint32{},
	}
	z := b.zone
	b.addNode(c.apex)
	owners := c.names()
	for _, owner := range owners {
		b.addNode(owner)
	}
	for _, owner := range owners {
		b.addSets(b.index[owner], c.sets[owner])
	}
	b.markTrap(t)
	b.hashChildren()
	b.addGlue()
	negative := *c.soa
	negative.Hdr.Ttl = min(negative.Hdr.Ttl, negative.Minttl) // RFC 2308 5
	z.negative, _ = b.pack([]dns.RR{&negative})
	z.nodes, z.sets, z.wire, z.patches, z.names = slices.Clip(z.nodes), slices.Clip(z.sets), slices.Clip(z.wire), slices.Clip(z.patches), slices.Clip(z.names)
	return z
}

// addNode makes the node of a name, and of the names between it and the apex (RFC 4592 2.2.2).
func (b *compiler) addNode(n name) uint32 {
	if i, ok := b.index[n]; ok {
		return i
	}
	node := node{label: uint32(len(b.zone.names))}
	if n != b.zone.apex {
		node.parent = b.addNode(n.parent())
		node.label = uint32(len(b.zone.names))
		b.zone.names = append(b.zone.names, n[:1+n[0]]...)
	}
	i := uint32(len(b.zone.nodes))
	if n != b.zone.apex && n.label() == "*" {
		b.zone.nodes[node.parent].wildcard = i
	}
	b.zone.nodes = append(b.zone.nodes, node)
	b.index[n] = i
	b.order = append(b.order, n)
	return i
}

// addSets packs what a node owns. The sets come in the order of their types.
func (b *compiler) addSets(at uint32, sets []*rrset) {
	z := b.zone
	n := &z.nodes[at]
	n.sets, n.count = uint32(len(z.sets)), uint16(len(sets))
	for _, set := range sets {
		packed, err := b.pack(set.rrs)
		if err != nil {
			panic("zone: unchecked content: " + err.Error()) // a bug: content.check packs every set first
		}
		z.sets = append(z.sets, packed)
		switch {
		case set.typ == dns.TypeNS && at != 0:
			n.flags |= isCut
		case set.typ == dns.TypeDNAME:
			n.flags |= hasDNAME
		}
	}
}

// markTrap notes which names and sets are the trap's, for counters and for show.
func (b *compiler) markTrap(t *trap) {
	if t == nil {
		return
	}
	for _, owner := range t.owners {
		at := b.index[owner.name]
		b.zone.nodes[at].flags |= isTrapped
		b.zone.trapped = append(b.zone.trapped, trappedSet{at, uint32(owner.real)})
	}
	for i, h := range t.hosts {
		b.zone.hosts = append(b.zone.hosts, h.Host)
		if h.Decoy {
			b.zone.nodes[b.index[h.name]].decoy = uint16(i + 1)
		}
	}
	b.zone.lookups = t.lookups
}

func (b *compiler) hashChildren() {
	z := b.zone
	z.children = make([]uint32, tableSize(len(z.nodes)))
	mask := uint32(len(z.children) - 1)
	for i, n := range b.order[1:] {
		slot := childHash(z.nodes[i+1].parent, []byte(n[:1+n[0]])) & mask
		for z.children[slot] != 0 {
			slot = (slot + 1) & mask
		}
		z.children[slot] = uint32(i + 1)
	}
}

// addGlue lists for every cut the addresses of its name servers that only this zone can tell: those at or below a cut, the
// ones below the cut itself first (RFC 9471).
func (b *compiler) addGlue() {
	z := b.zone
	for at := range z.nodes {
		if z.nodes[at].flags&isCut == 0 {
			continue
		}
		servers, _ := z.set(&z.nodes[at], dns.TypeNS)
		var own, sibling []Glue
		for i, rr := range z.records(b.order[at], servers) {
			host := mustName(rr.(*dns.NS).Ns)
			h, ok := b.index[host]
			if !ok || !b.occluded(h) {
				continue
			}
			for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
				s, ok := z.set(&z.nodes[h], typ)
				switch {
				case !ok:
				case host.within(b.order[at]):
					own = append(own, Glue{Set: s, NS: i})
				default:
					sibling = append(sibling, Glue{Set: s, NS: i})
				}
			}
		}
		if z.cuts == nil {
			z.cuts = map[uint32]cut{}
		}
		z.cuts[uint32(at)] = cut{glue: append(own, sibling...), required: len(own)}
	}
}

// occluded says whether a node is at or below a cut, where this zone has no authority (RFC 2181 6).
func (b *compiler) occluded(at uint32) bool {
	for ; at != 0; at = b.zone.nodes[at].parent {
		if b.zone.nodes[at].flags&isCut != 0 {
			return true
		}
	}
	return false
}

// pack puts records into the zone's wire, unless the same octets are there already.
func (b *compiler) pack(rrs []dns.RR) (RRset, error) {
	wire, owners, apexes, err := packRRset(b.zone.apex, rrs)
	if err != nil {
		return RRset{}, err
	}
	patches := append(owners, apexes...)
	return RRset{
		off:    stored(b.wires, &b.zone.wire, wire),
		patch:  stored(b.patches, &b.zone.patches, patches),
		size:   uint16(len(wire)),
		typ:    rrs[0].Header().Rrtype,
		owners: uint16(len(owners)),
		apexes: uint16(len(apexes)),
	}, nil
}

// stored finds a run of values among those already in the zone, or appends it.
func stored[T byte | uint16](seen map[string]uint32, to *[]T, values []T) uint32 {
	key, _ := binary.Append(nil, binary.BigEndian, values)
	at, ok := seen[string(key)]
	if !ok {
		at = uint32(len(*to))
		seen[string(key)] = at
		*to = append(*to, values...)
	}
	return at
}

// packBuffers hold a record while it is packed.
var packBuffers = sync.Pool{New: func() any { return new([math.MaxUint16]byte) }}

// packRRset packs records with two octets of room for each owner, and for each name in their data that ends in the apex a
// pointer's room in its place (only types of RFC 1035 may be compressed: RFC 3597 4).
func packRRset(apex name, rrs []dns.RR) (wire []byte, owners, apexes []uint16, err error) {
	scratch := packBuffers.Get().(*[math.MaxUint16]byte)
	defer packBuffers.Put(scratch)
	buf := scratch[:]
	for _, rr := range rrs {
		bare := dns.Copy(rr)
		bare.Header().Name = "."
		end, err := dns.PackRR(bare, buf, 0, nil, false)
		if err != nil {
			return nil, nil, nil, err
		}
		if len(wire)+end+1 > maxRRset {
			return nil, nil, nil, fmt.Errorf("an RRset of more than %d octets fits into no message", maxRRset)
		}
		owners = append(owners, uint16(len(wire)))
		begin := len(wire)
		wire = append(wire, 0, 0)
		wire = append(wire, buf[1:rdataAt-1]...) // buf has one octet for the owner, wire has two
		at := rdataAt - 1
		skip, names := compressible(rr.Header().Rrtype)
		wire = append(wire, buf[at:at+skip]...)
		at += skip
		for range names {
			size := nameSize(buf[at:end])
			head, inside := splitApex(buf[at:at+size], apex)
			wire = append(wire, head...)
			if inside {
				apexes = append(apexes, uint16(len(wire)))
				wire = append(wire, 0, 0)
			}
			at += size
		}
		wire = append(wire, buf[at:end]...)
		binary.BigEndian.PutUint16(wire[begin+rdataAt-2:], uint16(len(wire)-begin-rdataAt))
	}
	return wire, owners, apexes, nil
}

// compressible says where in the data of a type names stand that may be compressed: behind so many octets, so many in a row.
func compressible(typ uint16) (skip, names int) {
	switch typ {
	case dns.TypeNS, dns.TypeCNAME, dns.TypePTR:
		return 0, 1
	case dns.TypeMX:
		return 2, 1
	case dns.TypeSOA:
		return 0, 2
	}
	return 0, 0
}

// nameSize is the length of the uncompressed name that wire begins with.
func nameSize(wire []byte) int {
	n := 0
	for wire[n] != 0 {
		n += int(wire[n]) + 1
	}
	return n + 1
}

// splitApex cuts the apex off a name in wire format, where the name ends in it.
func splitApex(wire []byte, apex name) (head []byte, inside bool) {
	low := slices.Clone(wire)
	lower(low)
	if !name(low).within(apex) {
		return wire, false
	}
	return wire[:len(wire)-len(apex)], true
}

// sortSets orders sets by type.
func sortSets(sets []*rrset) {
	slices.SortFunc(sets, func(a, b *rrset) int { return cmp.Compare(a.typ, b.typ) })
}
