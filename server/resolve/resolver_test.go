package resolve

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/server/fake"
)

func TestALookUpIsRefreshedByItsTTL(t *testing.T) {
	resolver := fake.NewResolver(t)
	resolver.TTL = 7
	resolver.Answer("198.51.100.7")
	r := New([]string{resolver.Addr}, metrics.New(1, "", ""), slog.New(slog.DiscardHandler))
	r.Want([]string{"bob.fallback.host"})
	due := func() time.Duration {
		if !r.LookUp(context.Background(), []string{"bob.fallback.host"}) {
			t.Error("no news")
		}
		d := time.Until(r.nextDue())
		r.Want(nil)
		r.Want([]string{"bob.fallback.host"})
		return d
	}
	if d := due(); d < 29*time.Second || d > 30*time.Second {
		t.Errorf("a TTL of 7 s is refreshed in %v, want 30 s", d)
	}
	r.LeastWait = time.Second
	if d := due(); d < 6*time.Second || d > 7*time.Second {
		t.Errorf("a TTL of 7 s is refreshed in %v, want that", d)
	}
}

func TestSeveralResolversAreAskedInTurn(t *testing.T) {
	dead, live := fake.NewResolver(t), fake.NewResolver(t)
	live.Answer("198.51.100.7")
	r := New([]string{dead.Addr, live.Addr}, metrics.New(1, "", ""), slog.New(slog.DiscardHandler))
	addrs, _, err := r.ask(context.Background(), "bob.fallback.host")
	if err != nil || len(addrs) != 1 || dead.Asked.Load() == 0 {
		t.Errorf("%v %v", addrs, err)
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
			reply.Answer = append(reply.Answer, fake.Record(line))
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
			reply.Answer = append(reply.Answer, fake.Record(line))
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
		reply.Answer = []dns.RR{fake.Record("bob.test. 60 AAAA " + bad)}
		var addrs []netip.Addr
		ttl := maxRefresh
		if takeAddresses(reply, dns.TypeAAAA, &addrs, &ttl) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
