package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
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
	catch.Sites
	groups   map[*catch.Site]*health.Group
	lookedUp []string // hosts outside the zones that are among the real exchanges
}

// place is where decoys are met, and the real exchanges of their owners.
type place struct {
	decoys    []catch.Decoy
	exchanges []health.Exchange
}

// site is the place as the catch has it.
func (s *sites) site(p *place) *catch.Site {
	g := &health.Group{Exchanges: p.exchanges}
	site := catch.NewSite(p.decoys, g.Well)
	s.groups[site] = g
	return site
}

// sitesOf reads the sites off the zones that are served, as their answers show them. An address that a real exchange has, too, is none: mail
// comes there.
func sitesOf(ctx context.Context, zones []*zone.Zone, look trap.Lookups) *sites {
	s := &sites{Sites: catch.Sites{At: map[netip.Addr]*catch.Site{}, Real: map[netip.Addr]bool{}}, groups: map[*catch.Site]*health.Group{}}
	noted := func(host string) []netip.Addr {
		s.lookedUp = append(s.lookedUp, host)
		return look(host)
	}
	ask := answer.NewAsker(zones).Ask
	real, places := s.Real, map[netip.Addr]*place{}
	pools := map[string]*pool{} // by their prefixes: very many zones may have the same
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
		var turned []trap.Pool
		var keys []string
		if z.Rotation() != nil {
			turned = z.Rotation().Pools()
			for _, p := range turned {
				keys = append(keys, fmt.Sprint(p.Prefixes))
			}
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
			if len(turned) > 0 {
				decoy := catch.Decoy{Owner: d.Owner, Zone: z.Name(), Turns: z.Rotation(), Pooled: true}
				for i, p := range turned {
					if pools[keys[i]] == nil {
						pools[keys[i]] = &pool{Pool: p}
					}
					pools[keys[i]].decoys = append(pools[keys[i]].decoys, decoy)
					pools[keys[i]].exchanges = append(pools[keys[i]].exchanges, exchanges...)
				}
				continue
			}
			rank := 0
			for _, e := range d.Exchanges {
				if e.Role == mail.Decoy {
					rank++
				}
				for _, a := range e.Addresses {
					if e.Role != mail.Decoy {
						continue
					}
					p := places[a]
					if p == nil {
						p = &place{}
						places[a] = p
					}
					p.decoys = append(p.decoys, catch.Decoy{Host: e.Host, Owner: d.Owner, Zone: z.Name(), Rank: rank, Turns: z.Rotation()})
					p.exchanges = append(p.exchanges, exchanges...)
				}
			}
		}
	}
	for _, p := range united(slices.Collect(maps.Values(pools))) {
		s.Pools = append(s.Pools, catch.Pool{Pool: p.Pool, Site: s.site(&p.place)})
		for a, other := range places {
			if p.Has(a) {
				other.decoys, other.exchanges = append(other.decoys, p.decoys...), append(other.exchanges, p.exchanges...)
			}
		}
	}
	for a, p := range places {
		if !real[a] {
			s.At[a] = s.site(p)
		}
	}
	slices.Sort(s.lookedUp)
	s.lookedUp = slices.Compact(s.lookedUp)
	return s
}

// pool is addresses that decoys of some zones have in turn.
type pool struct {
	trap.Pool
	place
}

// united are pools of which none has an address of another: those that do are one.
func united(pools []*pool) (apart []*pool) {
	type part struct {
		netip.Prefix
		of *pool
	}
	var parts []part
	for _, p := range pools {
		for _, of := range p.Prefixes {
			parts = append(parts, part{of, p})
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return a.Prefix.Compare(b.Prefix) }) // who holds others stands before them
	into := map[*pool]*pool{}
	root := func(p *pool) *pool {
		for into[p] != nil {
			p = into[p]
		}
		return p
	}
	var cover part
	for _, p := range parts {
		if cover.of == nil || !cover.Overlaps(p.Prefix) {
			cover = p
		} else if a, b := root(cover.of), root(p.of); a != b {
			into[b] = a
		}
	}
	for _, p := range pools {
		to := root(p)
		if to == p {
			apart = append(apart, p)
			continue
		}
		to.decoys, to.exchanges = append(to.decoys, p.decoys...), append(to.exchanges, p.exchanges...)
		to.Prefixes, to.Each = slices.Concat(to.Prefixes, p.Prefixes), slices.Concat(to.Each, p.Each)
	}
	for _, p := range apart {
		slices.SortFunc(p.Prefixes, netip.Prefix.Compare)
	}
	slices.SortFunc(apart, func(a, b *pool) int { return a.Prefixes[0].Compare(b.Prefixes[0]) })
	return apart
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
			Session: func(zone string, rung catch.Rung, rank int) {
				s.metrics.CatchSessions.Count(zone, rung.String())
				s.keeper.Book.CountSession(rung.String(), rank, s.Clock().Unix())
			},
			Age:     func(seconds int64) { s.metrics.ListAge.Observe(float64(seconds)) },
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
	} else if s.catcher.sites.groups != nil {
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
	err := c.catch.Use(s.config.catch, &found.Sites)
	var groups []*health.Group
	for site := range found.listened(c.catch.Listening()) {
		groups = append(groups, found.groups[site])
		s.showSessions(site)
	}
	c.watch.Use(groups)
	s.lookUp()
	return err
}

// listened are the sites at which the catch listens.
func (s *sites) listened(at []netip.Addr) map[*catch.Site]bool {
	here := map[*catch.Site]bool{}
	for _, l := range at {
		if site := s.Of(l); site != nil {
			here[site] = true
		}
		if !l.IsUnspecified() {
			continue
		}
		for p, site := range s.All() {
			if l.Is4() == p.Addr().Is4() || l.Is6() {
				here[site] = true
			}
		}
	}
	return here
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
