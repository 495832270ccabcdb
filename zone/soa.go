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
	Mname, Rname    Name
	serial          *uint32
	Refresh, Retry  *uint32
	Expire, Minimum *uint32
}

func (s *Source) readSOA(t *conf.Table, apex Name) soaTable {
	var r soaTable
	host := func(key string, to *Name) {
		var text string
		if t.String(key, &text); text == "" {
			return
		}
		n, err := s.Arena.ParseName(text, apex)
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
	host("mname", &r.Mname)
	host("rname", &r.Rname)
	if t.Has("serial") {
		var n int64
		t.Int("serial", 0, math.MaxUint32, &n)
		serial := uint32(n)
		r.serial = &serial
	}
	r.Refresh, r.Retry, r.Expire, r.Minimum = seconds("refresh"), seconds("retry"), seconds("expire"), seconds("minimum")
	t.Close()
	return r
}

// soaNumbers is how many octets of an SOA record's data are numbers, the serial first.
const SoaNumbers = 20

// soa is an SOA record (RFC 1035 3.3.13).
type SOA struct {
	Ttl                                      uint32
	mname, Rname                             []byte // in wire format, letters as written
	Serial, refresh, retry, expire, Negative uint32 // negative is the field MINIMUM (RFC 2308 4)
	written                                  Record // where it is written, if it is
}

// makeSOA makes the SOA record: the one in the records, where there is one, with what the table overrides.
func (s *Source) makeSOA(c *Content, report *conf.Report) *SOA {
	r := &SOA{Ttl: s.Ttl, refresh: 2 * 3600, retry: 30 * 60, expire: 14 * 86400, Negative: 5 * 60}
	written := c.Nodes[0].Get(dns.TypeSOA)
	if written != nil {
		r.Read(written)
		if len(written.Records) > 1 {
			s.Fault(report, &written.Records[1], "a zone has one SOA record (RFC 2181 6.1)")
		}
	} else if s.master != "" && !s.Soa.given && !s.Partial {
		report.Add(s.table.Problem("file", "", "the master file has no SOA record: add one, or a table [soa]"))
	} else if ns := c.Nodes[0].Get(dns.TypeNS); ns != nil {
		r.mname = ns.Records[0].Data
	}
	for _, o := range []struct {
		from Name
		to   *[]byte
	}{{s.Soa.Mname, &r.mname}, {s.Soa.Rname, &r.Rname}} {
		if o.from != "" {
			*o.to = []byte(o.from)
		}
	}
	for _, o := range []struct{ from, to *uint32 }{
		{s.Soa.serial, &r.Serial}, {s.Soa.Refresh, &r.refresh}, {s.Soa.Retry, &r.retry}, {s.Soa.Expire, &r.expire}, {s.Soa.Minimum, &r.Negative},
	} {
		if o.from != nil {
			*o.to = *o.from
		}
	}
	if r.mname == nil {
		r.mname = []byte(Root) // only where there is no NS, which is refused
	}
	if r.Rname == nil {
		r.Rname = []byte(hostmaster(s.Apex))
	}
	if written == nil && s.Soa.serial == nil || s.Soa.serial != nil && *s.Soa.serial == 0 {
		// The time of the newest file grows with each change and is the same wherever the files are the same.
		r.Serial = s.automatic(report)
	}
	if s.serial != nil {
		r.Serial = *s.serial
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
func hostmaster(apex Name) Name {
	n, err := parseName("hostmaster", apex)
	if err != nil {
		return Root // the apex is too long
	}
	return n
}

// read takes the fields of a record.
func (r *SOA) Read(set *rrset) {
	r.written = set.Records[0]
	data := r.written.Data
	r.Ttl = set.Ttl
	n := Length(data)
	r.mname, data = data[:n], data[n:]
	n = Length(data)
	r.Rname, data = data[:n], data[n:]
	for i, to := range []*uint32{&r.Serial, &r.refresh, &r.retry, &r.expire, &r.Negative} {
		*to = binary.BigEndian.Uint32(data[4*i:])
	}
}

// set is the record as an RRset.
func (r *SOA) Set(apex Name) rrset {
	data := append(append(make([]byte, 0, len(r.mname)+len(r.Rname)+20), r.mname...), r.Rname...)
	for _, v := range []uint32{r.Serial, r.refresh, r.retry, r.expire, r.Negative} {
		data = binary.BigEndian.AppendUint32(data, v)
	}
	return rrset{Typ: dns.TypeSOA, Ttl: r.Ttl, Records: []Record{{
		Owner: apex, Typ: dns.TypeSOA, Ttl: r.Ttl, Data: data, Item: r.written.Item, Place: r.written.Place,
	}}}
}
