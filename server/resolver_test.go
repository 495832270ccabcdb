package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
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
		for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
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
