package zone

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"math/bits"
	"slices"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
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
		(z.Plan() == nil || z.Plan().SameFuture(other.Plan()))
}

// RRsetName tells an RRset from others of its zone.
type RRsetName struct {
	Owner dname.Name
	Type  uint16
}

// Changed are the RRsets that two versions of a zone do not have alike, but for its SOA record and what signing adds.
func Changed(older, newer *Zone) (changed []RRsetName) {
	before := map[RRsetName][]byte{}
	for name, records := range older.unsigned() {
		before[name] = records
	}
	for name, records := range newer.unsigned() {
		if old, both := before[name]; !both || !bytes.Equal(old, records) {
			changed = append(changed, name)
		}
		delete(before, name)
	}
	for name := range before {
		changed = append(changed, name)
	}
	return changed
}

// unsigned are the RRsets that the operator or the trap has put into the zone, but for the SOA record, in wire format.
func (z *Zone) unsigned() iter.Seq2[RRsetName, []byte] {
	return func(yield func(RRsetName, []byte) bool) {
		for owner, set := range z.body.All() {
			switch set.Type() {
			case dns.TypeSOA, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY:
				continue
			}
			var wire []byte
			for _, r := range z.body.Records(owner, set) {
				wire = r.AppendWire(wire)
			}
			if !yield(RRsetName{owner, set.Type()}, wire) {
				return
			}
		}
	}
}
