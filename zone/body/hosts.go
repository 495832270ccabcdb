package body

import (
	"encoding/binary"
	"math"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
	"mxtrap/zone/trap"
)

// Host is a name that the trap has put into the zone.
type Host struct {
	Name  string // relative to the zone
	Decoy bool   // or else a cover
	For   string // of a cover: the exchange it stands for; of a decoy: the owner whose MX set names it
}

// trappedSet is a node whose MX set holds decoys behind so many real exchanges.
type trappedSet struct{ node, real uint32 }

// The parts of the trap's table in a Body: how many trapped sets and hosts there are (2 octets each); for each set its node and the
// number of its real exchanges (4 each); for each host its node and the node of the decoy's owner (4 each), or 0 and behind it the
// exchange that a cover stands for, in wire format.
const (
	trapSets   = 0
	trapHosts  = 2
	trapTables = 4
	trapEntry  = 8
)

// MaxHosts is how many hosts the trap of a zone may have, and how many owners: their numbers have 16 bits, one of them for "none".
const MaxHosts = math.MaxUint16 - 1

// addTrap writes which names and sets are the trap's, for counters and for show.
func (b *compiler) addTrap(t *trap.Trap) {
	if t == nil {
		return
	}
	b.mark(headTrap)
	b.data = binary.LittleEndian.AppendUint16(b.data, uint16(len(t.Owners)))
	b.data = binary.LittleEndian.AppendUint16(b.data, uint16(len(t.Hosts)))
	entry := func(node, more uint32) {
		b.data = binary.LittleEndian.AppendUint32(b.data, node)
		b.data = binary.LittleEndian.AppendUint32(b.data, more)
	}
	for _, owner := range t.Owners {
		at := b.at[b.Index[owner.Name]]
		b.data[at+nodeFlag] |= byte(isTrapped)
		entry(at, uint32(owner.Real))
	}
	for i, h := range t.Hosts {
		at := b.at[b.Index[h.Name]]
		binary.LittleEndian.PutUint16(b.data[at+nodeHost:], uint16(i+1))
		if !h.Decoy {
			entry(at, 0)
			b.data = append(b.data, h.Of...)
			continue
		}
		entry(at, b.at[b.Index[h.Of]])
	}
}

// Trap is an MX set with decoys.
type Trap struct {
	Owner string // without its final dot
	Real  int    // so many of its records, the first ones, are the operator's
}

// Traps are the MX sets with decoys.
func (b Body) Traps() (traps []Trap) {
	for _, t := range b.trapped() {
		traps = append(traps, Trap{b.nodeName(t.node).Bare(), int(t.real)})
	}
	return traps
}

// trapped are the MX sets with decoys.
func (b Body) trapped() []trappedSet {
	at := b.uint32(headTrap)
	if at == 0 {
		return nil
	}
	table := b[at:]
	sets := make([]trappedSet, binary.LittleEndian.Uint16(table[trapSets:]))
	for i := range sets {
		e := table[trapTables+trapEntry*i:]
		sets[i] = trappedSet{binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint32(e[4:])}
	}
	return sets
}

// Hosts are the names that the trap has put into the zone, covers first.
func (b Body) Hosts() []Host {
	at := b.uint32(headTrap)
	if at == 0 {
		return nil
	}
	table := b[at:]
	hosts := make([]Host, binary.LittleEndian.Uint16(table[trapHosts:]))
	table = table[trapTables+trapEntry*int(binary.LittleEndian.Uint16(table[trapSets:])):]
	for i := range hosts {
		node, owner := binary.LittleEndian.Uint32(table), binary.LittleEndian.Uint32(table[4:])
		table = table[trapEntry:]
		var of dname.Name
		if owner != 0 {
			of = b.nodeName(owner)
		} else {
			of = dname.Name(table[:dname.Length(table)])
			table = table[len(of):]
		}
		hosts[i] = Host{Name: b.nodeName(node).Relative(dname.Name(b.Apex())), Decoy: owner != 0, For: of.Bare()}
	}
	return hosts
}

// Decoys counts the decoy MX records and the covers of the zone.
func (b Body) Decoys() (decoys, covers int) {
	for _, t := range b.trapped() {
		s, _ := b.set(t.node, dns.TypeMX)
		_, owners, _ := b.Wire(s)
		decoys += owners.Len() - int(t.real)
	}
	for _, h := range b.Hosts() {
		if !h.Decoy {
			covers++
		}
	}
	return decoys, covers
}
