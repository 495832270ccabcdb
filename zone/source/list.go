package source

import (
	"encoding/hex"
	"net/netip"
	"strconv"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// Listed is a client that a DNSBL lists (RFC 5782 2.1). 127.0.0.1 and ::FFFF:7F00:1 must not be among them (RFC 5782 5).
type Listed struct {
	Client netip.Prefix // an IPv4 address, or the /64 of IPv6 addresses
	Answer netip.Addr   // of the A record: 127.0.0.2 to 127.255.255.255, by the ground
	Text   string       // of the TXT record; what is longer than a string of it is left out
}

// Times of a DNSBL, in seconds. Clients come and go by the minute, so nobody keeps long what he has heard: caches a minute, and secondaries that
// hear nothing from here an hour.
const (
	listTTL     = 60
	listRefresh = 60
	listExpire  = 3600
)

// tests are the entries by which mail hosts see that the list works (RFC 5782 5).
var tests = []Listed{
	{netip.MustParsePrefix("127.0.0.2/32"), netip.MustParseAddr("127.0.0.2"), "for tests"},
	{netip.MustParsePrefix("::ffff:7f00:2/128"), netip.MustParseAddr("127.0.0.2"), "for tests"},
}

// NewList makes a DNSBL (RFC 5782) of clients, with its name servers, under a serial number. What is wrong with it is a fault of the file at
// the path.
func NewList(path string, apex dname.Name, servers []dname.Name, clients []Listed, serial uint32) *Zone {
	s := &Zone{Path: path, apex: apex, ttl: listTTL, table: conf.Parse(path, nil, new(conf.Report)), serial: &serial, empty: max(content.MaxEmpty, len(clients)*v6Empty)}
	refresh, expire := uint32(listRefresh), uint32(listExpire)
	s.soa.refresh, s.soa.retry, s.soa.expire, s.soa.minimum = &refresh, &refresh, &expire, &refresh
	s.records = make([]content.Record, 0, len(servers)+2*(len(clients)+len(tests)))
	add := func(owner dname.Name, typ uint16, data []byte) {
		s.records = append(s.records, content.Record{Owner: owner, Typ: typ, Ttl: listTTL, Data: data})
	}
	for _, host := range servers {
		add(apex, dns.TypeNS, []byte(host))
	}
	for _, list := range [][]Listed{tests, clients} {
		for i := range list {
			c := &list[i]
			owner, text := reverse(c.Client, apex), c.Text[:min(len(c.Text), 255)]
			add(owner, dns.TypeA, c.Answer.AsSlice())
			add(owner, dns.TypeTXT, append([]byte{byte(len(text))}, text...))
		}
	}
	return s
}

// v6Empty is how many names exist at most for the sake of one client's: those above the digits of a /64.
const v6Empty = 16

// reverse is the owner of a client's records: its octets or half octets in reverse order (RFC 5782 2.1, 2.4), and for a prefix of IPv6 the
// wildcard that stands for all of its addresses.
func reverse(client netip.Prefix, apex dname.Name) dname.Name {
	var room [dname.MaxName]byte
	name := room[:0]
	if a := client.Addr(); a.Is4() {
		octets := a.As4()
		for i := len(octets) - 1; i >= 0; i-- {
			at := len(name)
			name = strconv.AppendUint(append(name, 0), uint64(octets[i]), 10)
			name[at] = byte(len(name) - at - 1)
		}
	} else {
		octets := a.As16()
		if !client.IsSingleIP() {
			name = append(name, 1, '*')
		}
		for i := client.Bits()/4 - 1; i >= 0; i-- {
			digits := hex.AppendEncode(nil, octets[i/2:i/2+1])
			name = append(name, 1, digits[i%2])
		}
	}
	return dname.Name(append(name, apex...))
}
