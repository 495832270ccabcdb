package judge

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

const noon = 1_800_000_000 / day * day // of some day, in truth its midnight

// at is a sighting of some minutes after noon.
func at(minutes int64, kind string) Sighting {
	s := Sighting{At: noon + minutes*minute, Client: netip.MustParseAddr("203.0.113.9"), Owner: "example.com", Decoy: "mx2.example.com"}
	switch kind {
	case "rude":
		s.NoSMTP = true
	case "tried":
		s.Tried = true
	case "deaf":
		s.Tried, s.Data = true, true
	case "other":
		s.Tried, s.Owner = true, "example.org"
	}
	return s
}

// always is when Postfix asked: all the time.
var always = func() (at []int64) {
	for t := int64(noon - day); t < noon+10*day; t += 30 * minute {
		at = append(at, t)
	}
	return at
}()

func vouched(s Sighting) Sighting {
	s.Vouched = true
	return s
}

func stale(s Sighting) Sighting {
	s.Aged, s.Stale, s.Age = true, true, 30*day
	return s
}

// TestVerdicts: each is what an honest sender, or a bot, has done, and whether he is listed so many minutes after noon.
func TestVerdicts(t *testing.T) {
	visit := func(minutes ...int64) (at []int64) {
		for _, m := range minutes {
			at = append(at, noon+m*minute)
		}
		return at
	}
	out := func(owner string, from, to int64) []Outage {
		return []Outage{{owner, "", noon + from*minute, noon + to*minute}}
	}
	for _, c := range []struct {
		name string
		e    Evidence
		at   int64
		want Grade
	}{
		{"who only connects", Evidence{Sightings: []Sighting{at(0, ""), at(1, ""), at(2, "")}, Asked: always}, 100, 0},
		{"who speaks no SMTP once", Evidence{Sightings: []Sighting{at(0, "rude")}}, 1, 0},
		{"who does so twice", Evidence{Sightings: []Sighting{at(0, "rude"), at(1, "rude")}}, 1, NoSMTP},
		{"six hours later he is free", Evidence{Sightings: []Sighting{at(0, "rude"), at(1, "rude")}}, 361, 0},
		{"who does so again after two days", Evidence{Sightings: []Sighting{at(0, "rude"), at(2881, "rude")}}, 2882, 0},
		{"who tries a recipient, within the hour", Evidence{Sightings: []Sighting{at(0, "tried")}, Asked: always}, 59, 0},
		{"when the hour has passed", Evidence{Sightings: []Sighting{at(0, "tried")}, Asked: always}, 60, Passed},
		{"a day later", Evidence{Sightings: []Sighting{at(0, "tried")}, Asked: always}, 60 + 1440, 0},
		{"and nobody sees who comes to real hosts", Evidence{Sightings: []Sighting{at(0, "tried")}}, 60, 0},
		{"and nobody came to real hosts in the hour before", Evidence{Sightings: []Sighting{at(0, "tried")}, Asked: []int64{noon - 61*minute, noon + minute}}, 60, 0},
		{"nor in the hour after", Evidence{Sightings: []Sighting{at(0, "tried")}, Asked: []int64{noon - minute, noon + 61*minute}}, 70, 0},
		{"and somebody came in both", Evidence{Sightings: []Sighting{at(0, "tried")}, Asked: []int64{noon - minute, noon + minute}}, 60, Passed},
		{"who was at a real host before", Evidence{Sightings: []Sighting{at(0, "tried")}, Visits: visit(-10), Asked: always}, 60, 0},
		{"who was there long before", Evidence{Sightings: []Sighting{at(0, "tried")}, Visits: visit(-60), Asked: always}, 60, Passed},
		{"who comes there within the hour", Evidence{Sightings: []Sighting{at(0, "tried")}, Visits: visit(60), Asked: always}, 60, 0},
		{"who comes there later is pardoned", Evidence{Sightings: []Sighting{at(0, "tried")}, Visits: visit(120), Asked: always}, 121, 0},
		{"until then he is not", Evidence{Sightings: []Sighting{at(0, "tried")}, Visits: visit(120), Asked: always}, 119, Passed},
		{"who goes on to DATA", Evidence{Sightings: []Sighting{at(0, "deaf")}}, 0, Deaf},
		{"though a real host saw him", Evidence{Sightings: []Sighting{at(0, "deaf")}, Visits: visit(-1), Asked: always}, 0, 0},
		{"an outage soon before", Evidence{Sightings: []Sighting{at(0, "deaf")}, Outages: out("example.com", -60, -10)}, 0, 0},
		{"an outage soon after", Evidence{Sightings: []Sighting{at(0, "deaf")}, Outages: out("example.com", 10, 60)}, 20, 0},
		{"an outage that goes on", Evidence{Sightings: []Sighting{at(0, "deaf")}, Outages: []Outage{{"example.com", "", noon - day, 0}}}, 20, 0},
		{"an outage of another", Evidence{Sightings: []Sighting{at(0, "deaf")}, Outages: out("example.org", -10, 10)}, 20, Deaf},
		{"an outage of other times", Evidence{Sightings: []Sighting{at(0, "deaf")}, Outages: out("example.com", -60, -16)}, 20, Deaf},
		{"nobody was here to see a visit", Evidence{Sightings: []Sighting{at(0, "tried")}, Outages: out("", 30, 40), Asked: always}, 60, 0},
		{"two owners", Evidence{Sightings: []Sighting{at(0, "tried"), at(5, "other")}, Asked: always}, 65, Passed2},
		{"two owners, after six days", Evidence{Sightings: []Sighting{at(0, "tried"), at(5, "other")}, Asked: always}, 6 * 1440, Passed2},
		{"two owners, and ever a visit", Evidence{Sightings: []Sighting{at(0, "tried"), at(5, "other")}, Visits: visit(-3000), Asked: always}, 65, Passed},
		{"an old list", Evidence{Sightings: []Sighting{stale(at(0, "tried"))}, Asked: always}, 61, Passed2},
		{"an old list, and ever a visit", Evidence{Sightings: []Sighting{stale(at(0, "tried"))}, Visits: visit(-3000), Asked: always}, 61, Passed},
		{"an old list, and a visit within the hour", Evidence{Sightings: []Sighting{stale(at(0, "tried"))}, Visits: visit(30), Asked: always}, 61, 0},
		{"an old list alone, without a recipient", Evidence{Sightings: []Sighting{stale(at(0, "")), stale(at(100, ""))}, Asked: always}, 200, 0},
		{"an old list, where nobody sees who comes to real hosts", Evidence{Sightings: []Sighting{stale(at(0, "tried"))}}, 61, 0},
		{"an old list of a client that DNS speaks for", Evidence{Sightings: []Sighting{vouched(stale(at(0, "tried")))}, Asked: always}, 61, 0},
		{"three days", Evidence{Sightings: []Sighting{at(0, "tried"), at(1440, "tried"), at(2880, "tried")}, Asked: always}, 2940, Passed2},
		{"who looks honest", Evidence{Sightings: []Sighting{vouched(at(0, "deaf"))}}, 0, 0},
		{"and comes again at once", Evidence{Sightings: []Sighting{vouched(at(0, "deaf")), vouched(at(30, "deaf"))}}, 40, 0},
		{"and comes again after an hour", Evidence{Sightings: []Sighting{vouched(at(0, "deaf")), vouched(at(60, "deaf"))}}, 60, Deaf},
		{"whom the operator has pardoned", Evidence{Sightings: []Sighting{at(0, "deaf")}, Pardoned: noon + minute}, 2, 0},
		{"and who did it again", Evidence{Sightings: []Sighting{at(0, "deaf"), at(5, "deaf")}, Pardoned: noon + minute}, 6, Deaf},
		{"what has not happened yet", Evidence{Sightings: []Sighting{at(10, "deaf"), at(11, "rude"), at(12, "rude")}}, 0, 0},
	} {
		got := Grade(0)
		l := Judge(c.e, noon+c.at*minute)
		if l != nil {
			got = l.Grade
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d (%+v)", c.name, got, c.want, l)
		}
	}
}

// drawn is evidence that was drawn at random.
func drawn(r *rand.Rand) (e Evidence) {
	for range r.IntN(6) {
		s := at(r.Int64N(5*1440), []string{"", "rude", "tried", "deaf", "other"}[r.IntN(5)])
		s.Vouched = r.IntN(4) == 0
		e.Sightings = append(e.Sightings, s)
	}
	for range r.IntN(3) {
		e.Visits = append(e.Visits, noon+r.Int64N(6*1440)*minute)
	}
	for range r.IntN(3) {
		from := noon + r.Int64N(5*1440)*minute
		e.Outages = append(e.Outages, Outage{[]string{"example.com", "example.org", ""}[r.IntN(3)], "", from, from + r.Int64N(600)*minute + 1})
	}
	if r.IntN(4) > 0 {
		e.Asked = always
	}
	return e
}

// TestWhateverTheFacts holds what no evidence may break.
func TestWhateverTheFacts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	listed := 0
	for range 200_000 {
		e := drawn(r)
		now := noon + r.Int64N(8*1440)*minute
		l := Judge(e, now)
		turned := e
		turned.Sightings, turned.Visits, turned.Outages = reversed(e.Sightings), reversed(e.Visits), reversed(e.Outages)
		if other := Judge(turned, now); !reflect.DeepEqual(l, other) {
			t.Fatalf("the order of the facts tells: %+v and %+v of %+v", l, other, e)
		}
		renamed := e
		renamed.Sightings = slices.Clone(e.Sightings)
		for i := range renamed.Sightings {
			renamed.Sightings[i].Helo = "other.example" // one HELO stands for hundreds of hosts at large senders, and need not be the client's name
		}
		if other := Judge(renamed, now); (l == nil) != (other == nil) || l != nil && (l.Grade != other.Grade || l.End != other.End) {
			t.Fatalf("the HELO tells: %+v and %+v of %+v", l, other, e)
		}
		if l == nil {
			continue
		}
		listed++
		if l.From > now || l.End <= now || l.End-l.From > 7*day || len(l.Grounds) == 0 {
			t.Fatalf("at %d: %+v", now, l)
		}
		for _, s := range l.Grounds {
			for _, o := range e.Outages {
				if (o.Owner == s.Owner || o.Owner == "") && o.From <= s.At+outageNear && o.To >= s.At-outageNear {
					t.Fatalf("%+v convicts in the outage %+v", s, o)
				}
			}
			for _, v := range e.Visits {
				if v >= s.At-visitBefore && v <= s.At+visitAfter {
					t.Fatalf("%+v convicts beside a visit at %d", s, v)
				}
			}
			if s.At > now || !s.NoSMTP && !s.Tried {
				t.Fatalf("%+v convicts at %d", s, now)
			}
		}
		if e.Asked == nil && (l.Grade == Passed || l.Grade == Passed2) {
			t.Fatalf("%+v without a sensor", l)
		}
		e.Pardoned = now
		if l := Judge(e, now); l != nil {
			t.Fatalf("%+v in spite of a pardon", l)
		}
		e.Pardoned = 0
		e.Visits = append(e.Visits, now)
		if l := Judge(e, now); l != nil {
			t.Fatalf("%+v in spite of a visit", l)
		}
	}
	if listed < 10_000 {
		t.Errorf("only %d are listed: nothing is shown", listed)
	}
}

func reversed[T any](list []T) (out []T) {
	for i := range list {
		out = append(out, list[len(list)-1-i])
	}
	return out
}
