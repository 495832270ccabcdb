package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
)

// fakeResolver answers every host's A with an address, or fails.
type fakeResolver struct {
	addr    string
	address atomic.Pointer[string] // "": SERVFAIL
	asked   atomic.Int64
	ttl     int // of its answers, in seconds
}

func newFakeResolver(t *testing.T) *fakeResolver {
	t.Helper()
	f := &fakeResolver{}
	f.answer("")
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = conn.LocalAddr().String()
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		f.asked.Add(1)
		m := new(dns.Msg).SetReply(q)
		switch address := *f.address.Load(); {
		case address == "":
			m.Rcode = dns.RcodeServerFailure
		case q.Question[0].Qtype == dns.TypeA:
			rr, _ := dns.NewRR(fmt.Sprintf("%s %d A %s", q.Question[0].Name, f.ttl, address))
			m.Answer = append(m.Answer, rr)
		}
		w.WriteMsg(m)
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return f
}

func (f *fakeResolver) answer(address string) { f.address.Store(&address) }

// TestACoverIsLookedUpAndKeptFresh: served as written before the first answer, then covered, then with each new address, and with the
// last good one when look-ups fail.
func TestACoverIsLookedUpAndKeptFresh(t *testing.T) {
	fake := newFakeResolver(t)
	zone := strings.Split(exampleZone, "[trap.covers]")[0]
	r := start(t, map[string]string{
		"mxtrap.toml":  serverFile + "resolver = [\"" + fake.addr + "\"]\n",
		"zones/a.toml": zone,
	}, func(s *Server) { s.resolver.firstRetry, s.resolver.minRefresh = time.Millisecond, time.Millisecond })
	eventually := func(what string, f func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !f(); time.Sleep(2 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("never: %s\n%s", what, r.log)
			}
		}
	}
	eventually("a failed look-up", func() bool { return r.metric("mxtrap_cover_lookup_failures_total") != "0" })
	r.want("MX before the first answer", r.ask("example.com.", dns.TypeMX), "10 mail.example.com., 20 bob.fallback.host., 30 mx2.example.com., 40 mx3.example.com.")
	r.want("the cover before the first answer", r.ask("mx1.example.com.", dns.TypeA), "NXDOMAIN")
	r.want("waiting", r.metric("mxtrap_covers_unresolved"), "1")
	if !strings.Contains(r.log.String(), "its exchange is served as written") {
		t.Errorf("log:\n%s", r.log)
	}

	fake.answer("198.51.100.7")
	eventually("the cover", func() bool { return r.ask("mx1.example.com.", dns.TypeA) == "198.51.100.7" })
	r.want("MX with the cover", r.ask("example.com.", dns.TypeMX), "10 mail.example.com., 20 mx1.example.com., 30 mx2.example.com., 40 mx3.example.com.")
	r.want("waiting", r.metric("mxtrap_covers_unresolved"), "0")

	fake.answer("")
	failures := r.metric("mxtrap_cover_lookup_failures_total")
	eventually("another failure", func() bool { return r.metric("mxtrap_cover_lookup_failures_total") != failures })
	r.want("the last good answer", r.ask("mx1.example.com.", dns.TypeA), "198.51.100.7")
	r.reload()
	r.want("the last good answer after a reload", r.ask("mx1.example.com.", dns.TypeA), "198.51.100.7")

	fake.answer("198.51.100.8")
	eventually("the new address", func() bool { return r.ask("mx1.example.com.", dns.TypeA) == "198.51.100.8" })
}

func TestALookUpIsRefreshedByItsTTL(t *testing.T) {
	fake := newFakeResolver(t)
	fake.ttl = 7
	fake.answer("198.51.100.7")
	r := newResolver([]string{fake.addr}, metrics.New(1, "", ""), slog.New(slog.DiscardHandler))
	r.want([]string{"bob.fallback.host"})
	due := func() time.Duration {
		if !r.lookUp(context.Background(), []string{"bob.fallback.host"}) {
			t.Error("no news")
		}
		d := time.Until(r.nextDue())
		r.want(nil)
		r.want([]string{"bob.fallback.host"})
		return d
	}
	if d := due(); d < 29*time.Second || d > 30*time.Second {
		t.Errorf("a TTL of 7 s is refreshed in %v, want 30 s", d)
	}
	r.minRefresh = time.Second
	if d := due(); d < 6*time.Second || d > 7*time.Second {
		t.Errorf("a TTL of 7 s is refreshed in %v, want that", d)
	}
}

func TestSeveralResolversAreAskedInTurn(t *testing.T) {
	dead, live := newFakeResolver(t), newFakeResolver(t)
	live.answer("198.51.100.7")
	r := newResolver([]string{dead.addr, live.addr}, metrics.New(1, "", ""), slog.New(slog.DiscardHandler))
	addrs, _, err := r.ask(context.Background(), "bob.fallback.host")
	if err != nil || len(addrs) != 1 || dead.asked.Load() == 0 {
		t.Errorf("%v %v", addrs, err)
	}
}

// TestAnAddressThatNoHostCanHaveReplacesNoExchange: it comes from a resolver that sees another world, or that filters.
func TestAnAddressThatNoHostCanHaveReplacesNoExchange(t *testing.T) {
	for _, bad := range []string{"10.9.8.7", "127.0.0.1", "0.1.2.3", "169.254.1.1", "100.64.0.1", "192.168.1.1", "172.16.0.1", "240.0.0.1", "255.255.255.255", "224.0.0.1"} {
		t.Run(bad, func(t *testing.T) {
			t.Parallel()
			fake := newFakeResolver(t)
			fake.answer(bad)
			r := start(t, map[string]string{
				"mxtrap.toml":  serverFile + "resolver = [\"" + fake.addr + "\"]\n",
				"zones/z.toml": strings.Split(exampleZone, "[trap.covers]")[0],
			})
			for end := time.Now().Add(patience); !strings.Contains(r.log.String(), bad+" is not globally routable"); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal(r.log)
				}
			}
			if got := r.ask("example.com.", dns.TypeMX); !strings.Contains(got, "bob.fallback.host.") {
				t.Errorf("the exchange is not served as it is written: %s", got)
			}
			if got := r.metric("mxtrap_covers_unresolved"); got != "1" {
				t.Errorf("unresolved: %s", got)
			}
		})
	}
}

func TestAddressesAreTakenFromTheNameThatWasAskedAlone(t *testing.T) {
	question := new(dns.Msg).SetQuestion("bob.test.", dns.TypeA)
	for _, c := range []struct{ name, answer, want string }{
		{"its own", "Bob.Test. 60 A 198.51.100.7", "[198.51.100.7] 1m0s"},
		{"an alias's", "bob.test. 30 CNAME a.test.|a.test. 600 CNAME b.test.|b.test. 60 A 198.51.100.7", "[198.51.100.7] 30s"},
		{"another name's", "eve.test. 60 A 198.51.100.7", "[] 24h0m0s"},
		{"another name's behind an alias", "bob.test. 60 CNAME a.test.|eve.test. 60 A 198.51.100.7", "[] 1m0s"},
		{"a circle of aliases", "bob.test. 60 CNAME a.test.|a.test. 60 CNAME bob.test.|eve.test. 60 A 198.51.100.7", "[] 1m0s"},
	} {
		reply := new(dns.Msg).SetReply(question)
		for line := range strings.SplitSeq(c.answer, "|") {
			reply.Answer = append(reply.Answer, record(line))
		}
		var addrs []netip.Addr
		ttl := maxRefresh
		if err := takeAddresses(reply, dns.TypeA, &addrs, &ttl); err != nil || fmt.Sprint(addrs, " ", ttl) != c.want {
			t.Errorf("%s: got %v %v, want %s: %v", c.name, addrs, ttl, c.want, err)
		}
	}
	var chain, many strings.Builder
	for i := range mostAliases {
		fmt.Fprintf(&chain, "%s CNAME a%d.test.|", map[bool]string{true: "bob.test. 60", false: fmt.Sprintf("a%d.test. 60", i)}[i == 0], i+1)
	}
	for i := range mostAddresses {
		fmt.Fprintf(&many, "bob.test. 60 A 198.51.100.%d|", i+1)
	}
	for _, c := range []struct {
		name, answer string
		found        int
		ok           bool
	}{
		{"as many aliases as are followed", chain.String() + fmt.Sprintf("a%d.test. 60 A 198.51.100.7", mostAliases), 1, true},
		{"one more", chain.String() + fmt.Sprintf("a%d.test. 60 CNAME b.test.|b.test. 60 A 198.51.100.7", mostAliases), 0, true},
		{"as many addresses as are taken", strings.TrimSuffix(many.String(), "|"), mostAddresses, true},
		{"one more address", many.String() + "bob.test. 60 A 198.51.100.200", 0, false},
	} {
		reply := new(dns.Msg).SetReply(question)
		for line := range strings.SplitSeq(c.answer, "|") {
			reply.Answer = append(reply.Answer, record(line))
		}
		var addrs []netip.Addr
		ttl := maxRefresh
		err := takeAddresses(reply, dns.TypeA, &addrs, &ttl)
		if (err == nil) != c.ok || c.ok && len(addrs) != c.found {
			t.Errorf("%s: %d addresses, %v", c.name, len(addrs), err)
		}
	}
	reply := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("bob.test.", dns.TypeAAAA))
	for _, bad := range []string{"::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:198.51.100.7", "::", "ff02::1", "64:ff9b:1::1"} {
		reply.Answer = []dns.RR{record("bob.test. 60 AAAA " + bad)}
		var addrs []netip.Addr
		ttl := maxRefresh
		if takeAddresses(reply, dns.TypeAAAA, &addrs, &ttl) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
