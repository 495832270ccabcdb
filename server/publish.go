package server

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"time"

	"mxtrap/metrics"
	"mxtrap/server/answer"
	"mxtrap/server/load"
	"mxtrap/server/pace"
	"mxtrap/server/peer"
	"mxtrap/server/state"
	"mxtrap/server/transfer"
	"mxtrap/zone"
)

// publish makes what was loaded what is served.
func (s *Server) publish(c *Config, l *load.Loading) {
	s.publishRenewed(c, l)
	s.zonesChanged()
}

// publishRenewed is publish for zones that have changed by themselves: the catch stands where it stood.
func (s *Server) publishRenewed(c *Config, l *load.Loading) {
	defer s.arrivals.published(time.Now())
	l.Numbers.Publish(s.Log)
	if !maps.Equal(l.Waiting, s.waiting) {
		if err := state.WriteWaiting(c.state, l.Waiting); err != nil {
			s.Log.Error("cannot write which zones had to give way; after a restart others of the same names may be served", "folder", c.state, "error", err)
		}
		s.waiting = l.Waiting
	}
	s.refused = l.Refused
	next := &answer.Snapshot{
		Zones: l.Set, Access: &c.transfers, Own: map[*zone.Zone]*peer.Access{}, Histories: map[*zone.Zone]zone.History{}, Expires: map[*zone.Zone]uint32{},
		Updaters: c.updates.Keys(), Nsid: c.nsid, Cookies: c.cookies, Limiter: s.limiter(c),
	}
	next.List = s.publishList(c, l.Files, l.Set)
	if c.chaos {
		next.Version = "mxtrap " + s.Version
		next.Id = c.identity()
	}
	secondaries := map[string]transfer.Secondary{}
	down, hidden := map[*zone.Zone]bool{}, map[*zone.Zone]bool{}
	rest, lost := pace.Rests(), 0
	for f := range l.Files.All() {
		rest()
		if f.History != nil {
			next.Histories[f.Zone] = f.History
		}
		if f.Access != nil {
			next.Own[f.Zone] = c.transfers.Of(f.Access)
		}
		if f.Down != "" {
			down[f.Zone] = true
		}
		if f.Lost != "" {
			lost++
		}
		if f.Hidden {
			hidden[f.Zone] = true
		}
		if f.Secondary != nil {
			secondaries[f.Secondary.Name] = *f.Secondary
			if soa := f.Secondary.Soa; soa != nil && f.Down == "" {
				next.Expires[f.Zone] = uint32(f.Secondary.Confirmed.Add(s.Tempo.Expiry(soa)).Unix())
			}
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
		show.Expiry = z.Expiration()
		show.Down, show.Follows = down[z], secondary || len(z.Lookups()) > 0
		next.Counts = append(next.Counts, counts)
		shown = append(shown, show)
	}
	next.Notify = s.notices.Of(secondaries)
	next.Down, next.Hidden = indexes(next.Zones, down), indexes(next.Zones, hidden)
	s.metrics.ZonesDown.Set(float64(len(next.Down)))
	s.metrics.KeysLost.Set(float64(lost))
	s.metrics.SetAnswered(len(next.Down) < len(next.Zones.Zones()))
	before := s.state.Current.Load()
	if before != nil {
		next.Taps = before.Taps
	}
	s.config, s.files = c, l.Files
	s.state.Current.Store(next)
	if next.List != nil {
		s.freshen(s.files.Get(load.ListPath).Made())
	}
	s.sweeper.wake()
	s.renewals.plan(s.files, s.Clock().Unix())
	s.tell(before, next)
	s.refresher.Use(s.copiesIn(c.state), slices.Collect(maps.Values(secondaries)))
	s.metrics.Show(l.Files.Len(), shown, c.zoneMetrics)
	s.beginCounters(next, secondaries)
	s.lookups = wanted
	s.lookUp()
}

// beginCounters has the counters begin at zero that alerts watch.
func (s *Server) beginCounters(snap *answer.Snapshot, secondaries map[string]transfer.Secondary) {
	if !s.config.zoneMetrics {
		return
	}
	for name := range secondaries {
		s.metrics.Refreshes.Begin(name)
	}
	for _, z := range snap.Zones.Zones() {
		if len(snap.AccessTo(z).Notify) > 0 {
			s.metrics.NotifyFailures.Begin(z.Name())
		}
	}
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
	if len(now.Access.Notify) == 0 && len(now.Own) == 0 {
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
			s.notifier.Tell(z.SOA(), now.AccessTo(z).Notify)
		}
	}
}

// count finds the counters of a zone.
func (s *Server) count(z *zone.Zone) (answer.ZoneCounts, metrics.Zone) {
	show := metrics.Zone{Name: z.Name(), Serial: z.Serial(), Queries: s.metrics.Reserve(z.Name(), metrics.ZoneCounters)}
	key := []byte(z.Name())
	for _, h := range z.Hosts() {
		if h.Decoy {
			show.Decoys = append(show.Decoys, h.Name)
		} else {
			show.Covers = append(show.Covers, h.Name)
		}
		key = append(append(key, ' '), h.Name...)
	}
	if hosts := len(show.Covers) + len(show.Decoys); hosts > 0 {
		show.Hosts = s.metrics.Reserve(string(key), hosts*metrics.HostCounters)
	}
	return answer.ZoneCounts{Zone: show.Queries, Hosts: show.Hosts}, show
}
