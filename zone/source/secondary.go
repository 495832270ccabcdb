package source

import (
	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
)

// Primary is where a zone comes from that is not written in files here.
type Primary struct {
	Address []conf.Item
	TSIG    conf.Item // the name of the key; "" for none
}

// readPrimary reads the table [primary]: all records come from there.
func (s *Zone) readPrimary(t *conf.Table) {
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
			s.table.Known(key)
		}
	}
	s.primary = p
}

// Primary is where the zone comes from; nil where its records are in files here.
func (s *Zone) Primary() *Primary { return s.primary }

// TakeCopy takes the records of a secondary zone, as its primary has them.
func (s *Zone) TakeCopy(records []rr.Record) {
	s.records = make([]content.Record, len(records))
	for i, r := range records {
		s.records[i] = content.Record{Owner: dname.Name(r.Owner), Typ: r.Type, Ttl: r.TTL, Data: r.Data}
	}
}

// CopiedSOA is the SOA record of the copy; nil where there is none.
func (s *Zone) CopiedSOA() *dns.SOA {
	for i := range s.records {
		if r := &s.records[i]; r.Typ == dns.TypeSOA && r.Owner == s.apex {
			var fields content.SOA
			fields.Read(&content.RRset{Ttl: r.Ttl, Records: s.records[i : i+1]})
			return &dns.SOA{
				Hdr: dns.RR_Header{Name: s.apex.String(), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: r.Ttl},
				Ns:  dname.Name(fields.Mname).String(), Mbox: dname.Name(fields.Rname).String(), Serial: fields.Serial,
				Refresh: fields.Refresh, Retry: fields.Retry, Expire: fields.Expire, Minttl: fields.Negative,
			}
		}
	}
	return nil
}

// Stub stands in for a zone that cannot be served now: it has a name, and no answers.
func (s *Zone) Stub() *zone.Zone {
	empty := &Zone{Path: s.Path, apex: s.apex, ttl: s.ttl, table: s.table, partial: true}
	c := content.New(s.apex, nil, 0, func(*content.Record) {})
	r := empty.makeSOA(c, new(conf.Report))
	c.PutSOA(&r, nil)
	return zone.Compile(c, &r, nil, nil)
}

// Unserved stands in for a zone whose file cannot be loaded, where its name can be read; else it is nil.
func Unserved(path string) *zone.Zone {
	_, text, err := readFile(path)
	if err != nil {
		return nil
	}
	return unserved(path, nameIn(path, text))
}

func unserved(path, text string) *zone.Zone {
	apex, err := dname.Parse(text, dname.Root)
	if err != nil {
		return nil
	}
	return (&Zone{Path: path, apex: apex, ttl: 3600}).Stub()
}

// UnservedNamed is Unserved where the name is known.
func UnservedNamed(path, name string) *zone.Zone { return unserved(path, name) }

// nameIn is the name of the zone that a file is for, as far as it can be told of one with faults.
func nameIn(path string, text []byte) (name string) {
	if t := conf.Parse(path, text, &conf.Report{Quiet: true}); t != nil {
		t.String("name", &name)
		return name
	}
	name, _ = conf.Glimpse(text, "name")
	return name
}
