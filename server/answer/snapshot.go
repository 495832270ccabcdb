package answer

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/server/peer"
	"mxtrap/server/tap"
	"mxtrap/zone"
)

// State is what those who answer queries read: one pointer, which a reload swaps.
type State struct {
	Current atomic.Pointer[Snapshot]
}

// NewState makes a state with a snapshot of zones and nothing else.
func NewState(zones *zone.Set) *State {
	s := new(State)
	s.Current.Store(&Snapshot{Zones: zones, Access: new(peer.Access)})
	return s
}

// Snapshot is all that an answer depends on. It never changes.
type Snapshot struct {
	Zones     *zone.Set
	Hidden    map[int]bool    // zones, by index, that are answered only to clients that may transfer them
	Down      map[int]bool    // zones, by index, that cannot be answered now
	List      *List           // nil: no DNSBL is made here
	Notify    Notify          // nil: no zone comes from a primary
	Updaters  map[string]bool // keys that may change zones, by name; nil: there are none
	Counts    []ZoneCounts    // by index in zones; none where zones have no series of their own
	Access    *peer.Access
	Own       map[*zone.Zone]*peer.Access // to zones that have a word of their own
	Limiter   *Limiter                    // nil: nothing is limited
	Cookies   Cookies                     // none: cookies are passed over
	Histories map[*zone.Zone]zone.History
	Expires   map[*zone.Zone]uint32 // when the copies of primaries expire that zones are made of, in seconds since 1970
	Taps      *[taps]*tap.Tap       // nil: nothing is copied
	Nsid      string
	Version   string // in CH TXT; "" where that is switched off
	Id        string
}

// AccessTo is who may transfer a zone, and who is notified of its changes.
func (s *Snapshot) AccessTo(z *zone.Zone) *peer.Access {
	if own := s.Own[z]; own != nil {
		return own
	}
	return s.Access
}

// permits says whether a client may transfer the zone of a question.
func (s *Snapshot) permits(q *Query, from netip.Addr, sig *peer.Signature) bool {
	return q.Zone >= 0 && s.AccessTo(s.Zones.Zones()[q.Zone]).Permits(from, sig.Verified())
}

// The taps of a snapshot.
const (
	TapDnstap = iota
	TapLog
	TapTop
	taps
)

// WithTap is the snapshot with one of its taps; nil takes it away.
func (s *Snapshot) WithTap(which int, t *tap.Tap) *Snapshot {
	next, all := *s, [taps]*tap.Tap{}
	if s.Taps != nil {
		all = *s.Taps
	}
	all[which] = t
	if next.Taps = &all; all == [taps]*tap.Tap{} {
		next.Taps = nil
	}
	return &next
}

// List is the DNSBL that is made here.
type List struct {
	Zone  int                       // its index in zones
	Allow []netip.Prefix            // who may ask it, beside those that may transfer zones; their answers are not limited
	Fresh atomic.Pointer[zone.Zone] // clients that are listed since it was compiled; nil: there are none
}

// admits says whether a client may ask the list, and this is a question for it.
func (l *List) admits(q *Query, from netip.Addr) bool {
	return l != nil && l.Zone == q.Zone && slices.ContainsFunc(l.Allow, func(p netip.Prefix) bool { return p.Contains(from) })
}

// hides says whether a client is not told about the zone of a question, unless it may transfer zones.
func (s *Snapshot) hides(q *Query, from netip.Addr) bool {
	return len(s.Hidden) > 0 && s.Hidden[q.Zone] || s.List != nil && s.List.Zone == q.Zone && !s.List.admits(q, from)
}

// lookUp has a question of the list answered by the fresh zone, where that has what is asked for.
func (l *List) lookUp(q *zone.Question) {
	if fresh := l.Fresh.Load(); fresh != nil && q.Zone == l.Zone {
		fresh.Overrule(q)
	}
}

// Notify judges a NOTIFY of a zone (RFC 1996): who sent it, and whose key signed it, nil for none. It returns the RCODE of the answer.
type Notify func(zone string, from netip.Addr, by *peer.Key) (rcode int)

// ZoneCounts are where a zone's queries are counted.
type ZoneCounts struct {
	Zone  metrics.Series
	Hosts metrics.Series // of its trap
}

// AnswerCookie puts the response's cookie in the place of the query's, and says whether that was good. There is none where cookies are
// switched off.
func (s *Snapshot) AnswerCookie(q *Query, c Client) (good bool) {
	q.Edns.cookies = q.Edns.cookies && s.Cookies != nil
	return q.Edns.cookies && s.Cookies.answer(&q.Edns.cookie, c.Addr, c.Now.seconds)
}

// AnswerExpire says in the response's EXPIRE option how long a secondary may serve a copy of the zone that the question is the apex of: not
// longer than this server may, nor than its signatures are valid (RFC 7314 3).
func (s *Snapshot) AnswerExpire(q *Query, c Client) {
	var z *zone.Zone
	if q.Type == dns.TypeSOA && q.Zone >= 0 && q.Answer.Apex() == 0 && !s.Down[q.Zone] {
		z = s.Zones.Zones()[q.Zone]
	}
	s.TellExpire(q, z, c)
}

// TellExpire is AnswerExpire for a zone that is known; nil: the question is of none.
func (s *Snapshot) TellExpire(q *Query, z *zone.Zone, c Client) {
	if q.Edns.expires = q.Edns.expires && z != nil; !q.Edns.expires {
		return
	}
	left := z.Expire()
	for _, end := range []uint32{s.Expires[z], uint32(z.Expiration())} {
		if end != 0 {
			left = min(left, uint32(max(0, int64(end)-int64(c.Now.seconds))))
		}
	}
	q.Edns.expire = left
}

// judge has a NOTIFY judged.
func (s *Snapshot) judge(q *Query, sig *peer.Signature, c Client) (rcode int) {
	if s.Notify == nil {
		return dns.RcodeNotImplemented
	}
	return s.Notify(zone.NameOf(q.Name.Wire()), c.Addr, sig.Verified())
}
