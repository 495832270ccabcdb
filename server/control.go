package server

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/answer"
	"mxtrap/server/control"
	"mxtrap/server/judge"
	"mxtrap/server/load"
	"mxtrap/server/socket"
	"mxtrap/zone/conf"
)

// request is what the goroutine of Run does for another one.
type request struct {
	do   func()
	done chan struct{}
}

// runControl answers the operator's commands, where the configuration says so. The function that it returns ends that.
func (s *Server) runControl() (stop func(), err error) {
	if s.config.control == "" {
		return func() {}, nil
	}
	l, err := socket.ListenUnix(s.config.control, 0o660)
	if err != nil {
		return nil, fmt.Errorf("server.control: %q: %w", s.config.control, err)
	}
	c := &control.Server{
		Status: func(ctx context.Context) (*control.Status, error) { return within(ctx, s, s.status) },
		Zone: func(ctx context.Context, name string) (*control.Zone, error) {
			return within(ctx, s, func() (*control.Zone, error) { return s.zoneStatus(name) })
		},
		Reload: func(ctx context.Context, name string) (*control.Reloaded, error) {
			return within(ctx, s, func() (*control.Reloaded, error) { return s.reloadFor(name) })
		},
		Refresh: func(ctx context.Context, name string) error {
			_, err := within(ctx, s, func() (struct{}, error) { return struct{}{}, s.refreshFor(name) })
			return err
		},
		Top: s.top,
		Drop: func(ctx context.Context, zone, name string) error {
			_, err := within(ctx, s, func() (struct{}, error) { return struct{}{}, s.dropUpdates(zone, name) })
			return err
		},
		List:  s.listNowFor,
		Facts: s.facts,
		Pardon: func(ctx context.Context, clients netip.Prefix) error {
			_, err := within(ctx, s, func() (struct{}, error) { return struct{}{}, s.pardon(clients) })
			return err
		},
		LogLevel: s.setLogLevel,
		Report:   s.report,
		Share:    s.shareStatus,
		Forget:   s.forgetNode,
	}
	return c.Serve(l, s.Log), nil
}

// within does something on the goroutine of Run, and waits for it as long as the context lasts.
func within[T any](ctx context.Context, s *Server, do func() (T, error)) (outcome T, err error) {
	r := request{do: func() { outcome, err = do() }, done: make(chan struct{})}
	var none T
	select {
	case s.requests <- r:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	<-r.done // a reload is not given up half way
	return outcome, err
}

// status is how the server is.
func (s *Server) status() (*control.Status, error) {
	st := &control.Status{
		Version: s.Version, Commit: s.Commit, Since: s.began.UTC().Truncate(time.Second), Config: s.config.path, Zones: s.files.Len(), Reloaded: s.loaded.at.UTC().Truncate(time.Second),
		Succeeded: s.loaded.ok, Problems: s.loaded.problems, Down: []control.Down{}, Unwell: []string{}, Listen: s.listeners.Addresses(s.config.Listen),
	}
	for f := range s.files.All() {
		if f.Down != "" {
			st.Down = append(st.Down, control.Down{Zone: f.Zone.Name(), Why: f.Down})
		}
	}
	slices.SortFunc(st.Down, func(a, b control.Down) int { return strings.Compare(a.Zone, b.Zone) })
	for _, e := range s.catcher.watch.States() {
		if !e.Up {
			st.Unwell = append(st.Unwell, e.Host)
		}
	}
	if l := s.dnsbl.zone; l != nil && l.Serial != 0 {
		n := len(l.Clients)
		st.Listed = &n
	}
	return st, nil
}

// named is the zone of a name.
func (s *Server) named(name string) (*load.File, error) {
	set := s.state.Current.Load().Zones
	i, ok := set.Index(name)
	if !ok {
		return nil, fmt.Errorf("%q: %w", name, control.ErrNoZone)
	}
	for f := range s.files.All() {
		if f.Zone == set.Zones()[i] {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%q: %w", name, control.ErrNoZone)
}

// zoneStatus is how a zone is.
func (s *Server) zoneStatus(name string) (*control.Zone, error) {
	f, err := s.named(name)
	if err != nil {
		return nil, err
	}
	z := &control.Zone{Name: f.Zone.Name(), Serial: f.Zone.Serial(), File: f.Path, Down: f.Down, Signed: f.Zone.Plan() != nil || f.Zone.Given()}
	z.Decoys, z.Covers = f.Zone.Decoys()
	for _, k := range f.Keys() {
		now := s.Clock().Unix()
		z.Keys = append(z.Keys, control.Key{Tag: k.Tag, Algorithm: dns.AlgorithmToString[k.Algorithm], Kind: k.Kind(f.Keys(), now), State: k.State(now)})
	}
	if at := f.Zone.Expiration(); at != 0 {
		z.Signature = utc(time.Unix(at, 0))
	}
	if from := f.Secondary; from != nil {
		for _, p := range from.Primaries {
			z.Primaries = append(z.Primaries, p.Address())
		}
		if confirmed, expires := s.refresher.Heard(from.Name); !confirmed.IsZero() {
			z.Confirmed, z.Expires = utc(confirmed), utc(expires)
		}
	}
	z.Updates = updatesOf(f)
	for _, e := range s.catcher.watch.States() {
		if e.Zone == z.Name {
			z.Exchanges = append(z.Exchanges, control.Exchange{Host: e.Host, Up: e.Up})
		}
	}
	return z, nil
}

func utc(t time.Time) *time.Time {
	t = t.UTC().Truncate(time.Second)
	return &t
}

// loaded is the outcome of the last load.
type loaded struct {
	at       time.Time
	ok       bool
	problems []string
}

// reloadFor reloads all files, or those of one zone, and says what has changed.
func (s *Server) reloadFor(name string) (*control.Reloaded, error) {
	began, before := time.Now(), s.state.Current.Load()
	outcome := &s.loaded
	if name == "" {
		s.Notify(Reloading)
		s.takeArrivals(s.ctx)
		s.reload(s.ctx)
		s.Notify(Ready)
	} else {
		l, err := s.reread(name)
		if err != nil {
			return nil, err
		}
		outcome = outcomeOf(l)
	}
	out := &control.Reloaded{
		Succeeded: outcome.ok, Problems: append([]string{}, outcome.problems...), Zones: s.files.Len(), Seconds: time.Since(began).Round(time.Millisecond).Seconds(),
		Changes: changes(before, s.state.Current.Load()),
	}
	return out, nil
}

// changes are the zones that differ between what was served and what is, by name.
func changes(before, now *answer.Snapshot) []control.Change {
	list := []control.Change{}
	was := answered(before)
	for name, serial := range answered(now) {
		old, served := was[name]
		if delete(was, name); !served || old != serial {
			list = append(list, control.Change{Zone: name, Was: old, Now: serial})
		}
	}
	for name, serial := range was {
		list = append(list, control.Change{Zone: name, Was: serial, Down: now.Zones.Named(name) != nil})
	}
	slices.SortFunc(list, func(a, b control.Change) int { return strings.Compare(a.Zone, b.Zone) })
	return list
}

// answered are the serial numbers of the zones that can be answered.
func answered(snap *answer.Snapshot) map[string]uint32 {
	serials := map[string]uint32{}
	for i, z := range snap.Zones.Zones() {
		if !snap.Down[i] {
			serials[z.Name()] = z.Serial()
		}
	}
	return serials
}

// reread reads the files of one zone again. What is known of the others' stays as it is.
func (s *Server) reread(name string) (*load.Loading, error) {
	f, err := s.named(name)
	if err != nil {
		return nil, err
	}
	l, err := s.loader(s.config).Reread(f, s.files, s.refused)
	if err != nil {
		return nil, err
	}
	s.logProblems(l.Report.Problems())
	s.publish(s.config, l)
	for _, failed := range l.Failed {
		s.metrics.ZoneFailed(failed.Zone)
	}
	if f.Template != "" {
		s.takeMembers(s.ctx, []string{f.Path})
	}
	return l, nil
}

// outcomeOf is what came of a load.
func outcomeOf(l *load.Loading) *loaded {
	out := &loaded{at: time.Now(), ok: l.Report.Faults() == 0}
	for _, p := range l.Report.Problems() {
		out.problems = append(out.problems, p.String())
	}
	return out
}

// loadedNow notes the outcome of a load of everything.
func (s *Server) loadedNow(l *load.Loading) {
	s.loaded = *outcomeOf(l)
	s.loadedWell.Store(s.loaded.ok)
}

// notLoaded notes that nothing has changed, and why.
func (s *Server) notLoaded(problems []conf.Problem, why string) {
	s.loaded = loaded{at: time.Now()}
	s.loadedWell.Store(false)
	for _, p := range problems {
		s.loaded.problems = append(s.loaded.problems, p.String())
	}
	s.loaded.problems = append(s.loaded.problems, "not reloaded: "+why+"; nothing has changed")
}

// refreshFor has the primary of a zone asked for a new version.
func (s *Server) refreshFor(name string) error {
	f, err := s.named(name)
	if err != nil {
		return err
	}
	if f.Secondary == nil {
		return fmt.Errorf("%q: the zone comes from no primary", name)
	}
	s.refresher.Refresh(f.Secondary.Name)
	return nil
}

// pardon forgives what clients have done until now.
func (s *Server) pardon(clients netip.Prefix) error {
	if err := s.config.Pardon(clients); err != nil {
		return err
	}
	s.keeper.Use(s.config.rules(), s.config.list.Lists)
	if s.fleet != nil {
		s.fleet.Pardon(judge.Pardon{At: s.Clock().Unix(), For: clients})
	}
	s.listAnew()
	return nil
}

// facts are what is known of a client.
func (s *Server) facts(client netip.Addr) (*control.Facts, error) {
	if err := s.keeper.Unread(); err != nil {
		return nil, err
	}
	f := FactsOf(s.keeper.Book, client, s.keeper.Lists(), s.Clock())
	if s.fleet == nil || !f.Lists {
		return f, nil
	}
	f.Listing = nil
	entries, _ := s.keeper.Entries(s.Clock().Unix(), true)
	for _, e := range entries {
		if e.Client == judge.Narrow(client) {
			f.Listing = &e.Listing
		}
	}
	return f, nil
}

// ListOf is who is listed by the facts of a book at a time.
func ListOf(b *judge.Book, lists bool, at time.Time) *control.List {
	return &control.List{Lists: lists, Clients: append([]judge.Entry{}, b.Listed(at.Unix())...)}
}

// FactsOf is what a book has of a client.
func FactsOf(b *judge.Book, client netip.Addr, lists bool, at time.Time) *control.Facts {
	f := &control.Facts{Lists: lists, Listing: b.Judge(client, at.Unix())}
	f.Sightings, f.Visits = b.Sightings(client)
	return f
}

// report is what the trap has come to in a time until now.
func (s *Server) report(since time.Duration) (*judge.Report, error) {
	if err := s.keeper.Unread(); err != nil {
		return nil, err
	}
	now := s.Clock()
	return s.keeper.Book.Report(now.Add(-since).Unix(), now.Unix(), s.senses, s.keeper.Lists()), nil
}

// setLogLevel sets how much the server logs.
func (s *Server) setLogLevel(level string) error {
	if s.Level == nil || s.Level.UnmarshalText([]byte(level)) != nil {
		return fmt.Errorf("%q: write debug, info, warn or error", level)
	}
	s.Log.Info("the operator has changed the log level", "level", strings.ToLower(level))
	return nil
}
