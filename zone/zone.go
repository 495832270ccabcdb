package zone

import (
	"bytes"
	"hash/maphash"

	"github.com/miekg/dns"
)

// Zone is a compiled zone. It never changes; any number of goroutines may read it.
//
// Names are a tree of nodes, the apex at index 0; empty non-terminals are nodes too (RFC 4592 2.2.2). What a node owns is a run
// of RRsets, and an RRset is a piece of wire that is copied into a packet and patched. There are no pointers inside, so the
// garbage collector passes a zone by however large it is.
type Zone struct {
	apex     name
	labels   int // of the apex
	nodes    []node
	children []uint32 // hash table: index into nodes, 0 is free (the apex is nobody's child)
	sets     []RRset
	wire     []byte
	patches  []uint16
	names    []byte // labels of the nodes, each with its length
	negative RRset  // the SOA with the TTL of a negative answer (RFC 2308 3)
	cuts     map[uint32]cut
	serial   uint32
	hosts    []Host
	trapped  []trappedSet
	lookups  []string
}

// node is a name of the zone.
type node struct {
	parent   uint32
	label    uint32 // offset in names
	sets     uint32 // first of its RRsets
	count    uint16 // of its RRsets, by type number
	decoy    uint16 // 1 + index in Zone.hosts where the name is a decoy's
	wildcard uint32 // the child "*", 0: none
	flags    nodeFlags
}

type nodeFlags uint8

const (
	isCut     nodeFlags = 1 << iota // delegated: NS below the apex (RFC 1034 4.2)
	hasDNAME                        // everything below is elsewhere (RFC 6672)
	isTrapped                       // its MX set holds decoys
)

// RRset is a set of records as it goes on the wire, less the names that depend on the packet.
type RRset struct {
	off    uint32 // in Zone.wire
	patch  uint32 // in Zone.patches: offsets of the owners, then of the apex pointers
	size   uint16
	typ    uint16
	owners uint16 // how many records
	apexes uint16 // how many names in their data end in the apex
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

// Wire is the RRset with two octets of room for each owner and each pointer to the apex, at the offsets that Owners and Apexes
// tell.
func (z *Zone) Wire(s RRset) []byte { return z.wire[s.off : s.off+uint32(s.size)] }

// Owners are the offsets of the owner names in Wire, one a record.
func (z *Zone) Owners(s RRset) []uint16 { return z.patches[s.patch:][:s.owners] }

// Apexes are the offsets in Wire of what must point to the zone's apex.
func (z *Zone) Apexes(s RRset) []uint16 { return z.patches[s.patch+uint32(s.owners):][:s.apexes] }

// Type is the type of the records.
func (s RRset) Type() uint16 { return s.typ }

// Name is the zone's apex without the final dot, as the operator names it.
func (z *Zone) Name() string { return trimDot(z.apex.String()) }

// Serial is the serial number of the SOA record.
func (z *Zone) Serial() uint32 { return z.serial }

// Hosts are the names that the trap has put into the zone, covers first.
func (z *Zone) Hosts() []Host { return z.hosts }

// Decoys counts the decoy MX records and the covers of the zone.
func (z *Zone) Decoys() (decoys, covers int) {
	for _, t := range z.trapped {
		s, _ := z.set(&z.nodes[t.node], dns.TypeMX)
		decoys += int(s.owners) - int(t.real)
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
	mask := uint32(len(z.children) - 1)
	for slot := childHash(parent, label) & mask; ; slot = (slot + 1) & mask {
		i := z.children[slot]
		if i == 0 {
			return 0
		}
		n := &z.nodes[i]
		if n.parent == parent && bytes.HasPrefix(z.names[n.label:], label) {
			return i
		}
	}
}

// set finds an RRset of a node by its type.
func (z *Zone) set(n *node, typ uint16) (RRset, bool) {
	for _, s := range z.sets[n.sets:][:n.count] {
		if s.typ == typ {
			return s, true
		}
	}
	return RRset{}, false
}

// nodeName is the whole name of a node, in lower case.
func (z *Zone) nodeName(i uint32) name {
	var wire []byte
	for ; i != 0; i = z.nodes[i].parent {
		label := z.names[z.nodes[i].label:]
		wire = append(wire, label[:1+label[0]]...)
	}
	return name(wire) + z.apex
}

// records are the records of an RRset as the DNS library has them.
func (z *Zone) records(owner name, s RRset) []dns.RR {
	// A packet that begins with the owner, so that owners and apexes have something to point to.
	msg := append([]byte(owner), z.Wire(s)...)
	begin, apex := len(owner), len(owner)-len(z.apex)
	for _, at := range z.Owners(s) {
		putPointer(msg[begin+int(at):], 0)
	}
	for _, at := range z.Apexes(s) {
		putPointer(msg[begin+int(at):], apex)
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
