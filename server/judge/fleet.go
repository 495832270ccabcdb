package judge

import (
	"net/netip"
	"slices"
)

// fleet is what ties a book to those of other servers. What one of them notes all hear, so that all judge alike.
type fleet struct {
	tell    func(Fact)              // is called with what is noted here first, while the book is locked; nil: there are no others
	listed  func(netip.Prefix) bool // whether mail hosts turn a client away
	nodes   map[string]bool         // that have told of outages
	pardons []Pardon                // of the operators at other servers
}

// Join has others told what is noted here, by a function that must not wait, nor call the book. Whether a client is listed, and so turned away by
// real hosts, is theirs to say too.
func (b *Book) Join(tell func(Fact), listed func(netip.Prefix) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fleet.tell, b.fleet.listed = tell, listed
}

// tell tells others of a fact.
func (b *Book) tell(f Fact) {
	if b.fleet.tell != nil && f.Alive == 0 && f.Took == nil {
		b.fleet.tell(f)
	}
}

// turnsAway says whether real hosts turn a client away.
func (b *Book) turnsAway(client netip.Prefix, now int64) bool {
	if b.fleet.listed != nil {
		return b.fleet.listed(client)
	}
	return b.judge(client, now) != nil
}

// Hear notes a fact that another server has told of. What was heard before changes nothing.
func (b *Book) Hear(f Fact) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case f.Sighting != nil:
		if !f.Sighting.Client.IsValid() || b.rules.Keep == 0 || slices.ContainsFunc(b.clients[Narrow(f.Sighting.Client)], f.Sighting.sameAs) {
			return nil
		}
	case f.Visit != nil:
		return b.hearVisit(*f.Visit)
	case f.Asked != 0:
		if b.hasAsked(f.Asked) {
			return nil
		}
	case f.Outage != nil:
		if slices.Contains(b.outages[f.Outage.whose()], *f.Outage) {
			return nil
		}
	case f.Pardon != nil:
		near := func(p Pardon) bool {
			return p.For == f.Pardon.For && p.At >= f.Pardon.At-sameTime && p.At <= f.Pardon.At+sameTime
		}
		if !f.Pardon.For.IsValid() || slices.ContainsFunc(b.fleet.pardons, near) || slices.ContainsFunc(b.pardons, near) {
			return nil
		}
	default:
		return nil // is no business of others
	}
	tell := b.fleet.tell
	b.fleet.tell = nil
	defer func() { b.fleet.tell = tell }()
	return b.add(f)
}

// sameTime is by how many seconds a fact may move on its way from server to server.
const sameTime = 3

// sameAs says whether another sighting is the same, by its id, or by what it tells: this server may have been another once.
func (s *Sighting) sameAs(other Sighting) bool {
	if other.ID != "" || s.ID == "" {
		return other.ID == s.ID
	}
	return other.At >= s.At-sameTime && other.At <= s.At+sameTime && other.Owner == s.Owner && other.Decoy == s.Decoy && other.Helo == s.Helo && other.rung() == s.rung()
}

// Sound says whether an entry of a list is one that a judge could have made until a time: whatever stands in a store.
func (b *Book) Sound(e Entry, now int64) bool {
	if !e.Client.IsValid() || len(e.Grounds) == 0 || !slices.Contains(Grades, e.Grade) || e.Client != Narrow(e.Client.Addr()) {
		return false
	}
	return e.From <= now+minute && e.End <= now+minute+life[e.Grade] && !slices.ContainsFunc(never, e.Client.Contains)
}

// knowNode notes that there is a server.
func (b *Book) knowNode(node string) {
	if b.fleet.nodes == nil {
		b.fleet.nodes = map[string]bool{}
	}
	b.fleet.nodes[node] = true
}

// hearVisit notes a visit that may be older than others that are known.
func (b *Book) hearVisit(v Visit) error {
	list := b.visits[v.From]
	if slices.ContainsFunc(list, func(at int64) bool { return at <= v.At && v.At < at+visitStep }) {
		return nil
	}
	var lines []byte
	if len(b.around[v.From]) > 0 {
		lines = appendLine(nil, Fact{Visit: &v})
	}
	b.take(Fact{Visit: &v})
	slices.Sort(b.visits[v.From])
	return b.write(lines)
}

// AroundClient are the surroundings of a client, by what is known of it.
func (b *Book) AroundClient(client netip.Prefix) []Surrounding {
	b.mu.Lock()
	defer b.mu.Unlock()
	return surroundings(b.clients[client])
}

// Forgiven says whether a client is exempt, or the operator has forgiven what it had done until a time.
func (b *Book) Forgiven(client netip.Prefix, until int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.rules.Exempt, client.Overlaps) || b.pardoned(client) >= until
}

// EndOutages ends what a server that is gone has told of outages that go on.
func (b *Book) EndOutages(node string, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for who, list := range b.outages {
		if n := len(list); who.node == node && n > 0 && list[n-1].To == 0 {
			list[n-1].To = max(at, list[n-1].From+1)
			b.anew = true
		}
	}
}

// Sighted says whether a client of some surroundings was sighted.
func (b *Book) Sighted(from Surrounding) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.around[from]) > 0
}

// KeepSeconds is how long sightings are kept.
func (b *Book) KeepSeconds() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(b.rules.Keep.Seconds())
}

// Own are the facts that were noted here first, and that others judge by too.
func (b *Book) Own() (facts []Fact) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.facts() {
		switch {
		case f.Sighting != nil && f.Sighting.ID == "", f.Visit != nil, f.Outage != nil && f.Outage.Node == "", f.Pardon != nil:
			facts = append(facts, f)
		}
	}
	for _, p := range b.pardons {
		facts = append(facts, Fact{Pardon: &p})
	}
	return facts
}

// Asked says whether mail hosts have told of anybody in a time.
func (b *Book) Asked(from, to int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, _ := slices.BinarySearch(b.asked, from)
	return i < len(b.asked) && b.asked[i] <= to
}
