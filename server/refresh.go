package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	fetchesAtOnce = 8
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
	soa       *dns.SOA // of the copy, as the primary has it; nil: there is none, or it has expired
}

// newCopy is a copy of a zone to be taken in; without a file, one that has expired.
type newCopy struct {
	secondary
	file  string
	taken chan bool
}

// refresher keeps the copies of secondary zones fresh (RFC 1034 4.3.5): it looks at their primaries when the SOA record's times say so,
// and when it is notified.
type refresher struct {
	log     *slog.Logger
	results *prometheus.CounterVec
	updates chan newCopy

	mu     sync.Mutex
	copies copies
	zones  map[string]*refreshing // by name
	wake   chan struct{}
}

// refreshing is a zone with what is next to be done for it.
type refreshing struct {
	secondary
	next    time.Time
	expires time.Time // zero: not
	busy    bool
	again   bool // it was notified while it was busy
	failed  int  // times in a row
}

func newRefresher(log *slog.Logger, results *prometheus.CounterVec) *refresher {
	return &refresher{log: log, results: results, updates: make(chan newCopy), zones: map[string]*refreshing{}, wake: make(chan struct{}, 1)}
}

// use takes the zones that there are now.
func (r *refresher) use(c copies, zones []secondary) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copies = c
	before := r.zones
	r.zones = map[string]*refreshing{}
	for _, s := range zones {
		z := before[s.name]
		if z == nil {
			z = &refreshing{next: time.Now()}
			if s.soa != nil {
				z.next = c.confirmed(s.name).Add(seconds(s.soa.Refresh))
			}
		} else if !slices.EqualFunc(z.primaries, s.primaries, peer.same) {
			z.next = time.Now()
		}
		if z.secondary = s; s.soa == nil {
			z.expires = time.Time{}
		} else {
			z.expires = c.confirmed(s.name).Add(seconds(s.soa.Expire))
		}
		r.zones[s.name] = z
	}
	r.look()
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

// look has the schedule looked at.
func (r *refresher) look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// notified has a zone looked at now.
func (r *refresher) notified(zone string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	z := r.zones[zone]
	switch {
	case z == nil:
	case z.busy:
		z.again = true
	default:
		z.next = time.Now()
		r.look()
	}
}

// run keeps zones fresh until the context ends.
func (r *refresher) run(ctx context.Context) (wait func()) {
	var running sync.WaitGroup
	slots := make(chan struct{}, fetchesAtOnce)
	running.Go(func() {
		for {
			due, wait := r.due(time.Now())
			for _, z := range due {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				running.Go(func() {
					defer func() { <-slots }()
					r.refresh(ctx, z)
				})
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

// due are the zones that are to be looked at now, and how long it is until the next one.
func (r *refresher) due(now time.Time) (due []*refreshing, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait = time.Hour
	for _, z := range r.zones {
		if z.busy {
			continue
		}
		next := z.next
		if !z.expires.IsZero() && z.expires.Before(next) {
			next = z.expires
		}
		if left := next.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		z.busy = true
		due = append(due, z)
	}
	return due, wait
}

// refresh looks at a zone's primaries.
func (r *refresher) refresh(ctx context.Context, z *refreshing) {
	r.mu.Lock()
	s, c := z.secondary, r.copies
	r.mu.Unlock()
	heard := r.askPrimaries(ctx, s, c)
	r.mu.Lock()
	z.busy = false
	now := time.Now()
	wait := leastWait
	switch soa := z.soa; {
	case heard && soa != nil:
		z.failed = 0
		z.expires = now.Add(seconds(soa.Expire))
		wait = seconds(soa.Refresh)
	case soa != nil:
		z.failed++
		wait = seconds(soa.Retry)
	default:
		wait = min(firstWait<<min(z.failed, 20), mostWait)
		z.failed++
	}
	expired := z.soa != nil && now.After(z.expires)
	if expired {
		z.failed, wait = 0, firstWait
	}
	if z.again {
		z.again, wait = false, leastWait
	}
	z.next = now.Add(max(wait, leastWait))
	s = z.secondary
	r.mu.Unlock()
	if expired && ctx.Err() == nil {
		r.log.Error("a zone has expired: its primaries have not been heard for too long, and it is not answered until they are", "zone", s.name)
		r.results.WithLabelValues("expired").Inc()
		s.soa = nil
		r.send(ctx, newCopy{secondary: s})
	}
	r.look()
}

// askPrimaries asks the primaries one after the other, and takes in what is new. It says whether one of them was heard.
func (r *refresher) askPrimaries(ctx context.Context, s secondary, c copies) bool {
	for _, from := range s.primaries {
		records, err := fetch(ctx, from, s.name, s.soa, func() ([]dns.RR, error) { return c.records(s.name) })
		if errors.Is(err, errCurrent) {
			c.confirm(s.name, time.Now())
			r.results.WithLabelValues("current").Inc()
			return true
		}
		file := ""
		if err == nil {
			file, err = c.keep(s.name, records)
		}
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			r.results.WithLabelValues("failed").Inc()
			r.log.Warn("a zone could not be had from its primary", "zone", s.name, "primary", from.prefix.Addr(), "error", err)
			continue
		}
		if r.send(ctx, newCopy{s, file, make(chan bool, 1)}) {
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
