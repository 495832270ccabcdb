package judge

import (
	"maps"
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
	log       *log
	clients   map[netip.Prefix][]Sighting // by the narrow prefix, in the order of their coming
	around    map[Surrounding]int         // how many sightings there are
	sightings int
	visits    map[Surrounding][]int64
	asked     []int64             // when Postfix asked about anybody, in steps
	outages   map[string][]Outage // by owner, in the order of their coming; one that goes on is the last
	pardons   []Pardon
	alive     int64 // when the process last said that it runs
	forgot    time.Duration
	rewriting bool
	meanwhile []byte // lines that were added since the file began to be written anew
	compact   int64  // octets of the file when that was done last
	compacted int64  // when
	forgotten bool   // something of the file has been forgotten since
	empty     bool   // the file is to be written anew, for nothing of it is to be kept
}

// NewBook makes an empty book that is kept in memory alone.
func NewBook(rules Rules) *Book {
	return &Book{rules: rules, clients: map[netip.Prefix][]Sighting{}, around: map[Surrounding]int{}, visits: map[Surrounding][]int64{}, outages: map[string][]Outage{}}
}

// Use has facts judged by other rules.
func (b *Book) Use(rules Rules) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = rules
	if rules.Keep == 0 {
		b.empty = b.sightings > 0
		clear(b.clients)
		clear(b.around)
		b.sightings = 0
	}
}

// Read takes the facts of a file in, and says how many of its lines were damaged.
func (b *Book) Read(path string) (damaged int, err error) {
	return readFacts(path, func(f Fact) { // a long file keeps nobody waiting
		b.mu.Lock()
		defer b.mu.Unlock()
		b.take(f)
	})
}

// ReadPardons takes over the pardons of a file, in the place of those before.
func (b *Book) ReadPardons(path string) error {
	var list []Pardon
	_, err := readFacts(path, func(f Fact) {
		if p := f.Pardon; p != nil && p.For.IsValid() {
			list = append(list, *p)
		}
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pardons = list
	return nil
}

// Write has the book keep its facts in a file, from now on. The time since the process last ran is an outage of all, in which nobody saw who
// came to the real hosts.
func (b *Book) Write(path string, now int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, err := openLog(path, 0o600)
	if err != nil {
		return err
	}
	b.log = l
	if b.alive > 0 {
		b.add(Fact{Outage: &Outage{From: min(b.alive, now), To: max(b.alive, now)}})
	}
	return b.add(Fact{Alive: now})
}

// Add notes a fact. The error says that it could not be written; it is in memory then.
func (b *Book) Add(f Fact) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.add(f)
}

// add notes a fact. Of visits the file has those alone that clear or pardon a sighting: what there is of others is lost with the process, and
// the time around its end is an outage.
func (b *Book) add(f Fact) error {
	if f.Sighting != nil && b.rules.Keep == 0 {
		return nil
	}
	var lines []byte
	if v := f.Visit; v != nil {
		if n := len(b.asked); n == 0 || v.At >= b.asked[n-1]+visitStep || v.At < b.asked[n-1] {
			lines = appendLine(lines, Fact{Asked: v.At})
			b.asked = append(b.asked, v.At)
		}
		if list := b.visits[v.From]; len(list) > 0 && v.At >= list[len(list)-1] && v.At < list[len(list)-1]+visitStep {
			return b.write(lines)
		}
		if b.around[v.From] > 0 {
			lines = appendLine(lines, f)
		}
	} else {
		lines = appendLine(lines, f)
	}
	if s := f.Sighting; s != nil {
		for _, from := range s.surroundings() {
			if b.around[from] > 0 {
				continue // they are in the file
			}
			for _, at := range b.visits[from] {
				lines = appendLine(lines, Fact{Visit: &Visit{at, from}})
			}
		}
	}
	b.take(f)
	return b.write(lines)
}

// write adds lines to the file, where there is one.
func (b *Book) write(lines []byte) error {
	if b.log == nil || len(lines) == 0 {
		return nil
	}
	if b.rewriting {
		b.meanwhile = append(b.meanwhile, lines...)
	}
	return b.log.write(lines)
}

// take notes a fact in memory.
func (b *Book) take(f Fact) {
	if s := f.Sighting; s != nil && s.Client.IsValid() {
		key := Narrow(s.Client)
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
		list := append(b.visits[v.From], v.At)
		b.visits[v.From] = list[max(0, len(list)-mostVisits):]
	}
	if o := f.Outage; o != nil {
		list := b.outages[o.Owner]
		if n := len(list); n > 0 && list[n-1].To == 0 && list[n-1].From == o.From {
			list = list[:n-1] // it has ended
		}
		b.outages[o.Owner] = append(list, *o)
	}
	if f.Asked != 0 {
		b.asked = append(b.asked, f.Asked)
	}
	b.alive = max(b.alive, f.Alive)
}

// count notes that there is a sighting more, or less.
func (b *Book) count(s *Sighting, more int) {
	b.sightings += more
	for _, from := range s.surroundings() {
		if b.around[from] += more; b.around[from] == 0 {
			delete(b.around, from)
		}
	}
}

// Down notes that a real exchange of an owner is not well, or that all are again.
func (b *Book) Down(owner string, down bool, now int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.outages[owner]
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

// Tick notes that the process runs, and forgets what is old. A clock that has jumped, by more than the time that has passed in truth, is an
// outage of all.
func (b *Book) Tick(now int64, passed time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if jump := now - b.alive - int64(passed.Seconds()); b.alive > 0 && (jump > minute || jump < -minute) {
		err = b.add(Fact{Outage: &Outage{From: min(b.alive, now), To: max(b.alive, now)}})
		b.alive = now
	}
	if now-b.alive >= aliveStep || b.alive == 0 {
		err = b.add(Fact{Alive: now})
	}
	if b.forgot += passed; b.forgot > forgetStep {
		b.forgot = 0
		b.forget(now)
	}
	return err
}

// Compact writes the file anew, where half of it is old, or some of it for a day. What is added meanwhile does not wait for it.
func (b *Book) Compact(now int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.forgotten && now >= b.compacted+day // what is to be kept no longer is not to lie about either
	if b.rewriting || b.log == nil || !b.empty && !old && (b.log.size <= compactSize || b.log.size <= 2*b.compact) {
		return nil
	}
	facts := b.facts()
	b.rewriting, b.meanwhile, b.empty, b.forgotten, b.compacted = true, nil, false, false, now
	next, err := func() (*log, error) {
		b.mu.Unlock()
		defer b.mu.Lock()
		return writeLog(b.log.path, facts)
	}()
	defer func() { b.rewriting, b.meanwhile = false, nil }()
	if err != nil {
		return err
	}
	b.compact = next.size
	return b.log.giveWay(next, b.meanwhile)
}

// Forget drops what is old, and what is too much.
func (b *Book) Forget(now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
}

func (b *Book) forget(now int64) {
	keep := now - int64(b.rules.Keep.Seconds())
	b.forgetSightings(keep)
	for b.sightings > mostSightings {
		keep += (now-keep)/4 + 1
		b.forgetSightings(keep)
	}
	for since := now - visitKeep; ; since += (now-since)/4 + 1 {
		for from, list := range b.visits {
			if last := list[len(list)-1]; last < since && b.around[from] == 0 || last < keep {
				delete(b.visits, from)
			}
		}
		if len(b.visits) <= mostVisitors || since > now {
			break
		}
	}
	b.asked = slices.DeleteFunc(b.asked, func(at int64) bool { return at < keep })
	for owner, list := range b.outages {
		if list = slices.DeleteFunc(list, func(o Outage) bool { return o.To != 0 && o.To < keep }); len(list) == 0 {
			delete(b.outages, owner)
		} else {
			b.outages[owner] = list
		}
	}
}

func (b *Book) forgetSightings(before int64) {
	for key, list := range b.clients {
		kept := slices.DeleteFunc(list, func(s Sighting) bool {
			if s.At < before {
				b.count(&s, -1)
			}
			return s.At < before
		})
		b.forgotten = b.forgotten || len(kept) < len(list)
		if b.clients[key] = kept; len(kept) == 0 {
			delete(b.clients, key)
		}
	}
}

// facts are all that the file has to hold.
func (b *Book) facts() []Fact {
	list := make([]Fact, 0, b.sightings+len(b.around)+len(b.outages)+1)
	for _, sightings := range b.clients {
		for _, s := range sightings {
			list = append(list, Fact{Sighting: &s})
		}
	}
	for from := range b.around {
		for _, at := range b.visits[from] {
			list = append(list, Fact{Visit: &Visit{at, from}})
		}
	}
	for _, outages := range b.outages {
		for _, o := range outages {
			list = append(list, Fact{Outage: &o})
		}
	}
	for _, at := range b.asked {
		list = append(list, Fact{Asked: at})
	}
	return append(list, Fact{Alive: b.alive})
}

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
	if len(list) == 0 || slices.ContainsFunc(b.rules.Exempt, client.Overlaps) {
		return nil
	}
	e := Evidence{Sightings: list, Asked: b.asked}
	for _, from := range surroundings(list) {
		e.Visits = append(e.Visits, b.visits[from]...)
	}
	e.Outages = slices.Clone(b.outages[""])
	for i, s := range list {
		if !slices.ContainsFunc(list[:i], func(before Sighting) bool { return before.Owner == s.Owner }) {
			e.Outages = append(e.Outages, b.outages[s.Owner]...)
		}
	}
	for _, p := range b.pardons {
		if p.For.Overlaps(client) {
			e.Pardoned = max(e.Pardoned, p.At)
		}
	}
	return Judge(e, now)
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
