package source

import (
	"math"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// soaTable is what the operator says of the SOA record; the pointers are nil where he says nothing.
type soaTable struct {
	given           bool
	mname, rname    dname.Name
	serial          *uint32
	refresh, retry  *uint32
	expire, minimum *uint32
}

func (s *Zone) readSOA(t *conf.Table, apex dname.Name) soaTable {
	var r soaTable
	host := func(key string, to *dname.Name) {
		var text string
		if t.String(key, &text); text == "" {
			return
		}
		n, err := s.arena.ParseName(text, apex)
		switch {
		case strings.Contains(text, "@"):
			t.Fault(key, text, `write the mailbox as a name: hostmaster.example.com. for hostmaster@example.com`)
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

// makeSOA makes the SOA record: the one in the records, where there is one, with what the table overrides.
func (s *Zone) makeSOA(c *content.Content, report *conf.Report) content.SOA {
	r := content.SOA{Ttl: s.ttl, Refresh: 2 * 3600, Retry: 30 * 60, Expire: 14 * 86400, Negative: 5 * 60}
	written := c.Nodes[0].Get(dns.TypeSOA)
	if written != nil {
		r.Read(written)
		if len(written.Records) > 1 {
			s.fault(report, &written.Records[1], "a zone has one SOA record (RFC 2181 6.1)")
		}
	} else if s.master != "" && !s.soa.given && !s.partial {
		report.Add(s.table.Problem("file", "", "the master file has no SOA record: add one, or a table [soa]"))
	} else if ns := c.Nodes[0].Get(dns.TypeNS); ns != nil {
		r.Mname = ns.Records[0].Data
	}
	for _, o := range []struct {
		from dname.Name
		to   *[]byte
	}{{s.soa.mname, &r.Mname}, {s.soa.rname, &r.Rname}} {
		if o.from != "" {
			*o.to = s.arena.Octets(o.from)
		}
	}
	for _, o := range []struct{ from, to *uint32 }{
		{s.soa.serial, &r.Serial}, {s.soa.refresh, &r.Refresh}, {s.soa.retry, &r.Retry}, {s.soa.expire, &r.Expire}, {s.soa.minimum, &r.Negative},
	} {
		if o.from != nil {
			*o.to = *o.from
		}
	}
	if r.Mname == nil {
		r.Mname = []byte(dname.Root) // only where there is no NS, which is refused
	}
	if r.Rname == nil {
		r.Rname = s.arena.Octets(s.hostmaster())
	}
	if written == nil && s.soa.serial == nil || s.soa.serial != nil && *s.soa.serial == 0 {
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
func (s *Zone) automatic(report *conf.Report) uint32 {
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
func (s *Zone) hostmaster() dname.Name {
	n, err := s.arena.ParseName("hostmaster", s.apex)
	if err != nil {
		return dname.Root // the apex is too long
	}
	return n
}
