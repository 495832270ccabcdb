package judge

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// PictureHours is how far back a picture of the facts goes.
const PictureHours = 7 * 24

// mostHosts is how many decoys a picture tells apart.
const mostHosts = 1000

// Picture is what the facts come to, for a person.
type Picture struct {
	From      int64                        // the first of its hours, in seconds since 1970
	Decoys    map[string][PictureHours]int // sightings in each hour, by decoy; "": of more decoys than are told apart
	Visits    [PictureHours]int            // to real hosts, in steps of five minutes, by surrounding
	Outages   [PictureHours]bool           // in which not all was known to be well
	Rungs     [3]int                       // sightings: of rung E2, E3 and E4
	Grades    map[Grade]int                // clients that are listed
	Leads     [len(LeadNames)]int          // sightings, by the time until somebody around the client came to a real host
	Fates     [len(FateNames)]int          // clients, by what became of them
	Dialects  [len(DialectNames)][24]int   // sightings, by HELO and hour of the day (UTC)
	Ages      [len(AgeNames)]int           // sightings of rung E3 and E4, by the age of the client's MX list
	Sightings int
	Clients   int
}

// LeadNames are the times of Picture.Leads.
var LeadNames = [...]string{"came before", "within 5 minutes", "within an hour", "within a day", "later", "never"}

// FateNames are the fates of clients.
var FateNames = [...]string{"listed", "cleared by a visit to a real host", "near an outage", "pardoned by the operator", "too little to convict"}

// DialectNames are kinds of HELO.
var DialectNames = [...]string{"none", "an address in brackets", "one word", "a name of the domain itself", "a name made of the address", "another host name"}

// AgeNames are the ages of Picture.Ages.
var AgeNames = [...]string{"as it is now", "up to a day old", "up to a week", "up to 30 days", "up to 90 days", "older", "not known: the decoys never change"}

// age is the place among [AgeNames] of the age of the client's MX list.
func (s *Sighting) age() int {
	if !s.Aged {
		return len(AgeNames) - 1
	}
	for i, most := range []int64{0, day, 7 * day, 30 * day, 90 * day} {
		if s.Age <= most {
			return i
		}
	}
	return len(AgeNames) - 2
}

// Picture adds the facts up that are known at a time.
func (b *Book) Picture(now int64) *Picture {
	p := &Picture{From: now - now%hour - (PictureHours-1)*hour, Decoys: map[string][PictureHours]int{}, Grades: map[Grade]int{}}
	b.mu.Lock()
	clients := slices.Collect(maps.Keys(b.clients))
	for _, visits := range b.visits {
		for _, at := range visits {
			if h, ok := p.hour(at); ok {
				p.Visits[h]++
			}
		}
	}
	for _, outages := range b.outages {
		for _, o := range outages {
			p.outage(o, now)
		}
	}
	b.mu.Unlock()
	for some := range slices.Chunk(clients, judgedAtOnce) {
		b.mu.Lock()
		for _, client := range some {
			b.paint(p, client, now)
		}
		b.mu.Unlock()
	}
	return p
}

// hour is which of the picture's hours a time is in.
func (p *Picture) hour(at int64) (int, bool) {
	h := (at - p.From) / hour
	return int(h), at >= p.From && h < PictureHours
}

func (p *Picture) outage(o Outage, now int64) {
	to := o.To
	if to == 0 {
		to = now
	}
	for at := max(o.From, p.From); at <= to; at += hour {
		if h, ok := p.hour(at); ok {
			p.Outages[h] = true
		}
	}
	if h, ok := p.hour(to); ok && to >= o.From {
		p.Outages[h] = true
	}
}

// paint adds a client.
func (b *Book) paint(p *Picture, client netip.Prefix, now int64) {
	list := b.clients[client]
	if len(list) == 0 {
		return
	}
	p.Clients++
	var visits []int64
	for _, from := range surroundings(list) {
		visits = append(visits, b.visits[from]...)
	}
	slices.Sort(visits)
	for i := range list {
		s := &list[i]
		p.Sightings++
		p.Rungs[s.rung()]++
		p.Leads[lead(s, visits)]++
		p.Dialects[dialect(s)][s.At/hour%24]++
		if s.Tried {
			p.Ages[s.age()]++
		}
		if h, ok := p.hour(s.At); ok {
			host := s.Decoy
			if _, known := p.Decoys[host]; !known && len(p.Decoys) >= mostHosts {
				host = ""
			}
			hours := p.Decoys[host]
			hours[h]++
			p.Decoys[host] = hours
		}
	}
	fate, grade := b.fate(client, now)
	p.Fates[fate]++
	if fate == 0 {
		p.Grades[grade]++
	}
}

// rung is 0 of E2, 1 of E3 and 2 of E4.
func (s *Sighting) rung() int {
	switch {
	case s.Data:
		return 2
	case s.Tried:
		return 1
	}
	return 0
}

// lead is the place among [LeadNames] of the time from a sighting to the first visit from around the client.
func lead(s *Sighting, visits []int64) int {
	for _, at := range visits {
		switch after := at - s.At; {
		case after < -visitBefore:
		case after < 0:
			return 0
		case after <= visitStep:
			return 1
		case after <= hour:
			return 2
		case after <= day:
			return 3
		default:
			return 4
		}
	}
	if s.Cleared {
		return 2 // by a visit that is not remembered any more
	}
	return len(LeadNames) - 1
}

// dialect is the place of a HELO among [DialectNames].
func dialect(s *Sighting) int {
	helo := strings.ToLower(strings.TrimSuffix(s.Helo, "."))
	address := s.Client.String()
	switch {
	case helo == "":
		return 0
	case strings.HasPrefix(helo, "[") || helo == address:
		return 1
	case !strings.Contains(helo, "."):
		return 2
	case helo == s.Owner || strings.HasSuffix(helo, "."+s.Owner):
		return 3
	case strings.Contains(helo, address) || s.Client.Is4() && strings.Contains(helo, strings.ReplaceAll(address, ".", "-")):
		return 4
	}
	return 5
}

// fate is the place among [FateNames] of what became of a client, and the ground where it is listed: what is told apart is which of the facts keeps
// it from being listed.
func (b *Book) fate(client netip.Prefix, now int64) (fate int, grade Grade) {
	if l := b.judge(client, now); l != nil {
		return 0, l.Grade
	}
	e := b.evidence(client)
	e.Sightings = slices.Clone(e.Sightings)
	for i := range e.Sightings {
		e.Sightings[i].Cleared = false
	}
	for i, without := range []func(){func() { e.Visits = nil }, func() { e.Outages = nil }, func() { e.Pardoned = 0 }} {
		if without(); Judge(e, now) != nil {
			return i + 1, 0
		}
	}
	return len(FateNames) - 1, 0
}

// ByDecoy is how many sightings each decoy has.
func (b *Book) ByDecoy() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	count := map[string]int{}
	for _, list := range b.clients {
		for i := range list {
			count[list[i].Decoy]++
		}
	}
	return count
}
