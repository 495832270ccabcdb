package zone

import (
	"iter"

	"github.com/miekg/dns"
)

// SOA is the zone's SOA record.
func (z *Zone) SOA() *dns.SOA {
	set, _ := z.body.set(z.body.uint32(headTop), dns.TypeSOA)
	return z.records(z.apex(), set)[0].(*dns.SOA)
}

// Records are all records of the zone as it is served, the trap's among them, the SOA record first.
func (z *Zone) Records() iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		if !yield(z.SOA()) {
			return
		}
		for _, node := range z.nodes() {
			owner := z.nodeName(node)
			for _, set := range z.allSets(node) {
				if set.typ == dns.TypeSOA {
					continue
				}
				for _, rr := range z.records(owner, set) {
					if !yield(rr) {
						return
					}
				}
			}
		}
	}
}

// Differences are the records that only the older and only the newer of two versions of a zone have, the SOA records left out. They
// are not ok where there are more of them than most.
func Differences(older, newer *Zone, most int) (deleted, added []dns.RR, ok bool) {
	left := map[string]dns.RR{}
	for rr := range older.Records() {
		left[rr.String()] = rr
	}
	for rr := range newer.Records() {
		if text := rr.String(); left[text] != nil {
			delete(left, text)
		} else if rr.Header().Rrtype != dns.TypeSOA {
			added = append(added, rr)
		}
	}
	for _, rr := range left {
		if rr.Header().Rrtype != dns.TypeSOA {
			deleted = append(deleted, rr)
		}
	}
	return deleted, added, len(deleted)+len(added) <= most
}

// Later says whether a serial number comes after another one (RFC 1982 3.2).
func Later(serial, other uint32) bool { return int32(serial-other) > 0 }
