package judge

import (
	"maps"
	"net/netip"
	"slices"
)

// never are addresses that a DNSBL must not list (RFC 5782 5), and that packet filters must not drop: this host's own.
var never = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// Entry is a client that is listed, or would be.
type Entry struct {
	Client netip.Prefix `json:"client"`
	Listing
}

// Judge says whether a client is listed at a time; nil: it is not.
func (b *Book) Judge(client netip.Addr, now int64) *Listing {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.judge(Narrow(client), now)
}

func (b *Book) judge(client netip.Prefix, now int64) *Listing {
	list := b.clients[client]
	if len(list) == 0 || slices.ContainsFunc(never, client.Contains) || slices.ContainsFunc(b.rules.Exempt, client.Overlaps) {
		return nil
	}
	return Judge(b.evidence(client), now)
}

// evidence is what is known of a client.
func (b *Book) evidence(client netip.Prefix) Evidence {
	list := b.clients[client]
	e := Evidence{Sightings: list, Asked: b.asked}
	for _, from := range surroundings(list) {
		e.Visits = append(e.Visits, b.visits[from]...)
	}
	e.Outages = b.outagesOf("", nil)
	for i, s := range list {
		if !slices.ContainsFunc(list[:i], func(before Sighting) bool { return before.Owner == s.Owner }) {
			e.Outages = b.outagesOf(s.Owner, e.Outages)
		}
	}
	e.Pardoned = b.pardoned(client)
	return e
}

// outagesOf are those of an owner, by whichever server they were seen, behind others.
func (b *Book) outagesOf(owner string, to []Outage) []Outage {
	to = append(to, b.outages[whose{owner: owner}]...)
	for node := range b.fleet.nodes {
		to = append(to, b.outages[whose{node, owner}]...)
	}
	return to
}

// pardoned is until when the operator has forgiven a client.
func (b *Book) pardoned(client netip.Prefix) (until int64) {
	for _, list := range [][]Pardon{b.pardons, b.fleet.pardons} {
		for _, p := range list {
			if p.For.Overlaps(client) {
				until = max(until, p.At)
			}
		}
	}
	return until
}

// judgedAtOnce is how many clients are judged while those wait who bring facts: Postfix is answered once they are noted.
const judgedAtOnce = 100

// Listed are all clients that are listed at a time, in the order of their addresses.
func (b *Book) Listed(now int64) (entries []Entry) {
	b.mu.Lock()
	clients := slices.Collect(maps.Keys(b.clients))
	b.mu.Unlock()
	for some := range slices.Chunk(clients, judgedAtOnce) {
		b.mu.Lock()
		for _, client := range some {
			if l := b.judge(client, now); l != nil {
				entries = append(entries, Entry{client, *l})
			}
		}
		b.mu.Unlock()
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.Client.Compare(b.Client) })
	return entries
}

// surroundings are those of the client of some sightings, at least of one.
func surroundings(list []Sighting) (all []Surrounding) {
	for i := range list {
		for _, from := range list[i].surroundings() {
			if !slices.Contains(all, from) {
				all = append(all, from)
			}
		}
	}
	return all
}

// Sightings are those of a client, the oldest first, and what visits of its surroundings to real hosts are known.
func (b *Book) Sightings(client netip.Addr) (list []Sighting, visits []Visit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list = slices.Clone(b.clients[Narrow(client)])
	all := surroundings(list)
	if len(list) == 0 {
		all = Surroundings(client, "")
	}
	for _, from := range all {
		for _, at := range b.visits[from] {
			visits = append(visits, Visit{at, from})
		}
	}
	return list, visits
}
