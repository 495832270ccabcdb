package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/catch"
	"mxtrap/server/control"
	"mxtrap/server/fake"
	"mxtrap/server/judge"
)

// blocklist starts a server with a DNSBL; more stands at the end of its server file, which is that of the table [list].
func blocklist(t *testing.T, more string, files map[string]string) *running {
	t.Helper()
	nobody := fake.NewResolver(t)
	nobody.Answer("192.0.2.1") // and no PTR record
	all := map[string]string{
		"mxtrap.toml":  serverFile + fmt.Sprintf("state = \"state\"\ncontrol = \"control.sock\"\nresolver = [%q]\n[transfer]\nallow = [\"127.0.0.1\"]\n[list]\nmode = \"list\"\nzone = \"bl.a.test\"\n", nobody.Addr) + more,
		"zones/a.toml": "name = \"a.test\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\nns2 = [\"A 192.0.2.54\"]\nbl = [\"NS ns1\", \"NS ns2\"]\n",
	}
	for name, text := range files {
		all[name] = text
	}
	r := start(t, all, func(s *Server) { s.Judge = 100 * time.Millisecond })
	r.soon("when the sightings are read", func() string { return r.ask("2.0.0.127.bl.a.test.", dns.TypeA) }, "127.0.0.2")
	return r
}

// soon waits until an answer is as it should be.
func (r *running) soon(what string, ask func() string, want string) {
	r.t.Helper()
	var got string
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if got = ask(); got == want {
			return
		}
	}
	r.t.Fatalf("%s: got %s, want %s\n%s", what, got, want, r.log)
}

// bot has had a client do at a decoy what only a bot does, two hours ago.
func (r *running) bot(client string) {
	r.keeper.Sighted(&catch.Sighting{
		At: time.Now().Add(-2 * time.Hour), Client: netip.AddrPortFrom(netip.MustParseAddr(client), 1025), Decoy: catch.Decoy{Host: "mx2.a.test", Owner: "a.test", Zone: "a.test"},
		Tried: true, Data: true,
	})
}

func TestADNSBLListsWhoWasJustSeen(t *testing.T) {
	t.Parallel()
	r := blocklist(t, "http = true\n", nil)
	for _, c := range []struct {
		says, name string
		typ        uint16
		want       string
	}{
		{"an entry for tests", "2.0.0.127.bl.a.test.", dns.TypeTXT, `"for tests"`},
		{"one of IPv6", "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.a.test.", dns.TypeA, "127.0.0.2"},
		{"what is never listed", "1.0.0.127.bl.a.test.", dns.TypeA, "NXDOMAIN"},
		{"that of IPv6", "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.a.test.", dns.TypeA, "NXDOMAIN"},
		{"a name above an entry", "0.0.127.bl.a.test.", dns.TypeA, "NOERROR"},
		{"the servers of the delegation", "bl.a.test.", dns.TypeNS, "ns1.a.test., ns2.a.test."},
		{"nobody", "7.113.0.203.bl.a.test.", dns.TypeA, "NXDOMAIN"},
	} {
		r.want(c.says, r.ask(c.name, c.typ), c.want)
	}
	serial := func() uint32 { return r.state.Current.Load().Zones.Named("bl.a.test").Serial() }
	before := serial()
	r.bot("203.0.113.7")
	r.soon("a bot", func() string { return r.ask("7.113.0.203.bl.a.test.", dns.TypeA) }, "127.0.0.5")
	r.want("a name above it", r.ask("113.0.203.bl.a.test.", dns.TypeA), "NOERROR")
	if text := r.ask("7.113.0.203.bl.a.test.", dns.TypeTXT); !strings.Contains(text, "went on to DATA though every recipient was refused; at mx2.a.test, 20") {
		t.Error(text)
	}
	r.bot("2001:db8:1:2::3")
	r.soon("anybody of a bot's network", func() string {
		return r.ask("f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.a.test.", dns.TypeA)
	}, "127.0.0.5")
	r.soon("the zone as it is transferred", func() string { return r.clients(new(dns.Msg).SetAxfr("bl.a.test.")) },
		"7.113.0.203.bl.a.test. *.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.a.test.")
	r.soon("the list over HTTP", func() string { return r.get("/list.txt") }, "200 203.0.113.7\n2001:db8:1:2::/64\n")
	if serial() == before {
		t.Error("the serial number is the same")
	}
	r.want("what has changed since", r.clients(new(dns.Msg).SetIxfr("bl.a.test.", before, ".", ".")), "7.113.0.203.bl.a.test. *.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.a.test.")
	reply, err := dns.Exchange(new(dns.Msg).SetQuestion("9.113.0.203.bl.a.test.", dns.TypeA), r.addr)
	if err != nil || len(reply.Ns) != 1 || reply.Ns[0].Header().Ttl > 60 {
		t.Errorf("an answer for nobody: %v, %v", reply, err)
	}

	r.bot("198.51.100.7")
	r.soon("another bot", func() string { return r.ask("7.100.51.198.bl.a.test.", dns.TypeA) }, "127.0.0.5")
	operator, client := control.NewClient(filepath.Join(r.dir, "control.sock")), netip.MustParseAddr("198.51.100.7")
	if l, err := operator.List(t.Context()); err != nil || !l.Lists || !slices.ContainsFunc(l.Clients, func(e judge.Entry) bool { return e.Client.Contains(client) }) {
		t.Error(l, err)
	}
	if f, err := operator.Facts(t.Context(), client); err != nil || f.Listing == nil || len(f.Sightings) == 0 {
		t.Error(f, err)
	}
	if err := operator.Pardon(t.Context(), netip.PrefixFrom(client, 32)); err != nil {
		t.Error(err)
	}
	if f, err := operator.Facts(t.Context(), client); err != nil || f.Listing != nil {
		t.Error(f, err)
	}
	r.soon("who has the operator's pardon", func() string { return r.ask("7.100.51.198.bl.a.test.", dns.TypeA) }, "NXDOMAIN")
	if err := r.keeper.Book.Visit(netip.MustParseAddr("203.0.113.200"), "", time.Now().Unix(), true); err != nil {
		t.Error(err)
	}
	r.soon("after a neighbour's visit to a real host", func() string { return r.ask("7.113.0.203.bl.a.test.", dns.TypeA) }, "NXDOMAIN")
	if log := r.log.String(); !strings.Contains(log, "msg=listed client=203.0.113.7 as=127.0.0.5 why=") || !strings.Contains(log, "msg=\"no longer listed\" client=203.0.113.7") {
		t.Error(log)
	}
	r.stop()
	again := start(t, map[string]string{
		"zones/a.toml": simpleZone("a.test", 1),
		"mxtrap.toml":  serverFile + "state = \"" + r.dir + "/state\"\n" + "[list]\nmode = \"list\"\nzone = \"bl.a.test\"\n",
	})
	again.soon("after a restart", func() string {
		return again.ask("f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.a.test.", dns.TypeA)
	}, "127.0.0.5")
	again.want("a list over HTTP that is switched off", again.get("/list.txt")[:3], "404")
	again.want("who was pardoned", again.ask("7.113.0.203.bl.a.test.", dns.TypeA), "NXDOMAIN")
}

// clients are the owners of the A records that a transfer of the DNSBL brings, those for tests left out.
func (r *running) clients(request *dns.Msg) string {
	r.t.Helper()
	var owners []string
	for _, rr := range r.transferred(r.t, request) {
		if a, ok := rr.(*dns.A); ok && !a.A.Equal(net.IPv4(127, 0, 0, 2)) {
			owners = append(owners, a.Hdr.Name)
		}
	}
	return strings.Join(owners, " ")
}

func TestADNSBLTellsNobodyWhoIsNotAllowedToAsk(t *testing.T) {
	t.Parallel()
	r := blocklist(t, "allow = [\"127.0.0.2\", \"127.0.0.3\"]\n", nil)
	from := func(client, name string) string {
		t.Helper()
		dialer := &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(client)}}
		reply, _, err := (&dns.Client{Dialer: dialer, Timeout: patience}).ExchangeContext(context.Background(), new(dns.Msg).SetQuestion(name, dns.TypeA), r.addr)
		if err != nil {
			t.Fatal(err)
		}
		return dns.RcodeToString[reply.Rcode]
	}
	for _, c := range []struct{ says, client, name, want string }{
		{"one who is allowed", "127.0.0.3", "2.0.0.127.bl.a.test.", "NOERROR"},
		{"a secondary", "127.0.0.1", "2.0.0.127.bl.a.test.", "NOERROR"},
		{"a stranger", "127.0.0.4", "2.0.0.127.bl.a.test.", "REFUSED"},
		{"a stranger about nobody", "127.0.0.4", "3.0.0.127.bl.a.test.", "REFUSED"},
		{"a stranger about the apex", "127.0.0.4", "bl.a.test.", "REFUSED"},
		{"a stranger about another zone", "127.0.0.4", "ns1.a.test.", "NOERROR"},
	} {
		r.want(c.says, from(c.client, c.name), c.want)
	}
}

func TestTheDNSBLIsSignedWhereZonesAre(t *testing.T) {
	t.Parallel()
	r := blocklist(t, "[dnssec]\ndefault = true\nsecret = \"secret\"\n", map[string]string{"secret": signedServer["secret"]})
	key := r.askSecure("bl.a.test.", dns.TypeDNSKEY).Answer[0].(*dns.DNSKEY)
	verified := func(name string) string {
		reply := r.askSecure(name, dns.TypeA)
		section := reply.Answer
		if len(section) == 0 {
			section = reply.Ns
		}
		var sets int
		for _, rr := range section {
			sig, ok := rr.(*dns.RRSIG)
			if !ok {
				continue
			}
			var set []dns.RR
			for _, other := range section {
				if other.Header().Rrtype == sig.TypeCovered && other.Header().Name == sig.Hdr.Name {
					set = append(set, other)
				}
			}
			if err := sig.Verify(key, set); err != nil {
				t.Fatal(name, err, set)
			}
			sets++
		}
		return fmt.Sprint(dns.RcodeToString[reply.Rcode], " ", sets)
	}
	r.want("an entry for tests", verified("2.0.0.127.bl.a.test."), "NOERROR 1")
	r.want("nobody", verified("7.113.0.203.bl.a.test."), "NXDOMAIN 3")
	r.bot("203.0.113.7")
	r.soon("a bot", func() string { return verified("7.113.0.203.bl.a.test.") }, "NOERROR 1")
	r.soon("the zone", func() string { return r.clients(new(dns.Msg).SetAxfr("bl.a.test.")) }, "7.113.0.203.bl.a.test.")
	r.want("a bot of the zone", verified("7.113.0.203.bl.a.test."), "NOERROR 1")
}

func TestTheDNSBLIsEmptyWhileTheOperatorLooks(t *testing.T) {
	t.Parallel()
	r := blocklist(t, "", nil)
	r.bot("203.0.113.7")
	r.soon("a bot", func() string { return r.ask("7.113.0.203.bl.a.test.", dns.TypeA) }, "127.0.0.5")
	r.write("mxtrap.toml", serverFile+"state = \"state\"\n[list]\nzone = \"bl.a.test\"\n")
	r.reload()
	r.want("a bot while the operator looks", r.ask("7.113.0.203.bl.a.test.", dns.TypeA), "NXDOMAIN")
	r.want("an entry for tests", r.ask("2.0.0.127.bl.a.test.", dns.TypeA), "127.0.0.2")
	r.write("mxtrap.toml", serverFile)
	r.reload()
	r.want("without a DNSBL", r.ask("2.0.0.127.bl.a.test.", dns.TypeA), "NOERROR") // the delegation
}

// TestADNSBLWhoseNewNameIsTakenIsGone: under its old name its clients would stay for ever.
func TestADNSBLWhoseNewNameIsTakenIsGone(t *testing.T) {
	t.Parallel()
	r := blocklist(t, "", nil)
	r.bot("203.0.113.7")
	r.soon("a bot", func() string { return r.ask("7.113.0.203.bl.a.test.", dns.TypeA) }, "127.0.0.5")
	r.write("mxtrap.toml", serverFile+"state = \"state\"\n[list]\nmode = \"list\"\nzone = \"a.test\"\n")
	r.reload()
	r.want("a bot", r.ask("7.113.0.203.bl.a.test.", dns.TypeA), "NOERROR") // the delegation
	r.want("the zone that has the name", r.ask("ns1.a.test.", dns.TypeA), "192.0.2.53")
	if log := r.log.String(); !strings.Contains(log, "list.zone") || !strings.Contains(log, "a zone has one file") {
		t.Error(log)
	}
}
