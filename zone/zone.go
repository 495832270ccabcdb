package zone

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"

	"github.com/miekg/dns"
)

// Zone is a compiled zone. It never changes; any number of goroutines may read it.
//
// All that a lookup reads is one piece of memory, so that it lies close together and the garbage collector passes it by: the apex in
// wire format, a hash table of children, the nodes, and the RRsets. Names are a tree of nodes; empty non-terminals are nodes too
// (RFC 4592 2.2.2). What a node owns is RRsets, and an RRset is a piece of wire that is copied into a packet and patched. Numbers are
// little-endian; an offset is from the beginning, and 0, where the apex is, means none.
type Zone struct {
	data     []byte
	children uint32 // offset of the hash table: offsets of nodes, by parent and label
	mask     uint32 // its size is mask + 1
	top, end uint32 // offsets of the first node, the apex's, and behind the last
	negative RRset  // the SOA with the TTL of a negative answer (RFC 2308 3)
	apexSize uint8
	labels   uint8 // of the apex
	serial   uint32
	cuts     map[uint32]cut // by node
	hosts    []Host
	trapped  []trappedSet
	lookups  []string
}

// The parts of a node: head, label with its length, and for each RRset by type number its type (2 octets) and offset (4).
const (
	nodeParent   = 0  // 4 octets: offset; of the apex 0
	nodeWildcard = 4  // 4: offset of the child "*"
	nodeDecoy    = 8  // 2: 1 + index in Zone.hosts where the name is a decoy's
	nodeSets     = 10 // 2: how many RRsets
	nodeFlag     = 12 // 1: nodeFlags
	nodeLabel    = 13
	setEntry     = 6
)

// The parts of an RRset: sizes, offsets in its wire of the owners and of the apex's pointers (2 octets each), wire.
const (
	setSize    = 0 // 2 octets: of the wire
	setOwners  = 2 // 2: how many records
	setApexes  = 4 // 2: how many names in their data end in the apex
	setPatches = 6
)

// Where the parts of a record stand in the wire, behind two octets for its owner.
const (
	ttlAt   = 6
	rdataAt = 12
)

type nodeFlags uint8

const (
	isCut     nodeFlags = 1 << iota // delegated: NS below the apex (RFC 1034 4.2)
	hasDNAME                        // everything below is elsewhere (RFC 6672)
	isTrapped                       // its MX set holds decoys
)

// RRset is a set of records as it goes on the wire, less the names that depend on the packet.
type RRset struct {
	off uint32 // in Zone.data
	typ uint16
}

// cut is a delegation's glue: the addresses that a referral carries (RFC 9471).
type cut struct {
	glue     []Glue
	required int // of them, those below the cut itself
}

// Glue is an address RRset for a referral.
type Glue struct {
	Set RRset
	NS  int // which record of the NS set names its owner
}

// Host is a name that the trap has put into the zone.
type Host struct {
	Name  string // relative to the zone
	Decoy bool   // or else a cover
	For   string // of a cover: the exchange it stands for; of a decoy: the owner whose MX set names it
}

// trappedSet is a node whose MX set holds decoys behind so many real exchanges.
type trappedSet struct{ node, real uint32 }

// Offsets are places in the wire of an RRset.
type Offsets []byte

// Len is how many there are.
func (o Offsets) Len() int { return len(o) / 2 }

// At is the i-th.
func (o Offsets) At(i int) int { return int(binary.LittleEndian.Uint16(o[2*i:])) }

// Wire is the RRset with two octets of room for the owner of each record, and for each name in their data that ends in the apex two
// for a pointer to it.
func (z *Zone) Wire(s RRset) (wire []byte, owners, apexes Offsets) {
	head := z.data[s.off:]
	size := int(binary.LittleEndian.Uint16(head[setSize:]))
	apexAt := setPatches + 2*int(binary.LittleEndian.Uint16(head[setOwners:]))
	wireAt := apexAt + 2*int(binary.LittleEndian.Uint16(head[setApexes:]))
	return head[wireAt : wireAt+size], Offsets(head[setPatches:apexAt]), Offsets(head[apexAt:wireAt])
}

// Type is the type of the records.
func (s RRset) Type() uint16 { return s.typ }

// apex is the zone's name.
func (z *Zone) apex() name { return name(z.apexWire()) }

func (z *Zone) apexWire() []byte { return z.data[:z.apexSize] }

// Name is the zone's apex without the final dot, as the operator names it.
func (z *Zone) Name() string { return trimDot(z.apex().String()) }

// Serial is the serial number of the SOA record.
func (z *Zone) Serial() uint32 { return z.serial }

// Hosts are the names that the trap has put into the zone, covers first.
func (z *Zone) Hosts() []Host { return z.hosts }

// Decoys counts the decoy MX records and the covers of the zone.
func (z *Zone) Decoys() (decoys, covers int) {
	for _, t := range z.trapped {
		s, _ := z.set(t.node, dns.TypeMX)
		_, owners, _ := z.Wire(s)
		decoys += owners.Len() - int(t.real)
	}
	for _, h := range z.hosts {
		if !h.Decoy {
			covers++
		}
	}
	return decoys, covers
}

// Lookups are the hosts outside the zone whose addresses the trap needs.
func (z *Zone) Lookups() []string { return z.lookups }

var seed = maphash.MakeSeed()

// childHash spreads the children of all nodes over one table.
func childHash(parent uint32, label []byte) uint32 {
	h := maphash.Bytes(seed, label) ^ uint64(parent)*0x9e3779b97f4a7c15
	return uint32(h ^ h>>32)
}

// child finds the node of a label right below a node; 0: there is none.
func (z *Zone) child(parent uint32, label []byte) uint32 {
	for slot := childHash(parent, label) & z.mask; ; slot = (slot + 1) & z.mask {
		at := binary.LittleEndian.Uint32(z.data[z.children+4*slot:])
		if at == 0 {
			return 0
		}
		if n := z.data[at:]; binary.LittleEndian.Uint32(n[nodeParent:]) == parent && bytes.HasPrefix(n[nodeLabel:], label) {
			return at
		}
	}
}

func (z *Zone) flags(node uint32) nodeFlags { return nodeFlags(z.data[node+nodeFlag]) }

func (z *Zone) wildcard(node uint32) uint32 {
	return binary.LittleEndian.Uint32(z.data[node+nodeWildcard:])
}

// sets are the entries of a node's RRsets.
func (z *Zone) sets(node uint32) []byte {
	n := z.data[node:]
	first := nodeLabel + 1 + int(n[nodeLabel])
	return n[first : first+setEntry*int(binary.LittleEndian.Uint16(n[nodeSets:]))]
}

// readSet reads the first of the entries.
func readSet(entries []byte) RRset {
	return RRset{typ: binary.LittleEndian.Uint16(entries), off: binary.LittleEndian.Uint32(entries[2:])}
}

// set finds an RRset of a node by its type.
func (z *Zone) set(node uint32, typ uint16) (RRset, bool) {
	for e := z.sets(node); len(e) > 0; e = e[setEntry:] {
		if s := readSet(e); s.typ == typ {
			return s, true
		}
	}
	return RRset{}, false
}

// allSets are a node's RRsets by type.
func (z *Zone) allSets(node uint32) (sets []RRset) {
	for e := z.sets(node); len(e) > 0; e = e[setEntry:] {
		sets = append(sets, readSet(e))
	}
	return sets
}

// nodes are the offsets of all nodes.
func (z *Zone) nodes() (nodes []uint32) {
	for at := z.top; at < z.end; {
		nodes = append(nodes, at)
		at += nodeLabel + 1 + uint32(z.data[at+nodeLabel]) + uint32(len(z.sets(at)))
	}
	return nodes
}

// nodeName is the whole name of a node, in lower case.
func (z *Zone) nodeName(node uint32) name {
	var wire []byte
	for node != z.top {
		n := z.data[node:]
		wire = append(wire, n[nodeLabel:nodeLabel+1+int(n[nodeLabel])]...)
		node = binary.LittleEndian.Uint32(n[nodeParent:])
	}
	return name(append(wire, z.apexWire()...))
}

// records are the records of an RRset as the DNS library has them.
func (z *Zone) records(owner name, s RRset) []dns.RR {
	// A packet that begins with the owner, so that owners and apexes have something to point to.
	wire, owners, apexes := z.Wire(s)
	msg := append([]byte(owner), wire...)
	begin, apex := len(owner), len(owner)-int(z.apexSize)
	for i := range owners.Len() {
		putPointer(msg[begin+owners.At(i):], 0)
	}
	for i := range apexes.Len() {
		putPointer(msg[begin+apexes.At(i):], apex)
	}
	var rrs []dns.RR
	for off := begin; off < len(msg); {
		rr, next, err := dns.UnpackRR(msg, off)
		if err != nil {
			return rrs // what the library packed it unpacks; held by a test over all types
		}
		rrs, off = append(rrs, rr), next
	}
	return rrs
}

func putPointer(to []byte, offset int) {
	to[0], to[1] = 0xc0|byte(offset>>8), byte(offset)
}

func trimDot(s string) string {
	if len(s) > 1 && s[len(s)-1] == '.' {
		return s[:len(s)-1]
	}
	return s
}
