package body

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
)

// The parts of a link of the chain: its RRset (2 octets for the type, 4 for the offset), and its owner without the apex.
const (
	linkSize   = setEntry // 1 octet: of the owner's labels
	linkLabels = linkSize + 1
)

// slot is an RRset that has signatures.
type slot struct {
	owner  uint32 // node; of an NSEC3 set its link
	set    RRset
	labels uint8 // that a signature states
}

// The parts of a slot in a Body.
const (
	slotOwner  = 0            // 4 octets
	slotSet    = 4            // type and offset
	slotLabels = 4 + setEntry // 1
	slotEntry  = slotLabels + 1
)

// addSignatures writes the signatures of an RRset that are given, or notes that it will have some.
func (b *compiler) addSignatures(chain *sign.Chain, owner uint32, set RRset, name dname.Name) {
	if chain.Given == nil {
		b.addSlot(owner, set, name)
	} else if given := chain.Given.Of(name, set.typ); given != nil {
		b.putUint32(set.off+setSlot, b.addSet(given).off)
	}
}

// countSets is how many RRsets a content has.
func countSets(c *content.Content) (n int) {
	for i := range c.Nodes {
		n += len(c.Nodes[i].Sets)
	}
	return n
}

// addSlot notes that an RRset has signatures.
func (b *compiler) addSlot(owner uint32, set RRset, name dname.Name) {
	b.slots = append(b.slots, slot{owner, set, sign.Labels(name)})
	b.putUint32(set.off+setSlot, uint32(len(b.slots)))
}

// addChain writes the links of the chain, with their RRsets where those belong to no node, and the slots.
func (b *compiler) addChain(chain *sign.Chain) {
	offsets := make([]uint32, len(chain.Links))
	for i := range chain.Links {
		link := &chain.Links[i]
		var set RRset
		if link.Set != nil {
			set = b.addSet(link.Set)
		} else {
			set, _ = b.data.set(b.at[link.Node], link.Type())
		}
		labels := link.Owner[:len(link.Owner)-len(b.Apex)]
		at := uint32(len(b.data))
		offsets[i] = at
		var head [linkLabels]byte
		putSet(head[:], set)
		head[linkSize] = byte(len(labels))
		b.data = append(append(b.data, head[:]...), labels...)
		if link.Set != nil {
			b.addSignatures(chain, at, set, link.Owner)
			b.data[headNSEC3] = 1
		}
	}
	if given := chain.Given; given != nil {
		b.data[headGiven] = 1
		b.mark(headHash)
		b.data = append(binary.LittleEndian.AppendUint16(b.data, given.Iterations), byte(len(given.Salt)))
		b.data = append(b.data, given.Salt...)
	}
	b.mark(headChain)
	b.putUint32(headLinks, uint32(len(offsets)))
	for _, at := range offsets {
		b.data = binary.LittleEndian.AppendUint32(b.data, at)
	}
	b.mark(headSlots)
	b.putUint32(headSigned, uint32(len(b.slots)))
	for _, s := range b.slots {
		var entry [slotEntry]byte
		binary.LittleEndian.PutUint32(entry[slotOwner:], s.owner)
		putSet(entry[slotSet:], s.set)
		entry[slotLabels] = s.labels
		b.data = append(b.data, entry[:]...)
	}
}

// LinkLabels is the owner of a link of the chain without the apex, in wire format.
func (b Body) LinkLabels(link uint32) []byte {
	l := b[link:]
	return l[linkLabels : linkLabels+int(l[linkSize])]
}

// link finds the link whose owner is a name, or the last one before it: the one that says what there is at the name, or that it does not
// exist. The name is without the apex, in lower case.
func (b Body) link(name []byte) uint32 {
	chain, low, high := b.uint32(headChain), uint32(0), b.uint32(headLinks)
	last := high - 1
	for low < high { // the owners below low are not behind the name, those from high on are
		middle := (low + high) / 2
		if dname.Canonical(b.LinkLabels(b.uint32(chain+4*middle)), name) <= 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low > 0 {
		last = low - 1
	}
	return b.uint32(chain + 4*last) // before the first hash stands the last
}

// prove adds the link that speaks of a name without so many labels, or of the wildcard below that.
func (b Body) prove(q *QName, labels int, wildcard bool, a *Answer) {
	if !a.Secure {
		return
	}
	name := q.Suffix(labels)
	var room [dname.MaxName]byte
	if wildcard {
		n := copy(room[:], "\x01*")
		if n+len(name) > len(room) {
			return // such a wildcard cannot exist
		}
		name = room[:n+copy(room[n:], name)]
	}
	key := name[:len(name)-len(b.Apex())]
	var hash [sign.HashLabel]byte
	if b[headNSEC3] != 0 {
		b.hash(&hash, name)
		key = hash[:]
	}
	link := b.link(key)
	for i := range a.Proofs {
		if a.Proofs[i].Owner.Chain == link {
			return
		}
	}
	a.Proofs = append(a.Proofs, Item{Set: readSet(b[link:]), Owner: Owner{Chain: link}})
}

// hash is what the chain makes of a name.
func (b Body) hash(to *[sign.HashLabel]byte, name []byte) {
	at := b.uint32(headHash)
	if at == 0 {
		sign.Hash(to, name, 0, nil)
		return
	}
	h := b[at:]
	sign.Hash(to, name, binary.LittleEndian.Uint16(h), h[3:3+int(h[2])])
}

// proveEncloser adds the link of the closest ancestor of a name that has one, from the name without so many labels on, and says how many
// labels that lacks. In a chain with opt-out, names that exist only for delegations have none (RFC 5155 7.2.1).
func (b Body) proveEncloser(q *QName, labels int, a *Answer) int {
	var hash [sign.HashLabel]byte
	for ; labels < q.Labels-b.Labels(); labels++ {
		if b.hash(&hash, q.Suffix(labels)); string(b.LinkLabels(b.link(hash[:]))) == string(hash[:]) {
			break
		}
	}
	b.prove(q, labels, false, a)
	return labels
}

// proveCut proves that a name has no DS set (RFC 4035 3.1.4.1, RFC 5155 7.2.7).
func (b Body) proveCut(q *QName, labels int, a *Answer) {
	if b[headGiven] == 0 || b[headNSEC3] == 0 {
		b.prove(q, labels, false, a)
	} else if encloser := b.proveEncloser(q, labels, a); encloser > labels {
		b.prove(q, encloser-1, false, a)
	}
}

// proveNone proves that a name does not exist, nor a wildcard that would stand in for it, where the name without so many labels is the
// closest encloser (RFC 4035 3.1.3.2, RFC 5155 7.2.2).
func (b Body) proveNone(q *QName, encloser int, a *Answer) {
	if b[headNSEC3] != 0 && a.Secure {
		encloser = b.proveEncloser(q, encloser, a)
	}
	b.prove(q, encloser-1, false, a)
	b.prove(q, encloser, true, a)
}

// proveNoData proves that a name has no such type, or that the wildcard has none that stands in for it (RFC 4035 3.1.3.1 and 3.1.3.4).
func (b Body) proveNoData(q *QName, encloser int, a *Answer) {
	if encloser == 0 && a.Secure {
		b.proveCut(q, 0, a)
	} else if encloser > 0 {
		b.proveNone(q, encloser, a)
	}
}

// proveWildcard proves that a wildcard may stand in for a name (RFC 4035 3.1.3.3).
func (b Body) proveWildcard(q *QName, encloser int, a *Answer) {
	if encloser > 0 {
		b.prove(q, encloser-1, false, a)
	}
}

// slotAt is where a slot stands in the Body.
func (b Body) slotAt(slot int) []byte { return b[int(b.uint32(headSlots))+slotEntry*slot:] }

// slotOf is the slot of an RRset; -1: it has none.
func (b Body) SlotOf(set RRset) int { return int(b.uint32(set.off+setSlot)) - 1 }

// Signed is how many RRsets will have signatures that are made here.
func (b Body) Signed() int { return int(b.uint32(headSigned)) }

// Slot is the RRset of a slot, its owner, and how many labels a signature of it states.
func (b Body) Slot(slot int) (owner dname.Name, set RRset, labels uint8) {
	entry := b.slotAt(slot)
	at := binary.LittleEndian.Uint32(entry[slotOwner:])
	if set = readSet(entry[slotSet:]); set.typ == dns.TypeNSEC3 {
		return dname.Name(b.LinkLabels(at)) + dname.Name(b.Apex()), set, entry[slotLabels]
	}
	return b.nodeName(at), set, entry[slotLabels]
}

// SlotSet is the RRset of a slot, and how many labels a signature of it states.
func (b Body) SlotSet(slot int) (set RRset, labels uint8) {
	entry := b.slotAt(slot)
	return readSet(entry[slotSet:]), entry[slotLabels]
}

// given are the signatures of an RRset that another signer has made.
func (b Body) Given(set RRset) RRset { return RRset{b.uint32(set.off + setSlot), dns.TypeRRSIG} }

// appendGiven appends them as [Signatures.Append] does. Their TTL is that of the RRset (RFC 4034 3).
func (b Body) AppendGiven(to []byte, set RRset, labels []byte, owner int) []byte {
	records, owners, _ := b.Wire(b.Given(set))
	wire, _, _ := b.Wire(set)
	for i := range owners.Len() {
		end := len(records)
		if i+1 < owners.Len() {
			end = owners.At(i + 1)
		}
		to = append(to, labels...)
		at := len(to)
		to = append(to, records[owners.At(i):end]...)
		to[at], to[at+1] = 0xc0|byte(owner>>8), byte(owner)
		copy(to[at+TTLAt:], wire[TTLAt:TTLAt+4])
	}
	return to
}
