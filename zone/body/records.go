package body

import (
	"encoding/binary"
	"iter"
	"slices"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
)

// allSets are a node's RRsets by type.
func (b Body) allSets(node uint32) (sets []RRset) {
	for e := b.sets(node); len(e) > 0; e = e[setEntry:] {
		sets = append(sets, readSet(e))
	}
	return sets
}

// nodes are the offsets of all nodes.
func (b Body) nodes() (nodes []uint32) {
	for at, end := b.uint32(headTop), b.uint32(headEnd); at < end; {
		nodes = append(nodes, at)
		at += nodeLabel + 1 + uint32(b[at+nodeLabel]) + uint32(len(b.sets(at)))
	}
	return nodes
}

// nodeName is the whole name of a node, in lower case.
func (b Body) nodeName(node uint32) dname.Name {
	var wire []byte
	for top := b.uint32(headTop); node != top; {
		n := b[node:]
		wire = append(wire, n[nodeLabel:nodeLabel+1+int(n[nodeLabel])]...)
		node = binary.LittleEndian.Uint32(n[nodeParent:])
	}
	return dname.Name(append(wire, b.Apex()...))
}

// records are the records of an RRset, with every name whole.
func (b Body) Records(owner dname.Name, s RRset) []rr.Record {
	wire, owners, apexes := b.Wire(s)
	records := make([]rr.Record, owners.Len())
	for i, apex := 0, 0; i < len(records); i++ {
		begin, end := owners.At(i), len(wire)
		if i+1 < len(records) {
			end = owners.At(i + 1)
		}
		data := make([]byte, 0, end-begin)
		at := begin + DataAt
		for ; apex < apexes.Len() && apexes.At(apex) < end; apex++ {
			data = append(append(data, wire[at:apexes.At(apex)]...), b.Apex()...)
			at = apexes.At(apex) + 2
		}
		records[i] = rr.Record{Owner: string(owner), Type: s.typ, TTL: binary.BigEndian.Uint32(wire[begin+TTLAt:]), Data: append(data, wire[at:end]...)}
	}
	return records
}

// all are the RRsets of the zone with their owners, those of hashes last.
func (b Body) All() iter.Seq2[dname.Name, RRset] {
	return func(yield func(dname.Name, RRset) bool) {
		for _, node := range b.nodes() {
			owner := b.nodeName(node)
			for _, set := range b.allSets(node) {
				if !yield(owner, set) {
					return
				}
			}
		}
		if b[headNSEC3] != 0 {
			for i := range b.uint32(headLinks) {
				link := b.uint32(b.uint32(headChain) + 4*i)
				if !yield(dname.Name(b.LinkLabels(link))+dname.Name(b.Apex()), readSet(b[link:])) {
					return
				}
			}
		}
	}
}

// EachRecord calls do for each record: with its owner, and what stands behind that on the wire, names that end in the apex cut short.
func (b Body) EachRecord(do func(owner dname.Name, typ uint16, rest []byte)) {
	for _, node := range b.nodes() {
		owner := b.nodeName(node)
		for e := b.sets(node); len(e) > 0; e = e[setEntry:] {
			set := readSet(e)
			wire, owners, _ := b.Wire(set)
			for i := range owners.Len() {
				end := len(wire)
				if i+1 < owners.Len() {
					end = owners.At(i + 1)
				}
				// Two octets of room for the owner are left out; those of apexes are zero, and stand for them.
				do(owner, set.typ, wire[owners.At(i)+2:end])
			}
		}
	}
}

// SOA is the SOA record's RRset, and that of negative answers.
func (b Body) SOA() (own, negative RRset) {
	own, _ = b.set(b.uint32(headTop), dns.TypeSOA)
	return own, b.negative()
}

// WithSerial is the Body with another serial number.
func (b Body) WithSerial(serial uint32) Body {
	again := slices.Clone(b)
	own, negative := again.SOA()
	for _, set := range []RRset{own, negative} {
		wire, _, _ := again.Wire(set)
		binary.BigEndian.PutUint32(wire[len(wire)-content.SoaNumbers:], serial)
	}
	return again
}
