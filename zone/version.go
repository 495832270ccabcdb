package zone

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"io"
	"slices"

	"github.com/miekg/dns"
)

// Written tells what the operator or the primary wrote, without the serial number: equal ones are the same but for the trap.
func (s *Source) Written() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for i := range s.records {
		r := &s.records[i]
		if data := r.data; r.typ == dns.TypeSOA {
			h.Write(data[:len(data)-soaNumbers])
			h.Write(data[len(data)-soaNumbers+4:])
		} else {
			h.Write(data)
		}
		h.WriteString(string(r.owner))
		h.Write(binary.BigEndian.AppendUint32([]byte{byte(r.typ >> 8), byte(r.typ)}, r.ttl))
	}
	s.soa.hash(&h)
	return h.Sum64()
}

// Digest tells what a zone serves, but for its serial number: equal ones serve the same.
type Digest [16]byte

// Digest is that of the zone.
func (z *Zone) Digest() (d Digest) {
	var records []string
	for r := range z.Records() {
		if r.Type == dns.TypeSOA {
			clear(r.Data[len(r.Data)-soaNumbers:][:4])
		}
		records = append(records, string(r.AppendWire(nil)))
	}
	slices.Sort(records)
	sum := sha256.New()
	for _, r := range records {
		io.WriteString(sum, r)
	}
	copy(d[:], sum.Sum(nil))
	return d
}

// Numbered is the zone with another serial number.
func (z *Zone) Numbered(serial uint32) *Zone {
	if serial == z.serial {
		return z
	}
	again := *z
	again.serial, again.body = serial, slices.Clone(z.body)
	soa, _ := again.body.set(again.body.uint32(headTop), dns.TypeSOA)
	for _, set := range []RRset{soa, again.body.negative()} {
		wire, _, _ := again.body.Wire(set)
		binary.BigEndian.PutUint32(wire[len(wire)-soaNumbers:], serial)
	}
	return &again
}

// Same says whether two compiled zones are one and the same.
func (z *Zone) Same(other *Zone) bool {
	return bytes.Equal(z.body, other.body) && slices.Equal(z.lookups, other.lookups)
}
