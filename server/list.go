package server

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mxtrap/server/catch"
	"mxtrap/server/judge"
	"mxtrap/server/pace"
	"mxtrap/server/resolve"
	"mxtrap/zone/conf"
)

// listConfig is the table [list].
type listConfig struct {
	exempt []netip.Prefix // who is never listed
	policy string         // where Postfix asks; "": nowhere
	lists  bool           // the list may be used; else it is looked at
}

// listConfigOf reads the table.
func listConfigOf(t *conf.Table, beside func(string) string) (c listConfig) {
	for _, item := range t.Strings("exempt") {
		p, err := judge.ParseClients(item.Text)
		if err != nil {
			item.Fault(`is no address or prefix: write "192.0.2.1" or "192.0.2.0/24"`)
			continue
		}
		c.exempt = append(c.exempt, p)
	}
	mode := "observe"
	if t.String("mode", &mode); mode != "observe" && mode != "list" {
		t.Fault("mode", mode, "must be observe or list")
	}
	c.lists = mode == "list"
	t.String("policy", &c.policy)
	if path, unix := strings.CutPrefix(c.policy, "unix:"); unix {
		c.policy = "unix:" + beside(path)
	} else if _, err := netip.ParseAddrPort(c.policy); c.policy != "" && err != nil {
		t.Fault("policy", c.policy, `is no address with a port, and does not begin with "unix:": write "127.0.0.1:10040" or "unix:/run/mxtrap/policy"`)
	}
	t.Close()
	return c
}

// The files of the folder of state that have the facts and the operator's pardons.
const (
	factsFile   = "sightings"
	pardonsFile = "pardons"
)

// factsIn is where the facts are in a folder of state, and the pardons.
func factsIn(folder string) (facts, pardons string) {
	return filepath.Join(folder, factsFile), filepath.Join(folder, pardonsFile)
}

// OpenBook reads the facts that a server has written, as its configuration has them judged. It writes nothing. The error may be that there is
// no folder of state.
func OpenBook(c *Config) (*judge.Book, error) {
	if c.state == "" {
		return nil, errNoState
	}
	b := judge.NewBook(c.rules())
	facts, pardons := factsIn(c.state)
	if _, err := b.Read(facts); err != nil {
		return nil, err
	}
	b.Forget(time.Now().Unix())
	return b, b.ReadPardons(pardons)
}

// Lists says whether the list may be used, and is not just to be looked at.
func (c *Config) Lists() bool { return c.list.lists }

// rules are those by which facts are judged.
func (c *Config) rules() judge.Rules {
	return judge.Rules{Keep: c.catch.Keep, Exempt: c.list.exempt}
}

// Pardon notes the operator's word that what the clients of a prefix have done is forgiven. A running server hears of it at the next reload.
func Pardon(c *Config, p netip.Prefix, now time.Time) error {
	if c.state == "" {
		return errNoState
	}
	_, pardons := factsIn(c.state)
	return judge.AppendPardon(pardons, judge.Pardon{At: now.Unix(), For: p})
}

// errNoState is the error of a server that keeps no facts.
var errNoState = errors.New("server.state is not set, so that mxtrap keeps no sightings; set it to a folder")

// keeper keeps the facts of a running server.
type keeper struct {
	book    *judge.Book
	places  chan struct{} // look-ups about clients at a time
	running sync.WaitGroup
	ctx     context.Context // of the look-ups
	stop    func()
	broken  pace.PerMinute
	well    map[netip.Addr]bool // the sites that have been well since the start
	ticked  time.Time
	opened  bool // the facts are kept in a file
}

// keepEvery is how often outages are noted, and what is old is looked for.
const keepEvery = 10 * time.Second

// vouchesAtOnce is how many clients are looked up at a time. Of more, none is evidence: there is no telling honest ones.
const vouchesAtOnce = 64

// newKeeper makes a keeper, and reads what was kept.
func (s *Server) newKeeper(c *Config) *keeper {
	k := &keeper{book: judge.NewBook(c.rules()), places: make(chan struct{}, vouchesAtOnce), well: map[netip.Addr]bool{}, ticked: time.Now()}
	k.ctx, k.stop = context.WithCancel(context.Background())
	k.open(c, s.Log)
	return k
}

// open has the facts kept in the folder of state, where there are to be some and there is one.
func (k *keeper) open(c *Config, log *slog.Logger) {
	if k.opened || c.state == "" || c.catch.Keep == 0 || !c.catch.On() && c.list.policy == "" {
		return
	}
	k.opened = true
	k.running.Go(func() { k.read(c.state, log) }) // DNS does not wait for it
}

// read reads what was kept in a folder, and goes on keeping there.
func (k *keeper) read(folder string, log *slog.Logger) {
	facts, pardons := factsIn(folder)
	damaged, err := k.book.Read(facts)
	if damaged > 0 {
		log.Warn("left out damaged lines of the sightings", "file", facts, "lines", damaged)
	}
	if err == nil {
		err = k.book.Write(facts, time.Now().Unix())
	}
	if err == nil {
		err = k.book.ReadPardons(pardons)
	}
	if err != nil {
		log.Error("cannot keep sightings; they are in memory alone", "file", facts, "error", err)
	}
}

// sighted notes what a client did at a decoy, once DNS was asked who it is.
func (s *Server) sighted(seen *catch.Sighting) {
	k := s.keeper
	select {
	case k.places <- struct{}{}:
	default:
		return
	}
	k.running.Go(func() {
		defer func() { <-k.places }()
		fact := &judge.Sighting{
			At: seen.At.Unix(), Client: seen.Client.Addr(), Owner: seen.Decoy.Owner, Decoy: seen.Decoy.Host, Helo: seen.Helo, Sender: seen.Sender,
			Recipients: seen.Recipients, NoSMTP: seen.Early || seen.Foreign, Tried: seen.Tried, Data: seen.Data,
		}
		fact.Vouched = resolve.Vouches(k.ctx, s.resolver.Servers(), fact.Client, fact.Helo, fact.Sender)
		if k.ctx.Err() == nil {
			s.kept(k.book.Add(judge.Fact{Sighting: fact}))
		}
	})
}

// kept tells of facts that could not be written.
func (s *Server) kept(err error) {
	if err != nil && s.keeper.broken.Allow(time.Now()) {
		s.Log.Error("cannot write a sighting, a visit or an outage; it is in memory alone", "error", err)
	}
}

// keep does what is due for the facts.
func (s *Server) keep() {
	now := time.Now()
	s.watchOutages(now.Unix())
	s.kept(s.keeper.book.Tick(now.Unix(), now.Sub(s.keeper.ticked)))
	s.keeper.ticked = now
	s.keeper.running.Go(func() { s.kept(s.keeper.book.Compact(now.Unix())) })
}

// rulesChanged has facts judged as a new configuration says.
func (s *Server) rulesChanged(c *Config) {
	if c.list.policy != s.config.list.policy {
		s.Log.Warn("a change of list.policy takes effect at the next start")
		c.list.policy = s.config.list.policy
	}
	s.keeper.book.Use(c.rules())
	if !s.keeper.opened {
		s.keeper.open(c, s.Log)
	} else {
		_, pardons := factsIn(s.config.state)
		if err := s.keeper.book.ReadPardons(pardons); err != nil {
			s.Log.Error("cannot read the pardons", "file", pardons, "error", err)
		}
	}
}

// watchOutages notes which owners have a real exchange that is not well, after it was.
func (s *Server) watchOutages(now int64) {
	down := map[string]bool{} // by owner, who may have decoys at several sites
	for a, site := range s.catcher.sites.at {
		well := site.Well()
		if !well && !s.keeper.well[a] {
			continue // it was not dialled long enough yet: nobody is evidence there
		}
		s.keeper.well[a] = true
		for _, d := range site.Decoys {
			down[d.Owner] = down[d.Owner] || !well
		}
	}
	for owner, down := range down {
		s.kept(s.keeper.book.Down(owner, down, now))
	}
}

// runPolicy answers Postfix, where the configuration says so. The function that it returns waits for the end.
func (s *Server) runPolicy(ctx context.Context) (wait func(), err error) {
	if s.config.list.policy == "" {
		return func() {}, nil
	}
	l, err := judge.ListenPolicy(s.config.list.policy)
	if err != nil {
		return nil, err
	}
	s.Log.Info("answering policy requests", "listen", s.config.list.policy)
	p := &judge.Policy{Seen: func(client netip.Addr) {
		s.kept(s.keeper.book.Add(judge.Fact{Visit: &judge.Visit{At: time.Now().Unix(), From: judge.Wide(client)}}))
	}}
	return p.Serve(ctx, l), nil
}
