package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"mxtrap/metrics"
	"mxtrap/server/answer"
	"mxtrap/server/health"
	"mxtrap/server/keyring"
	"mxtrap/server/list"
	"mxtrap/server/load"
	"mxtrap/server/pace"
	"mxtrap/server/resolve"
	"mxtrap/server/share"
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
	Version, Commit string    // as it tells them
	Built           time.Time // when; zero: not known
	Log             *slog.Logger
	Notify          func(Event)
	Progress        load.Progress    // of its loads
	Clock           func() time.Time // by which zones are signed and clients judged; nil: that of the host
	Tempo           transfer.Tempo   // of zones that come from primaries; zero: that of the clock
	Health          health.Tempo     // of the watch over real exchanges; zero: that of the clock
	MailPort        uint16           // of real exchanges; 0: 25
	Judge           time.Duration    // between judgements; 0: [list.Every]
	Share           share.Tempo      // of what is shared with other servers; zero: that of the clock
	Level           *slog.LevelVar   // of the log; nil: it cannot be changed
}

// Server serves the zones of a configuration.
type Server struct {
	Options
	metrics    *metrics.Metrics
	processors int // that the Go runtime has while nothing is loaded
	state      answer.State

	// What follows is owned by the goroutine that runs Run.
	listeners   *socket.Listeners
	config      *Config
	files       *load.Files
	copies      *state.Copies
	updates     *state.Updates
	ring        *keyring.Ring
	sweeper     *sweeper
	renewals    renewals
	dnstap      *tap.Dnstap // nil: nothing is copied
	queryLog    queryLog
	notifier    *transfer.Notifier
	refresher   *transfer.Refresher
	notices     *transfer.Notices
	resolver    *resolve.Resolver
	catcher     *catcher
	keeper      *list.Keeper
	senses      bool         // mail hosts tell who comes to them
	fleet       *share.Fleet // nil: nothing is shared
	listChanged chan struct{}
	dnsbl       dnsbl
	lookups     []string // hosts outside the zones that these need

	ctx        context.Context // of Run
	began      time.Time
	loaded     loaded
	loadedWell atomic.Bool   // the last load took in every file
	requests   chan request  // of the operator
	topping    chan struct{} // holds a token while queries are watched
	arrivals   arrivals
	waiting    map[string]bool // paths whose zones had to give way to others
	refused    []*load.File    // those zones
	whole      bool            // the first load took in every file
}

// Problems is the error of a configuration that cannot be served.
type Problems []conf.Problem

// Error says how many there are; each is reported by itself.
func (p Problems) Error() string { return fmt.Sprintf("%d problems in the configuration", len(p)) }

// New loads everything. The error is [Problems] where the operator's files are at fault.
func New(ctx context.Context, c *Config, o Options) (*Server, error) {
	processors := runtime.GOMAXPROCS(0)
	o.Tempo, o.Health, o.MailPort = cmp.Or(o.Tempo, transfer.RealTime), cmp.Or(o.Health, health.RealTime), cmp.Or(o.MailPort, 25)
	workers := cmp.Or(c.workers, processors)
	s := &Server{
		Options: o, processors: processors, config: c, began: time.Now(), requests: make(chan request), listChanged: make(chan struct{}, 1), topping: make(chan struct{}, 1),
		metrics: metrics.New(workers+1, o.Version, o.Commit), // the last is for TCP
	}
	s.resolver = resolve.New(c.Resolvers, s.metrics, o.Log)
	s.notifier = transfer.NewNotifier(o.Log, s.metrics.NotifyFailures.Count, o.Tempo)
	s.dnstap = tap.NewDnstap(c.tap, c.identity(), "mxtrap "+o.Version, o.Log, s.metrics.TapLost)
	s.refresher = transfer.NewRefresher(o.Log, s.metrics.Refreshes.Count, o.Tempo)
	s.notices = &transfer.Notices{Refresher: s.refresher, Log: o.Log, Outcomes: s.metrics.Notifies}
	s.waiting = state.ReadWaiting(c.state)
	s.copiesIn(c.state).Sweep()
	if s.Clock == nil {
		s.Clock = time.Now
	}
	s.metrics.Signing = func() (uint64, time.Duration) {
		return zone.Work.Signatures.Load(), time.Duration(zone.Work.Nanoseconds.Load())
	}
	s.keeper, s.senses = s.newKeeper(c), c.list.Senses()
	s.catcher = s.newCatcher()
	s.joinFleet(c)
	s.metrics.Exchanges, s.metrics.Copies = s.exchangesUp, s.copiesHeard
	s.sweeper = newSweeper(&s.state, s.Log, s.processors)
	s.ring = keyring.New(c.DNSSEC, nil).Trust()
	s.dnsbl.since = map[netip.Prefix]newcomer{}
	s.use(s.listNow(c))
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
	if n := l.Report.Warnings(); n > 0 && c.path != "" {
		o.Log.Warn("the configuration has warnings; run mxtrap check to see them", "warnings", n)
	}
	s.publish(c, l)
	s.countFailures(l)
	s.loadedNow(l)
	return s, nil
}

// Run serves until the context ends, then lets the queries under way finish. A receive from reload reads the configuration again.
func (s *Server) Run(ctx context.Context, reload <-chan os.Signal) error {
	var err error
	s.ctx = ctx
	transfers := transfer.NewOutgoing(&s.state, s.Log, s.metrics.Transfers.Count)
	if s.listeners, err = socket.NewListeners(&s.state, s.metrics, s.Log, socket.Handlers{Transfer: transfers.Serve, Update: s.updateHandler()}); err == nil {
		err = s.listeners.Listen(s.config.Listen, s.config.Metrics)
	}
	if err == nil && s.config.catch.On() { // its ports are below 1024
		<-s.catcher.wanted
		if found := sitesOf(ctx, s.state.Current.Load().Zones.Zones(), s.resolver.Known); found != nil {
			err = s.catchAt(found)
		}
	}
	policyDone, controlDone := func() {}, func() {}
	if err == nil {
		policyDone, err = s.keeper.RunPolicy(ctx, s.config.list.Policy)
	}
	if err == nil {
		if err = socket.Become(s.config.user); err != nil {
			err = fmt.Errorf("server.user: %q: %w", s.config.user, err)
		}
	}
	if err == nil { // the socket is that account's
		controlDone, err = s.runControl()
	}
	if err != nil {
		controlDone()
		s.catcher.catch.Stop()
		s.listeners.Shut()
		return err
	}
	logDone := s.keeper.RunLog(ctx, s.config.list.Log)
	catcherDone, fleetDone := s.runCatcher(ctx), s.runFleet(ctx)
	told := list.TellCrowdSec(ctx, s.config.list.Tell, s.listChanged, s.listToTell, s.Log)
	looked := s.resolver.Run(ctx)
	notifierDone, refresherDone := s.notifier.Run(ctx), s.refresher.Run(ctx)
	sweeperDone := s.sweeper.run(ctx)
	var tapping sync.WaitGroup
	tapCtx, stopTap := context.WithCancel(context.Background())
	defer stopTap()
	if s.dnstap != nil {
		tapping.Go(func() { s.dnstap.Run(tapCtx) })
		s.setTap(answer.TapDnstap, s.dnstap.Tap)
	}
	s.logQueries(s.config.logQueries)
	s.usePage(s.config)
	s.metrics.Reloaded(s.whole, time.Now())
	s.metrics.SetReady(true)
	s.Log.Info("serving", "zones", s.files.Len(), "listen", fmt.Sprint(s.listeners.Addresses(s.config.Listen)), "metrics", s.listeners.HTTPAddress())
	s.logDown()
	again := time.NewTicker(socket.ListenAgain)
	defer again.Stop()
	s.Notify(Ready)
	pace := time.NewTimer(0)
	defer pace.Stop()
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	known := s.keeper.Known()
	keep := time.NewTicker(cmp.Or(s.Judge, list.Every))
	defer keep.Stop()
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
			controlDone()
			catcherDone()
			policyDone()
			logDone()
			fleetDone()
			told()
			s.keeper.Close()
			s.resolver.Wait()
			stopTap()
			tapping.Wait()
			s.logQueries(0)
			notifierDone()
			refresherDone()
			sweeperDone()
			return nil
		case <-reload:
			s.Notify(Reloading)
			s.takeArrivals(ctx)
			s.reload(ctx)
			s.Notify(Ready)
		case r := <-s.requests:
			r.do()
			close(r.done)
		case u := <-s.refresher.Updates:
			s.arrive(u)
		case <-looked:
			s.arrivals.looked = true
			s.zonesChanged()
		case found := <-s.catcher.found:
			if !s.config.catch.On() {
				continue // it was switched off meanwhile
			}
			if err := s.catchAt(found); err != nil {
				s.Log.Error("the catch cannot listen", "error", err)
			}
		case <-pace.C:
			s.takeArrivals(ctx)
		case <-renew.C:
			s.renew(ctx)
		case <-keep.C:
			s.keeper.Tick(&s.catcher.sites.Sites)
			s.listAnew()
		case <-known:
			known = nil
			s.listAnew()
		case <-s.fleetChanged():
			s.catcher.watch.Veto(s.fleet.OthersUnwell())
			s.listAnew()
		case e := <-s.keeper.Listed:
			s.listAlso(e)
		case <-s.dnsbl.fresh:
			s.freshen(time.Time{})
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
	if c.path != "" {
		c = ReadConfig(c.path, &report)
	}
	if c == nil {
		s.logProblems(report.Problems())
		s.notLoaded(report.Problems(), "the server file has faults")
		s.Log.Error("not reloaded, because the server file has faults; nothing has changed")
		s.metrics.Reloaded(false, began)
		return
	}
	if s.config.listenOn {
		c.Listen, c.listenOn = s.config.Listen, true
	}
	s.updatesIn(c.state).Again()
	ring, listed := keyring.New(c.DNSSEC, s.ring), s.listNow(c)
	l := pace.WhileServing(ctx, func() *load.Loading {
		o := s.loader(c)
		o.Ring, o.List = ring, listed
		return o.Load(ctx, s.files)
	})
	if l == nil {
		return
	}
	s.logProblems(l.Report.Problems())
	if l.Unfound {
		s.notLoaded(l.Report.Problems(), "server.zones has faults")
		s.Log.Error("not reloaded, because server.zones has faults; nothing has changed")
		s.metrics.Reloaded(false, began)
		return
	}
	if err := s.listeners.Listen(c.Listen, c.Metrics); err != nil {
		s.notLoaded(l.Report.Problems(), err.Error())
		s.Log.Error("not reloaded; nothing has changed", "error", err)
		s.metrics.Reloaded(false, began)
		return
	}
	if c.workers != s.config.workers {
		s.Log.Warn("a change of server.workers takes effect at the next start")
		c.workers = s.config.workers
	}
	if c.control != s.config.control {
		s.Log.Warn("a change of server.control takes effect at the next start")
		c.control = s.config.control
	}
	if s.Level != nil {
		s.Level.Set(c.logLevel)
	}
	if c.tap != s.config.tap {
		s.Log.Warn("a change of [dnstap] takes effect at the next start")
		c.tap = s.config.tap
	}
	if !c.share.Same(&s.config.share) {
		s.Log.Warn("a change of [share] takes effect at the next start")
		c.share = s.config.share
	}
	s.logQueries(c.logQueries)
	s.usePage(c)
	s.rulesChanged(c)
	s.resolver.Use(c.Resolvers)
	s.ring = ring
	s.publish(c, l)
	s.use(listed)
	s.listAnew() // as the new rules say
	s.countFailures(l)
	s.loadedNow(l)
	ok := l.Report.Faults() == 0
	s.metrics.Reloaded(ok, time.Now())
	s.Log.Info("reloaded", "zones", s.files.Len(), "failed", len(l.Failed), "took", time.Since(began).Round(time.Millisecond))
}
