package judge

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestIntervalsAreWilsons(t *testing.T) {
	for _, c := range []struct {
		count, of int
		low, high float64
	}{{10, 100, 0.0552, 0.1744}, {0, 20, 0, 0.1611}, {20, 20, 0.8389, 1}, {0, 0, 0, 1}, {1, 1_000_000, 0.0000002, 0.0000057}} {
		s := ShareOf("", c.count, c.of)
		if s.Low-c.low > 0.0001 || c.low-s.Low > 0.0001 || s.High-c.high > 0.0001 || c.high-s.High > 0.0001 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.count, c.of, s.Low, s.High, c.low, c.high)
		}
	}
	if q := quantiles([]int64{9, 1, 5}); q.Median != 5 || q.Low != 1 || q.High != 9 {
		t.Error(q)
	}
}

// TestAReportTellsWhatTheFactsComeTo, and no address.
func TestAReportTellsWhatTheFactsComeTo(t *testing.T) {
	b := NewBook(Rules{Keep: 30 * 24 * 3600e9})
	for at := int64(noon - day); at < noon+day; at += 20 * minute {
		b.Add(Fact{Asked: at})
	}
	client := func(i byte) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, i, 9}) }
	sighted := func(i byte, minutes int64, kind string, age int64) {
		s := at(minutes, kind)
		s.Client, s.Aged, s.Age = client(i), age >= 0, max(0, age)
		b.Add(Fact{Sighting: &s})
		b.CountSession([]string{"E2", "E3", "E4"}[s.rung()], 1+int(i%2), s.At)
	}
	sighted(1, 0, "deaf", 0)      // never comes to a real host, and is listed
	sighted(2, 0, "tried", 3*day) // comes two hours later, and has been listed
	b.Visit(client(2), "", noon+120*minute, false)
	sighted(3, 0, "tried", -1) // comes in time
	b.Visit(client(3), "", noon+10*minute, false)
	sighted(4, 0, "tried", 40*day) // was listed, and is let in later
	b.Visit(client(4), "", noon+300*minute, false)
	b.Took(client(4), noon+300*minute)
	b.Took(client(77), noon+300*minute) // was never sighted
	sighted(5, -2*1440, "deaf", 0)      // long before
	b.CountSession("E0", 0, noon)
	r := b.Report(noon-day, noon+10*hour, true, false)
	got := fmt.Sprintf("%d clients, %d listed, honest %d of %d, avoiders %d, visits %d, decoys %d of %d, rungs %d %d %d, lead %d of %d",
		r.Clients, r.Listed, r.Honest.Count, r.Honest.Of, r.Avoiders.Count, r.Visits, r.Decoys.Count, r.Decoys.Of, r.Rungs[0].Count, r.Rungs[1].Count, r.Rungs[2].Count, r.Lead.Median, r.Lead.Of)
	if want := "4 clients, 3 listed, honest 1 of 3, avoiders 1, visits 3, decoys 4 of 7, rungs 0 3 1, lead 7200 of 3"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	ages := ""
	for _, a := range r.Ages {
		ages += fmt.Sprintf("%s %d of %d; ", a.Name, a.Count, a.Of)
	}
	if want := "as it is now 1 of 3; up to a day old 0 of 3; up to a week 1 of 3; up to 30 days 0 of 3; up to 90 days 1 of 3; older 0 of 3; "; ages != want {
		t.Errorf("ages %s", ages)
	}
	text, err := json.Marshal(r)
	if err != nil || strings.Contains(string(text), "203.0") || strings.Contains(string(text), "example.com") {
		t.Errorf("%v\n%s", err, text)
	}
	missing := strings.Join(r.Missing, "\n")
	if !strings.Contains(missing, "the age of MX lists") || strings.Contains(missing, "who comes to real hosts:") || strings.Contains(missing, "nothing was counted") {
		t.Error(missing)
	}
	empty := NewBook(Rules{Keep: 3600e9}).Report(noon-day, noon, false, true)
	if empty.Honest != nil || empty.Lead != nil || len(empty.Missing) < 4 {
		t.Errorf("%+v", empty)
	}
}

// TestWhatWasCountedOutlivesTheProcess: the days are written, and read again.
func TestWhatWasCountedOutlivesTheProcess(t *testing.T) {
	path := t.TempDir() + "/facts"
	b := NewBook(Rules{Keep: 30 * 24 * 3600e9})
	if err := b.Write(path, noon); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		b.CountSession("E3", 1, noon)
		b.Visit(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), "", noon, false)
		b.Tick(noon, 2*forgetStep, false)
	}
	again := NewBook(Rules{Keep: 30 * 24 * 3600e9})
	if _, err := again.Read(path, noon); err != nil {
		t.Fatal(err)
	}
	if r := again.Report(noon-day, noon+day, true, true); r.Visits != 10 || r.Decoys.Count != 10 || r.Days != 1 {
		t.Errorf("%+v", r)
	}
	if err := b.Compact(noon + 2*day); err != nil {
		t.Error(err)
	}
}

// TestOddDaysOfAFileDoNoHarm: a line of the file may be right by its sum, and say what cannot be.
func TestOddDaysOfAFileDoNoHarm(t *testing.T) {
	for _, d := range []*Day{
		{Number: noon / day, Visits: 7}, {Number: noon / day, Ranks: map[int]int{0: 3, -1: 2, 1: 1}}, {Number: noon / day, Visits: -5, Took: -1, Ranks: map[int]int{1: 9}},
		{Number: noon / day, Sessions: map[string]int{"<b>192.0.2.1": 4, "E3": -1}}, {Number: 30000, Visits: 500},
	} {
		b := NewBook(Rules{Keep: 30 * 24 * 3600e9})
		b.take(Fact{Day: d})
		b.CountSession("E3", 1, noon)
		r := b.Report(noon-day, noon+hour, true, true)
		text, err := json.Marshal(r)
		if err != nil || strings.Contains(string(text), "192.0.2.1") || r.Decoys.Share > 1 || r.Visits > 7 {
			t.Errorf("%v: %v\n%s", d, err, text)
		}
	}
}
