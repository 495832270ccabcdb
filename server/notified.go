package server

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// notices judges the NOTIFYs that come in (RFC 1996).
type notices struct {
	refresher *refresher
	outcomes  *prometheus.CounterVec // "taken", "refused"
	log       *slog.Logger
	refusals  perMinute
}

// of returns what judges a NOTIFY of one of these zones, by their names. Only the zone's primary may send one: from its address, or, where
// the zone has a key, from any address with that key. The refresher then looks at the zone. It is nil where there are no such zones.
func (n *notices) of(zones map[string]secondary) notify {
	if len(zones) == 0 {
		return nil
	}
	return func(name string, from netip.Addr, by *key) (rcode int) {
		z, ok := zones[name]
		if !ok {
			n.refuse(name, from)
			return dns.RcodeNotAuth
		}
		known := func(p peer) bool {
			if p.key != nil {
				return p.key.same(by)
			}
			return p.prefix.Addr() == from
		}
		if !slices.ContainsFunc(z.primaries, known) {
			n.refuse(name, from)
			return dns.RcodeRefused
		}
		n.outcomes.WithLabelValues("taken").Inc()
		n.refresher.notified(name)
		return dns.RcodeSuccess
	}
}

// refuse counts a NOTIFY that is not taken, and logs the first ones of each minute.
func (n *notices) refuse(name string, from netip.Addr) {
	n.outcomes.WithLabelValues("refused").Inc()
	if n.refusals.allow(time.Now()) {
		n.log.Warn("a NOTIFY is refused: it comes from no primary of the zone, and is not signed with the zone's key", "zone", name, "client", from)
	}
}
