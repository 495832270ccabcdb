package body

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"

	"github.com/miekg/dns"
)

// Body is all of a zone that a lookup reads, in one piece of memory, so that it lies close together and the garbage collector passes
// it by: a head with the apex in wire format, a hash table of children, the nodes, the RRsets, the glue of each cut, and what
// is the trap's. Names are a
// tree of nodes; empty non-terminals are nodes too (RFC 4592 2.2.2). What a node owns is RRsets, and an RRset is a piece of wire that
// is copied into a packet and patched. Numbers are little-endian; an offset is from the beginning, and 0, where the head is, means
// none.
type Body []byte

// The parts of the head.
const (
	headChildren = 0  // 4 octets: offset of the hash table: offsets of nodes, by parent and label
	headMask     = 4  // 4: its size less one
	headTop      = 8  // 4: offset of the first node, the apex's
	headEnd      = 12 // 4: offset behind the last
	headNegative = 16 // 4: offset of the SOA with the TTL of a negative answer (RFC 2308 3)
	headTrap     = 20 // 4: offset of the trap's table
	headChain    = 24 // 4: offset of the chain of a signed zone: offsets of its links, in the order of their owners
	headLinks    = 28 // 4: how many there are
	headSlots    = 32 // 4: offset of the slots of a signed zone, one for each RRset with signatures
	headSigned   = 36 // 4: how many there are
	headLabels   = 40 // 1: of the apex
	headApexSize = 41 // 1
	headNSEC3    = 42 // 1: 1 where the chain is one of hashes
	headHash     = 43 // 4: offset of how often the hashes are computed again (2 octets), and of their salt with its length; 0: once, without
	headGiven    = 47 // 1: 1 where the signatures are another signer's: an RRset's slot is the offset of theirs
	headApex     = 48
)

// The parts of a node: head, label with its length, and for each RRset by type number its type (2 octets) and offset (4).
const (
	nodeParent   = 0  // 4 octets: offset; of the apex 0
	nodeWildcard = 4  // 4: offset of the child "*"; of a cut, below which nothing is looked up, that of its glue
	nodeHost     = 8  // 2: 1 + index in Zone.Hosts where the name is one of the trap
	nodeSets     = 10 // 2: how many RRsets
	nodeFlag     = 12 // 1: nodeFlags
	nodeLabel    = 13
	setEntry     = 6
)

// The parts of an RRset: sizes, slot, offsets in its wire of the owners and of the apex's pointers (2 octets each), wire.
const (
	setSize    = 0 // 2 octets: of the wire
	setOwners  = 2 // 2: how many records
	setApexes  = 4 // 2: how many names in their data end in the apex
	setSlot    = 6 // 4: 1 + number of its slot, or the offset of its given signatures; 0: it has none
	setPatches = 10
)

// Where the parts of a record stand in the wire, behind two octets for its owner.
const (
	TTLAt  = 6
	DataAt = 12
)

// The parts of a cut's glue: counts, and for each RRset its type (2 octets), offset (4) and the NS record that names its owner (2).
const (
	glueSets     = 0 // 2 octets: how many RRsets
	glueRequired = 2 // 2: of them, those below the cut itself
	glueEntries  = 4
	glueEntry    = setEntry + 2
)

type nodeFlags uint8

const (
	isCut     nodeFlags = 1 << iota // delegated: NS below the apex (RFC 1034 4.2)
	hasDNAME                        // everything below is elsewhere (RFC 6672)
	isTrapped                       // its MX set holds decoys
)

// RRset is a set of records as it goes on the wire, less the names that depend on the packet.
type RRset struct {
	off uint32 // in the Body
	typ uint16
}

// Type is the type of the records.
func (s RRset) Type() uint16 { return s.typ }

// Glue is an address RRset for a referral (RFC 9471).
type Glue struct {
	Set RRset
	NS  int // which record of the NS set names its owner
}

// Offsets are places in the wire of an RRset.
type Offsets []byte

// Len is how many there are.
func (o Offsets) Len() int { return len(o) / 2 }

// At is the i-th.
func (o Offsets) At(i int) int { return int(binary.LittleEndian.Uint16(o[2*i:])) }

// Wire is the RRset with two octets of room for the owner of each record, and for each name in their data that ends in the apex two
// for a pointer to it.
func (b Body) Wire(s RRset) (wire []byte, owners, apexes Offsets) {
	head := b[s.off:]
	size := int(binary.LittleEndian.Uint16(head[setSize:]))
	apexAt := setPatches + 2*int(binary.LittleEndian.Uint16(head[setOwners:]))
	wireAt := apexAt + 2*int(binary.LittleEndian.Uint16(head[setApexes:]))
	return head[wireAt : wireAt+size], Offsets(head[setPatches:apexAt]), Offsets(head[apexAt:wireAt])
}

func (b Body) uint32(at uint32) uint32 { return binary.LittleEndian.Uint32(b[at:]) }

// apex is the zone's name in wire format.
func (b Body) Apex() []byte { return b[headApex : headApex+int(b[headApexSize])] }

// labels is how many labels the apex has, without the root.
func (b Body) Labels() int { return int(b[headLabels]) }

// negative is the SOA of a negative answer.
func (b Body) negative() RRset { return RRset{b.uint32(headNegative), dns.TypeSOA} }

var seed = maphash.MakeSeed()

// childHash spreads the children of all nodes over one table.
func childHash(parent uint32, label []byte) uint32 {
	h := maphash.Bytes(seed, label) ^ uint64(parent)*0x9e3779b97f4a7c15
	return uint32(h ^ h>>32)
}

// child finds the node of a label right below a node; 0: there is none.
func (b Body) child(parent uint32, label []byte) uint32 {
	children, mask := b.uint32(headChildren), b.uint32(headMask)
	for slot := childHash(parent, label) & mask; ; slot = (slot + 1) & mask {
		at := b.uint32(children + 4*slot)
		if at == 0 {
			return 0
		}
		if n := b[at:]; binary.LittleEndian.Uint32(n[nodeParent:]) == parent && bytes.HasPrefix(n[nodeLabel:], label) {
			return at
		}
	}
}

func (b Body) flags(node uint32) nodeFlags { return nodeFlags(b[node+nodeFlag]) }

// sets are the entries of a node's RRsets.
func (b Body) sets(node uint32) []byte {
	n := b[node:]
	first := nodeLabel + 1 + int(n[nodeLabel])
	return n[first : first+setEntry*int(binary.LittleEndian.Uint16(n[nodeSets:]))]
}

// readSet reads the first of the entries.
func readSet(entries []byte) RRset {
	return RRset{typ: binary.LittleEndian.Uint16(entries), off: binary.LittleEndian.Uint32(entries[2:])}
}

func putSet(entry []byte, s RRset) {
	binary.LittleEndian.PutUint16(entry, s.typ)
	binary.LittleEndian.PutUint32(entry[2:], s.off)
}

// set finds an RRset of a node by its type.
func (b Body) set(node uint32, typ uint16) (RRset, bool) {
	for e := b.sets(node); len(e) > 0; e = e[setEntry:] {
		if s := readSet(e); s.typ == typ {
			return s, true
		}
	}
	return RRset{}, false
}

// appendGlue adds the glue of a cut, what is required first, and says how much that is.
func (b Body) appendGlue(to []Glue, cut uint32) (glue []Glue, required int) {
	at := b.uint32(cut + nodeWildcard)
	if at == 0 {
		return to, 0
	}
	list := b[at:]
	for i := range int(binary.LittleEndian.Uint16(list[glueSets:])) {
		e := list[glueEntries+glueEntry*i:]
		to = append(to, Glue{readSet(e), int(binary.LittleEndian.Uint16(e[setEntry:]))})
	}
	return to, int(binary.LittleEndian.Uint16(list[glueRequired:]))
}

// tableSize is a power of two that leaves at least half of a hash table free.
func TableSize(entries int) int {
	size := 2
	for size < 2*entries {
		size *= 2
	}
	return size
}
