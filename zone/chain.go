package zone

import (
	"encoding/binary"

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
			b.addSlot(at, set, link.Owner)
			b.data[headNSEC3] = 1
		}
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
	if a.Signatures == nil {
		return
	}
	name := q.suffix(labels)
	var room [dname.MaxName]byte
	if wildcard {
		n := copy(room[:], "\x01*")
		if n+len(name) > len(room) {
			return // such a wildcard cannot exist
		}
		name = room[:n+copy(room[n:], name)]
	}
	key := name[:len(name)-len(b.apex())]
	var hash [sign.HashLabel]byte
	if b[headNSEC3] != 0 {
		sign.Hash(&hash, name)
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

// proveNone proves that a name does not exist, nor a wildcard that would stand in for it, where the name without so many labels is the
// closest encloser (RFC 4035 3.1.3.2, RFC 5155 7.2.2).
func (b Body) proveNone(q *QName, encloser int, a *Answer) {
	if b[headNSEC3] != 0 {
		b.prove(q, encloser, false, a)
	}
	b.prove(q, encloser-1, false, a)
	b.prove(q, encloser, true, a)
}

// proveNoData proves that a name has no such type, or that the wildcard has none that stands in for it (RFC 4035 3.1.3.1 and 3.1.3.4).
func (b Body) proveNoData(q *QName, encloser int, a *Answer) {
	if encloser == 0 {
		b.prove(q, 0, false, a)
	} else {
		b.proveNone(q, encloser, a)
	}
}

// proveWildcard proves that a wildcard may stand in for a name (RFC 4035 3.1.3.3).
func (b Body) proveWildcard(q *QName, encloser int, a *Answer) {
	if encloser > 0 {
		b.prove(q, encloser-1, false, a)
	}
}
