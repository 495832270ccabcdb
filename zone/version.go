package zone

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/miekg/dns"
)

// Written tells what the operator or the primary wrote, without the serial number: equal ones are the same but for the trap.
func (s *Source) Written() uint64 {
	var sum uint64
	add := func(v uint64) { sum = bits.RotateLeft64(sum, 7)*0x9e3779b97f4a7c15 + v }
	for i := range s.Records {
		r := &s.Records[i]
		if data := r.Data; r.Typ == dns.TypeSOA {
			add(maphash.Bytes(Seed, data[:len(data)-SoaNumbers]))
			add(maphash.Bytes(Seed, data[len(data)-SoaNumbers+4:]))
		} else {
			add(maphash.Bytes(Seed, data))
		}
		add(maphash.String(Seed, string(r.Owner)))
		add(uint64(r.Typ)<<32 | uint64(r.Ttl))
	}
	add(maphash.String(Seed, string(s.Soa.Mname)))
	add(maphash.String(Seed, string(s.Soa.Rname)))
	for _, v := range []*uint32{s.Soa.Refresh, s.Soa.Retry, s.Soa.Expire, s.Soa.Minimum} {
		if v != nil {
			add(uint64(*v) + 1)
		} else {
			add(0)
		}
	}
	return sum
}

// Digest tells what a zone serves, but for its serial number: equal ones serve the same.
type Digest [16]byte

// Digest is that of the zone: the sum of its records' hashes, for their order says nothing.
func (z *Zone) Digest() (d Digest) {
	var low, high uint64
	var room [512]byte
	for _, node := range z.nodes() {
		owner := z.nodeName(node)
		for e := z.Body.sets(node); len(e) > 0; e = e[setEntry:] {
			set := readSet(e)
			wire, owners, _ := z.Body.Wire(set)
			for i := range owners.Len() {
				end := len(wire)
				if i+1 < owners.Len() {
					end = owners.At(i + 1)
				}
				// Two octets of room for the owner are left out; those of apexes are zero, and stand for them.
				record := append(append(room[:0], owner...), wire[owners.At(i)+2:end]...)
				if set.typ == dns.TypeSOA {
					clear(record[len(record)-SoaNumbers:][:4])
				}
				hash := sha256.Sum256(record)
				var carry uint64
				low, carry = bits.Add64(low, binary.BigEndian.Uint64(hash[:]), 0)
				high, _ = bits.Add64(high, binary.BigEndian.Uint64(hash[8:]), carry)
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
	again := *z
	again.serial, again.Body = serial, slices.Clone(z.Body)
	soa, _ := again.Body.set(again.Body.uint32(headTop), dns.TypeSOA)
	for _, set := range []RRset{soa, again.Body.negative()} {
		wire, _, _ := again.Body.Wire(set)
		binary.BigEndian.PutUint32(wire[len(wire)-SoaNumbers:], serial)
	}
	return &again
}

// Same says whether two compiled zones are one and the same.
func (z *Zone) Same(other *Zone) bool {
	return bytes.Equal(z.Body, other.Body) && slices.Equal(z.lookups, other.lookups)
}
