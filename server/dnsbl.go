package server

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mxtrap/metrics"
	"mxtrap/server/answer"
	"mxtrap/server/judge"
	"mxtrap/server/list"
	"mxtrap/server/load"
	"mxtrap/server/pace"
	"mxtrap/zone"
	"mxtrap/zone/source"
)

// dnsbl is who the DNSBL lists.
type dnsbl struct {
	zone    *load.List                  // who is in its zone, or will be; nil: nobody wants the list
	answers map[netip.Prefix]netip.Addr // of the clients in the zone that is served
	since   map[netip.Prefix]newcomer   // who is not there yet
	fresh   <-chan time.Time            // when these are to be answered for; nil: they are
}

// newcomer is a client that has just been listed.
type newcomer struct {
	source.Listed
	at time.Time
}

// freshenAfter is how long clients that are listed together may keep each other waiting.
const freshenAfter = 50 * time.Millisecond

// newKeeper makes the keeper of what the catch sees.
func (s *Server) newKeeper(c *Config) *list.Keeper {
	k := list.NewKeeper(c.rules(), s.Clock, s.resolver.Servers, s.Log)
	k.Use(c.rules(), c.list.Lists)
	if c.keeps() {
		k.Open(c.state)
	}
	return k
}

// keeps says whether facts are to be kept in the folder of state.
func (c *Config) keeps() bool {
	used := c.catch.On() || c.list.Senses() || c.list.Zone != "" || c.list.HTTP || c.list.Tell.URL != "" || c.share.On()
	return c.state != "" && c.catch.Keep > 0 && used
}

// rulesChanged has facts judged as a new configuration says.
func (s *Server) rulesChanged(c *Config) {
	if old := &s.config.list; c.list.Policy != old.Policy || c.list.Log != old.Log || c.list.Tell != old.Tell {
		s.Log.Warn("a change of list.policy, list.log or list.crowdsec takes effect at the next start")
		c.list.Policy, c.list.Log, c.list.Tell = old.Policy, old.Log, old.Tell
	}
	s.keeper.Use(c.rules(), c.list.Lists)
	if c.keeps() {
		s.keeper.Open(c.state)
	}
	if folder := s.keeper.Folder(); folder != "" && folder != c.state {
		s.Log.Warn("a change of server.state takes effect for sightings and pardons at the next start", "folder", folder)
	}
}

// listNow is who is to be in the zone of the DNSBL: what there is already, where nobody has come or gone.
func (s *Server) listNow(c *Config) *load.List {
	if c.list.Zone == "" && !c.list.HTTP {
		return nil
	}
	now := s.Clock().Unix()
	next, known := &load.List{Zone: c.list.Zone, Made: time.Now()}, true
	if c.list.Lists {
		next.Clients, known = s.keeper.Clients(now)
	}
	if !known {
		return next
	}
	old := s.dnsbl.zone
	if next.Serial = uint32(now); old == nil {
		return next
	}
	if old.Serial != 0 && old.Zone == next.Zone && slices.Equal(old.Clients, next.Clients) {
		return old
	}
	next.Serial = max(next.Serial, old.Serial+1)
	return next
}

// use has the list be who is listed, for all that give it away.
func (s *Server) use(l *load.List) {
	s.dnsbl.zone = l
	s.showListed(l)
	if l == nil || !s.config.list.HTTP {
		s.metrics.List.Store(nil)
		return
	}
	var text strings.Builder
	for _, c := range l.Clients {
		fmt.Fprintln(&text, judge.Bare(c.Client))
	}
	s.metrics.List.Store(&metrics.List{Text: text.String(), Made: l.Made, Known: l.Serial != 0})
}

// showListed counts the list, by what the DNSBL answers.
func (s *Server) showListed(l *load.List) {
	count := map[string]int{}
	for _, g := range judge.Grades {
		count[list.Answer(g).String()] = 0
	}
	if l != nil {
		for _, c := range l.Clients {
			count[c.Answer.String()]++
		}
	}
	for code, n := range count {
		s.metrics.Listed.WithLabelValues(code).Set(float64(n))
	}
}

// listToTell is who is listed, where mail hosts are to turn them away. It is not ok as long as that is not known.
func (s *Server) listToTell() (entries []judge.Entry, ok bool) {
	if !s.keeper.Lists() {
		return nil, true
	}
	l, err := s.listNowFor()
	if err != nil {
		return nil, false
	}
	return l.Clients, true
}

// listAnew has the zone of the DNSBL made anew, where clients have come or gone.
func (s *Server) listAnew() {
	pace.Signal(s.listChanged)
	next := s.listNow(s.config)
	if next == nil || next.Serial == 0 {
		return
	}
	if next == s.dnsbl.zone { // who came since is gone already
		s.freshen(time.Now())
		return
	}
	s.tellListed(s.dnsbl.zone, next)
	s.use(next)
	s.arrivals.listed = next.Zone != ""
}

// toldAtOnce is how many clients the log names that have come to the list, or gone, together.
const toldAtOnce = 100

// tellListed logs who has come to the list, and who is gone.
func (s *Server) tellListed(before, now *load.List) {
	gone := map[netip.Prefix]source.Listed{}
	if before != nil {
		for _, c := range before.Clients {
			gone[c.Client] = c
		}
	}
	told := 0
	tell := func(what string, c source.Listed) {
		if told++; told <= toldAtOnce {
			s.Log.Info(what, "client", judge.Bare(c.Client), "as", c.Answer, "why", c.Text)
		}
	}
	for _, c := range now.Clients {
		if old, ok := gone[c.Client]; !ok || old.Answer != c.Answer {
			tell("listed", c)
		}
		delete(gone, c.Client)
	}
	for _, c := range gone {
		tell("no longer listed", c)
	}
	if told > toldAtOnce {
		s.Log.Info("more clients have come to the list or gone", "clients", told-toldAtOnce)
	}
}

// listAlso takes in a client that has just been listed: the DNSBL answers for it soon, and has it in its zone with the next version.
func (s *Server) listAlso(e judge.Entry) {
	c := list.Client(e)
	if s.config.list.Zone == "" || !s.config.list.Lists || s.dnsbl.answers[c.Client] == c.Answer || s.dnsbl.since[c.Client].Answer == c.Answer {
		return
	}
	s.dnsbl.since[c.Client] = newcomer{c, time.Now()}
	pace.Signal(s.listChanged)
	if s.dnsbl.fresh == nil {
		s.dnsbl.fresh = time.After(freshenAfter)
	}
}

// freshen has the DNSBL answer for those that were listed since its zone was made, and not before a time.
func (s *Server) freshen(since time.Time) {
	s.dnsbl.fresh = nil
	maps.DeleteFunc(s.dnsbl.since, func(_ netip.Prefix, c newcomer) bool { return c.at.Before(since) })
	to, f := s.state.Current.Load().List, s.files.Get(load.ListPath)
	if to == nil || f.Down != "" {
		return
	}
	if len(s.dnsbl.since) == 0 {
		to.Fresh.Store(nil)
		return
	}
	clients := make([]source.Listed, 0, len(s.dnsbl.since))
	for _, c := range s.dnsbl.since {
		clients = append(clients, c.Listed)
	}
	to.Fresh.Store(s.loader(s.config).Fresh(f, clients))
}

// publishList has the DNSBL of a set of zones answered as the configuration says.
func (s *Server) publishList(c *Config, files *load.Files, set *zone.Set) *answer.List {
	f := files.Get(load.ListPath)
	if f == nil {
		return nil
	}
	i, _ := set.Index(f.Zone.Name())
	s.dnsbl.answers = map[netip.Prefix]netip.Addr{}
	for _, c := range f.Clients() {
		s.dnsbl.answers[c.Client] = c.Answer
	}
	return &answer.List{Zone: i, Allow: c.list.Allow}
}
