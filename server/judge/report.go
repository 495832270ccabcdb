package judge

import (
	"cmp"
	"maps"
	"math"
	"net/netip"
	"slices"
)

// Report is what a time of observation comes to. It holds no address.
type Report struct {
	From int64 `json:"from"` // in seconds since 1970
	To   int64 `json:"to"`
	Days int   `json:"days"` // of them, those in which something was counted

	Visits   int        `json:"visits"`   // to real hosts, as these have told
	Sessions []Count    `json:"sessions"` // at decoys, by how far they went
	Ranks    []Count    `json:"ranks"`    // connections that named a recipient or came to a real host, by MX rank
	Decoys   Share      `json:"decoys"`   // of these, the part at decoys
	Clients  int        `json:"clients"`  // that were sighted
	Avoiders Share      `json:"avoiders"` // of them, those from around which nobody ever came to a real host
	Rungs    []Share    `json:"rungs"`    // sightings by rung
	Ages     []Share    `json:"ages"`     // of the MX lists of clients that named a recipient
	Leads    []Share    `json:"leads"`    // clients, by the time from the first sighting to the first visit from around them
	Lead     *Quantiles `json:"lead"`     // of those that came later, in seconds; null: nobody did
	Listed   int        `json:"listed"`   // clients that were listed, or would have been
	Honest   *Share     `json:"honest"`   // of these, those of which a real host took a message afterwards: the estimate of wrong listings; null: not measured
	Missing  []string   `json:"missing"`  // what was not measured
}

// Count is how many there were of something.
type Count struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Share is a part of something, with the interval that holds its true value in 95 of 100 cases (Wilson's), if the cases are independent.
type Share struct {
	Name  string  `json:"name,omitempty"`
	Count int     `json:"count"`
	Of    int     `json:"of"`
	Share float64 `json:"share"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// z95 is the quantile of the normal distribution for 95 %.
const z95 = 1.959964

// ShareOf is a part with its interval (Wilson 1927).
func ShareOf(name string, count, of int) Share {
	s := Share{Name: name, Count: count, Of: of, High: 1}
	if of == 0 {
		return s
	}
	n, p := float64(of), float64(count)/float64(of)
	middle, half := p+z95*z95/(2*n), z95*math.Sqrt(p*(1-p)/n+z95*z95/(4*n*n))
	s.Share, s.Low, s.High = p, max(0, (middle-half)/(1+z95*z95/n)), min(1, (middle+half)/(1+z95*z95/n))
	return s
}

// Quantiles are the middle of some values and the interval that holds the true one in 95 of 100 cases.
type Quantiles struct {
	Of     int   `json:"of"`
	Median int64 `json:"median"`
	Low    int64 `json:"low"`
	High   int64 `json:"high"`
}

// quantiles are those of some values, by their order.
func quantiles(values []int64) *Quantiles {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	n := float64(len(values))
	at := func(rank float64) int64 { return values[min(len(values)-1, max(0, int(rank)))] }
	return &Quantiles{len(values), at(n / 2), at(n/2 - z95*math.Sqrt(n)/2), at(n/2 + z95*math.Sqrt(n)/2)}
}

// rungNames are those of sightings.
var rungNames = [...]string{"E2 spoke too early, or no SMTP", "E3 named a recipient", "E4 went on to DATA"}

// Report adds up what is known since a time, from the day (UTC) on in which that is.
func (b *Book) Report(since, now int64, senses, lists bool) *Report {
	since -= since % day
	r := &Report{From: since, To: now, Missing: []string{}}
	b.mu.Lock()
	ends, clients := b.reportDays(r, since, now), slices.Collect(maps.Keys(b.clients))
	b.mu.Unlock()
	var rungs [len(rungNames)]int
	var ages [len(AgeNames)]int
	var leads [len(LeadNames)]int
	var later []int64
	named, avoiders, took, full := 0, 0, 0, false
	each := func(client netip.Prefix) {
		list := slices.Clone(b.clients[client])
		list = slices.DeleteFunc(list, func(s Sighting) bool { return s.At < since })
		if len(list) == 0 {
			return
		}
		full = full || len(b.clients[client]) == mostOfClient
		r.Clients++
		slices.SortFunc(list, func(a, b Sighting) int { return cmp.Compare(a.At, b.At) })
		visits := b.visitsAround(list)
		for i := range list {
			rungs[list[i].rung()]++
			if list[i].Tried {
				named++
				ages[list[i].age()]++
			}
		}
		if len(visits) == 0 && !slices.ContainsFunc(list, func(s Sighting) bool { return s.Cleared }) {
			avoiders++
		}
		leads[lead(&list[0], visits)]++
		if i := slices.IndexFunc(visits, func(at int64) bool { return at >= list[0].At }); i >= 0 && !slices.ContainsFunc(visits, list[0].clearedBefore) {
			later = append(later, visits[i]-list[0].At)
		}
		if from, listed := b.firstListed(client, list, now); listed {
			r.Listed++
			if slices.ContainsFunc(b.took[client], func(at int64) bool { return at >= from }) {
				took++
			}
		}
	}
	for some := range slices.Chunk(clients, judgedAtOnce) {
		b.mu.Lock()
		for _, client := range some {
			each(client)
		}
		b.mu.Unlock()
	}
	r.Avoiders = ShareOf("", avoiders, r.Clients)
	sightings := rungs[0] + rungs[1] + rungs[2]
	for i, name := range rungNames {
		r.Rungs = append(r.Rungs, ShareOf(name, rungs[i], sightings))
	}
	known := named - ages[len(AgeNames)-1]
	for i, name := range AgeNames[:len(AgeNames)-1] {
		r.Ages = append(r.Ages, ShareOf(name, ages[i], known))
	}
	for i, name := range LeadNames {
		r.Leads = append(r.Leads, ShareOf(name, leads[i], r.Clients))
	}
	r.Lead = quantiles(later)
	if ends {
		honest := ShareOf("", took, r.Listed)
		r.Honest = &honest
	}
	r.missing(senses, lists, ends, full, known < named)
	return r
}

// reportDays adds up what was counted by day, and says whether real hosts tell which messages they take.
func (b *Book) reportDays(r *Report, since, now int64) (ends bool) {
	sessions, ranks := map[string]int{}, map[int]int{}
	for number, d := range b.days {
		if number < since/day || number > now/day {
			continue
		}
		r.Days++
		r.Visits += d.Visits
		ends = ends || d.Ends
		for rung, n := range d.Sessions {
			sessions[rung] += n
		}
		for rank, n := range d.Ranks {
			ranks[min(rank, mostRanks+1)] += n
		}
	}
	for _, rung := range slices.Sorted(maps.Keys(sessions)) {
		r.Sessions = append(r.Sessions, Count{rung, sessions[rung]})
	}
	decoys := 0
	r.Ranks = []Count{{"real hosts", r.Visits}}
	for _, rank := range slices.Sorted(maps.Keys(ranks)) {
		r.Ranks = append(r.Ranks, Count{ordinal(rank) + " decoy", ranks[rank]})
		decoys += ranks[rank]
	}
	r.Decoys = ShareOf("", decoys, decoys+r.Visits)
	return ends
}

// missing says what was not measured.
func (r *Report) missing(senses, lists, ends, full, unaged bool) {
	for _, m := range []struct {
		is   bool
		says string
	}{
		{!senses, "who comes to real hosts: set list.policy or list.log"},
		{senses, "which of the real hosts a client came to: mail hosts do not tell"},
		{!ends, "whether listed clients were honest: let Postfix ask at the end of messages too (smtpd_end_of_data_restrictions)"},
		{ends && lists, "whether listed clients would have been let in: mail hosts turn them away, so that wrong listings are underestimated; list.mode = \"observe\" shows them"},
		{unaged, "the age of MX lists where decoys never change: set trap.rotate"},
		{full, "sightings beyond the last 64 of a client"},
		{r.Days == 0, "sessions and visits by day: nothing was counted in this time"},
		{true, "clients that looked decoys up and did not connect; clients that packet filters and postscreen turn away"},
	} {
		if m.is {
			r.Missing = append(r.Missing, m.says)
		}
	}
}

// visitsAround are visits from around the client of some sightings, the oldest first.
func (b *Book) visitsAround(list []Sighting) (visits []int64) {
	for _, from := range surroundings(list) {
		visits = append(visits, b.visits[from]...)
	}
	slices.Sort(visits)
	return visits
}

// clearedBefore says whether a visit came shortly before the sighting.
func (s *Sighting) clearedBefore(visit int64) bool { return visit < s.At && visit >= s.At-visitBefore }

// firstListed is when a client was first listed, or would have been, by what was known then.
func (b *Book) firstListed(client netip.Prefix, list []Sighting, now int64) (from int64, listed bool) {
	if slices.ContainsFunc(never, client.Contains) || slices.ContainsFunc(b.rules.Exempt, client.Overlaps) {
		return 0, false
	}
	e := b.evidence(client)
	for _, s := range list {
		for _, at := range []int64{s.At, s.At + visitAfter} {
			if at > now {
				continue
			}
			if l := Judge(e.until(at), at); l != nil {
				return at, true
			}
		}
	}
	return 0, false
}

// until is the evidence that there was at a time.
func (e Evidence) until(at int64) Evidence {
	e.Visits = slices.DeleteFunc(slices.Clone(e.Visits), func(v int64) bool { return v > at })
	e.Asked = slices.DeleteFunc(slices.Clone(e.Asked), func(v int64) bool { return v > at })
	e.Outages = slices.DeleteFunc(slices.Clone(e.Outages), func(o Outage) bool { return o.From > at })
	if e.Pardoned > at {
		e.Pardoned = 0
	}
	return e
}

// mostRanks is how many decoys of an owner are told apart.
const mostRanks = 5

func ordinal(n int) string {
	return [mostRanks + 1]string{"first", "second", "third", "fourth", "fifth", "further"}[min(n, mostRanks+1)-1]
}
