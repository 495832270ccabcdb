package transfer

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"mxtrap/server/answer"
	"mxtrap/server/pace"
	"mxtrap/server/peer"
)

// Notices judges the NOTIFYs that come in (RFC 1996).
type Notices struct {
	Refresher *Refresher
	Outcomes  *prometheus.CounterVec // "taken", "refused"
	Log       *slog.Logger
	refusals  pace.PerMinute
}

// Of returns what judges a NOTIFY of one of these zones, by their names. Only the zone's primary may send one: from its address, or, where
// the zone has a key, from any address with that key. The refresher then looks at the zone. It is nil where there are no such zones.
func (n *Notices) Of(zones map[string]Secondary) answer.Notify {
	if len(zones) == 0 {
		return nil
	}
	return func(name string, from netip.Addr, by *peer.Key) (rcode int) {
		z, ok := zones[name]
		if !ok {
			n.refuse(name, from)
			return dns.RcodeNotAuth
		}
		known := func(p peer.Peer) bool {
			if p.Key != nil {
				return p.Key.Same(by)
			}
			return p.Prefix.Addr() == from
		}
		if !slices.ContainsFunc(z.Primaries, known) {
			n.refuse(name, from)
			return dns.RcodeRefused
		}
		n.Outcomes.WithLabelValues("taken").Inc()
		n.Refresher.notified(name)
		return dns.RcodeSuccess
	}
}

// refuse counts a NOTIFY that is not taken, and logs the first ones of each minute.
func (n *Notices) refuse(name string, from netip.Addr) {
	n.Outcomes.WithLabelValues("refused").Inc()
	if n.refusals.Allow(time.Now()) {
		n.Log.Warn("refused a NOTIFY that comes from no primary of the zone and is not signed with its key", "zone", name, "client", from)
	}
}
