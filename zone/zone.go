package zone

import (
	"encoding/binary"

	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
)

// Zone is a compiled zone. It never changes; any number of goroutines may read it.
type Zone struct {
	body       Body
	serial     uint32
	lookups    []string
	signatures *Signatures // nil where the zone is not signed
	expiration int64       // when these end, in seconds since 1970
}

// apex is the zone's name.
func (z *Zone) apex() dname.Name { return dname.Name(z.body.apex()) }

// Name is the zone's apex without the final dot, as the operator names it.
func (z *Zone) Name() string { return z.apex().Bare() }

// Serial is the serial number of the SOA record.
func (z *Zone) Serial() uint32 { return z.serial }

// Lookups are the hosts outside the zone whose addresses the trap needs.
func (z *Zone) Lookups() []string { return z.lookups }

// allSets are a node's RRsets by type.
func (z *Zone) allSets(node uint32) (sets []RRset) {
	for e := z.body.sets(node); len(e) > 0; e = e[setEntry:] {
		sets = append(sets, readSet(e))
	}
	return sets
}

// nodes are the offsets of all nodes.
func (z *Zone) nodes() (nodes []uint32) {
	b := z.body
	for at, end := b.uint32(headTop), b.uint32(headEnd); at < end; {
		nodes = append(nodes, at)
		at += nodeLabel + 1 + uint32(b[at+nodeLabel]) + uint32(len(b.sets(at)))
	}
	return nodes
}

// nodeName is the whole name of a node, in lower case.
func (z *Zone) nodeName(node uint32) dname.Name {
	var wire []byte
	for top := z.body.uint32(headTop); node != top; {
		n := z.body[node:]
		wire = append(wire, n[nodeLabel:nodeLabel+1+int(n[nodeLabel])]...)
		node = binary.LittleEndian.Uint32(n[nodeParent:])
	}
	return dname.Name(append(wire, z.body.apex()...))
}

// records are the records of an RRset, with every name whole.
func (z *Zone) records(owner dname.Name, s RRset) []rr.Record {
	wire, owners, apexes := z.body.Wire(s)
	records := make([]rr.Record, owners.Len())
	for i, apex := 0, 0; i < len(records); i++ {
		begin, end := owners.At(i), len(wire)
		if i+1 < len(records) {
			end = owners.At(i + 1)
		}
		data := make([]byte, 0, end-begin)
		at := begin + rdataAt
		for ; apex < apexes.Len() && apexes.At(apex) < end; apex++ {
			data = append(append(data, wire[at:apexes.At(apex)]...), z.body.apex()...)
			at = apexes.At(apex) + 2
		}
		records[i] = rr.Record{Owner: string(owner), Type: s.typ, TTL: binary.BigEndian.Uint32(wire[begin+ttlAt:]), Data: append(data, wire[at:end]...)}
	}
	return records
}
