package answer

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"sync/atomic"

	"github.com/miekg/dns"

	"mxtrap/server/peer"
	"mxtrap/zone/conf"
)

// RateLimit is how often a client may get the same kind of response over UDP, where its address may be forged: what NSD, Knot and BIND
// call response rate limiting.
type RateLimit struct {
	responses int64 // a second; 0: any number
	slip      int64 // one in this many of the responses above it is sent empty, with TC set, for real clients; 0: none
	ipv4      int64 // bits of an address that make a client
	ipv6      int64
	exempt    []netip.Prefix
}

// defaultRateLimit has NSD's numbers. Clients on this host itself forge no address.
var defaultRateLimit = RateLimit{responses: 200, slip: 2, ipv4: 24, ipv6: 64, exempt: []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
}}

// LimitOf reads the table [rate_limit].
func LimitOf(t *conf.Table) RateLimit {
	l := defaultRateLimit
	t.Int("responses", 0, 1_000_000, &l.responses)
	t.Int("slip", 0, 100, &l.slip)
	t.Int("ipv4_prefix", 8, 32, &l.ipv4)
	t.Int("ipv6_prefix", 16, 64, &l.ipv6)
	if t.Has("exempt") {
		l.exempt = nil
	}
	for _, item := range t.Strings("exempt") {
		p, err := peer.ParsePrefix(item.Text)
		if err != nil {
			item.Fault(err.Error())
			continue
		}
		l.exempt = append(l.exempt, p)
	}
	t.Close()
	return l
}

// limiterSlots is how many clients and kinds of response are kept apart: 2 MB. A client whose slot is taken takes it over.
const limiterSlots = 1 << 18

// second is the room of a bucket: who was silent may get the responses of a second at once.
const second = 1_000_000 // in the limiter's microseconds

// Limiter holds the token buckets of a rateLimit. A slot is a tag (32 bits of the hash) and the time, in microseconds, at which the
// bucket will be full again.
type Limiter struct {
	RateLimit
	interval uint32 // in which a token comes
	slots    [limiterSlots]atomic.Uint64
}

// NewLimiter makes a limiter; it is nil where there is no limit.
func NewLimiter(l RateLimit) *Limiter {
	if l.responses == 0 {
		return nil
	}
	return &Limiter{RateLimit: l, interval: uint32(second / l.responses)}
}

// The kinds of responses whose rates are limited apart. What a forger can vary at will counts as one: names that do not exist, those that
// a wildcard or a DNAME stands in for, and what gets an error.
const (
	kindAnswer byte = iota
	kindAny
	kindVaried
	kindNoData
	kindNoName
	kindReferral
	kindError
)

// find notes which bucket a query that was looked up has, and fetches it: with those of a whole round at once, one waits for all.
func (l *Limiter) find(q *Query, from netip.Addr, list *List) {
	if q.limited = !l.exempts(from) && !list.admits(q, from); !q.limited {
		return
	}
	kind, name := kindOf(q), []byte(nil)
	switch {
	case kind == kindAnswer || kind == kindAny:
		name = q.Name.Wire()
	case kind != kindError:
		name = q.Name.Wire()[q.Answer.Apex():]
	}
	high, low := bits.Mul64(l.network(from)^limiterKey, maphash.Bytes(limiterSeed, name)^uint64(kind))
	q.bucket = high ^ low
	q.fetched += l.slots[q.bucket%limiterSlots].Load()
}

// over takes a token for the response to a query that was found. It says whether there was none.
func (l *Limiter) over(q *Query, now uint32) bool { return q.limited && l.take(q.bucket, now) }

// exempts says whether a client has no limit.
func (l *Limiter) exempts(from netip.Addr) bool {
	for _, p := range l.exempt {
		if p.Contains(from) {
			return true
		}
	}
	return false
}

// network is the part of an address that makes a client, with its family.
func (l *Limiter) network(from netip.Addr) uint64 {
	if from.Is4() {
		a := from.As4()
		return uint64(binary.BigEndian.Uint32(a[:])>>(32-l.ipv4)) | 1<<32
	}
	a := from.As16()
	return binary.BigEndian.Uint64(a[:]) &^ (1<<(64-l.ipv6) - 1)
}

// What nobody knows, so that nobody can aim at another client's slot.
var (
	limiterSeed = maphash.MakeSeed()
	limiterKey  = maphash.Bytes(limiterSeed, []byte("key")) | 1
)

func kindOf(q *Query) byte {
	a := &q.Answer
	switch {
	case q.Verdict != dns.RcodeSuccess || q.Class == dns.ClassCHAOS || q.notify || q.Zone < 0:
		return kindError
	case a.Rcode == dns.RcodeNameError:
		return kindNoName
	case a.Varied:
		return kindVaried
	case len(a.Answer) == 0 && a.Authoritative:
		return kindNoData
	case len(a.Answer) == 0:
		return kindReferral
	case q.Type == dns.TypeANY:
		return kindAny
	}
	return kindAnswer
}

// take takes a token out of a bucket.
func (l *Limiter) take(hash uint64, now uint32) (over bool) {
	slot, tag := &l.slots[hash%limiterSlots], hash>>32
	for {
		old := slot.Load()
		full := now
		// What is further ahead than any worker's clock can be was left there long ago: the time has gone round since.
		if ahead := uint32(old) - now; old>>32 == tag && ahead <= 2*second {
			full = uint32(old)
		}
		full += l.interval
		if full-now > second {
			return true
		}
		if slot.CompareAndSwap(old, tag<<32|uint64(full)) {
			return false
		}
	}
}
