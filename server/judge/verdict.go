package judge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"mxtrap/server/peer"
)

// Sighting is what a client did at a decoy while all real exchanges of its owner were well.
type Sighting struct {
	At         int64      `json:"at"` // in seconds since 1970, as all times here
	Client     netip.Addr `json:"client"`
	Owner      string     `json:"owner"`
	Decoy      string     `json:"decoy"`
	Rank       int        `json:"rank,omitempty"` // of the decoy, counted from 1; 0: not known
	Helo       string     `json:"helo,omitempty"`
	Sender     string     `json:"sender,omitempty"` // the domain
	Recipients []string   `json:"recipients,omitempty"`
	NoSMTP     bool       `json:"no_smtp,omitempty"`  // spoke before the greeting, or spoke no SMTP
	Tried      bool       `json:"tried,omitempty"`    // named a sender and a recipient of the owner
	Data       bool       `json:"data,omitempty"`     // and went on to DATA, though every recipient was refused
	Age        int64      `json:"list_age,omitempty"` // for how many seconds no MX set had had the decoy any more: the client's list was as old
	Aged       bool       `json:"aged,omitempty"`     // the age is known, for the decoys of the owner change
	Stale      bool       `json:"stale,omitempty"`    // it is longer than caches keep one
	Vouched    bool       `json:"vouched,omitempty"`  // its name is forward-confirmed, and SPF passes for the sender's domain
	Name       string     `json:"name,omitempty"`     // its forward-confirmed name
	ID         string     `json:"id,omitempty"`       // of what another server saw; "": this one did
	Cleared    bool       `json:"cleared,omitempty"`  // a visit to a real host cleared it, which is known for longer than the visit
}

// Outage is a time in which not all was known to be well.
type Outage struct {
	Owner string `json:"owner,omitempty"` // whose real exchange was down; "": of all, for this process did not run, or its clock jumped
	Node  string `json:"node,omitempty"`  // that has told of it; "": this one
	From  int64  `json:"from"`
	To    int64  `json:"to,omitempty"` // 0: it goes on
}

// whose is what tells outages apart that may go on at the same time.
type whose struct{ node, owner string }

func (o *Outage) whose() whose { return whose{o.Node, o.Owner} }

// Evidence is what is known of a client.
type Evidence struct {
	Sightings []Sighting
	Visits    []int64  // to real exchanges, by anybody of the same surroundings
	Outages   []Outage // of the owners of the sightings, and of all
	Pardoned  int64    // what the client did until then is forgiven; 0: nothing is
	Asked     []int64  // when a real host's Postfix told of anybody at all, in order: where it did not, the lack of visits says nothing
}

// Grade is the ground of a listing, which is also the last octet of its DNSBL answer (RFC 5782 2.1).
type Grade int

// The grades.
const (
	NoSMTP  Grade = 2 // spoke no SMTP, or too early, in two sessions
	Passed  Grade = 4 // tried a decoy and no real host
	Deaf    Grade = 5 // went on to DATA though every recipient was refused
	Passed2 Grade = 6 // tried decoys of two owners, on three days, or of an MX set that no cache has any more, and never a real host
)

// Grades are all of them.
var Grades = []Grade{NoSMTP, Passed, Deaf, Passed2}

// Listing says that a client is to be kept out for a time.
type Listing struct {
	Grade   Grade      `json:"grade"`
	From    int64      `json:"from"`
	End     int64      `json:"end"`
	Grounds []Sighting `json:"grounds"` // the sightings that convict, the oldest first
}

// Times of the judge, in seconds.
const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour

	visitStep  = 5 * minute // visits from around one client that follow each other faster are one
	rudeWithin = day        // the two sessions without SMTP
)

// Times of the judge that the simulation tries others of, in seconds: simulation_test.go has what follows from them.
var (
	visitBefore int64 = 10*minute + visitStep
	visitAfter  int64 = 60 * minute // a visit to a real host from so long before a sighting until so long after clears it
	outageNear  int64 = 15 * minute // as does an outage
	apart       int64 = hour        // between the two sessions that convict a client that looks honest
	weighsAge         = true        // an old list makes a conviction last longer
)

// life is how long a listing lasts.
var life = map[Grade]int64{NoSMTP: 6 * hour, Passed: day, Deaf: day, Passed2: 7 * day}

// Judge says whether a client is listed at a time, and why; nil: it is not. It does not matter in which order the other facts stand.
func Judge(e Evidence, now int64) *Listing {
	sightings := slices.DeleteFunc(slices.Clone(e.Sightings), func(s Sighting) bool {
		return s.Cleared || s.At > now || s.At <= e.Pardoned || e.cleared(s)
	})
	slices.SortFunc(sightings, func(a, b Sighting) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Decoy, b.Decoy))
	})
	var listed *Listing
	add := func(g Grade, from int64, grounds ...Sighting) {
		if from > now || from+life[g] <= now || slices.ContainsFunc(e.Visits, func(v int64) bool { return v >= from && v <= now }) {
			return // not yet, not any more, or pardoned by a visit
		}
		if listed == nil || g > listed.Grade || g == listed.Grade && from > listed.From {
			listed = &Listing{Grade: g, From: from, End: from + life[g], Grounds: grounds}
		}
	}
	var rude, passed, deaf []Sighting
	for _, s := range sightings {
		if s.NoSMTP {
			if n := len(rude); n > 0 && s.At-rude[n-1].At <= rudeWithin && again(rude, s) {
				add(NoSMTP, s.At, rude[n-1], s)
			}
			rude = append(rude, s)
		}
		if s.Data {
			if again(deaf, s) {
				add(Deaf, s.At, s)
			}
			deaf = append(deaf, s)
		}
		if !s.Tried || !e.watched(s) {
			continue
		}
		convicts := again(passed, s)
		if passed = append(passed, s); convicts {
			add(Passed, s.At+visitAfter, s)
			if (widespread(passed) || s.Stale && weighsAge) && len(e.Visits) == 0 {
				add(Passed2, s.At+visitAfter, passed...)
			}
		}
	}
	return listed
}

// again says whether a sighting convicts, or is the first that an honest client may have.
func again(before []Sighting, s Sighting) bool {
	return !s.Vouched || slices.ContainsFunc(before, func(b Sighting) bool { return s.At-b.At >= apart })
}

// cleared says whether a sighting is no evidence: a visit to a real host around it, or an outage.
func (e *Evidence) cleared(s Sighting) bool {
	if slices.ContainsFunc(e.Visits, s.clearedBy) {
		return true
	}
	return slices.ContainsFunc(e.Outages, func(o Outage) bool {
		from, to := s.At-outageNear, s.At+outageNear
		if o.Owner == "" {
			to = s.At + visitAfter // visits were not seen either
		} else if o.Owner != s.Owner {
			return false
		}
		return o.From <= to && (o.To == 0 || o.To >= from)
	})
}

// clearedBy says whether a visit clears the sighting.
func (s *Sighting) clearedBy(visit int64) bool {
	return visit >= s.At-visitBefore && visit <= s.At+visitAfter
}

// watched says whether visits to real hosts were seen around a sighting: somebody's were, both in the hour before and in the time in which
// one would clear it.
func (e *Evidence) watched(s Sighting) bool {
	within := func(from, to int64) bool {
		i, _ := slices.BinarySearch(e.Asked, from)
		return i < len(e.Asked) && e.Asked[i] <= to
	}
	return within(s.At-hour, s.At) && within(s.At, s.At+visitAfter)
}

// widespread says whether sightings are of two owners or of three days.
func widespread(list []Sighting) bool {
	owners, days := map[string]bool{}, map[int64]bool{}
	for _, s := range list {
		owners[s.Owner], days[s.At/day] = true, true
	}
	return len(owners) > 1 || len(days) > 2
}

// Narrow is what is convicted: an IPv4 address, or the /64 of an IPv6 address.
func Narrow(a netip.Addr) netip.Prefix { return peer.ClientOf(a) }

// Surrounding is what is pardoned together, for large senders try a message again from another host: a /24, a /64, or the domain of names that
// lead back to their addresses.
type Surrounding string

// Surroundings are those of a client, whose forward-confirmed name is "" where it has none.
func Surroundings(a netip.Addr, name string) []Surrounding {
	list := []Surrounding{Surrounding(Wide(a).String())}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(strings.TrimSuffix(name, "."))); err == nil {
		list = append(list, Surrounding(domain))
	}
	return list
}

// surroundings are those of the client of a sighting.
func (s *Sighting) surroundings() []Surrounding { return Surroundings(s.Client, s.Name) }

// Wide is what surrounds an address: its /24, or for IPv6 its /64.
func Wide(a netip.Addr) netip.Prefix {
	if a.Is6() {
		return Narrow(a)
	}
	p, _ := a.Prefix(24)
	return p
}

// UTC is a time in words.
func UTC(at int64) string { return time.Unix(at, 0).UTC().Format("2006-01-02 15:04:05 UTC") }

// String is the ground in words.
func (g Grade) String() string {
	switch g {
	case NoSMTP:
		return "spoke no SMTP, or before the greeting, in two sessions"
	case Passed:
		return "tried a decoy and no real host"
	case Deaf:
		return "went on to DATA though every recipient was refused"
	case Passed2:
		return "tried decoys of two domains, on three days or of an old list, and never a real host"
	}
	return "nothing"
}

// Says is what the client did, in words.
func (s *Sighting) Says() string {
	did := []string{}
	for _, fact := range []struct {
		is   bool
		says string
	}{
		{s.NoSMTP, "spoke before the greeting, or no SMTP"}, {s.Tried, "named a sender and a recipient"}, {s.Data, "went on to DATA"},
		{s.Vouched, "DNS speaks for it"},
	} {
		if fact.is {
			did = append(did, fact.says)
		}
	}
	if s.Age > 0 {
		did = append(did, fmt.Sprintf("had an MX list that was %s old at least", time.Duration(s.Age)*time.Second))
	}
	return strings.Join(did, ", ")
}
