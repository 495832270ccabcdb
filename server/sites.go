package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"mxtrap/metrics"
	"mxtrap/server/answer"
	"mxtrap/server/catch"
	"mxtrap/server/health"
	"mxtrap/server/pace"
	"mxtrap/server/state"
	"mxtrap/zone"
	"mxtrap/zone/mail"
	"mxtrap/zone/trap"
)

// sites is who has a decoy at which address, and which real exchanges belong to it.
type sites struct {
	at       map[netip.Addr]*catch.Site
	groups   map[netip.Addr]*health.Group // by the same addresses
	lookedUp []string                     // hosts outside the zones that are among the real exchanges
}

// sitesOf reads the sites off the zones that are served, as their answers show them. An address that a real exchange has, too, is none: mail
// comes there.
func sitesOf(ctx context.Context, zones []*zone.Zone, look trap.Lookups) *sites {
	s := &sites{at: map[netip.Addr]*catch.Site{}, groups: map[netip.Addr]*health.Group{}}
	noted := func(host string) []netip.Addr {
		s.lookedUp = append(s.lookedUp, host)
		return look(host)
	}
	ask := answer.NewAsker(zones).Ask
	real := map[netip.Addr]bool{}
	type place struct {
		decoys    []catch.Decoy
		exchanges []health.Exchange
	}
	places := map[netip.Addr]*place{}
	rest := pace.Rests()
	for _, z := range zones {
		if rest(); ctx.Err() != nil {
			return nil
		}
		decoys := map[string]bool{}
		for _, h := range z.Hosts() {
			if h.Decoy {
				decoys[h.Name+"."+z.Name()] = true
			}
		}
		for _, host := range z.MailHosts() { // of owners that have no trap, too
			if !decoys[host] {
				addrs, _ := mail.AddressesOf(ask, host)
				for _, a := range addrs {
					real[a] = true
				}
			}
		}
		if len(z.Traps()) == 0 {
			continue
		}
		domains, err := mail.Domains(z, ask, noted)
		if err != nil {
			continue
		}
		for _, d := range domains {
			var exchanges []health.Exchange
			for _, e := range d.Exchanges {
				if e.Role != mail.Decoy {
					exchanges = append(exchanges, health.Exchange{Zone: z.Name(), Host: e.Host, Addresses: e.Addresses})
					for _, a := range e.Addresses {
						real[a] = true
					}
				}
			}
			for _, e := range d.Exchanges {
				for _, a := range e.Addresses {
					if e.Role != mail.Decoy {
						continue
					}
					p := places[a]
					if p == nil {
						p = &place{}
						places[a] = p
					}
					p.decoys = append(p.decoys, catch.Decoy{Host: e.Host, Owner: d.Owner, Zone: z.Name()})
					p.exchanges = append(p.exchanges, exchanges...)
				}
			}
		}
	}
	for a, p := range places {
		if !real[a] {
			g := &health.Group{Exchanges: p.exchanges}
			s.groups[a] = g
			s.at[a] = catch.NewSite(p.decoys, g.Well)
		}
	}
	slices.Sort(s.lookedUp)
	s.lookedUp = slices.Compact(s.lookedUp)
	return s
}

// catcher keeps the catch and the watch over real exchanges in step with the zones.
type catcher struct {
	catch  *catch.Catch
	watch  *health.Watch
	sites  *sites
	wanted chan struct{} // the zones, or what is known of hosts outside, have changed
	found  chan *sites
}

// newCatcher makes the catch of a server, which listens nowhere yet.
func (s *Server) newCatcher() *catcher {
	folder := s.config.state
	for _, reason := range catch.Reasons {
		s.metrics.CatchRefused.WithLabelValues(reason)
	}
	dial := func(ctx context.Context, a netip.Addr) error {
		return health.Dial(ctx, netip.AddrPortFrom(a, s.MailPort), mailName())
	}
	return &catcher{
		catch: catch.New(sync.OnceValue(func() []byte { return recipientKey(folder, s.Log) }), s.processors, catch.Counters{
			Session: func(zone string, rung catch.Rung) {
				s.metrics.CatchSessions.Count(zone, rung.String())
			},
			Refused: func(reason string) { s.metrics.CatchRefused.WithLabelValues(reason).Inc() },
			Sighted: s.keeper.Sighted,
		}, s.Log),
		watch:  health.New(s.Health, dial, s.Log),
		sites:  &sites{},
		wanted: make(chan struct{}, 1),
		found:  make(chan *sites),
	}
}

// mailName is what this host is called at other mail hosts.
func mailName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}

// recipientKey is the key of this installation by which recipients are hashed. Without a folder of state it is another one at each start.
func recipientKey(folder string, log *slog.Logger) []byte {
	key, err := state.Key(folder, "catch.key")
	if err != nil {
		log.Warn("cannot keep the key by which the catch hashes recipients; after a restart the same recipient has another hash", "error", err)
		key = make([]byte, state.KeySize)
		rand.Read(key)
	}
	return key
}

// zonesChanged has the catch follow the zones that are served now.
func (s *Server) zonesChanged() {
	if s.config.catch.On() {
		pace.Signal(s.catcher.wanted)
	} else if len(s.catcher.sites.at) > 0 {
		s.catchAt(&sites{})
	}
}

// runCatcher reads the sites off the zones whenever they change, and takes a tenth of the time for it. The function that it returns waits for the
// end.
func (s *Server) runCatcher(ctx context.Context) (wait func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.catcher.wanted:
			}
			began := time.Now()
			found := pace.WhileServing(ctx, func() *sites { return sitesOf(ctx, s.state.Current.Load().Zones.Zones(), s.resolver.Known) })
			if found == nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case s.catcher.found <- found:
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(publishShare * time.Since(began)):
			}
		}
	}()
	watched := s.catcher.watch.Run(ctx)
	return func() {
		<-ended
		s.catcher.catch.Stop()
		watched()
	}
}

// catchAt has the catch listen at the sites that were read off the zones, and the watch dial the real exchanges that belong to those where it
// does.
func (s *Server) catchAt(found *sites) error {
	c := s.catcher
	c.sites = found
	err := c.catch.Use(s.config.catch, found.at)
	var groups []*health.Group
	listening := c.catch.Listening()
	for a, g := range found.groups {
		if slices.ContainsFunc(listening, func(l netip.Addr) bool { return l == a || l.IsUnspecified() && (l.Is4() == a.Is4() || l.Is6()) }) {
			groups = append(groups, g)
			s.showSessions(found.at[a])
		}
	}
	c.watch.Use(groups)
	s.lookUp()
	return err
}

// showSessions has the counters of a site's zones begin at zero, so that a rate counts the first session too.
func (s *Server) showSessions(site *catch.Site) {
	for _, d := range site.Decoys {
		s.metrics.CatchSessions.Begin(d.Zone)
	}
}

// lookUp has all hosts kept fresh that the zones and the catch need.
func (s *Server) lookUp() {
	s.resolver.Want(slices.Concat(s.lookups, s.catcher.sites.lookedUp))
}

// exchangesUp are the real exchanges that are watched, for metrics.
func (s *Server) exchangesUp() (list []metrics.Exchange) {
	for _, e := range s.catcher.watch.States() {
		list = append(list, metrics.Exchange{Zone: e.Zone, Host: e.Host, Up: e.Up})
	}
	return list
}

// copiesHeard are the zones that come from primaries, for metrics.
func (s *Server) copiesHeard() (list []metrics.Copy) {
	s.refresher.EachHeard(func(zone string, confirmed, expires time.Time) {
		list = append(list, metrics.Copy{Zone: zone, Confirmed: confirmed, Expires: expires})
	})
	return list
}
