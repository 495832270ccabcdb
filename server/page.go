package server

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"mxtrap/metrics"
	"mxtrap/server/answer"
	"mxtrap/server/catch"
	"mxtrap/server/control"
	"mxtrap/server/page"
	"mxtrap/zone"
	"mxtrap/zone/mail"
)

// pages shows the server to a person. It reads what everybody may read, so that a page waits for no load.
type pages struct {
	*Server

	mu     sync.Mutex
	of     *zone.Set // the set whose zones are in order
	byName []int
}

// usePage has the page shown, or not, as a configuration says.
func (s *Server) usePage(c *Config) {
	if !c.page {
		s.metrics.Page.Store(nil)
		return
	}
	h := page.Handler(&pages{Server: s})
	if !c.pageSaid { // the address is on loopback alone: no other site's page may get at it by a name that leads there (DNS rebinding)
		h = onlyByAddress(h)
	}
	s.metrics.Page.Store(&h)
}

// onlyByAddress answers who asks for an address or localhost.
func onlyByAddress(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if ap, err := netip.ParseAddrPort(host); err == nil {
			host = ap.Addr().String()
		} else if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
			host = host[:i]
		}
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil && host != "localhost" {
			http.Error(w, "ask for an address or localhost, or set server.page = true", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Most of what a page lists.
const (
	mostDownShown   = 20
	mostListedShown = 100
	zoneWait        = 3 * time.Second // for the server to say how a zone is
)

// ordered are the places of the zones of a set, by name.
func (p *pages) ordered(set *zone.Set) []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == set {
		return p.byName
	}
	zones := set.Zones()
	names := make([]string, len(zones))
	p.of, p.byName = set, make([]int, len(zones))
	for i, z := range zones {
		names[i], p.byName[i] = z.Name(), i
	}
	slices.SortFunc(p.byName, func(a, b int) int { return strings.Compare(names[a], names[b]) })
	return p.byName
}

// Overview implements [page.Server].
func (p *pages) Overview(search string, from, most int) *page.Overview {
	snap := p.state.Current.Load()
	zones, order := snap.Zones.Zones(), p.ordered(snap.Zones)
	o := &page.Overview{
		Version: p.Version, Since: p.began, Zones: len(zones), Reloaded: p.loadedWell.Load(), Lists: p.keeper.Lists(), Catches: len(p.catcher.catch.Listening()) > 0, DownCount: len(snap.Down), Counts: len(snap.Counts) > 0,
	}
	for _, e := range p.catcher.watch.States() {
		if !e.Up && len(o.Unwell) < mostDownShown {
			o.Unwell = append(o.Unwell, e.Host)
		}
	}
	for i := range snap.Down {
		if len(o.Down) == mostDownShown {
			break
		}
		o.Down = append(o.Down, zones[i].Name())
	}
	slices.Sort(o.Down)
	slices.Sort(o.Unwell)
	o.Unwell = slices.Compact(o.Unwell)
	search = strings.ToLower(strings.TrimSuffix(search, "."))
	for _, i := range order {
		z := zones[i]
		if search != "" && !strings.Contains(z.Name(), search) {
			continue
		}
		if o.Found++; o.Found <= from || len(o.Rows) == most {
			continue
		}
		row := page.Row{Name: z.Name(), Serial: z.Serial(), Down: snap.Down[i], Signed: z.Plan() != nil || z.Given()}
		row.Decoys, row.Covers = z.Decoys()
		for _, t := range z.Traps() {
			row.Real += t.Real
		}
		if len(snap.Counts) > 0 {
			row.Queries = p.metrics.Total(snap.Counts[i].Zone, metrics.ZoneQueries)
		}
		o.Rows = append(o.Rows, row)
	}
	return o
}

// Zone implements [page.Server].
func (p *pages) Zone(name string) (*page.Zone, error) {
	ctx, cancel := context.WithTimeout(context.Background(), zoneWait)
	defer cancel()
	status, err := within(ctx, p.Server, func() (*control.Zone, error) { return p.zoneStatus(name) })
	if err != nil {
		return nil, err
	}
	snap := p.state.Current.Load()
	i, ok := snap.Zones.Index(status.Name)
	if !ok {
		return nil, control.ErrNoZone
	}
	z, shown := snap.Zones.Zones()[i], &page.Zone{Zone: *status, Counts: len(snap.Counts) > 0}
	lookups := func(string) uint64 { return 0 }
	if len(snap.Counts) > 0 {
		shown.Queries = p.metrics.Total(snap.Counts[i].Zone, metrics.ZoneQueries)
		lookups = func(host string) (sum uint64) {
			for n, h := range z.Hosts() {
				if h.Name+"."+z.Name() != host {
					continue
				}
				for t := range metrics.HostCounters {
					sum += p.metrics.Total(snap.Counts[i].Hosts, n*metrics.HostCounters+t)
				}
			}
			return sum
		}
	}
	if len(z.Traps()) == 0 {
		return shown, nil
	}
	domains, err := mail.Domains(z, answer.AskerOf(&p.state).Ask, p.resolver.Known)
	if err != nil {
		return nil, err
	}
	health := map[string]string{}
	for _, e := range status.Exchanges {
		health[e.Host] = map[bool]string{true: "well", false: "not well"}[e.Up]
	}
	sightings := p.keeper.Book.ByDecoy()
	for _, d := range domains {
		one := page.Domain{Owner: d.Owner}
		for _, e := range d.Exchanges {
			x := page.Exchange{Host: e.Host, Preference: e.Preference, Role: string(e.Role), CoverFor: e.CoverFor, Health: health[e.Host], Lookups: lookups(e.Host)}
			if e.Role == mail.Decoy {
				x.Sightings = sightings[e.Host]
			}
			for _, a := range e.Addresses {
				x.Addresses = append(x.Addresses, a.String())
			}
			one.Exchanges = append(one.Exchanges, x)
		}
		shown.Domains = append(shown.Domains, one)
	}
	return shown, nil
}

// Facts implements [page.Server].
func (p *pages) Facts(client netip.Addr) (*control.Facts, error) { return p.facts(client) }

// Picture implements [page.Server].
func (p *pages) Picture() *page.Picture {
	now := p.Clock()
	picture := &page.Picture{Picture: p.keeper.Book.Picture(now.Unix()), Ranks: map[string]int{}, Made: time.Now()}
	ranks, set := map[int]map[string]int{}, p.state.Current.Load().Zones // by zone and host
	place := p.placeOf()
	for host := range picture.Decoys {
		name, decoy := place(host, 1)
		i, ok := set.Index(name)
		if !decoy || !ok {
			continue
		}
		if ranks[i] == nil {
			ranks[i] = map[string]int{}
			before := map[string]int{} // decoys of an owner
			for _, h := range set.Zones()[i].Hosts() {
				if h.Decoy {
					before[h.For]++
					ranks[i][h.Name+"."+name] = before[h.For]
				}
			}
		}
		picture.Ranks[host] = ranks[i][host]
	}
	mx, decoys := p.metrics.TrapLookups()
	sessions := p.metrics.CatchSessions.Sum()
	if p.keeper.Unread() == nil {
		picture.Listed, _ = p.keeper.Entries(now.Unix(), p.keeper.Lists())
		picture.ListedAll, picture.Listed = len(picture.Listed), picture.Listed[:min(mostListedShown, len(picture.Listed))]
	}
	if len(p.state.Current.Load().Counts) > 0 {
		picture.Funnel = []page.Step{{Name: "MX look-ups", Count: mx}, {Name: "decoy look-ups", Count: decoys}}
	}
	for rung := range catch.Rungs {
		name := rung.String()
		picture.Funnel = append(picture.Funnel, page.Step{Name: "sessions " + name + ": " + rungs[name], Count: uint64(sessions[name])})
	}
	picture.Funnel = append(picture.Funnel, page.Step{Name: "clients listed now", Count: uint64(picture.ListedAll)})
	return picture
}

// rungs are those of sessions, in a few words.
var rungs = map[string]string{"E0": "connected", "E1": "spoke SMTP", "E2": "too early, or no SMTP", "E3": "named a recipient", "E4": "went on to DATA"}
