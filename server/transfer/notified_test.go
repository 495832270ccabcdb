package transfer

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"mxtrap/metrics"
	"mxtrap/server/peer"
)

func TestANotifyIsTakenFromAPrimaryAlone(t *testing.T) {
	k, other := &peer.Key{Name: "a."}, &peer.Key{Name: "b."}
	m, log := metrics.New(1, "", ""), slog.New(slog.DiscardHandler)
	n := &Notices{Refresher: NewRefresher(log, m.Refreshes.Count, RealTime), Outcomes: m.Notifies, Log: log}
	judge := n.Of(map[string]Secondary{
		"open.test":   {Name: "open.test", Primaries: []peer.Peer{{Prefix: netip.MustParsePrefix("192.0.2.1/32")}}},
		"signed.test": {Name: "signed.test", Primaries: []peer.Peer{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Key: k}}},
	})
	for _, c := range []struct {
		zone, from string
		by         *peer.Key
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
