package judge

import (
	"net/netip"
	"testing"
	"time"
)

func TestAPictureAddsTheFactsUp(t *testing.T) {
	b := NewBook(Rules{Keep: 30 * 24 * time.Hour})
	now := int64(noon)
	at := func(client, helo string, ago int64, data bool) {
		a := netip.MustParseAddr(client)
		b.Add(Fact{Sighting: &Sighting{At: now - ago, Client: a, Owner: "example.com", Decoy: "mx2.example.com", Helo: helo, Sender: "x.test", Tried: true, Data: data}})
	}
	for asked := now - 8*hour; asked <= now; asked += 5 * minute {
		b.Add(Fact{Asked: asked})
	}
	at("192.0.2.1", "user-pc", 2*hour, true)                 // listed
	at("198.51.100.1", "mail.example.com", 3*hour, true)     // comes to a real host later
	at("203.0.113.1", "203-0-113-1.dyn.test", hour/2, false) // too early to tell
	b.Add(Fact{Visit: &Visit{At: now - 2*hour, From: "198.51.100.0/24"}})
	p := b.Picture(now)
	if p.Clients != 3 || p.Sightings != 3 || p.Rungs != [3]int{0, 1, 2} || p.Grades[Deaf] != 1 {
		t.Errorf("%+v", p)
	}
	if want := [len(FateNames)]int{1, 1, 0, 0, 1}; p.Fates != want {
		t.Errorf("fates %v, want %v", p.Fates, want)
	}
	if want := [len(LeadNames)]int{0, 0, 1, 0, 0, 2}; p.Leads != want {
		t.Errorf("leads %v, want %v", p.Leads, want)
	}
	dialects := [len(DialectNames)]int{}
	for i, hours := range p.Dialects {
		for _, n := range hours {
			dialects[i] += n
		}
	}
	if want := [len(DialectNames)]int{0, 0, 1, 1, 1, 0}; dialects != want {
		t.Errorf("dialects %v, want %v", dialects, want)
	}
	sum := 0
	for _, n := range p.Decoys["mx2.example.com"] {
		sum += n
	}
	if sum != 3 || p.Visits == [PictureHours]int{} {
		t.Error(sum, p.Visits)
	}
	b.Add(Fact{Outage: &Outage{Owner: "example.com", From: now - 2*hour - minute, To: now - 2*hour + minute}})
	if p := b.Picture(now); p.Fates[2] != 1 {
		t.Errorf("with an outage: %v", p.Fates)
	}
}
