package transfer

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"mxtrap/server/pace"
	"mxtrap/server/peer"
	"mxtrap/server/state"
	"mxtrap/zone/rr"
)

const (
	// looksAtOnce is how many zones are asked for at a time, and looksAtOne how many at one primary: one that is silent or slow leaves
	// room for the others. It has one look alone while it cannot be reached.
	looksAtOnce = 256
	looksAtOne  = 4
	// leastWait is how many seconds a primary is left alone, whatever its SOA record and its NOTIFYs say.
	leastWait = 1
	// firstWait is the wait after a failure, in seconds, where there is no SOA record yet; it doubles up to mostWait.
	firstWait = 2
	mostWait  = 600
)

// Refresher keeps the copies of secondary zones fresh (RFC 1034 4.3.5): it looks at their primaries when the SOA record's times say so,
// and when it is notified.
type Refresher struct {
	log     *slog.Logger
	tempo   Tempo
	count   func(zone, outcome string)
	Updates chan Update
	memory  fetchRoom

	mu       sync.Mutex
	copies   *state.Copies
	zones    map[string]*refreshing // by name
	looks    schedule               // of the zones that do not wait for anything else
	expiries schedule
	lines    map[string]*line // by the address of a primary
	turn     []*line          // lines with zones that wait, in the order in which they are asked
	busy     int              // looks that are made now
	wake     chan struct{}
}

// refreshing is a zone with what is next to be done for it.
type refreshing struct {
	Secondary
	look, expire appointment
	next         time.Time // when it is to be looked at
	began        time.Time // the last look
	asked        int       // index of the primary that is asked, or is the next to be
	waiting      bool      // in the line of that primary
	line         *line     // where it waits
	among        *line     // where it has a place, whether it waits or not
	busy         bool      // it is looked at
	unsettled    bool      // a copy of it has come, and is not taken in yet
	notified     bool      // it is looked at before those that were not
	again        bool      // it is to be looked at again as soon as the present look ends
	failed       int       // times in a row, each of them at all primaries
}

// NewRefresher makes a Refresher that has counted what came of its looks.
func NewRefresher(log *slog.Logger, count func(zone, outcome string), tempo Tempo) *Refresher {
	return &Refresher{
		log: log, tempo: tempo, count: count, Updates: make(chan Update), zones: map[string]*refreshing{}, lines: map[string]*line{}, wake: make(chan struct{}, 1),
	}
}

// Use takes the zones that there are now.
func (r *Refresher) Use(c *state.Copies, zones []Secondary) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copies = c
	before := r.zones
	r.zones = make(map[string]*refreshing, len(zones))
	now := time.Now()
	for _, s := range zones {
		z := before[s.Name]
		switch {
		case z == nil:
			z = &refreshing{next: now}
			z.look.zone, z.expire.zone = z, z
			if s.Soa != nil && !s.Confirmed.IsZero() {
				z.next = s.Confirmed.Add(r.tempo.seconds(s.Soa.Refresh))
			}
		case s.Lost && !z.Lost || s.Soa == nil && z.Soa != nil || !slices.EqualFunc(z.Primaries, s.Primaries, peer.Peer.Same):
			z.next, z.again, z.asked, z.waiting = now, z.busy, 0, false
		}
		if s.Confirmed.Before(z.Confirmed) {
			s.Confirmed = z.Confirmed
		} else if s.Confirmed.IsZero() {
			s.Confirmed = now // it is asked now, and expires as if it had been heard
		}
		z.Secondary = s
		r.zones[s.Name] = z
		r.arrange(z)
	}
	for name, z := range before {
		if r.zones[name] != z {
			z.waiting = false
			r.looks.drop(&z.look)
			r.expiries.drop(&z.expire)
		}
	}
	r.forget()
	r.signal()
}

// forget drops the lines of primaries that no zone has any more.
func (r *Refresher) forget() {
	used := make(map[string]bool, len(r.lines))
	for _, z := range r.zones {
		for _, p := range z.Primaries {
			used[p.Address()] = true
		}
	}
	maps.DeleteFunc(r.lines, func(address string, l *line) bool { return !used[address] && l.idle() })
}

// signal has the schedule looked at.
func (r *Refresher) signal() { pace.Signal(r.wake) }

// arrange puts a zone where it belongs in the schedules.
func (r *Refresher) arrange(z *refreshing) {
	if z.Soa == nil {
		r.expiries.drop(&z.expire)
	} else if at := z.Confirmed.Add(r.tempo.Expiry(z.Soa)).Add(time.Millisecond); z.expire.place == 0 || !at.Equal(z.expire.at) {
		r.expiries.set(&z.expire, at)
	}
	if z.waiting || z.busy || z.unsettled {
		r.looks.drop(&z.look)
	} else if z.look.place == 0 || !z.next.Equal(z.look.at) {
		r.looks.set(&z.look, z.next)
	}
}

// Heard is when a primary of a zone was heard last, and when the zone's copy expires; zero: it has none.
func (r *Refresher) Heard(zone string) (confirmed, expires time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if z := r.zones[zone]; z != nil {
		return r.heard(z)
	}
	return confirmed, expires
}

func (r *Refresher) heard(z *refreshing) (confirmed, expires time.Time) {
	if z.Soa == nil {
		return confirmed, expires
	}
	return z.Confirmed, z.Confirmed.Add(r.tempo.Expiry(z.Soa))
}

// EachHeard calls do for each zone with what [Refresher.Heard] tells of it.
func (r *Refresher) EachHeard(do func(zone string, confirmed, expires time.Time)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, z := range r.zones {
		confirmed, expires := r.heard(z)
		do(name, confirmed, expires)
	}
}

// Refresh has a zone looked at as if its primary had said that it has changed.
func (r *Refresher) Refresh(zone string) { r.notified(zone) }

// notified has a zone looked at now, or as soon as its primary has been left alone long enough.
func (r *Refresher) notified(zone string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	z := r.zones[zone]
	if z == nil || z.notified {
		return
	}
	z.notified = true
	switch {
	case z.waiting:
		r.wait(z)
	case !z.busy && !z.unsettled:
		if soon := z.began.Add(r.tempo.seconds(leastWait)); soon.Before(z.next) {
			z.next = soon
		}
		r.arrange(z)
	}
	r.signal()
}

// wait puts a zone into the line of the primary that it asks.
func (r *Refresher) wait(z *refreshing) {
	address := z.Primaries[z.asked].Address()
	l := r.lines[address]
	if l == nil {
		l = &line{}
		r.lines[address] = l
	}
	l.add(z)
	r.queue(l)
}

// queue has a line's turn come.
func (r *Refresher) queue(l *line) {
	if !l.inTurn {
		l.inTurn = true
		r.turn = append(r.turn, l)
	}
}

// Run keeps zones fresh until the context ends.
func (r *Refresher) Run(ctx context.Context) (wait func()) {
	var running sync.WaitGroup
	running.Go(func() {
		for {
			due, gone, wait := r.due(time.Now())
			for _, a := range due {
				running.Go(func() { r.refresh(ctx, a) })
			}
			for _, s := range gone {
				r.send(ctx, Update{Secondary: s})
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

// asking is a look at a primary of a zone.
type asking struct {
	Secondary
	zone   *refreshing
	from   peer.Peer
	line   *line
	copies *state.Copies
}

// due are the looks that are to be made now, the zones that have expired, and how long it is until the next of either. A look that there
// is no room for waits until another one ends.
func (r *Refresher) due(now time.Time) (due []asking, gone []Secondary, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	z, untilExpiry := r.expiries.due(now)
	for ; z != nil; z, untilExpiry = r.expiries.due(now) {
		z.Soa, z.failed = nil, 0
		gone = append(gone, z.Secondary)
	}
	z, untilLook := r.looks.due(now)
	for ; z != nil; z, untilLook = r.looks.due(now) {
		r.wait(z)
	}
	for r.busy < looksAtOnce && len(r.turn) > 0 {
		l := r.turn[0]
		r.turn = r.turn[1:]
		z := l.next()
		if z == nil { // it comes again when a zone is added, or a look ends
			l.inTurn = false
			continue
		}
		r.turn = append(r.turn, l)
		z.waiting, z.busy, z.notified, z.began = false, true, false, now
		r.busy++
		l.busy++
		due = append(due, asking{z.Secondary, z, z.Primaries[z.asked], l, r.copies})
	}
	return due, gone, min(untilExpiry, untilLook)
}

// outcome is what came of a look.
type outcome int

const (
	failed  outcome = iota
	current         // the copy that there is
	sent            // a new copy: it is not settled yet
)

// refresh looks at a primary.
func (r *Refresher) refresh(ctx context.Context, a asking) {
	what, err := r.ask(ctx, a)
	r.mu.Lock()
	defer r.mu.Unlock()
	z := a.zone
	z.busy = false
	r.busy--
	a.line.busy--
	a.line.silent = errors.Is(err, errUnreachable)
	r.queue(a.line)
	if what != sent {
		r.ended(z, what == current)
	}
	if r.zones[z.Name] == z {
		r.arrange(z)
	}
	r.signal()
}

// Settled hears whether a copy was taken in that was sent.
func (r *Refresher) Settled(u Update, taken bool) {
	r.memory.give(u.held)
	z := u.zone
	if z == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	z.unsettled = false
	r.ended(z, taken)
	if !taken {
		r.count(z.Name, "failed")
	} else {
		r.count(z.Name, "taken")
	}
	if r.zones[z.Name] == z {
		r.arrange(z)
	}
	r.signal()
}

// ended notes how a look has ended, and when the next one is to be made: at the next primary, where this one was of no use.
func (r *Refresher) ended(z *refreshing, heard bool) {
	now := time.Now()
	least := r.tempo.seconds(leastWait)
	wait := least
	switch {
	case heard && z.Soa != nil:
		z.failed, z.asked, z.Confirmed = 0, 0, now
		wait = max(wait, r.tempo.seconds(z.Soa.Refresh))
	case !heard && z.asked+1 < len(z.Primaries):
		z.asked++
		wait = 0
	case z.Soa != nil && !z.Lost:
		z.failed, z.asked = z.failed+1, 0
		wait = max(wait, r.tempo.seconds(z.Soa.Retry))
	default:
		wait = r.tempo.seconds(uint32(min(firstWait<<min(z.failed, 20), mostWait)))
		z.failed, z.asked = z.failed+1, 0
	}
	if z.notified || z.again {
		z.again, wait = false, min(wait, least)
	}
	z.next = now.Add(wait)
}

// ask asks a primary, and has taken in what is new.
func (r *Refresher) ask(ctx context.Context, a asking) (outcome, error) {
	have, c := a.Soa, a.copies
	if a.Lost {
		have = nil
	}
	in, err := fetch(ctx, &r.memory, r.tempo, a.from, a.Name, have, func() ([]rr.Record, error) {
		records, _, err := c.Read(a.Name)
		return records, err
	})
	if errors.Is(err, errCurrent) {
		if errors.Is(err, errBehind) {
			r.log.Warn("a primary has an older version than the copy; serving the copy", "zone", a.Name, "primary", a.from.Address(), "serial", a.Soa.Serial)
		}
		if err := c.Confirm(a.Name, time.Now()); err != nil {
			r.log.Error("cannot update the time of a copy", "zone", a.Name, "folder", c.Folder, "error", err)
		}
		r.count(a.Name, "current")
		return current, nil
	}
	if ctx.Err() != nil {
		return failed, ctx.Err()
	}
	if err != nil {
		r.count(a.Name, "failed")
		r.log.Warn("cannot transfer a zone from its primary", "zone", a.Name, "primary", a.from.Address(), "error", err)
		return failed, err
	}
	if in.strays > 0 {
		r.log.Warn("ignored records from a primary that are not of the zone", "zone", a.Name, "primary", a.from.Address(), "records", in.strays, "first", in.stray)
	}
	prepared, unwritten := c.Prepare(a.Name, in.records)
	r.mu.Lock()
	a.zone.unsettled = true
	r.mu.Unlock()
	r.send(ctx, Update{a.Secondary, in.records, prepared, unwritten, in.held, a.zone})
	return sent, nil
}

// send has an update taken in.
func (r *Refresher) send(ctx context.Context, u Update) {
	select {
	case r.Updates <- u:
	case <-ctx.Done():
	}
}
