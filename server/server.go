package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"time"

	"mxtrap/metrics"
	"mxtrap/zone"
	"mxtrap/zone/conf"
)

// Event is a step in the life of a server, for the service manager.
type Event int

// The events.
const (
	Ready Event = iota
	Reloading
	Stopping
)

// Options are what a server needs beside its configuration.
type Options struct {
	Version, Commit string // as it tells them
	Log             *slog.Logger
	Notify          func(Event)
	Progress        Progress // of its loads
}

// Server serves the zones of a configuration.
type Server struct {
	Options
	metrics    *metrics.Metrics
	processors int // that the Go runtime has while nothing is loaded
	state      state

	// What follows is owned by the goroutine that runs Run.
	listeners *Listeners
	config    *Config
	files     *zoneFiles
	copies    *copies
	tap       *tap // nil: nothing is copied
	notifier  *notifier
	refresher *refresher
	notices   *notices
	resolver  *resolver

	arrivals arrivals
	waiting  map[string]bool // paths whose zones had to give way to others
	refused  []*zoneFile     // those zones
	whole    bool            // the first load took in every file
}

// Problems is the error of a configuration that cannot be served.
type Problems []conf.Problem

func (p Problems) Error() string { return fmt.Sprintf("%d problems in the configuration", len(p)) }

// New loads everything. The error is [Problems] where the operator's files are at fault.
func New(ctx context.Context, c *Config, o Options) (*Server, error) {
	processors := runtime.GOMAXPROCS(0)
	workers := cmp.Or(c.Workers, processors)
	s := &Server{
		Options: o, processors: processors, config: c,
		metrics: metrics.New(workers+1, o.Version, o.Commit), // the last is for TCP
	}
	s.resolver = newResolver(c.Resolvers, s.metrics, o.Log)
	s.notifier = newNotifier(o.Log, s.metrics.NotifyFailures)
	s.tap = newTap(c.tap, c.identity(), "mxtrap "+o.Version, o.Log, s.metrics.TapLost)
	s.refresher = newRefresher(o.Log, s.metrics.Refreshes)
	s.notices = &notices{refresher: s.refresher, log: o.Log, outcomes: s.metrics.Notifies}
	s.waiting = readWaiting(c.state)
	s.copiesIn(c.state).sweep()
	first := s.loader(c)
	first.quiet, first.threads, first.alone = true, s.processors, true
	l := first.load(ctx, nil)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if l.served() == 0 {
		return nil, Problems(l.report.Problems())
	}
	s.logProblems(l.report.Problems())
	s.whole = l.report.Faults() == 0
	if n := l.report.Warnings(); n > 0 && c.Path != "" {
		o.Log.Warn("the zones are served, but there is something to look at: mxtrap check tells", "warnings", n)
	}
	s.publish(c, l)
	s.countFailures(l)
	return s, nil
}

// Run serves until the context ends, then lets the queries under way finish. A receive from reload reads the configuration again.
func (s *Server) Run(ctx context.Context, reload <-chan os.Signal) error {
	var err error
	transfers := newOutgoing(&s.state, s.Log, s.metrics.Transfers)
	if s.listeners, err = newListeners(&s.state, s.metrics, s.Log, transfers.serve); err == nil {
		err = s.listeners.listen(s.config.Listen, s.config.Metrics)
	}
	if err == nil {
		if err = become(s.config.user); err != nil {
			err = fmt.Errorf("server.user: %q: %w", s.config.user, err)
		}
	}
	if err != nil {
		s.listeners.shut()
		return err
	}
	looked := s.resolver.run(ctx)
	notifierDone, refresherDone := s.notifier.run(ctx), s.refresher.run(ctx)
	var tapping sync.WaitGroup
	tapCtx, stopTap := context.WithCancel(context.Background())
	defer stopTap()
	if s.tap != nil {
		tapping.Go(func() { s.tap.run(tapCtx) })
	}
	s.metrics.Reloaded(s.whole, time.Now())
	s.metrics.SetReady(true)
	s.Log.Info("serving", "zones", s.files.len(), "listen", fmt.Sprint(s.listeners.addresses(s.config.Listen)), "metrics", s.listeners.httpAddress())
	s.logDown()
	again := time.NewTicker(listenAgain)
	defer again.Stop()
	s.Notify(Ready)
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		if wait, ok := s.arrivals.wait(time.Now()); ok {
			pace.Reset(wait)
		}
		select {
		case <-ctx.Done():
			s.Notify(Stopping)
			s.Log.Info("stopping")
			s.metrics.SetReady(false)
			s.listeners.shut()
			s.resolver.wait()
			stopTap()
			tapping.Wait()
			notifierDone()
			refresherDone()
			return nil
		case <-reload:
			s.Notify(Reloading)
			s.takeArrivals(ctx)
			s.reload(ctx)
			s.Notify(Ready)
		case u := <-s.refresher.updates:
			s.arrive(u)
		case <-looked:
			s.arrivals.looked = true
		case <-pace.C:
			s.takeArrivals(ctx)
		case <-again.C:
			s.listeners.listenOnMissing()
		}
	}
}

// reload takes in what has changed: all of it, or of the server file nothing where something there is wrong, or of a zone its last
// good version.
func (s *Server) reload(ctx context.Context) {
	began := time.Now()
	c := s.config
	var report conf.Report
	if c.Path != "" {
		c = ReadConfig(c.Path, &report)
	}
	if c == nil {
		s.logProblems(report.Problems())
		s.Log.Error("not reloaded: the server file cannot be taken in; everything stays as it was")
		s.metrics.Reloaded(false, began)
		return
	}
	l := whileServing(ctx, func() *loading { return s.loader(c).load(ctx, s.files) })
	if l == nil {
		return
	}
	s.logProblems(l.report.Problems())
	if l.unfound {
		s.Log.Error("not reloaded: which zone files there are cannot be told; everything stays as it was")
		s.metrics.Reloaded(false, began)
		return
	}
	if err := s.listeners.listen(c.Listen, c.Metrics); err != nil {
		s.Log.Error("not reloaded: everything stays as it was", "error", err)
		s.metrics.Reloaded(false, began)
		return
	}
	if c.Workers != s.config.Workers {
		s.Log.Warn("a change of server.workers takes effect when mxtrap is started again")
		c.Workers = s.config.Workers
	}
	if c.tap != s.config.tap {
		s.Log.Warn("a change of [dnstap] takes effect when mxtrap is started again")
		c.tap = s.config.tap
	}
	s.resolver.use(c.Resolvers)
	s.publish(c, l)
	s.countFailures(l)
	ok := l.report.Faults() == 0
	s.metrics.Reloaded(ok, time.Now())
	s.Log.Info("reloaded", "zones", s.files.len(), "failed", len(l.failed), "took", time.Since(began).Round(time.Millisecond))
}

// publish makes what was loaded what is served.
func (s *Server) publish(c *Config, l *loading) {
	defer s.arrivals.published(time.Now())
	l.numbers.publish(s.Log)
	if !maps.Equal(l.waiting, s.waiting) {
		if err := writeWaiting(c.state, l.waiting); err != nil {
			s.Log.Error("it cannot be noted which zones had to give way: after the next start others of the same names may be served", "folder", c.state, "error", err)
		}
		s.waiting = l.waiting
	}
	s.refused = l.refused
	next := &snapshot{tap: s.tap, zones: l.set, nsid: c.NSID, access: &c.transfers, histories: map[*zone.Zone]zone.History{}, cookies: c.cookies, limiter: s.limiter(c)}
	if c.Chaos {
		next.version = "mxtrap " + s.Version
		next.id = c.identity()
	}
	secondaries := map[string]secondary{}
	down, hidden := map[*zone.Zone]bool{}, map[*zone.Zone]bool{}
	rest := rests()
	for f := range l.files.all() {
		rest()
		if f.history != nil {
			next.histories[f.zone] = f.history
		}
		if f.down != "" {
			down[f.zone] = true
		}
		if f.hidden {
			hidden[f.zone] = true
		}
		if f.secondary != nil {
			secondaries[f.secondary.name] = *f.secondary
		}
	}
	var wanted []string
	var shown []metrics.Zone
	for _, z := range next.zones.Zones() {
		rest()
		wanted = append(wanted, z.Lookups()...)
		if !c.ZoneMetrics {
			continue
		}
		counts, show := s.count(z)
		_, secondary := secondaries[z.Name()]
		show.Down, show.Follows = down[z], secondary || len(z.Lookups()) > 0
		next.counts = append(next.counts, counts)
		shown = append(shown, show)
	}
	next.notify = s.notices.of(secondaries)
	next.down, next.hidden = indexes(next.zones, down), indexes(next.zones, hidden)
	s.metrics.ZonesDown.Set(float64(len(next.down)))
	s.metrics.SetAnswered(len(next.down) < len(next.zones.Zones()))
	before := s.state.current.Load()
	s.config, s.files = c, l.files
	s.state.current.Store(next)
	s.tell(before, next)
	s.refresher.use(s.copiesIn(c.state), slices.Collect(maps.Values(secondaries)))
	s.metrics.Show(l.files.len(), shown)
	s.resolver.want(wanted)
}

// limiter is that of the configuration: the one before, where its numbers are the same.
func (s *Server) limiter(c *Config) *limiter {
	if before := s.state.current.Load(); before != nil && before.limiter != nil && reflect.DeepEqual(before.limiter.rateLimit, c.rateLimit) {
		return before.limiter
	}
	return newLimiter(c.rateLimit)
}

// identity is what the server is called.
func (c *Config) identity() string {
	if c.NSID != "" {
		return c.NSID
	}
	host, _ := os.Hostname()
	return host
}

// indexes are the places of zones in a set.
func indexes(set *zone.Set, of map[*zone.Zone]bool) map[int]bool {
	places := map[int]bool{}
	if len(of) == 0 {
		return places
	}
	for i, z := range set.Zones() {
		if of[z] {
			places[i] = true
		}
	}
	return places
}

// tell tells the other servers which versions are new.
func (s *Server) tell(before, now *snapshot) {
	if len(now.access.notify) == 0 {
		return
	}
	for i, z := range now.zones.Zones() {
		if now.down[i] {
			continue
		}
		var old *zone.Zone
		if before != nil {
			old = before.zones.Named(z.Name())
		}
		if old == nil || old.Serial() != z.Serial() {
			s.notifier.tell(z.SOA(), now.access.notify)
		}
	}
}

// count finds the counters of a zone.
func (s *Server) count(z *zone.Zone) (zoneCounts, metrics.Zone) {
	show := metrics.Zone{Name: z.Name(), Serial: z.Serial(), Queries: s.metrics.Reserve(z.Name(), metrics.ZoneCounters)}
	key, covers := []byte(z.Name()), 0
	for _, h := range z.Hosts() {
		if !h.Decoy {
			covers++
			continue
		}
		show.Decoys = append(show.Decoys, h.Name)
		key = append(append(key, ' '), h.Name...)
	}
	if len(show.Decoys) > 0 {
		show.Hosts = s.metrics.Reserve(string(key), len(show.Decoys)*metrics.DecoyCounters)
	}
	return zoneCounts{zone: show.Queries, decoys: show.Hosts, covers: covers}, show
}
