package zone

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

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

func readSOA(t *conf.Table, apex name) soaTable {
	var s soaTable
	host := func(key string, to *name) {
		var text string
		if t.String(key, &text); text == "" {
			return
		}
		n, err := parseName(text, apex)
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
	host("mname", &s.mname)
	host("rname", &s.rname)
	if t.Has("serial") {
		var n int64
		t.Int("serial", 0, math.MaxUint32, &n)
		serial := uint32(n)
		s.serial = &serial
	}
	s.refresh, s.retry, s.expire, s.minimum = seconds("refresh"), seconds("retry"), seconds("expire"), seconds("minimum")
	t.Close()
	return s
}

// soa is an SOA record (RFC 1035 3.3.13).
type soa struct {
	ttl                                      uint32
	mname, rname                             []byte // in wire format, letters as written
	serial, refresh, retry, expire, negative uint32 // negative is the field MINIMUM (RFC 2308 4)
}

// makeSOA makes the SOA record: the one in the records, where there is one, with what the table overrides.
func (s *Source) makeSOA(c *content, report *conf.Report) *soa {
	r := &soa{ttl: s.ttl, rname: []byte(hostmaster(s.apex)), refresh: 2 * 3600, retry: 30 * 60, expire: 14 * 86400, negative: 5 * 60}
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
	if s.serial != nil {
		r.serial = *s.serial
	}
	s.ownSerial = written == nil && s.soa.serial == nil || s.soa.serial != nil && *s.soa.serial == 0
	if s.ownSerial {
		// The time of the newest file grows with each change and is the same wherever the files are the same.
		if r.serial = max(1, s.files.Modified()); s.least != 0 && Later(s.least, r.serial) {
			r.serial = s.least
		}
	}
	return r
}

// Follow is a version of the zone, as compiled from the source, in its place behind the version before: that one itself where nothing
// has changed, or with an automatic serial number that grows (RFC 1982) even where the files have become older, or where only
// what was looked up has changed.
func (s *Source) Follow(now, before *Zone, look Lookups) *Zone {
	if now.Same(before) {
		return before
	}
	if !s.ownSerial || Later(now.serial, before.serial) {
		return now
	}
	s.least = before.serial + 1
	if len(before.lookups) > 0 { // more than that, so that it grows even when it begins anew from the files
		if clock := uint32(time.Now().Unix()); Later(clock, s.least) {
			s.least = clock
		}
	}
	return s.Compile(look, new(conf.Report))
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
	data := set.records[0].data
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
	return rrset{typ: dns.TypeSOA, ttl: r.ttl, records: []record{{owner: apex, typ: dns.TypeSOA, ttl: r.ttl, data: data}}}
}
