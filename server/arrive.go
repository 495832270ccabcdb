package server

import (
	"context"
	"slices"
	"time"

	"mxtrap/server/load"
	"mxtrap/server/pace"
	"mxtrap/server/state"
	"mxtrap/server/transfer"
	"mxtrap/zone/conf"
)

// arrivals are zones that have come from their primaries and are made ready, and wait to be served together with others: to publish
// takes time for each zone that there is, so it has a share of the time, and what comes meanwhile waits.
type arrivals struct {
	list   []load.Arrival
	loader load.Loader // of them all
	octets int64       // that their records have in memory
	looked bool        // look-ups have found something
	listed bool        // clients have come to the DNSBL, or gone

	last time.Time     // when zones were published last
	took time.Duration // and how long that took
}

const (
	// publishShare is how many times longer what has come waits than the last publishing took, so that it has a tenth of one processor.
	publishShare = 9
	// arrivedOctets is what may wait, in records that are in memory.
	arrivedOctets = 64 << 20
)

// wait is how long what has come waits still; ok: something has.
func (a *arrivals) wait(now time.Time) (wait time.Duration, ok bool) {
	if len(a.list) == 0 && !a.looked && !a.listed {
		return 0, false
	}
	if a.octets > arrivedOctets {
		return 0, true
	}
	return max(0, a.last.Add(a.took*publishShare).Sub(now)), true
}

// published notes a publishing that began at a time.
func (a *arrivals) published(began time.Time) { a.last, a.took = time.Now(), time.Since(began) }

// arrive makes a zone ready that has a new copy, or that has expired. A copy that cannot be served with its trap is not taken: what was
// served before is served on, until it expires.
func (s *Server) arrive(u transfer.Update) {
	a := &s.arrivals
	if u.Records == nil {
		now := s.files.Get(u.Path)
		waits := slices.ContainsFunc(a.list, func(other load.Arrival) bool { return other.Path == u.Path })
		if waits || now == nil || now.Down != "" || now.Secondary == nil || now.Secondary.Confirmed.After(u.Confirmed) {
			return // a new version has come meanwhile
		}
		s.Log.Error("a zone has expired, because none of its primaries has answered; it is answered with SERVFAIL until one does", "zone", u.Name)
		s.metrics.Refreshes.Count(u.Name, "expired")
	}
	if len(a.list) == 0 {
		a.loader = s.loader(s.config)
	}
	var report conf.Report
	f := a.loader.Ready(u, s.files.Get(u.Path), &report)
	s.logProblems(report.Problems())
	if f == nil {
		if u.Records != nil {
			s.refuse(u)
		}
		s.refresher.Settled(u, false)
		return
	}
	a.list = append(a.list, load.Arrival{Update: u, File: f})
	a.octets += u.Octets()
}

// refuse gives up a copy that has come.
func (s *Server) refuse(u transfer.Update) {
	s.copies.Discard(u.Prepared)
	s.Log.Error("a new version from a primary cannot be served; serving the version before until it expires", "zone", u.Name)
}

// takeArrivals serves what has come from primaries and look-ups.
func (s *Server) takeArrivals(ctx context.Context) {
	if _, ok := s.arrivals.wait(time.Time{}); !ok {
		return
	}
	list, looked, o := s.arrivals.list, s.arrivals.looked, s.arrivals.loader
	if len(list) == 0 {
		o = s.loader(s.config)
	}
	o.List = s.dnsbl.zone
	s.arrivals.list, s.arrivals.loader, s.arrivals.octets, s.arrivals.looked, s.arrivals.listed = nil, load.Loader{}, 0, false, false
	l := pace.WhileServing(ctx, func() *load.Loading { return o.TakeIn(list, looked, s.files, s.refused) })
	if l == nil {
		return
	}
	s.logProblems(l.Report.Problems())
	taken := s.commit(l, list)
	s.publish(s.config, l)
	var catalogs []string
	for i, a := range list { // a fetch continues from what is published
		s.refresher.Settled(a.Update, taken[i])
		if taken[i] && a.File.Template != "" {
			catalogs = append(catalogs, a.Path)
		}
	}
	if len(catalogs) > 0 {
		s.takeMembers(ctx, catalogs)
	}
}

// commit makes the copies last of the zones that will be served, and says which those are.
func (s *Server) commit(l *load.Loading, list []load.Arrival) (taken []bool) {
	taken = make([]bool, len(list))
	committed := false
	for i, a := range list {
		if taken[i] = l.Files.Get(a.Path) == a.File; !taken[i] {
			if l.GiveUp(a.File); a.Records != nil {
				s.refuse(a.Update)
			}
			continue
		}
		if a.Records == nil {
			continue
		}
		committed = true
		if err := s.copies.Commit(a.Name, a.Records, a.Prepared, a.Unwritten); err != nil {
			s.Log.Error("cannot write the copy of a zone; it is served from memory and lost at the next start", "zone", a.Name, "folder", s.copies.Folder, "error", err)
		}
		if a.File.Down == "" { // or else its SOA record is missing, or no use
			s.Log.Info("transferred a zone from its primary", "zone", a.Name, "serial", a.File.Zone.Serial(), "primary_serial", a.File.Secondary.Soa.Serial)
		}
	}
	if committed {
		if err := s.copies.Sync(); err != nil {
			s.Log.Error("cannot flush the folder of copies to disk; a crash may lose the new copies", "folder", s.copies.Folder, "error", err)
		}
	}
	return taken
}

// loader is what loads of a running server depend on.
func (s *Server) loader(c *Config) load.Loader {
	return load.Loader{
		Tempo:   s.Tempo,
		Sources: c.sources, Look: s.resolver.Known, Progress: s.Progress, Threads: max(1, s.processors/2), // the others answer
		Updates: s.updatesIn(c.state), Updated: c.updates.On(),
		History: len(c.transfers.Allow) > 0, Copies: s.copiesIn(c.state), Numbers: state.NewNumbering(c.state), Keys: &c.transfers, Waited: s.waiting,
		Signs: c.DNSSEC, Ring: s.ring, Now: s.Clock, Built: s.Built, List: s.dnsbl.zone,
	}
}

// copiesIn are the copies in the folder of the configuration: those before, where that is the same.
func (s *Server) copiesIn(folder string) *state.Copies {
	if s.copies == nil || s.copies.Folder != folder {
		s.copies = state.NewCopies(folder)
	}
	return s.copies
}

// takeMembers takes in which zones catalogs list now.
func (s *Server) takeMembers(ctx context.Context, catalogs []string) {
	l := pace.WhileServing(ctx, func() *load.Loading { return s.loader(s.config).Relist(ctx, catalogs, s.files, s.refused) })
	if l == nil {
		return
	}
	s.logProblems(l.Report.Problems())
	s.publish(s.config, l)
	s.Log.Info("catalogs have changed", "catalogs", len(catalogs), "zones", s.files.Len())
}
