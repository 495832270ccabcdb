package zone

import (
	"encoding/binary"
	"iter"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
)

// SOA is the zone's SOA record.
func (z *Zone) SOA() rr.Record {
	set, _ := z.body.SOA()
	return z.body.Records(z.apex(), set)[0]
}

// Expire is the field EXPIRE of the SOA record, in seconds.
func (z *Zone) Expire() uint32 {
	soa, _ := z.body.SOA()
	wire, _, _ := z.body.Wire(soa)
	return binary.BigEndian.Uint32(wire[len(wire)-content.SoaNumbers+12:])
}

// Records are all records of the zone as it is served, the trap's among them, the SOA record first.
func (z *Zone) Records() iter.Seq[rr.Record] {
	return func(yield func(rr.Record) bool) {
		if !yield(z.SOA()) {
			return
		}
		for owner, set := range z.body.All() {
			for _, r := range append(z.body.Records(owner, set), z.rrsigRecords(owner, set)...) {
				if r.Type != dns.TypeSOA && !yield(r) {
					return
				}
			}
		}
	}
}

// differences are the records that only the older and only the newer of two versions of a zone have, the SOA records left out. They
// are not ok where there are more of them than most.
func differences(older, newer *Zone, most int) (deleted, added []rr.Record, ok bool) {
	left := map[string]rr.Record{}
	for r := range older.Records() {
		left[string(r.AppendWire(nil))] = r
	}
	for r := range newer.Records() {
		wire := string(r.AppendWire(nil))
		if _, both := left[wire]; both {
			delete(left, wire)
		} else if r.Type != dns.TypeSOA {
			added = append(added, r)
		}
	}
	for _, r := range left {
		if r.Type != dns.TypeSOA {
			deleted = append(deleted, r)
		}
	}
	return deleted, added, len(deleted)+len(added) <= most
}

// Later says whether a serial number comes after another one (RFC 1982 3.2).
func Later(serial, other uint32) bool { return int32(serial-other) > 0 }

// SerialOf is the serial number of an SOA record, whose data have been checked.
func SerialOf(r rr.Record) uint32 {
	return binary.BigEndian.Uint32(r.Data[len(r.Data)-content.SoaNumbers:])
}

// WireName is a whole name in wire format, in lower case.
func WireName(text string) (string, error) {
	n, err := dname.Parse(text, dname.Root)
	return string(n), err
}

// Within says whether a name in wire format, in lower case, is another one or below it.
func Within(wire, apex string) bool { return dname.Name(wire).Within(dname.Name(apex)) }

// NameOf is a zone's name, without its final dot, out of its wire format in lower case.
func NameOf(wire []byte) string { return dname.Name(wire).Bare() }
