package trap

import (
	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
)

// underSMTP is what stands before a mail host's name where its TLSA records are (RFC 7672 2.2.2).
const underSMTP = dname.Name("\x03_25\x04_tcp")

// readTLSA reads the data of the decoys' TLSA records.
func (r *Table) readTLSA(t *conf.Table) {
	r.tlsaAt = t.Item("tlsa", "")
	for _, item := range t.Strings("tlsa") {
		data, err := rdata.Parse(dns.TypeTLSA, item.Text, string(dname.Root))
		switch {
		case err != nil:
			item.Fault(err.Error())
			continue
		case data[0] != 2 && data[0] != 3:
			item.Warn("senders do not use TLSA records of usage 0 and 1 (RFC 7672 3.1.3)")
		}
		r.tlsa = append(r.tlsa, data)
	}
}

// addTLSA gives a decoy its TLSA records.
func (b *builder) addTLSA(decoy dname.Name, ttl uint32) {
	if len(b.tlsa) == 0 {
		return
	}
	owner := underSMTP + decoy
	if len(owner) > dname.MaxName {
		b.fault(b.tlsaAt, "the name "+decoy.Bare()+" of a decoy is too long for _25._tcp before it")
		return
	}
	set := content.RRset{Typ: dns.TypeTLSA, Ttl: ttl, Records: make([]content.Record, len(b.tlsa))}
	for i, data := range b.tlsa {
		set.Records[i] = content.Record{Owner: owner, Typ: dns.TypeTLSA, Ttl: ttl, Data: data}
	}
	b.c.Put(owner, set)
}

// checkTLSA warns where senders that use DANE would deliver to a decoy unprotected, and see that it is one.
func (b *builder) checkTLSA() {
	if b.direct || len(b.tlsa) > 0 {
		return
	}
	for i := range b.owners {
		t := &b.owners[i]
		for _, e := range t.real {
			if b.c.Get(underSMTP+e.host, dns.TypeTLSA) != nil {
				b.warn(t.item, e.host.Bare()+" has TLSA records, and the decoys have none: set trap.tlsa to those of the host behind them")
				return
			}
		}
	}
}
