package judge

import (
	"maps"
	"net/netip"
	"slices"
)

// mostDays is how long what was counted is kept, in days. It has no address in it.
const mostDays = 400

// Day is what was counted in a day.
type Day struct {
	Number   int64          `json:"day"`      // since 1970
	Visits   int            `json:"visits"`   // that real hosts told of
	Took     int            `json:"took"`     // messages that they took
	Ends     bool           `json:"ends"`     // they tell which messages they take
	Sessions map[string]int `json:"sessions"` // at decoys, by rung: "E0" to "E4"
	Ranks    map[int]int    `json:"ranks"`    // and by the decoy's rank, of those that named a recipient
}

// sound makes what a file says of a day one that can be counted on.
func (d *Day) sound() {
	sessions, ranks := map[string]int{}, map[int]int{}
	for rung, n := range d.Sessions {
		if slices.Contains([]string{"E0", "E1", "E2", "E3", "E4"}, rung) {
			sessions[rung] = max(0, n)
		}
	}
	for rank, n := range d.Ranks {
		if rank > 0 {
			ranks[rank] = max(0, n)
		}
	}
	d.Sessions, d.Ranks, d.Visits, d.Took = sessions, ranks, max(0, d.Visits), max(0, d.Took)
}

func (d *Day) copied() Day {
	c := *d
	c.Sessions, c.Ranks = maps.Clone(d.Sessions), maps.Clone(d.Ranks)
	return c
}

func (d *Day) same(other Day) bool {
	return d.Visits == other.Visits && d.Took == other.Took && d.Ends == other.Ends && maps.Equal(d.Sessions, other.Sessions) && maps.Equal(d.Ranks, other.Ranks)
}

// today is the day of a time, in which something is counted. The book is locked.
func (b *Book) today(now int64) *Day {
	d := b.days[now/day]
	if d == nil {
		d = &Day{Number: now / day, Sessions: map[string]int{}, Ranks: map[int]int{}}
		b.days[now/day] = d
	}
	return d
}

// CountSession counts a session at a decoy. The rank is that of the decoy whose domain the client named a recipient of, or else 0.
func (b *Book) CountSession(rung string, rank int, now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.today(now)
	if d.Sessions[rung]++; rank > 0 {
		d.Ranks[rank]++
	}
}

// Took notes that a real host has taken a message of a client.
func (b *Book) Took(client netip.Addr, now int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.today(now)
	d.Took, d.Ends = d.Took+1, true
	key := Narrow(client)
	if len(b.clients[key]) == 0 {
		return nil
	}
	if list := b.took[key]; len(list) > 0 && now < list[len(list)-1]+visitStep {
		return nil
	}
	return b.add(Fact{Took: &Took{now, key}})
}

// noteDays writes what was counted since it was written last.
func (b *Book) noteDays() error {
	var lines []byte
	for _, number := range slices.Sorted(maps.Keys(b.days)) {
		if d := b.days[number]; !d.same(b.counted[number]) {
			b.counted[number] = d.copied()
			lines = appendLine(lines, Fact{Day: d})
		}
	}
	return b.write(lines)
}
