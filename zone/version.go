package zone

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
	"mxtrap/zone/sign"
)

// Digest tells what a zone serves, but for its serial number: equal ones serve the same.
type Digest [16]byte

// Digest is that of the zone: the sum of its records' hashes, for their order says nothing.
func (z *Zone) Digest() (d Digest) {
	var low, high uint64
	add := func(record []byte) {
		hash := sha256.Sum256(record)
		var carry uint64
		low, carry = bits.Add64(low, binary.BigEndian.Uint64(hash[:]), 0)
		high, _ = bits.Add64(high, binary.BigEndian.Uint64(hash[8:]), carry)
	}
	var room [512]byte
	z.body.EachRecord(func(owner dname.Name, typ uint16, rest []byte) {
		record := append(append(room[:0], owner...), rest...)
		if typ == dns.TypeSOA {
			clear(record[len(record)-content.SoaNumbers:][:4])
		}
		add(record)
	})
	switch plan := z.Plan(); { // other signatures are another content
	case plan != nil:
		sum := plan.Hash()
		add(sum[:])
	case z.Given():
		for owner, set := range z.body.All() {
			for _, r := range z.rrsigRecords(owner, set) {
				add(r.AppendWire(room[:0]))
			}
		}
	}
	binary.BigEndian.PutUint64(d[:], high)
	binary.BigEndian.PutUint64(d[8:], low)
	return d
}

// Numbered is the zone with another serial number.
func (z *Zone) Numbered(serial uint32) *Zone {
	if serial == z.serial {
		return z
	}
	again := z.withSerial(serial)
	if z.signatures != nil {
		again.signatures = newSignatures(again, z.signatures.plan)
	}
	return again
}

// withSerial is the zone with another serial number, unsigned.
func (z *Zone) withSerial(serial uint32) *Zone {
	again := *z
	again.signatures, again.serial, again.body = nil, serial, z.body.WithSerial(serial)
	return &again
}

// Renewed is the zone with the signatures of another plan, which adds the same records, and another serial number.
func (z *Zone) Renewed(plan *sign.Plan, serial uint32) *Zone {
	again := z.withSerial(serial)
	again.signatures, again.expiration = newSignatures(again, plan), plan.Window.Expiration
	return again
}

// Same says whether two compiled zones are one and the same.
func (z *Zone) Same(other *Zone) bool {
	return bytes.Equal(z.body, other.body) && slices.Equal(z.lookups, other.lookups) && z.signatures.same(other.signatures) &&
		(z.Plan() == nil || z.Plan().SameFuture(other.Plan())) && z.rotation.Same(other.rotation)
}

// RRsetsOf are the RRsets of some owners as they are served, but for what signing adds.
func (z *Zone) RRsetsOf(owners map[dname.Name]bool) (sets [][]rr.Record) {
	for owner, set := range z.body.All() {
		if owners[owner] {
			sets = append(sets, z.body.Records(owner, set))
		}
	}
	return sets
}

// RRsetName tells an RRset from others of its zone.
type RRsetName struct {
	Owner dname.Name
	Type  uint16
}

// Changed are the RRsets that two versions of a zone do not have alike, but for its SOA record and what signing adds. A name that exists in one
// alone, and that a wildcard answers in the other (RFC 4592 2.2), has changed as a whole: its type is ANY.
func Changed(older, newer *Zone) (changed []RRsetName) {
	before, now := older.rrsets(), newer.rrsets()
	for name, records := range now {
		if old, both := before[name]; !both || !bytes.Equal(old, records) {
			changed = append(changed, name)
		}
	}
	for name := range before {
		if _, both := now[name]; !both {
			changed = append(changed, name)
		}
	}
	existed, exist := names(before, older.apex()), names(now, newer.apex())
	for _, only := range []struct{ here, there map[dname.Name]bool }{{existed, exist}, {exist, existed}} {
		for name := range only.here {
			if !only.there[name] && wildcardAnswers(only.there, name) {
				changed = append(changed, RRsetName{name, dns.TypeANY})
			}
		}
	}
	return changed
}

// names are those that exist because of some RRsets, the empty ones between them and the apex among them.
func names(of map[RRsetName][]byte, apex dname.Name) map[dname.Name]bool {
	all := map[dname.Name]bool{apex: true}
	for set := range of {
		for n := set.Owner; !all[n]; n = n.Parent() {
			all[n] = true
		}
	}
	return all
}

// wildcardAnswers says whether a wildcard answers for a name that does not exist.
func wildcardAnswers(exist map[dname.Name]bool, name dname.Name) bool {
	for !exist[name] {
		name = name.Parent()
	}
	return exist[name.Wildcard()]
}

// rrsets are the RRsets that the operator or the trap has put into the zone, but for the SOA record, in wire format.
func (z *Zone) rrsets() map[RRsetName][]byte {
	sets := map[RRsetName][]byte{}
	for owner, set := range z.body.All() {
		switch set.Type() {
		case dns.TypeSOA, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY:
			continue
		}
		var wire []byte
		for _, r := range z.body.Records(owner, set) {
			wire = r.AppendWire(wire)
		}
		sets[RRsetName{owner, set.Type()}] = wire
	}
	return sets
}
