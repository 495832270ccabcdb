package server

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/fake"
)

// TestACoverIsLookedUpAndKeptFresh: served as written before the first answer, then covered, then with each new address, and with the
// last good one when look-ups fail.
func TestACoverIsLookedUpAndKeptFresh(t *testing.T) {
	t.Parallel()
	resolver := fake.NewResolver(t)
	zone := strings.Split(exampleZone, "[trap.covers]")[0]
	r := start(t, map[string]string{
		"mxtrap.toml":  serverFile + "resolver = [\"" + resolver.Addr + "\"]\n",
		"zones/a.toml": zone,
	}, func(s *Server) { s.resolver.FirstRetry, s.resolver.LeastWait = time.Millisecond, time.Millisecond })
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
	r.want("waiting", r.metric("mxtrap_unresolved_covers"), "1")
	if !strings.Contains(r.log.String(), "its exchange is served as written") {
		t.Errorf("log:\n%s", r.log)
	}

	resolver.Answer("198.51.100.7")
	eventually("the cover", func() bool { return r.ask("mx1.example.com.", dns.TypeA) == "198.51.100.7" })
	r.want("MX with the cover", r.ask("example.com.", dns.TypeMX), "10 mail.example.com., 20 mx1.example.com., 30 mx2.example.com., 40 mx3.example.com.")
	r.want("waiting", r.metric("mxtrap_unresolved_covers"), "0")

	resolver.Answer("")
	failures := r.metric("mxtrap_cover_lookup_failures_total")
	eventually("another failure", func() bool { return r.metric("mxtrap_cover_lookup_failures_total") != failures })
	r.want("the last good answer", r.ask("mx1.example.com.", dns.TypeA), "198.51.100.7")
	r.reload()
	r.want("the last good answer after a reload", r.ask("mx1.example.com.", dns.TypeA), "198.51.100.7")

	resolver.Answer("198.51.100.8")
	eventually("the new address", func() bool { return r.ask("mx1.example.com.", dns.TypeA) == "198.51.100.8" })
}

// TestAnAddressThatNoHostCanHaveReplacesNoExchange: it comes from a resolver that sees another world, or that filters.
func TestAnAddressThatNoHostCanHaveReplacesNoExchange(t *testing.T) {
	for _, bad := range []string{"10.9.8.7", "127.0.0.1", "0.1.2.3", "169.254.1.1", "100.64.0.1", "192.168.1.1", "172.16.0.1", "240.0.0.1", "255.255.255.255", "224.0.0.1"} {
		t.Run(bad, func(t *testing.T) {
			t.Parallel()
			resolver := fake.NewResolver(t)
			resolver.Answer(bad)
			r := start(t, map[string]string{
				"mxtrap.toml":  serverFile + "resolver = [\"" + resolver.Addr + "\"]\n",
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
			if got := r.metric("mxtrap_unresolved_covers"); got != "1" {
				t.Errorf("unresolved: %s", got)
			}
		})
	}
}
