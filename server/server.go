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
	"mxtrap/server/answer"
	"mxtrap/server/load"
	"mxtrap/server/pace"
	"mxtrap/server/resolve"
	"mxtrap/server/socket"
	"mxtrap/server/state"
	"mxtrap/server/tap"
	"mxtrap/server/transfer"
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
	Progress        load.Progress // of its loads
}

// Server serves the zones of a configuration.
type Server struct {
	Options
	metrics    *metrics.Metrics
	processors int // that the Go runtime has while nothing is loaded
	state      answer.State

	// What follows is owned by the goroutine that runs Run.
	listeners *socket.Listeners
	config    *Config
	files     *load.Files
	copies    *state.Copies
	tap       *tap.Tap // nil: nothing is copied
	notifier  *transfer.Notifier
	refresher *transfer.Refresher
	notices   *transfer.Notices
	resolver  *resolve.Resolver

	arrivals arrivals
	waiting  map[string]bool // paths whose zones had to give way to others
	refused  []*load.File    // those zones
	whole    bool            // the first load took in every file
}

// Problems is the error of a configuration that cannot be served.
type Problems []conf.Problem

// Error counts them; each is told by itself.
func (p Problems) Error() string { return fmt.Sprintf("%d problems in the configuration", len(p)) }

// New loads everything. The error is [Problems] where the operator's files are at fault.
func New(ctx context.Context, c *Config, o Options) (*Server, error) {
	processors := runtime.GOMAXPROCS(0)
	workers := cmp.Or(c.workers, processors)
	s := &Server{
		Options: o, processors: processors, config: c,
		metrics: metrics.New(workers+1, o.Version, o.Commit), // the last is for TCP
	}
	s.resolver = resolve.New(c.Resolvers, s.metrics, o.Log)
	s.notifier = transfer.NewNotifier(o.Log, s.metrics.NotifyFailures)
	s.tap = tap.New(c.tap, c.identity(), "mxtrap "+o.Version, o.Log, s.metrics.TapLost)
	s.refresher = transfer.NewRefresher(o.Log, s.metrics.Refreshes)
	s.notices = &transfer.Notices{Refresher: s.refresher, Log: o.Log, Outcomes: s.metrics.Notifies}
	s.waiting = state.ReadWaiting(c.state)
	s.copiesIn(c.state).Sweep()
	first := s.loader(c)
	first.Quiet, first.Threads, first.Alone = true, s.processors, true
	l := first.Load(ctx, nil)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if l.Served() == 0 {
		return nil, Problems(l.Report.Problems())
	}
	s.logProblems(l.Report.Problems())
	s.whole = l.Report.Faults() == 0
	if n := l.Report.Warnings(); n > 0 && c.Path != "" {
		o.Log.Warn("the zones are served, but there is something to look at: mxtrap check tells", "warnings", n)
	}
	s.publish(c, l)
	s.countFailures(l)
	return s, nil
}

// Run serves until the context ends, then lets the queries under way finish. A receive from reload reads the configuration again.
func (s *Server) Run(ctx context.Context, reload <-chan os.Signal) error {
	var err error
	transfers := transfer.NewOutgoing(&s.state, s.Log, s.metrics.Transfers)
	if s.listeners, err = socket.NewListeners(&s.state, s.metrics, s.Log, transfers.Serve); err == nil {
		err = s.listeners.Listen(s.config.Listen, s.config.Metrics)
	}
	if err == nil {
		if err = socket.Become(s.config.user); err != nil {
			err = fmt.Errorf("server.user: %q: %w", s.config.user, err)
		}
	}
	if err != nil {
		s.listeners.Shut()
		return err
	}
	looked := s.resolver.Run(ctx)
	notifierDone, refresherDone := s.notifier.Run(ctx), s.refresher.Run(ctx)
	var tapping sync.WaitGroup
	tapCtx, stopTap := context.WithCancel(context.Background())
	defer stopTap()
	if s.tap != nil {
		tapping.Go(func() { s.tap.Run(tapCtx) })
	}
	s.metrics.Reloaded(s.whole, time.Now())
	s.metrics.SetReady(true)
	s.Log.Info("serving", "zones", s.files.Len(), "listen", fmt.Sprint(s.listeners.Addresses(s.config.Listen)), "metrics", s.listeners.HttpAddress())
	s.logDown()
	again := time.NewTicker(socket.ListenAgain)
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
			s.listeners.Shut()
			s.resolver.Wait()
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
		case u := <-s.refresher.Updates:
			s.arrive(u)
		case <-looked:
			s.arrivals.looked = true
		case <-pace.C:
			s.takeArrivals(ctx)
		case <-again.C:
			s.listeners.ListenOnMissing()
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
	l := pace.WhileServing(ctx, func() *load.Loading { return s.loader(c).Load(ctx, s.files) })
	if l == nil {
		return
	}
	s.logProblems(l.Report.Problems())
	if l.Unfound {
		s.Log.Error("not reloaded: which zone files there are cannot be told; everything stays as it was")
		s.metrics.Reloaded(false, began)
		return
	}
	if err := s.listeners.Listen(c.Listen, c.Metrics); err != nil {
		s.Log.Error("not reloaded: everything stays as it was", "error", err)
		s.metrics.Reloaded(false, began)
		return
	}
	if c.workers != s.config.workers {
		s.Log.Warn("a change of server.workers takes effect when mxtrap is started again")
		c.workers = s.config.workers
	}
	if c.tap != s.config.tap {
		s.Log.Warn("a change of [dnstap] takes effect when mxtrap is started again")
		c.tap = s.config.tap
	}
	s.resolver.Use(c.Resolvers)
	s.publish(c, l)
	s.countFailures(l)
	ok := l.Report.Faults() == 0
	s.metrics.Reloaded(ok, time.Now())
	s.Log.Info("reloaded", "zones", s.files.Len(), "failed", len(l.Failed), "took", time.Since(began).Round(time.Millisecond))
}

// publish makes what was loaded what is served.
func (s *Server) publish(c *Config, l *load.Loading) {
	defer s.arrivals.published(time.Now())
	l.Numbers.Publish(s.Log)
	if !maps.Equal(l.Waiting, s.waiting) {
		if err := state.WriteWaiting(c.state, l.Waiting); err != nil {
			s.Log.Error("it cannot be noted which zones had to give way: after the next start others of the same names may be served", "folder", c.state, "error", err)
		}
		s.waiting = l.Waiting
	}
	s.refused = l.Refused
	next := &answer.Snapshot{Tap: s.tap, Zones: l.Set, Nsid: c.nsid, Access: &c.transfers, Histories: map[*zone.Zone]zone.History{}, Cookies: c.cookies, Limiter: s.limiter(c)}
	if c.chaos {
		next.Version = "mxtrap " + s.Version
		next.Id = c.identity()
	}
	secondaries := map[string]transfer.Secondary{}
	down, hidden := map[*zone.Zone]bool{}, map[*zone.Zone]bool{}
	rest := pace.Rests()
	for f := range l.Files.All() {
		rest()
		if f.History != nil {
			next.Histories[f.Zone] = f.History
		}
		if f.Down != "" {
			down[f.Zone] = true
		}
		if f.Hidden {
			hidden[f.Zone] = true
		}
		if f.Secondary != nil {
			secondaries[f.Secondary.Name] = *f.Secondary
		}
	}
	var wanted []string
	var shown []metrics.Zone
	for _, z := range next.Zones.Zones() {
		rest()
		wanted = append(wanted, z.Lookups()...)
		if !c.zoneMetrics {
			continue
		}
		counts, show := s.count(z)
		_, secondary := secondaries[z.Name()]
		show.Down, show.Follows = down[z], secondary || len(z.Lookups()) > 0
		next.Counts = append(next.Counts, counts)
		shown = append(shown, show)
	}
	next.Notify = s.notices.Of(secondaries)
	next.Down, next.Hidden = indexes(next.Zones, down), indexes(next.Zones, hidden)
	s.metrics.ZonesDown.Set(float64(len(next.Down)))
	s.metrics.SetAnswered(len(next.Down) < len(next.Zones.Zones()))
	before := s.state.Current.Load()
	s.config, s.files = c, l.Files
	s.state.Current.Store(next)
	s.tell(before, next)
	s.refresher.Use(s.copiesIn(c.state), slices.Collect(maps.Values(secondaries)))
	s.metrics.Show(l.Files.Len(), shown)
	s.resolver.Want(wanted)
}

// limiter is that of the configuration: the one before, where its numbers are the same.
func (s *Server) limiter(c *Config) *answer.Limiter {
	if before := s.state.Current.Load(); before != nil && before.Limiter != nil && reflect.DeepEqual(before.Limiter.RateLimit, c.rateLimit) {
		return before.Limiter
	}
	return answer.NewLimiter(c.rateLimit)
}

// identity is what the server is called.
func (c *Config) identity() string {
	if c.nsid != "" {
		return c.nsid
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
func (s *Server) tell(before, now *answer.Snapshot) {
	if len(now.Access.Notify) == 0 {
		return
	}
	for i, z := range now.Zones.Zones() {
		if now.Down[i] {
			continue
		}
		var old *zone.Zone
		if before != nil {
			old = before.Zones.Named(z.Name())
		}
		if old == nil || old.Serial() != z.Serial() {
			s.notifier.Tell(z.SOA(), now.Access.Notify)
		}
	}
}

// count finds the counters of a zone.
func (s *Server) count(z *zone.Zone) (answer.ZoneCounts, metrics.Zone) {
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
	return answer.ZoneCounts{Zone: show.Queries, Decoys: show.Hosts, Covers: covers}, show
}
