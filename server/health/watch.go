package health

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Exchange is a real exchange of a domain.
type Exchange struct {
	Zone, Host string
	Addresses  []netip.Addr // none: they are not known, and so it is not either
}

// Group is exchanges that must all be well.
type Group struct {
	Exchanges []Exchange
	well      atomic.Bool
}

// Well says whether all exchanges have been well for long enough.
func (g *Group) Well() bool { return g.well.Load() }

// Tempo is the times of a [Watch].
type Tempo struct {
	Every  time.Duration // an exchange is dialled
	Settle time.Duration // that it must be well before it counts as well
	Look   time.Duration // the watch sees what is due
}

// RealTime is the tempo of a server.
var RealTime = Tempo{Every: 30 * time.Second, Settle: 5 * time.Minute, Look: time.Second}

// atOnce is how many exchanges are dialled at the same time.
const atOnce = 256

// Watch dials exchanges.
type Watch struct {
	tempo Tempo
	dial  func(ctx context.Context, to netip.Addr) error
	log   *slog.Logger

	mu     sync.Mutex
	groups []*Group
	hosts  map[netip.Addr]*host
	others map[netip.Addr]bool // addresses that are not well for other servers
}

// host is an address of exchanges.
type host struct {
	names   []string // of the exchanges that have it, for messages
	dialled bool     // at present
	due     time.Time
	seen    time.Time // when the last visit ended; zero: there was none
	since   time.Time // since when every visit went well; zero: the last one did not
	err     error     // of the last visit
}

// New makes a watch that dials with dial.
func New(tempo Tempo, dial func(ctx context.Context, to netip.Addr) error, log *slog.Logger) *Watch {
	return &Watch{tempo: tempo, dial: dial, log: log, hosts: map[netip.Addr]*host{}}
}

// Use says which exchanges are to be watched; others are forgotten. What is known of an address stays known.
func (w *Watch) Use(groups []*Group) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.hosts
	w.groups, w.hosts = groups, map[netip.Addr]*host{}
	for _, g := range groups {
		for _, e := range g.Exchanges {
			for _, a := range e.Addresses {
				h := w.hosts[a]
				if h == nil {
					if h = before[a]; h == nil {
						h = &host{}
					}
					h.names, w.hosts[a] = nil, h
				}
				if len(h.names) < 4 && !slices.Contains(h.names, e.Host) {
					h.names = append(h.names, e.Host)
				}
			}
		}
	}
	w.judge(time.Now())
}

// Run dials until the context ends. The function that it returns waits for that.
func (w *Watch) Run(ctx context.Context) (wait func()) {
	var running sync.WaitGroup
	places := make(chan struct{}, atOnce)
	running.Go(func() {
		tick := time.NewTicker(w.tempo.Look)
		defer tick.Stop()
		for {
			for _, a := range w.due(time.Now()) {
				select {
				case places <- struct{}{}:
				case <-ctx.Done():
					return
				}
				running.Go(func() {
					defer func() { <-places }()
					w.visit(ctx, a)
				})
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			w.mu.Lock()
			w.judge(time.Now())
			w.mu.Unlock()
		}
	})
	return running.Wait
}

// due are the addresses that are to be dialled now, those that have waited longest first.
func (w *Watch) due(now time.Time) (due []netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for a, h := range w.hosts {
		if !h.dialled && !h.due.After(now) {
			h.dialled = true
			due = append(due, a)
		}
	}
	slices.SortFunc(due, func(a, b netip.Addr) int { return w.hosts[a].due.Compare(w.hosts[b].due) })
	return due
}

// visit dials an address and notes how it went.
func (w *Watch) visit(ctx context.Context, a netip.Addr) {
	began := time.Now()
	err := w.dial(ctx, a)
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.hosts[a]
	if h == nil {
		return // no longer wanted
	}
	first, was := h.seen.IsZero(), h.err
	h.dialled, h.due, h.seen, h.err = false, began.Add(w.tempo.Every), time.Now(), err
	switch {
	case err == nil && h.since.IsZero():
		if h.since = began; !first {
			w.log.Info("a real exchange is well again", "exchange", strings.Join(h.names, " "), "address", a.String())
		}
	case err != nil:
		if h.since = (time.Time{}); first || was == nil {
			w.log.Warn("a real exchange is not well; until it is, visits to the decoys of its domains are no evidence", "exchange", strings.Join(h.names, " "), "address", a.String(), "error", err)
		}
		w.judge(time.Now())
	}
}

// judge finds out which groups are well. The caller has the lock.
func (w *Watch) judge(now time.Time) {
	for _, g := range w.groups {
		g.well.Store(len(g.Exchanges) > 0 && !slices.ContainsFunc(g.Exchanges, func(e Exchange) bool { return !w.well(e, now) }))
	}
}

// stale is after how many turns that an address was not dialled in nothing is known of it.
const stale = 3

// well says whether an exchange is. Each of its addresses must be that this host has a way to, and there must be one.
func (w *Watch) well(e Exchange, now time.Time) bool {
	some := false
	for _, a := range e.Addresses {
		h := w.hosts[a]
		if w.others[a] {
			return false
		}
		if errors.Is(h.err, errNoWay) {
			continue
		}
		if h.since.IsZero() || now.Sub(h.since) < w.tempo.Settle || now.Sub(h.seen) > stale*w.tempo.Every {
			return false
		}
		some = true
	}
	return some
}

// Veto has addresses count as not well that are not for other servers, in the place of those before.
func (w *Watch) Veto(others map[netip.Addr]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.others = others
	w.judge(time.Now())
}

// Unwell are the addresses that did not answer as they should when this server dialled them last.
func (w *Watch) Unwell() (list []netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for a, h := range w.hosts {
		if h.err != nil && !errors.Is(h.err, errNoWay) {
			list = append(list, a)
		}
	}
	return list
}

// State is how an exchange of a zone is.
type State struct {
	Exchange
	Up  bool   // every address that this host has a way to answered the last visit well
	Why string // or else why not
}

// States are those of all exchanges, each zone's once.
func (w *Watch) States() (states []State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[[2]string]bool{}
	for _, g := range w.groups {
		for _, e := range g.Exchanges {
			if key := [2]string{e.Zone, e.Host}; !seen[key] {
				seen[key] = true
				states = append(states, w.state(e))
			}
		}
	}
	slices.SortFunc(states, func(a, b State) int {
		if c := strings.Compare(a.Zone, b.Zone); c != 0 {
			return c
		}
		return strings.Compare(a.Host, b.Host)
	})
	return states
}

func (w *Watch) state(e Exchange) State {
	s := State{Exchange: e, Why: "its addresses are not known here"}
	for _, a := range e.Addresses {
		h := w.hosts[a]
		switch {
		case h.seen.IsZero():
			return State{Exchange: e, Why: "not dialled yet"}
		case errors.Is(h.err, errNoWay):
			s.Why = h.err.Error()
		case h.err != nil:
			return State{Exchange: e, Why: h.err.Error()}
		default:
			s.Up = true
		}
	}
	if s.Up {
		s.Why = ""
	}
	return s
}
