package body

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/sign"
	"mxtrap/zone/trap"
)

// compiler writes the body of a zone.
type compiler struct {
	*content.Content
	data  Body
	at    []uint32 // offset of each node of the content
	slots []slot   // of a signed zone
}

// compilers are those that have written a body, with their memory: a body's size is known when it is written.
var compilers = sync.Pool{New: func() any { return new(compiler) }}

// maxScratch is the largest body, in octets, whose compiler is kept.
const maxScratch = 1 << 20

// Build makes the Body of checked content. One that is signed has a chain, to which the content has all records.
func Build(c *content.Content, soa *content.SOA, t *trap.Trap, chain *sign.Chain) Body {
	b := compilers.Get().(*compiler)
	b.Content, b.data, b.at = c, append(b.data[:0], make([]byte, headApex)...), slices.Grow(b.at[:0], len(c.Nodes))[:len(c.Nodes)]
	b.data[headLabels], b.data[headApexSize] = byte(c.Apex.CountLabels()), byte(len(c.Apex))
	b.data = append(b.data, c.Apex...)
	slots := TableSize(len(c.Nodes))
	b.mark(headChildren)
	b.putUint32(headMask, uint32(slots-1))
	b.data = append(b.data, make([]byte, 4*slots)...)
	b.mark(headTop)
	for i := range c.Nodes {
		b.addNode(i)
	}
	b.mark(headEnd)
	if chain != nil && chain.Given == nil {
		b.slots = make([]slot, 0, countSets(c)+len(chain.Links))
	}
	for i := range c.Nodes {
		b.addSets(i, chain)
	}
	negative := *c.Nodes[0].Get(dns.TypeSOA)
	negative.Ttl = soa.NegativeTTL()
	at := b.addSet(&negative).off
	b.putUint32(headNegative, at)
	if own, ok := b.data.set(b.at[0], dns.TypeSOA); ok { // it goes with the signatures of the SOA record itself (RFC 4035 2.2)
		b.putUint32(at+setSlot, b.data.uint32(own.off+setSlot))
	}
	b.addGlue()
	b.addTrap(t)
	if chain != nil {
		b.addChain(chain)
	}
	body := slices.Clone(b.data)
	if b.Content, b.slots = nil, nil; cap(b.data) <= maxScratch {
		compilers.Put(b)
	}
	return body
}

func (b *compiler) putUint32(at, value uint32) { binary.LittleEndian.PutUint32(b.data[at:], value) }

// mark puts the offset of what will be written next.
func (b *compiler) mark(at uint32) { b.putUint32(at, uint32(len(b.data))) }

// addNode writes a node with room for where its sets are, and enters it into the hash table of children.
func (b *compiler) addNode(i int) {
	n := &b.Nodes[i]
	at := uint32(len(b.data))
	b.at[i] = at
	var head [nodeLabel]byte
	flags := nodeFlags(0)
	for j := range n.Sets {
		switch {
		case n.Sets[j].Typ == dns.TypeNS && i != 0:
			flags |= isCut
		case n.Sets[j].Typ == dns.TypeDNAME:
			flags |= hasDNAME
		}
	}
	label := dname.Root
	if i != 0 {
		parent := b.at[n.Parent]
		label = n.Name[:1+n.Name[0]]
		binary.LittleEndian.PutUint32(head[nodeParent:], parent)
		if label == "\x01*" {
			b.putUint32(parent+nodeWildcard, at)
		}
		children, mask := b.data.uint32(headChildren), b.data.uint32(headMask)
		slot := childHash(parent, []byte(label)) & mask
		for b.data.uint32(children+4*slot) != 0 {
			slot = (slot + 1) & mask
		}
		b.putUint32(children+4*slot, at)
	}
	binary.LittleEndian.PutUint16(head[nodeSets:], uint16(len(n.Sets)))
	head[nodeFlag] = byte(flags)
	b.data = append(append(b.data, head[:]...), label...)
	b.data = append(b.data, make([]byte, setEntry*len(n.Sets))...)
}

// addSets writes what a node owns.
func (b *compiler) addSets(i int, chain *sign.Chain) {
	entry := b.at[i] + nodeLabel + 1 + uint32(b.data[b.at[i]+nodeLabel])
	cut := chain != nil && b.Parts && b.belowCut(i)
	own := cut && b.IsCut(i) && !b.belowCut(b.Nodes[i].Parent)
	for j := range b.Nodes[i].Sets {
		set := &b.Nodes[i].Sets[j]
		s := b.addSet(set)
		// Of a cut, the parent signs the DS set and the link of the chain (RFC 4035 2.2).
		if chain != nil && (!cut || own && (set.Typ == dns.TypeDS || set.Typ == dns.TypeNSEC)) {
			b.addSignatures(chain, b.at[i], s, b.Nodes[i].Name)
		}
		putSet(b.data[entry:], s)
		entry += setEntry
	}
}

// addSet writes an RRset: its sizes, the offsets to patch, and its wire, with two octets of room for each owner, and for each name in
// its data that ends in the apex and may be compressed a pointer's room in its place.
func (b *compiler) addSet(set *content.RRset) RRset {
	apexes := apexNames(b.Apex, set)
	skip, count := rdata.Names(set.Typ)
	var head [DataAt]byte
	binary.BigEndian.PutUint16(head[2:], set.Typ)
	binary.BigEndian.PutUint16(head[4:], dns.ClassINET)
	binary.BigEndian.PutUint32(head[TTLAt:], set.Ttl)
	off := len(b.data)
	owners := len(set.Records)
	b.data = append(b.data, make([]byte, setPatches+2*(owners+apexes))...)
	ownerAt, apexAt := off+setPatches, off+setPatches+2*owners
	wire := len(b.data)
	for i := range set.Records {
		r := &set.Records[i]
		binary.LittleEndian.PutUint16(b.data[ownerAt:], uint16(len(b.data)-wire))
		ownerAt += 2
		b.data = append(b.data, head[:]...)
		begin, data := len(b.data), r.Data
		b.data, data = append(b.data, data[:skip]...), data[skip:]
		for range count {
			size := dname.Length(data)
			head, inside := splitApex(data[:size], b.Apex)
			b.data = append(b.data, head...)
			if inside {
				binary.LittleEndian.PutUint16(b.data[apexAt:], uint16(len(b.data)-wire))
				apexAt += 2
				b.data = append(b.data, 0, 0)
			}
			data = data[size:]
		}
		b.data = append(b.data, data...)
		binary.BigEndian.PutUint16(b.data[begin-2:], uint16(len(b.data)-begin))
	}
	sizes := b.data[off:]
	binary.LittleEndian.PutUint16(sizes[setSize:], uint16(len(b.data)-wire))
	binary.LittleEndian.PutUint16(sizes[setOwners:], uint16(owners))
	binary.LittleEndian.PutUint16(sizes[setApexes:], uint16(apexes))
	return RRset{uint32(off), set.Typ}
}

// WireSize is how long an RRset will be.
func WireSize(apex dname.Name, set *content.RRset) (size int) {
	for i := range set.Records {
		size += DataAt + len(set.Records[i].Data)
	}
	return size - apexNames(apex, set)*(len(apex)-2)
}

// apexNames counts the names in the data of an RRset that end in the apex and may be compressed.
func apexNames(apex dname.Name, set *content.RRset) (n int) {
	skip, count := rdata.Names(set.Typ)
	if count == 0 {
		return 0
	}
	for i := range set.Records {
		data := set.Records[i].Data[skip:]
		for range count {
			size := dname.Length(data)
			if _, inside := splitApex(data[:size], apex); inside {
				n++
			}
			data = data[size:]
		}
	}
	return n
}

// splitApex cuts the apex off a name in wire format, where the name ends in it letter by letter: what was written in others stays so.
func splitApex(wire []byte, apex dname.Name) (head []byte, inside bool) {
	at := 0
	for len(wire)-at > len(apex) {
		at += int(wire[at]) + 1
	}
	if string(wire[at:]) != string(apex) {
		return wire, false
	}
	return wire[:at], true
}

// addGlue lists for every cut the addresses of its name servers that only this zone can tell: those at or below a cut, the
// ones below the cut itself first (RFC 9471).
func (b *compiler) addGlue() {
	for i := range b.Nodes {
		if !b.IsCut(i) {
			continue
		}
		var own, sibling []Glue
		for j := range b.Nodes[i].Get(dns.TypeNS).Records {
			host := b.Nodes[i].Get(dns.TypeNS).Records[j].Host()
			h, ok := b.Index[host]
			if !ok || !b.belowCut(h) {
				continue
			}
			for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
				s, ok := b.data.set(b.at[h], typ)
				switch {
				case !ok:
				case host.Within(b.Nodes[i].Name):
					own = append(own, Glue{Set: s, NS: j})
				default:
					sibling = append(sibling, Glue{Set: s, NS: j})
				}
			}
		}
		b.mark(b.at[i] + nodeWildcard)
		b.data = binary.LittleEndian.AppendUint16(b.data, uint16(len(own)+len(sibling)))
		b.data = binary.LittleEndian.AppendUint16(b.data, uint16(len(own)))
		for _, g := range append(own, sibling...) {
			var entry [glueEntry]byte
			putSet(entry[:], g.Set)
			binary.LittleEndian.PutUint16(entry[setEntry:], uint16(g.NS))
			b.data = append(b.data, entry[:]...)
		}
	}
}

// belowCut says whether a node is at or below a cut, where this zone has no authority (RFC 2181 6).
func (b *compiler) belowCut(node int) bool {
	for ; node != 0; node = b.Nodes[node].Parent {
		if b.IsCut(node) {
			return true
		}
	}
	return false
}
