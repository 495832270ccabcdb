package judge

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"mxtrap/zone/conf"
	"mxtrap/zone/source"
	"mxtrap/zone/trap"
)

// The size of the simulated world. A million senders at ten thousand domains for thirty days take some minutes:
//
//	go test ./server/judge -run Simulation -senders 1000000 -domains 10000 -days 30 -v -timeout 1h
var (
	senders = flag.Int("senders", 10_000, "senders of the simulated world")
	domains = flag.Int("domains", 100, "domains of the simulated world")
	days    = flag.Int("days", 10, "days that the simulated world lasts")
	variant = flag.Bool("variants", false, "simulate with other times of the judge, too")
)

// kind is what a sender is.
type kind int

const (
	single   kind = iota // an honest host with an address of its own
	pooled               // a host of a large provider, which tries again from another one of the same domain
	sprayer              // a bot that goes to the highest number alone
	snowshoe             // a bot of a /24 of such, with names and SPF as they should be, a few messages each
	buyer                // a bot with an MX list that was bought: weeks old, and with real hosts in it
	kinds
)

var kindNames = [kinds]string{"honest, single hosts", "honest, pools", "bots: highest number only", "bots: snowshoe", "bots: old lists"}

func (k kind) bot() bool { return k >= sprayer }

// act is something that a sender does.
type act struct {
	at     int64
	who    int32
	domain int32
	what   what
	rank   int8
	age    int32 // days, of a bot's list
}

type what int8

const (
	visits what = iota // comes to a real host, and is taken
	tries              // names a recipient at a decoy
	goesOn             // and goes on to DATA
	breaks             // a domain's real hosts go down
	mends              // and come back
	looks              // the judge looks at a client again
)

// simulated is a world.
type simulated struct {
	r       *rand.Rand
	kinds   []kind
	names   []string // that lead back to senders; "": none
	acts    []act
	turns   []*trap.Rotation
	owners  []string
	begin   int64
	days    int64
	down    []bool
	spamAll [kinds]int // messages that bots bring to real hosts
	spamOut [kinds]int // of them, those that are turned away
	first   map[int32]int64
	listed  map[int32]int64 // when a client was listed first
	hours   map[int32]int64 // seconds that honest clients were listed
	until   map[int32]int64
}

// address is that of a sender: those of pools and of snowshoes stand close together.
func (w *simulated) address(who int32) netip.Addr {
	i := uint32(who)
	switch w.kinds[who] {
	case pooled, snowshoe:
		i = i/64*256 + i%64 + 1
		return netip.AddrFrom4([4]byte{60 + byte(i>>24), byte(i >> 16), byte(i >> 8), byte(i)})
	}
	i = i * 40503 % (1 << 24) // scattered
	return netip.AddrFrom4([4]byte{100 + byte(who%37), byte(i >> 16), byte(i >> 8), byte(i)})
}

// zonesOf are the rotations of the domains, by the code that serves them.
func (w *simulated) zonesOf(t testing.TB, n int) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		w.owners = append(w.owners, fmt.Sprintf("d%d.test", i))
		var report conf.Report
		s := source.Parse("d.toml", fmt.Appendf(nil, "name = %q\n[records]\n\"@\" = [\"NS ns\", \"MX 10 mail\", \"MX 20 backup\"]\nns = [\"A 8.8.4.53\"]\nmail = [\"A 8.8.4.25\"]\nbackup = [\"A 8.8.4.26\"]\n[trap]\ncount = 2\naddresses = [\"8.8.8.0/25\"]\nrotate = \"7d\"\nsecret_file = %q\n", w.owners[i], secret), &report)
		s.At(time.Unix(w.begin, 0))
		z := s.Compile(nil, &report)
		if z == nil {
			t.Fatal(report.Problems())
		}
		w.turns = append(w.turns, z.Rotation())
		s.Release()
	}
}

// newWorld draws senders and what they do.
func newWorld(t testing.TB, senders, domains, days int, seed uint64) *simulated {
	w := &simulated{r: rand.New(rand.NewPCG(seed, 1)), begin: 1_790_000_000 / day * day, days: int64(days), down: make([]bool, domains)}
	w.zonesOf(t, domains)
	w.kinds, w.names = make([]kind, senders), make([]string, senders)
	for i := range w.kinds {
		switch part := float64(i/64) / float64((senders+63)/64); { // neighbours are alike
		case part < 0.02:
			w.kinds[i] = snowshoe
		case part < 0.37:
			w.kinds[i] = pooled
			w.names[i] = fmt.Sprintf("out%d.pool%d.example", i%64, i/64)
		case part < 0.39:
			w.kinds[i] = sprayer
		case part < 0.41:
			w.kinds[i] = buyer
		default:
			w.kinds[i] = single
		}
		if w.kinds[i] == snowshoe {
			w.names[i] = fmt.Sprintf("m%d.offers%d.example", i%64, i/64)
		}
	}
	for i := range w.down {
		if w.r.IntN(30) < days { // an outage a month
			from := w.time()
			w.add(act{at: from, domain: int32(i), what: breaks})
			w.add(act{at: from + 5*minute + w.r.Int64N(3*hour), domain: int32(i), what: mends})
		}
	}
	for i := range w.kinds {
		w.live(int32(i))
	}
	slices.SortFunc(w.acts, func(a, b act) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return int(a.who) - int(b.who)
	})
	return w
}

func (w *simulated) add(a act) { w.acts = append(w.acts, a) }

func (w *simulated) time() int64 { return w.begin + w.r.Int64N(w.days*day) }

// live draws what a sender does.
func (w *simulated) live(who int32) {
	r := w.r
	domain := func() int32 { return int32(r.IntN(len(w.owners))) }
	switch w.kinds[who] {
	case single, pooled:
		for range 1 + r.IntN(5) { // messages
			at, to := w.time(), domain()
			again := who // who tries once more
			if w.kinds[who] == pooled {
				again = who/64*64 + int32(r.IntN(64))
				if int(again) >= len(w.kinds) || w.kinds[again] != pooled {
					again = who
				}
			}
			switch n := r.IntN(100_000); {
			case n < 10: // all ways to the real hosts are broken, for minutes to hours: RFC 5321 lets it try the decoys
				gap := 5*minute + r.Int64N(5*hour)
				w.add(act{at: at, who: who, domain: to, what: tries, rank: 1})
				for later := at + 30*minute; later < at+gap; later += 30 * minute {
					w.add(act{at: later, who: again, domain: to, what: tries, rank: int8(1 + r.IntN(2))})
				}
				w.add(act{at: at + gap, who: again, domain: to, what: visits})
			case n < 30: // a home-made sender that takes any of the hosts, in any order
				w.add(act{at: at, who: who, domain: to, what: tries, rank: int8(1 + r.IntN(2))})
				w.add(act{at: at + 1 + r.Int64N(2*minute), who: again, domain: to, what: visits})
			case n < 1000: // greylisted: the fallback, the decoys, and the primary again
				w.add(act{at: at, who: who, domain: to, what: visits})
				w.add(act{at: at + 5, who: who, domain: to, what: tries, rank: 1})
				w.add(act{at: at + 5*minute + r.Int64N(hour), who: again, domain: to, what: visits})
			default:
				w.add(act{at: at, who: who, domain: to, what: visits})
			}
		}
	case sprayer:
		from := w.time()
		for at := from; at < min(w.begin+w.days*day, from+3*day); at += 1 + r.Int64N(6*hour) {
			does := tries
			if r.IntN(10) < 3 {
				does = goesOn
			}
			w.add(act{at: at, who: who, domain: domain(), what: does, rank: 2})
			if r.IntN(20) == 0 {
				w.add(act{at: at + r.Int64N(day), who: who, domain: domain(), what: visits})
			}
		}
	case snowshoe:
		for range 1 + r.IntN(3) {
			does := visits
			if r.IntN(2) == 0 {
				does = tries
			}
			w.add(act{at: w.time(), who: who, domain: domain(), what: does, rank: int8(1 + r.IntN(2))})
		}
	case buyer:
		age := int32(1 + r.IntN(80))
		from := w.time()
		for at := from; at < min(w.begin+w.days*day, from+5*day); at += 1 + r.Int64N(8*hour) {
			does := tries
			switch r.IntN(10) {
			case 0, 1, 2:
				does = visits
			case 3:
				does = goesOn
			}
			w.add(act{at: at, who: who, domain: domain(), what: does, rank: int8(1 + r.IntN(2)), age: age + int32((at-from)/day)})
		}
	}
}

// outcome is what came of a world.
type outcome struct {
	reached   [kinds]int // senders that came to a decoy while it listened
	caught    [kinds]int // of them, those that were listed
	wrongly   int64      // seconds that honest senders were listed
	toList    *Quantiles // from the first sighting, of bots
	kept      [kinds]Share
	precision Share
	memory    uint64 // octets of the book, at the end
	took      time.Duration
	facts     int
}

// run lets a world pass by a judge.
func (w *simulated) run() outcome {
	began := time.Now()
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b := NewBook(Rules{Keep: 30 * 24 * time.Hour})
	w.first, w.listed, w.hours, w.until = map[int32]int64{}, map[int32]int64{}, map[int32]int64{}, map[int32]int64{}
	w.spamAll, w.spamOut = [kinds]int{}, [kinds]int{}
	clear(w.down)
	var due []act // looks, in the order of their times
	forgot := w.begin
	look := func(who int32, at int64) {
		l := b.Judge(w.address(who), at)
		if l == nil {
			return
		}
		if _, was := w.listed[who]; !was {
			w.listed[who] = at
		}
		w.until[who] = l.End
	}
	for _, a := range w.acts {
		for len(due) > 0 && due[0].at <= a.at {
			look(due[0].who, due[0].at)
			due = due[1:]
		}
		if a.at-forgot >= hour {
			forgot = a.at
			b.Forget(a.at)
		}
		switch a.what {
		case breaks, mends:
			w.down[a.domain] = a.what == breaks
			b.Down(w.owners[a.domain], a.what == breaks, a.at+30) // when the watch has seen it
		case visits:
			if w.down[a.domain] {
				continue
			}
			k := w.kinds[a.who]
			out := b.Judge(w.address(a.who), a.at) != nil
			if w.spamAll[k]++; out {
				w.spamOut[k]++
			}
			b.Visit(w.address(a.who), w.names[a.who], a.at, true)
			if until := w.until[a.who]; !k.bot() && until > a.at && !out { // pardoned
				w.hours[a.who] += a.at - w.listed[a.who]
				delete(w.until, a.who)
			}
		case tries, goesOn:
			w.sight(b, a, &due)
			look(a.who, a.at)
		}
	}
	for _, a := range due {
		look(a.who, a.at)
	}
	for who, until := range w.until {
		if !w.kinds[who].bot() {
			w.hours[who] += min(until, w.begin+w.days*day) - w.listed[who]
		}
	}
	o := w.sum()
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	o.memory = max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc
	o.took, o.facts = time.Since(began), b.sightings
	runtime.KeepAlive(b)
	return o
}

// sight has a client come to a decoy, where that listens and had an address by the client's list.
func (w *simulated) sight(b *Book, a act, due *[]act) {
	if w.down[a.domain] {
		return // 421, and no evidence
	}
	turns, owner := w.turns[a.domain], w.owners[a.domain]
	address, _ := turns.Addresses(owner, int(a.rank), a.at-int64(a.age)*day)
	held, ok := turns.Had(owner, address, a.at)
	if !ok {
		return
	}
	if _, was := w.first[a.who]; !was {
		w.first[a.who] = a.at
	}
	b.Add(Fact{Sighting: &Sighting{
		At: a.at, Client: w.address(a.who), Owner: owner, Decoy: held.Host, Rank: held.Rank, Tried: true, Data: a.what == goesOn,
		Age: held.Ago, Aged: true, Stale: held.Stale, Vouched: w.kinds[a.who] == snowshoe || w.kinds[a.who] == pooled, Name: w.names[a.who],
	}})
	*due = append(*due, act{at: a.at + visitAfter, who: a.who, what: looks})
}

func (w *simulated) sum() (o outcome) {
	var waits []int64
	honest, bots := 0, 0
	for who := range w.first {
		k := w.kinds[who]
		o.reached[k]++
		at, was := w.listed[who]
		if !was {
			continue
		}
		if o.caught[k]++; k.bot() {
			bots++
			waits = append(waits, at-w.first[who])
		} else {
			honest++
		}
	}
	for _, seconds := range w.hours {
		o.wrongly += seconds
	}
	for k := range kinds {
		o.kept[k] = ShareOf("", w.spamOut[k], w.spamAll[k])
	}
	o.toList, o.precision = quantiles(waits), ShareOf("", bots, bots+honest)
	return o
}

func (o outcome) row(name string) string {
	recall := func(k kind) string { return fmt.Sprintf("%.1f %%", 100*ShareOf("", o.caught[k], o.reached[k]).Share) }
	wrong := o.caught[single] + o.caught[pooled]
	return fmt.Sprintf("| %s | %.3f %% | %d, %.0f h | %s | %s | %s | %s | %.1f %% |", name, 100*o.precision.Share, wrong, float64(o.wrongly)/hour,
		recall(sprayer), recall(snowshoe), recall(buyer), time.Duration(o.toList.Median)*time.Second, 100*o.kept[buyer].Share)
}

// TestSimulation has a world of honest senders, outages and bots of three kinds pass by the judge. The defaults of the judge are chosen by it: its
// table stands in the reference.
func TestSimulation(t *testing.T) {
	began := time.Now()
	w := newWorld(t, *senders, *domains, *days, 7)
	made := time.Since(began)
	o := w.run()
	t.Logf("%d senders, %d domains, %d days, %d acts: drawn in %v, judged in %v, %d sightings at the end, %d MB", *senders, *domains, *days, len(w.acts), made.Round(time.Second), o.took.Round(time.Second), o.facts, o.memory>>20)
	for k := range kinds {
		t.Logf("%-28s %7d of %8d came to a decoy that listened, %6d of them were listed; of %d messages to real hosts %d were turned away", kindNames[k], o.reached[k], count(w.kinds, k), o.caught[k], w.spamAll[k], w.spamOut[k])
	}
	t.Log("| | precision | honest listed | recall: highest number | snowshoe | old lists | median time to list | their mail turned away |")
	t.Log(o.row("as it is"))
	if o.precision.Share < 0.98 || o.kept[single].Share > 0.001 || o.kept[pooled].Share > 0.001 {
		t.Errorf("precision %v, honest mail turned away %v, %v", o.precision, o.kept[single], o.kept[pooled])
	}
	if got := ShareOf("", o.caught[sprayer], o.reached[sprayer]); got.Share < 0.8 {
		t.Errorf("recall %v", got)
	}
	if !*variant {
		return
	}
	for _, v := range []struct {
		name string
		set  func()
	}{
		{"a visit clears for 30 min", func() { visitAfter = 30 * minute }},
		{"for 2 h", func() { visitAfter = 2 * hour }},
		{"for 6 h", func() { visitAfter = 6 * hour }},
		{"a visit clears from 1 min before", func() { visitBefore = minute }},
		{"from 1 h before", func() { visitBefore = hour }},
		{"an outage counts for 1 min around it", func() { outageNear = minute }},
		{"for 1 h", func() { outageNear = hour }},
		{"listed for 12 h", func() { life[Passed], life[Deaf] = 12*hour, 12*hour }},
		{"for 48 h", func() { life[Passed], life[Deaf] = 48*hour, 48*hour }},
		{"for 3 days the second time", func() { life[Passed2] = 3 * day }},
		{"for 14 days", func() { life[Passed2] = 14 * day }},
		{"the age of a list counts for nothing", func() { weighsAge = false }},
		{"vouched clients are convicted like others", func() { apart = 0 }},
	} {
		before, after, near, between, weighs, lives := visitBefore, visitAfter, outageNear, apart, weighsAge, maps.Clone(life)
		v.set()
		t.Log(w.run().row(v.name))
		visitBefore, visitAfter, outageNear, apart, weighsAge, life = before, after, near, between, weighs, lives
	}
}

func count(list []kind, of kind) (n int) {
	for _, k := range list {
		if k == of {
			n++
		}
	}
	return n
}
