package zone

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
)

// Primary is where a zone comes from that is not written in files here.
type Primary struct {
	Address []conf.Item
	TSIG    conf.Item // the name of the key; "" for none
}

// readPrimary reads the table [primary]: all records come from there.
func (s *Source) readPrimary(t *conf.Table) {
	p := &Primary{Address: t.Strings("address")}
	var tsig string
	t.String("tsig", &tsig)
	p.TSIG = t.Item("tsig", tsig)
	if len(p.Address) == 0 {
		t.Fault("address", "", `name the primary: address = ["192.0.2.1"]`)
	}
	t.Close()
	for _, key := range []string{"file", "records", "soa", "ttl"} {
		if s.table.Has(key) {
			s.table.Fault(key, "", "comes from the primary: leave it out")
			s.table.Table(key)
		}
	}
	s.primary = p
}

// Primary is where the zone comes from; nil where its records are in files here.
func (s *Source) Primary() *Primary { return s.primary }

// TakeCopy reads the copy of a secondary zone, a master file.
func (s *Source) TakeCopy(file string, report *conf.Report) {
	before := report.Faults()
	s.records, s.files.more, s.serial = nil, nil, nil // there may have been another
	s.readMaster(file, report)
	s.partial = report.Faults() > before
}

// CopiedSOA is the SOA record of the copy; nil where there is none.
func (s *Source) CopiedSOA() *dns.SOA {
	for i := range s.records {
		if r := &s.records[i]; r.typ == dns.TypeSOA && r.owner == s.apex {
			var fields soa
			fields.read(&rrset{ttl: r.ttl, records: s.records[i : i+1]})
			return &dns.SOA{
				Hdr: dns.RR_Header{Name: s.apex.String(), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: r.ttl},
				Ns:  name(fields.mname).String(), Mbox: name(fields.rname).String(), Serial: fields.serial,
				Refresh: fields.refresh, Retry: fields.retry, Expire: fields.expire, Minttl: fields.negative,
			}
		}
	}
	return nil
}

// Stub stands in for a zone that cannot be served now: it has a name, and no answers.
func (s *Source) Stub() *Zone {
	empty := &Source{Path: s.Path, apex: s.apex, ttl: s.ttl, table: s.table, partial: true}
	c := newContent(s.apex, nil, func(*record) {})
	r := empty.makeSOA(c, new(conf.Report))
	c.put(s.apex, r.set(s.apex))
	return compile(c, r, nil)
}

// Digest tells what a zone serves, but for its serial number: equal ones serve the same.
func (z *Zone) Digest() string {
	var lines []string
	for rr := range z.Records() {
		if soa, ok := rr.(*dns.SOA); ok {
			soa.Serial = 0
		}
		lines = append(lines, rr.String())
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:])
}

// Same says whether two compiled zones are one and the same.
func (z *Zone) Same(other *Zone) bool {
	return bytes.Equal(z.body, other.body) && slices.Equal(z.lookups, other.lookups)
}

// Number compiles the zone again with another serial number.
func (s *Source) Number(serial uint32, look Lookups) *Zone {
	s.serial = &serial
	return s.Compile(look, new(conf.Report))
}
