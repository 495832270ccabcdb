package zone

import (
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

func readSOA(t *conf.Table, apex name) soaTable {
	var s soaTable
	host := func(key string, to *name) {
		var text string
		if t.String(key, &text); text == "" {
			return
		}
		n, err := parseName(text, apex.String())
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

// makeSOA makes the SOA record: the one in the records, where there is one, with what the table overrides.
func (s *Source) makeSOA(c *content, report *conf.Report) *dns.SOA {
	soa := &dns.SOA{
		Hdr:     dns.RR_Header{Name: s.apex.String(), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: s.ttl},
		Mbox:    mustName("hostmaster." + strings.TrimPrefix(s.apex.String(), ".")).String(),
		Serial:  0,
		Refresh: 2 * 3600,
		Retry:   30 * 60,
		Expire:  14 * 86400,
		Minttl:  5 * 60,
	}
	if set := c.get(s.apex, dns.TypeSOA); set != nil {
		written := *set.rrs[0].(*dns.SOA)
		soa = &written
		if len(set.rrs) > 1 {
			fault(report, set.placeOf(1), "a zone has one SOA record (RFC 2181 6.1)")
		}
	} else if s.master && !s.soa.given && !s.partial {
		report.Add(s.table.Problem("file", "", "the master file has no SOA record: add one, or a table [soa]"))
	} else if ns := c.get(s.apex, dns.TypeNS); ns != nil {
		soa.Ns = ns.rrs[0].(*dns.NS).Ns
	}
	for _, o := range []struct {
		from name
		to   *string
	}{{s.soa.mname, &soa.Ns}, {s.soa.rname, &soa.Mbox}} {
		if o.from != "" {
			*o.to = o.from.String()
		}
	}
	for _, o := range []struct{ from, to *uint32 }{
		{s.soa.serial, &soa.Serial}, {s.soa.refresh, &soa.Refresh}, {s.soa.retry, &soa.Retry}, {s.soa.expire, &soa.Expire}, {s.soa.minimum, &soa.Minttl},
	} {
		if o.from != nil {
			*o.to = *o.from
		}
	}
	if soa.Ns == "" {
		soa.Ns = "." // only where there is no NS, which is refused
	}
	automatic := c.get(s.apex, dns.TypeSOA) == nil && s.soa.serial == nil || s.soa.serial != nil && *s.soa.serial == 0
	if automatic {
		// The time of the newest file grows with each change and is the same wherever the files are the same.
		soa.Serial = max(1, s.modified())
	}
	return soa
}
