package answer

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/source"
)

// listOf is a DNSBL of so many clients from 198.18.0.0 on, and one of IPv6.
func listOf(t testing.TB, from, n int) *zone.Zone {
	t.Helper()
	apex, err := dname.Parse("bl.example.com", dname.Root)
	if err != nil {
		t.Fatal(err)
	}
	text := "tried a decoy and no real host; at mx3.example.com, 2026-01-01 12:00:00 UTC; listed until 2026-01-02 12:00:00 UTC"
	clients := []source.Listed{{Client: netip.MustParsePrefix("2001:db8:1:2::/64"), Answer: netip.MustParseAddr("127.0.0.4"), Text: text}}
	for i := from; i < from+n; i++ {
		a := netip.AddrFrom4([4]byte{198, byte(18 + i>>16), byte(i >> 8), byte(i)})
		clients = append(clients, source.Listed{Client: netip.PrefixFrom(a, 32), Answer: netip.MustParseAddr("127.0.0.4"), Text: text})
	}
	var report conf.Report
	z := source.NewList("m.toml", apex, []dname.Name{apex}, clients, 1).Compile(nil, &report)
	if z == nil {
		t.Fatal(report.Problems())
	}
	return z
}

// listResponder answers for a DNSBL with so many clients, and for one that was listed since.
func listResponder(t testing.TB, clients int) *Responder {
	r := responderOf([]*zone.Zone{listOf(t, 0, clients)})
	list := &List{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	list.Fresh.Store(listOf(t, clients, 1))
	r.state.Current.Load().List = list
	return r
}

var listQueries = []struct{ name, qname string }{
	{"a client", "1.0.18.198.bl.example.com."}, {"nobody", "1.0.20.198.bl.example.com."},
	{"a client of IPv6", "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example.com."},
	{"one that was just listed", "100.0.18.198.bl.example.com."},
}

func TestAListIsAnsweredWithoutAllocations(t *testing.T) {
	r := listResponder(t, 100)
	client := Client{Addr: netip.MustParseAddr("127.0.0.1")}
	for _, q := range listQueries {
		packet, out := packQuery(q.qname, dns.TypeA), make([]byte, 0, zone.MaxUDP)
		if n := testing.AllocsPerRun(1000, func() { r.Respond(packet, out, client) }); n != 0 {
			t.Errorf("%s: %v allocations", q.name, n)
		}
	}
}

// TestTheFreshZoneAnswersOnlyWhatItKnows: the apex, and all that it does not have, are the other's.
func TestTheFreshZoneAnswersOnlyWhatItKnows(t *testing.T) {
	r, alone := listResponder(t, 100), responderOf([]*zone.Zone{listOf(t, 0, 100)})
	client := Client{Addr: netip.MustParseAddr("127.0.0.1")}
	for _, c := range []struct {
		qname string
		typ   uint16
		want  string
	}{
		{"100.0.18.198.bl.example.com.", dns.TypeA, "NOERROR 1"},
		{"100.0.18.198.bl.example.com.", dns.TypeTXT, "NOERROR 1"},
		{"100.0.18.198.bl.example.com.", dns.TypeMX, "NOERROR 0"},
		{"bl.example.com.", dns.TypeSOA, "the same"},
		{"bl.example.com.", dns.TypeA, "the same"},
		{"1.0.18.198.bl.example.com.", dns.TypeA, "the same"},
		{"0.18.198.bl.example.com.", dns.TypeA, "the same"},
		{"101.0.18.198.bl.example.com.", dns.TypeA, "the same"},
		{"198.bl.example.com.", dns.TypeTXT, "the same"},
	} {
		packet := packQuery(c.qname, c.typ)
		got := bytes.Clone(r.Respond(packet, nil, client))
		if c.want == "the same" {
			if want := alone.Respond(packet, nil, client); !bytes.Equal(got, want) {
				t.Errorf("%s %s: got %x, want %x", c.qname, dns.TypeToString[c.typ], got, want)
			}
			continue
		}
		m := new(dns.Msg)
		if err := m.Unpack(got); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(dns.RcodeToString[m.Rcode], " ", len(m.Answer)); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.qname, dns.TypeToString[c.typ], got, c.want)
		}
	}
}

// TestWhoMayAskTheListIsNotLimited, for a mail host asks about each of its clients.
func TestWhoMayAskTheListIsNotLimited(t *testing.T) {
	r := listResponder(t, 100)
	snap := r.state.Current.Load()
	snap.Limiter = NewLimiter(RateLimit{responses: 1, slip: 0, ipv4: 24, ipv6: 64})
	for _, c := range []struct {
		from, qname string
		limited     bool
	}{
		{"127.0.0.1", "1.0.20.198.bl.example.com.", false},
		{"127.0.0.1", "1.0.18.198.bl.example.com.", false},
		{"192.0.2.1", "1.0.20.198.bl.example.com.", true},
		{"127.0.0.1", "www.example.org.", true},
	} {
		answered := 0
		for range 5 {
			packets := []Packet{{Data: packQuery(c.qname, dns.TypeA), From: netip.AddrPortFrom(netip.MustParseAddr(c.from), 1025)}}
			if r.RespondAll(packets, Client{}); len(packets[0].Data) > 0 {
				answered++
			}
		}
		if (answered < 5) != c.limited {
			t.Errorf("%s %s: %d of 5 answered", c.from, c.qname, answered)
		}
	}
}

// BenchmarkRespondList is BenchmarkRespond for a DNSBL; its last is a host of a zone, to compare.
func BenchmarkRespondList(b *testing.B) {
	out := make([]byte, 0, zone.MaxUDP)
	client := Client{Addr: netip.MustParseAddr("127.0.0.1")}
	run := func(name string, r *Responder, packet []byte) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Respond(packet, out, client)
			}
		})
	}
	for _, clients := range []int{100, 100_000} {
		r := listResponder(b, clients)
		for _, q := range listQueries[:3] {
			run(fmt.Sprint(clients, " clients/", q.name), r, packQuery(q.qname, dns.TypeA))
		}
	}
	run("a host", responderFor(b, exampleZone), packQuery("mail.example.com.", dns.TypeA))
}
