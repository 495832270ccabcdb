package zone

import (
	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/rr"
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
			s.table.Known(key)
		}
	}
	s.primary = p
}

// Primary is where the zone comes from; nil where its records are in files here.
func (s *Source) Primary() *Primary { return s.primary }

// TakeCopy takes the records of a secondary zone, as its primary has them.
func (s *Source) TakeCopy(records []rr.Record) {
	s.Records = make([]Record, len(records))
	for i, r := range records {
		s.Records[i] = Record{Owner: Name(r.Owner), Typ: r.Type, Ttl: r.TTL, Data: r.Data}
	}
}

// CopiedSOA is the SOA record of the copy; nil where there is none.
func (s *Source) CopiedSOA() *dns.SOA {
	for i := range s.Records {
		if r := &s.Records[i]; r.Typ == dns.TypeSOA && r.Owner == s.Apex {
			var fields SOA
			fields.Read(&rrset{Ttl: r.Ttl, Records: s.Records[i : i+1]})
			return &dns.SOA{
				Hdr: dns.RR_Header{Name: s.Apex.String(), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: r.Ttl},
				Ns:  Name(fields.mname).String(), Mbox: Name(fields.Rname).String(), Serial: fields.Serial,
				Refresh: fields.refresh, Retry: fields.retry, Expire: fields.expire, Minttl: fields.Negative,
			}
		}
	}
	return nil
}

// Stub stands in for a zone that cannot be served now: it has a name, and no answers.
func (s *Source) Stub() *Zone {
	empty := &Source{Path: s.Path, Apex: s.Apex, Ttl: s.Ttl, table: s.table, Partial: true}
	c := New(s.Apex, nil, func(*Record) {})
	r := empty.makeSOA(c, new(conf.Report))
	c.Put(s.Apex, r.Set(s.Apex))
	return Compile(c, r, nil)
}

// Unserved stands in for a zone whose file cannot be loaded, where its name can be read; else it is nil.
func Unserved(path string) *Zone {
	_, text, err := readFile(path)
	if err != nil {
		return nil
	}
	return unserved(path, nameIn(path, text))
}

func unserved(path, text string) *Zone {
	apex, err := parseName(text, Root)
	if err != nil {
		return nil
	}
	return (&Source{Path: path, Apex: apex, Ttl: 3600}).Stub()
}

// UnservedNamed is Unserved where the name is known.
func UnservedNamed(path, name string) *Zone { return unserved(path, name) }

// nameIn is the name of the zone that a file is for, as far as it can be told of one with faults.
func nameIn(path string, text []byte) (name string) {
	if t := conf.Parse(path, text, &conf.Report{Quiet: true}); t != nil {
		t.String("name", &name)
		return name
	}
	name, _ = conf.Glimpse(text, "name")
	return name
}
