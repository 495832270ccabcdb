package server

import (
	"net/netip"
	"sync/atomic"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/zone"
)

// state is what those who answer queries read: one pointer, which a reload swaps.
type state struct {
	current atomic.Pointer[snapshot]
}

// newState makes a state with a snapshot of zones and nothing else.
func newState(zones *zone.Set) *state {
	s := new(state)
	s.current.Store(&snapshot{zones: zones, access: new(transfers)})
	return s
}

// snapshot is all that an answer depends on. It never changes.
type snapshot struct {
	zones     *zone.Set
	hidden    map[int]bool // zones, by index, that only those see who may transfer them
	down      map[int]bool // zones, by index, that cannot be answered now
	notify    notify       // nil: no zone comes from a primary
	counts    []zoneCounts // by index in zones; none where zones have no series of their own
	access    *transfers
	limiter   *limiter      // nil: nothing is limited
	cookies   cookieSecrets // none: cookies are passed over
	histories map[*zone.Zone]zone.History
	tap       *tap
	nsid      string
	version   string // in CH TXT; "" where that is switched off
	id        string
}

// notify judges a NOTIFY of a zone (RFC 1996): who sent it, and whose key signed it, nil for none. It returns the RCODE of the answer.
type notify func(zone string, from netip.Addr, by *key) (rcode int)

// zoneCounts are where a zone's queries are counted.
type zoneCounts struct {
	zone   metrics.Series
	decoys metrics.Series
	covers int // how many of the zone's hosts stand before its decoys
}

// answerCookie puts the response's cookie in the place of the query's, and says whether that was good. There is none where cookies are
// switched off.
func (s *snapshot) answerCookie(q *query, c client) (good bool) {
	q.edns.cookies = q.edns.cookies && s.cookies != nil
	return q.edns.cookies && s.cookies.answer(&q.edns.cookie, c.addr, c.now.seconds)
}

// judge has a NOTIFY judged.
func (s *snapshot) judge(q *query, sig *signature, c client) (rcode int) {
	if s.notify == nil {
		return dns.RcodeNotImplemented
	}
	return s.notify(zone.NameOf(q.Name.Wire()), c.addr, sig.verified())
}
