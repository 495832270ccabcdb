package server

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"mxtrap/metrics"
)

func TestANotifyIsTakenFromAPrimaryAlone(t *testing.T) {
	k, other := &key{name: "a."}, &key{name: "b."}
	m, log := metrics.New(1, "", ""), slog.New(slog.DiscardHandler)
	n := &notices{refresher: newRefresher(log, m.Refreshes), outcomes: m.Notifies, log: log}
	judge := n.of(map[string]secondary{
		"open.test":   {name: "open.test", primaries: []peer{{prefix: netip.MustParsePrefix("192.0.2.1/32")}}},
		"signed.test": {name: "signed.test", primaries: []peer{{prefix: netip.MustParsePrefix("192.0.2.1/32"), key: k}}},
	})
	for _, c := range []struct {
		zone, from string
		by         *key
		want       int
	}{
		{"open.test", "192.0.2.1", nil, dns.RcodeSuccess}, {"open.test", "192.0.2.1", other, dns.RcodeSuccess}, {"open.test", "192.0.2.2", nil, dns.RcodeRefused},
		{"signed.test", "192.0.2.1", nil, dns.RcodeRefused}, {"signed.test", "192.0.2.1", other, dns.RcodeRefused}, {"signed.test", "192.0.2.2", k, dns.RcodeSuccess},
		{"signed.test", "192.0.2.1", k, dns.RcodeSuccess}, {"none.test", "192.0.2.1", k, dns.RcodeNotAuth},
	} {
		taken := m.Notifies.WithLabelValues("taken")
		before := testutil.ToFloat64(taken)
		got := judge(c.zone, netip.MustParseAddr(c.from), c.by)
		if got != c.want || (testutil.ToFloat64(taken) > before) != (got == dns.RcodeSuccess) {
			t.Errorf("%s from %s by %v: %s", c.zone, c.from, c.by, dns.RcodeToString[got])
		}
	}
}
