package tap

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	"mxtrap/server/peer"
)

// Counted is how often something was seen.
type Counted struct {
	Name    string `json:"name"`
	Queries int    `json:"queries"`
}

// Top is what queries were seen most. Its lists are by how often that was, and not longer than was asked for.
type Top struct {
	Seen    int       `json:"seen"` // queries
	Zones   []Counted `json:"zones"`
	Names   []Counted `json:"names"`
	Types   []Counted `json:"types"`
	Rcodes  []Counted `json:"rcodes"`
	Clients []Counted `json:"clients"` // an IPv4 address, or an IPv6 /64
	Decoys  []Counted `json:"decoys"`
}

// Place says of which zone a name is, "" for none that is served, and whether a decoy has it.
type Place func(name string, qtype uint16) (zone string, decoy bool)

// mostKinds is how many of a kind are told apart: whoever makes names up makes as many as he likes.
const mostKinds = 50_000

// tally counts things of a kind.
type tally map[string]int

func (t tally) add(name string) {
	if _, known := t[name]; known || len(t) < mostKinds {
		t[name]++
	}
}

// top are those that were counted most.
func (t tally) top(most int) (list []Counted) {
	list = make([]Counted, 0, len(t))
	for name, n := range t {
		list = append(list, Counted{name, n})
	}
	slices.SortFunc(list, func(a, b Counted) int {
		return cmp.Or(cmp.Compare(b.Queries, a.Queries), strings.Compare(a.Name, b.Name))
	})
	return slices.Clip(list[:min(most, len(list))])
}

// Watch counts the queries of a tap until the context ends.
func Watch(ctx context.Context, t *Tap, place Place, most int) *Top {
	seen := 0
	zones, names, types, rcodes, clients, decoys := tally{}, tally{}, tally{}, tally{}, tally{}, tally{}
	for {
		select {
		case <-ctx.Done():
			return &Top{seen, zones.top(most), names.top(most), types.top(most), rcodes.top(most), clients.top(most), decoys.top(most)}
		case m := <-t.waiting:
			if name, qtype, ok := m.Question(); ok {
				seen++
				zone, decoy := place(name, qtype)
				names.add(name)
				types.add(typeText(qtype))
				rcodes.add(m.Rcode())
				clients.add(clientText(m.From.Addr()))
				if zone != "" {
					zones.add(zone)
				}
				if decoy {
					decoys.add(name)
				}
			}
			t.release(m)
		}
	}
}

// clientText is a client as the operator reads it.
func clientText(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	return peer.ClientOf(a).String()
}
