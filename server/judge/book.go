package judge

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of what is kept.
const (
	mostSightings = 1 << 18 // in all; the oldest make room
	mostOfClient  = 64      // of a client; the oldest make room
	mostVisitors  = 1 << 18 // those that came last are kept
	mostVisits    = 16      // of a visitor; the newest are kept
	visitKeep     = day     // how long a visit is kept of somebody who was not sighted
	aliveStep     = 10      // seconds between notes that the process runs
	forgetStep    = time.Minute
	compactSize   = 256 << 10 // octets of the file from which on it is worth to write it anew
)

// Rules are what the operator decides.
type Rules struct {
	Keep   time.Duration // how long sightings are kept; 0: not at all
	Exempt []netip.Prefix
}

// Book is the facts there are, in memory and in a file.
type Book struct {
	mu        sync.Mutex
	rules     Rules
	path      string                               // of the file; "": there is none
	log       *log                                 // nil where it could not be opened
	torn      bool                                 // not all that is in memory is in the file, so that it is to be written anew before anything is added to it
	anew      bool                                 // the file has what is to be kept no longer
	clients   map[netip.Prefix][]Sighting          // by the narrow prefix, in the order of their coming
	around    map[Surrounding]map[netip.Prefix]int // how many sightings of which clients there are
	sightings int
	visits    map[Surrounding][]int64
	asked     []int64            // when Postfix asked about anybody, in steps
	outages   map[whose][]Outage // in the order of their coming; one that goes on is the last
	pardons   []Pardon
	fleet     fleet
	took      map[netip.Prefix][]int64 // when a real host took a message of a client that was sighted
	days      map[int64]*Day           // what was counted, by day since 1970
	counted   map[int64]Day            // of them, those of which the file has as much
	alive     int64                    // when the process last said that it runs
	forgot    time.Duration
	rewriting bool
	meanwhile []byte // lines that were added since the file began to be written anew
	compact   int64  // octets of the file when that was done last
	compacted int64  // when
	forgotten bool   // something of the file has been forgotten since
}

// NewBook makes an empty book that is kept in memory alone.
func NewBook(rules Rules) *Book {
	return &Book{rules: rules, clients: map[netip.Prefix][]Sighting{}, around: map[Surrounding]map[netip.Prefix]int{}, visits: map[Surrounding][]int64{}, outages: map[whose][]Outage{}, took: map[netip.Prefix][]int64{}, days: map[int64]*Day{}, counted: map[int64]Day{}}
}

// Keeps says whether sightings are kept at all.
func (b *Book) Keeps() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rules.Keep > 0
}

// Use has facts judged by other rules.
func (b *Book) Use(rules Rules) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = rules
	if rules.Keep == 0 {
		b.anew = b.anew || b.sightings > 0
		clear(b.clients)
		clear(b.around)
		b.sightings = 0
	}
}

// Read takes the facts of a file in, and says how many of its lines were damaged. What these said is not known, so that nothing that was
// noted before is evidence any more. Where not all of the file can be read, nothing of it is taken: its rest may clear whom its beginning
// convicts.
func (b *Book) Read(path string, now int64) (damaged int, err error) {
	damaged, err = readFacts(path, func(f Fact) { // a long file keeps nobody waiting
		b.mu.Lock()
		defer b.mu.Unlock()
		b.take(f)
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		clear(b.clients)
		clear(b.around)
		b.sightings = 0
	}
	if damaged > 0 {
		b.take(Fact{Outage: &Outage{From: 1, To: now}})
		b.anew = true
	}
	return damaged, err
}

// ReadPardons takes over the pardons of a file, in the place of those before.
func (b *Book) ReadPardons(path string) error {
	var list []Pardon
	damaged, err := readFacts(path, func(f Fact) {
		if p := f.Pardon; p != nil && p.For.IsValid() {
			list = append(list, *p)
		}
	})
	if err == nil && damaged > 0 {
		err = fmt.Errorf("%d lines are damaged", damaged)
	}
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pardons = list
	return nil
}

// Write has the book keep its facts in a file, from now on. The time since the process last ran is an outage of all, in which nobody saw who
// came to the real hosts. The error says that the file cannot be had; what there is is in memory then, until [Book.Compact] can write it.
func (b *Book) Write(path string, now int64) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.path = path
	b.log, err = openLog(path, 0o600)
	b.torn = err != nil
	b.anew = b.anew || b.log != nil && b.log.cut
	if b.alive > 0 {
		err = errors.Join(err, b.add(Fact{Outage: &Outage{From: min(b.alive, now), To: max(b.alive, now)}}))
	}
	return errors.Join(err, b.add(Fact{Alive: now}))
}

// Stale says that whoever writes the file has been silent for long: he does not run, or his disk is full, and who was pardoned since is not known.
func (b *Book) Stale(now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.alive > 0 && now-b.alive > 5*minute
}

// Missed has the time since a process last said that it runs count as an outage of all, for who reads its file while there may be none.
func (b *Book) Missed(now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.alive > 0 && now-b.alive > minute {
		b.take(Fact{Outage: &Outage{From: b.alive, To: now}})
	}
}

// Add notes a fact. The error says that it could not be written; it is in memory then.
func (b *Book) Add(f Fact) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.add(f)
}

// Visit notes that a client came to a real host, and its forward-confirmed name, "" where it has none. Where hosts turn away whom the book
// lists, such a client has visited none: else each bot would be pardoned by its first try.
func (b *Book) Visit(client netip.Addr, name string, now int64, turnedAway bool) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.today(now).Visits++
	if turnedAway && b.turnsAway(Narrow(client), now) {
		return b.write(b.asks(now))
	}
	for _, from := range Surroundings(client, name) {
		err = errors.Join(err, b.add(Fact{Visit: &Visit{At: now, From: from}}))
	}
	return err
}

// hasAsked says whether it is known that somebody told of visits at a time, or shortly before.
func (b *Book) hasAsked(at int64) bool {
	i, _ := slices.BinarySearch(b.asked, at+1)
	return i > 0 && at < b.asked[i-1]+visitStep
}

// ask notes that somebody told of visits at a time.
func (b *Book) ask(at int64) {
	i, _ := slices.BinarySearch(b.asked, at)
	b.asked = slices.Insert(b.asked, i, at)
}

// asks notes that somebody tells of visits, and returns the lines for it.
func (b *Book) asks(at int64) []byte {
	if b.hasAsked(at) {
		return nil
	}
	b.ask(at)
	b.tell(Fact{Asked: at})
	return appendLine(nil, Fact{Asked: at})
}

// add notes a fact. Of visits the file has those alone that clear or pardon a sighting: what there is of others is lost with the process, and
// the time around its end is an outage.
func (b *Book) add(f Fact) error {
	if f.Sighting != nil && b.rules.Keep == 0 {
		return nil
	}
	var lines []byte
	if v := f.Visit; v != nil {
		lines = b.asks(v.At)
		if list := b.visits[v.From]; len(list) > 0 && v.At >= list[len(list)-1] && v.At < list[len(list)-1]+visitStep {
			return b.write(lines)
		}
		if len(b.around[v.From]) > 0 {
			lines = appendLine(lines, f)
		}
	} else {
		lines = appendLine(lines, f)
	}
	if s := f.Sighting; s != nil {
		for _, from := range s.surroundings() {
			if len(b.around[from]) > 0 {
				continue // they are in the file
			}
			for _, at := range b.visits[from] {
				lines = appendLine(lines, Fact{Visit: &Visit{at, from}})
			}
		}
	}
	b.take(f)
	b.tell(f)
	return b.write(lines)
}

// errTorn is the error of a fact that is in memory alone, because others that belong before it are.
var errTorn = errors.New("the file lacks facts that could not be written; it will be written anew")

// write adds lines to the file, where there is one.
func (b *Book) write(lines []byte) (err error) {
	if len(lines) == 0 {
		return nil
	}
	if b.path == "" {
		b.anew = true // should there be one
		return nil
	}
	if b.rewriting {
		b.meanwhile = append(b.meanwhile, lines...)
	}
	if b.torn {
		return errTorn
	}
	err = b.log.write(lines)
	b.torn = err != nil
	return err
}

// take notes a fact in memory.
func (b *Book) take(f Fact) {
	if s := f.Sighting; s != nil && s.Client.IsValid() {
		key := Narrow(s.Client)
		for _, from := range s.surroundings() {
			s.Cleared = s.Cleared || slices.ContainsFunc(b.visits[from], s.clearedBy)
		}
		b.clients[key] = append(b.clients[key], *s)
		b.count(s, 1)
		if n := len(b.clients[key]) - mostOfClient; n > 0 {
			for i := range n {
				b.count(&b.clients[key][i], -1)
			}
			b.clients[key] = slices.Delete(b.clients[key], 0, n)
		}
	}
	if v := f.Visit; v != nil && v.From != "" {
		for client := range b.around[v.From] {
			for i := range b.clients[client] {
				s := &b.clients[client][i]
				s.Cleared = s.Cleared || slices.Contains(s.surroundings(), v.From) && s.clearedBy(v.At)
			}
		}
		list := append(b.visits[v.From], v.At)
		b.visits[v.From] = list[max(0, len(list)-mostVisits):]
	}
	if o := f.Outage; o != nil {
		if o.Node != "" {
			b.knowNode(o.Node)
		}
		list := b.outages[o.whose()]
		if n := len(list); n > 0 && list[n-1].To == 0 && (list[n-1].From == o.From || o.Node != "") {
			list = list[:n-1] // it has ended
		} else if n > 0 && list[n-1].To != 0 && o.To != 0 && o.From >= list[n-1].From && o.From <= list[n-1].To+minute {
			o = &Outage{o.Owner, o.Node, list[n-1].From, max(list[n-1].To, o.To)} // it goes on
			list = list[:n-1]
		}
		b.outages[o.whose()] = append(list, *o)
	}
	if p := f.Pardon; p != nil && p.For.IsValid() {
		b.fleet.pardons = append(b.fleet.pardons, *p)
	}
	if t := f.Took; t != nil {
		list := append(b.took[t.Client], t.At)
		b.took[t.Client] = list[max(0, len(list)-mostVisits):]
	}
	if d := f.Day; d != nil {
		d.sound()
		b.days[d.Number], b.counted[d.Number] = d, d.copied()
	}
	if f.Asked != 0 {
		b.ask(f.Asked)
	}
	if f.Alive != 0 {
		b.alive = f.Alive // lines stand in the order of their coming, whatever the clock said
	}
}

// count notes that there is a sighting more, or less.
func (b *Book) count(s *Sighting, more int) {
	b.sightings += more
	client := Narrow(s.Client)
	for _, from := range s.surroundings() {
		clients := b.around[from]
		if clients == nil {
			clients = map[netip.Prefix]int{}
			b.around[from] = clients
		}
		if clients[client] += more; clients[client] == 0 {
			delete(clients, client)
		}
		if len(clients) == 0 {
			delete(b.around, from)
		}
	}
}

// Down notes that a real exchange of an owner is not well, or that all are again.
func (b *Book) Down(owner string, down bool, now int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.outages[whose{owner: owner}]
	goesOn := len(list) > 0 && list[len(list)-1].To == 0
	switch {
	case down == goesOn:
		return nil
	case down:
		return b.add(Fact{Outage: &Outage{Owner: owner, From: now}})
	}
	from := list[len(list)-1].From
	return b.add(Fact{Outage: &Outage{Owner: owner, From: from, To: max(now, from+1)}})
}
