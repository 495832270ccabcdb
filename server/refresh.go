package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"mxtrap/zone/rr"
)

const (
	// fetchesAtOnce is how many zones are fetched at a time, and fetchesOfOne how many from one primary: one that is silent or slow
	// leaves room for the others.
	fetchesAtOnce = 32
	fetchesOfOne  = 4
	// leastWait is how long a primary is left alone, whatever its SOA record and its NOTIFYs say.
	leastWait = time.Second
	// firstWait is the wait after a failure where there is no SOA record yet; it doubles up to mostWait.
	firstWait = 2 * time.Second
	mostWait  = 10 * time.Minute
)

// secondary is a zone that comes from a primary.
type secondary struct {
	name      string // without its final dot
	path      string // of its zone file
	template  string // what the zone is made from instead, where a catalog lists it
	primaries []peer
	soa       *dns.SOA  // of the copy, as the primary has it; nil: there is none, or it has expired
	confirmed time.Time // when a primary was last heard of the copy; zero: not known
	lost      bool      // the copy can no longer be read: the whole zone is to be fetched
}

// newCopy is a copy of a zone to be taken in; without records, one that has expired.
type newCopy struct {
	secondary
	records   []rr.Record
	unwritten error // why it could not be written to be committed
	taken     chan bool
}

// refresher keeps the copies of secondary zones fresh (RFC 1034 4.3.5): it looks at their primaries when the SOA record's times say so,
// and when it is notified.
type refresher struct {
	log     *slog.Logger
	results *prometheus.CounterVec
	updates chan newCopy

	mu     sync.Mutex
	copies *copies
	zones  map[string]*refreshing // by name
	busy   int                    // zones that are looked at
	asked  map[string]int         // of them, those of a primary
	wake   chan struct{}
}

// refreshing is a zone with what is next to be done for it.
type refreshing struct {
	secondary
	next     time.Time
	began    time.Time // the last look
	busy     bool
	notified bool // it is looked at before those that were not
	again    bool // it is to be looked at again as soon as the present look ends
	failed   int  // times in a row
}

// primary is the one that a look begins with.
func (z *refreshing) primary() string { return z.primaries[0].address() }

// expires is when the copy must not be served any more.
func (z *refreshing) expires() time.Time { return z.confirmed.Add(expiry(z.soa)) }

// expiry is how long a copy is served after its primary was heard: long enough for a look that fails to be made again, whatever the SOA
// record says, as BIND has it too.
func expiry(soa *dns.SOA) time.Duration {
	return max(seconds(soa.Expire), seconds(soa.Refresh)+seconds(soa.Retry), 2*leastWait)
}

func newRefresher(log *slog.Logger, results *prometheus.CounterVec) *refresher {
	return &refresher{
		log: log, results: results, updates: make(chan newCopy), zones: map[string]*refreshing{}, asked: map[string]int{}, wake: make(chan struct{}, 1),
	}
}

// use takes the zones that there are now.
func (r *refresher) use(c *copies, zones []secondary) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copies = c
	before := r.zones
	r.zones = map[string]*refreshing{}
	now := time.Now()
	for _, s := range zones {
		z := before[s.name]
		switch {
		case z == nil:
			z = &refreshing{next: now}
			if s.soa != nil && !s.confirmed.IsZero() {
				z.next = s.confirmed.Add(seconds(s.soa.Refresh))
			}
		case s.lost || !slices.EqualFunc(z.primaries, s.primaries, peer.same):
			z.next, z.again = now, z.busy
		}
		if s.confirmed.Before(z.confirmed) {
			s.confirmed = z.confirmed
		} else if s.confirmed.IsZero() {
			s.confirmed = now // it is asked now, and expires as if it had been heard
		}
		z.secondary = s
		r.zones[s.name] = z
	}
	r.look()
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

// look has the schedule looked at.
func (r *refresher) look() { signal(r.wake) }

// notified has a zone looked at now, or as soon as its primary has been left alone long enough.
func (r *refresher) notified(zone string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if z := r.zones[zone]; z != nil && !z.notified {
		z.notified = true
		if soon := z.began.Add(leastWait); !z.busy && soon.Before(z.next) {
			z.next = soon
		}
		r.look()
	}
}

// run keeps zones fresh until the context ends.
func (r *refresher) run(ctx context.Context) (wait func()) {
	var running sync.WaitGroup
	running.Go(func() {
		for {
			due, gone, wait := r.due(time.Now())
			for _, z := range due {
				running.Go(func() { r.refresh(ctx, z) })
			}
			for _, s := range gone {
				r.log.Error("a zone has expired: its primaries have not been heard for too long, and it is not answered until they are", "zone", s.name)
				r.results.WithLabelValues("expired").Inc()
				r.send(ctx, newCopy{secondary: s})
			}
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-r.wake:
			case <-timer.C:
			}
			timer.Stop()
		}
	})
	return running.Wait
}

// due are the zones that are to be looked at now, those that have expired, and how long it is until the next one. What there is no room
// for waits until another look ends.
func (r *refresher) due(now time.Time) (due []*refreshing, gone []secondary, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait = time.Hour
	var waiting []*refreshing
	for _, z := range r.zones {
		if z.soa != nil {
			if left := z.expires().Sub(now); left < 0 {
				z.soa, z.failed = nil, 0
				gone = append(gone, z.secondary)
			} else {
				wait = min(wait, left+time.Millisecond)
			}
		}
		if z.busy {
			continue
		}
		if left := z.next.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		waiting = append(waiting, z)
	}
	slices.SortFunc(waiting, func(a, b *refreshing) int {
		if a.notified != b.notified {
			return map[bool]int{true: -1, false: 1}[a.notified]
		}
		return cmp.Or(a.next.Compare(b.next), strings.Compare(a.name, b.name))
	})
	for _, z := range waiting {
		if r.busy >= fetchesAtOnce {
			break
		}
		if r.asked[z.primary()] >= fetchesOfOne {
			continue
		}
		z.busy, z.notified, z.began = true, false, now
		r.busy++
		r.asked[z.primary()]++
		due = append(due, z)
	}
	return due, gone, wait
}

// refresh looks at a zone's primaries.
func (r *refresher) refresh(ctx context.Context, z *refreshing) {
	r.mu.Lock()
	s, c, first := z.secondary, r.copies, z.primary()
	r.mu.Unlock()
	heard := r.askPrimaries(ctx, s, c)
	r.mu.Lock()
	defer r.mu.Unlock()
	z.busy = false
	r.busy--
	if r.asked[first]--; r.asked[first] == 0 {
		delete(r.asked, first)
	}
	now := time.Now()
	wait := leastWait
	switch {
	case heard && z.soa != nil:
		z.failed, z.confirmed = 0, now
		wait = seconds(z.soa.Refresh)
	case z.soa != nil && !z.lost:
		z.failed++
		wait = seconds(z.soa.Retry)
	default:
		wait = min(firstWait<<min(z.failed, 20), mostWait)
		z.failed++
	}
	if z.notified || z.again {
		z.again, wait = false, leastWait
	}
	z.next = now.Add(max(wait, leastWait))
	r.look()
}

// askPrimaries asks the primaries one after the other, and takes in what is new. It says whether one of them was heard.
func (r *refresher) askPrimaries(ctx context.Context, s secondary, c *copies) bool {
	for _, from := range s.primaries {
		have := s.soa
		if s.lost {
			have = nil
		}
		in, err := fetch(ctx, from, s.name, have, func() ([]rr.Record, error) {
			records, _, err := c.read(s.name)
			return records, err
		})
		if errors.Is(err, errCurrent) {
			if errors.Is(err, errBehind) {
				r.log.Warn("a primary has an earlier version than its copy here: the copy is served on", "zone", s.name, "primary", from.prefix.Addr(), "serial", s.soa.Serial)
			}
			if err := c.confirm(s.name, time.Now()); err != nil {
				r.log.Error("it cannot be noted that a primary was heard", "zone", s.name, "folder", c.folder, "error", err)
			}
			r.results.WithLabelValues("current").Inc()
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			r.results.WithLabelValues("failed").Inc()
			r.log.Warn("a zone could not be had from its primary", "zone", s.name, "primary", from.address(), "error", err)
			continue
		}
		if in.strays > 0 {
			r.log.Warn("a primary sends records that are not of the zone: they are passed over", "zone", s.name, "primary", from.prefix.Addr(), "records", in.strays, "first", in.stray)
		}
		if r.send(ctx, newCopy{s, in.records, c.prepare(s.name, in.records), make(chan bool, 1)}) {
			r.results.WithLabelValues("taken").Inc()
			return true
		}
		r.results.WithLabelValues("failed").Inc()
	}
	return false
}

// send has an update taken in, and says whether it was.
func (r *refresher) send(ctx context.Context, u newCopy) bool {
	select {
	case r.updates <- u:
	case <-ctx.Done():
		return false
	}
	if u.taken == nil {
		return true
	}
	select {
	case ok := <-u.taken:
		return ok
	case <-ctx.Done():
		return false
	}
}
