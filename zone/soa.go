package zone

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
)

// soaTable is what the operator says of the SOA record; the pointers are nil where he says nothing.
type soaTable struct {
	given           bool
	mname, rname    name
	serial          *uint32
	refresh, retry  *uint32
	expire, minimum *uint32
}

func (s *Source) readSOA(t *conf.Table, apex name) soaTable {
	var r soaTable
	host := func(key string, to *name) {
		var text string
		if t.String(key, &text); text == "" {
			return
		}
		n, err := s.arena.parseName(text, apex)
		switch {
		case strings.Contains(text, "@"):
			t.Fault(key, text, `a mail address is written as a name here: hostmaster.example.com. for hostmaster@example.com`)
		case err != nil:
			t.Fault(key, text, err.Error())
		default:
			*to = n
		}
	}
	seconds := func(key string) *uint32 {
		if !t.Has(key) {
			return nil
		}
		v := new(uint32)
		t.Seconds(key, v)
		return v
	}
	host("mname", &r.mname)
	host("rname", &r.rname)
	if t.Has("serial") {
		var n int64
		t.Int("serial", 0, math.MaxUint32, &n)
		serial := uint32(n)
		r.serial = &serial
	}
	r.refresh, r.retry, r.expire, r.minimum = seconds("refresh"), seconds("retry"), seconds("expire"), seconds("minimum")
	t.Close()
	return r
}

// soaNumbers is how many octets of an SOA record's data are numbers, the serial first.
const soaNumbers = 20

// soa is an SOA record (RFC 1035 3.3.13).
type soa struct {
	ttl                                      uint32
	mname, rname                             []byte // in wire format, letters as written
	serial, refresh, retry, expire, negative uint32 // negative is the field MINIMUM (RFC 2308 4)
	written                                  record // where it is written, if it is
}

// makeSOA makes the SOA record: the one in the records, where there is one, with what the table overrides.
func (s *Source) makeSOA(c *content, report *conf.Report) *soa {
	r := &soa{ttl: s.ttl, refresh: 2 * 3600, retry: 30 * 60, expire: 14 * 86400, negative: 5 * 60}
	written := c.nodes[0].get(dns.TypeSOA)
	if written != nil {
		r.read(written)
		if len(written.records) > 1 {
			s.fault(report, &written.records[1], "a zone has one SOA record (RFC 2181 6.1)")
		}
	} else if s.master != "" && !s.soa.given && !s.partial {
		report.Add(s.table.Problem("file", "", "the master file has no SOA record: add one, or a table [soa]"))
	} else if ns := c.nodes[0].get(dns.TypeNS); ns != nil {
		r.mname = ns.records[0].data
	}
	for _, o := range []struct {
		from name
		to   *[]byte
	}{{s.soa.mname, &r.mname}, {s.soa.rname, &r.rname}} {
		if o.from != "" {
			*o.to = []byte(o.from)
		}
	}
	for _, o := range []struct{ from, to *uint32 }{
		{s.soa.serial, &r.serial}, {s.soa.refresh, &r.refresh}, {s.soa.retry, &r.retry}, {s.soa.expire, &r.expire}, {s.soa.minimum, &r.negative},
	} {
		if o.from != nil {
			*o.to = *o.from
		}
	}
	if r.mname == nil {
		r.mname = []byte(root) // only where there is no NS, which is refused
	}
	if r.rname == nil {
		r.rname = []byte(hostmaster(s.apex))
	}
	if written == nil && s.soa.serial == nil || s.soa.serial != nil && *s.soa.serial == 0 {
		// The time of the newest file grows with each change and is the same wherever the files are the same.
		r.serial = s.automatic(report)
	}
	if s.serial != nil {
		r.serial = *s.serial
	}
	return r
}

// firstTime is before the first file of a zone here can have been written: 2020-01-01.
const firstTime = 1577836800

// automatic is the serial number that the operator leaves to us.
func (s *Source) automatic(report *conf.Report) uint32 {
	modified := s.files.Modified()
	if modified != 0 && modified < firstTime {
		report.Add(conf.Problem{
			File: s.Path, Key: "soa.serial", Warning: true,
			Reason: "is the time of the zone's newest file, which is before 2020: secondaries may have a higher number already; touch the file once the clock is right",
		})
	}
	return max(1, modified)
}

// hostmaster is the mailbox of the one responsible, where the operator names none (RFC 2142 7).
func hostmaster(apex name) name {
	n, err := parseName("hostmaster", apex)
	if err != nil {
		return root // the apex is too long
	}
	return n
}

// read takes the fields of a record.
func (r *soa) read(set *rrset) {
	r.written = set.records[0]
	data := r.written.data
	r.ttl = set.ttl
	n := nameSize(data)
	r.mname, data = data[:n], data[n:]
	n = nameSize(data)
	r.rname, data = data[:n], data[n:]
	for i, to := range []*uint32{&r.serial, &r.refresh, &r.retry, &r.expire, &r.negative} {
		*to = binary.BigEndian.Uint32(data[4*i:])
	}
}

// set is the record as an RRset.
func (r *soa) set(apex name) rrset {
	data := append(append(make([]byte, 0, len(r.mname)+len(r.rname)+20), r.mname...), r.rname...)
	for _, v := range []uint32{r.serial, r.refresh, r.retry, r.expire, r.negative} {
		data = binary.BigEndian.AppendUint32(data, v)
	}
	return rrset{typ: dns.TypeSOA, ttl: r.ttl, records: []record{{
		owner: apex, typ: dns.TypeSOA, ttl: r.ttl, data: data, item: r.written.item, place: r.written.place,
	}}}
}
