package judge

import (
	"cmp"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Tick notes that the process runs, and forgets what is old. A clock that has jumped, by more than the time that has passed, is an outage of
// all, and so is a time in which the process stood still: nobody saw then who came. What a clock that was ahead has dated to the future is
// forgotten.
func (b *Book) Tick(now int64, passed time.Duration, stood bool) (jumped bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	gap := now - b.alive
	jump := gap - int64(passed.Seconds())
	if jumped = b.alive > 0 && (stood || jump > minute || jump < -minute); jumped {
		if gap < 0 {
			b.forgetFuture(now)
		}
		err = b.add(Fact{Outage: &Outage{From: min(b.alive, now), To: now}})
		b.alive = min(b.alive, now)
	}
	if now-b.alive >= aliveStep || b.alive == 0 {
		err = errors.Join(err, b.add(Fact{Alive: now}))
	}
	if b.forgot += passed; b.forgot > forgetStep {
		b.forgot = 0
		b.forget(now)
		err = errors.Join(err, b.noteDays())
	}
	return jumped, err
}

// Compact writes the file anew, where it lacks something, where half of it is old, or some of it for a day. What is added meanwhile does not
// wait for it.
func (b *Book) Compact(now int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.forgotten && now >= b.compacted+day // what is to be kept no longer is not to lie about either
	if b.rewriting || b.path == "" || !b.torn && !b.anew && !old && (b.log.size <= compactSize || b.log.size <= 2*b.compact) {
		return nil
	}
	facts := b.facts()
	b.rewriting, b.meanwhile, b.anew, b.compacted = true, nil, false, now
	next, err := func() (*log, error) {
		b.mu.Unlock()
		defer b.mu.Lock()
		return writeLog(b.path, facts)
	}()
	defer func() { b.rewriting, b.meanwhile = false, nil }()
	if err == nil {
		b.log = cmp.Or(b.log, &log{path: b.path})
		err = b.log.giveWay(next, b.meanwhile)
	}
	if err != nil {
		b.anew = true
		return err
	}
	b.compact, b.torn, b.forgotten = next.size, false, false
	return nil
}

// Forget drops what is old, and what is too much.
func (b *Book) Forget(now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
}

// forgetLater is how much longer than sightings that is kept which clears or convicts them.
const forgetLater = 2 * hour

func (b *Book) forget(now int64) {
	keep := now - int64(b.rules.Keep.Seconds())
	b.forgetSightings(keep)
	for b.sightings > mostSightings && keep <= now {
		keep += (now-keep)/4 + 1
		b.forgetSightings(keep)
	}
	if b.sightings > mostSightings {
		b.forgetFuture(now)
	}
	for since := now - visitKeep; ; since += (now-since)/4 + 1 {
		for from, list := range b.visits {
			if last := list[len(list)-1]; last < since && len(b.around[from]) == 0 || last < keep-forgetLater {
				delete(b.visits, from)
			}
		}
		if len(b.visits) <= mostVisitors || since > now {
			break
		}
	}
	b.asked = slices.DeleteFunc(b.asked, func(at int64) bool { return at < keep-forgetLater })
	maps.DeleteFunc(b.took, func(client netip.Prefix, _ []int64) bool { return len(b.clients[client]) == 0 })
	maps.DeleteFunc(b.days, func(number int64, _ *Day) bool { return number < now/day-mostDays })
	b.fleet.pardons = slices.DeleteFunc(b.fleet.pardons, func(p Pardon) bool { return p.At < keep-forgetLater })
	for owner, list := range b.outages {
		if list = slices.DeleteFunc(list, func(o Outage) bool { return o.To != 0 && o.To < keep-forgetLater }); len(list) == 0 {
			delete(b.outages, owner)
		} else {
			b.outages[owner] = list
		}
	}
}

func (b *Book) forgetSightings(before int64) {
	forgotten := b.drop(func(s *Sighting) bool { return s.At < before })
	b.forgotten = b.forgotten || forgotten
}

// drop drops sightings, and says whether there were any.
func (b *Book) drop(which func(*Sighting) bool) (any bool) {
	for key, list := range b.clients {
		kept := slices.DeleteFunc(list, func(s Sighting) bool {
			drops := which(&s)
			if drops {
				b.count(&s, -1)
			}
			return drops
		})
		any = any || len(kept) < len(list)
		if b.clients[key] = kept; len(kept) == 0 {
			delete(b.clients, key)
		}
	}
	return any
}

// forgetFuture drops what a clock that was ahead has dated behind a time, but for visits, which were made all the same.
func (b *Book) forgetFuture(now int64) {
	b.drop(func(s *Sighting) bool { return s.At > now })
	for _, list := range b.visits { // whom they cleared they clear still
		for i := range list {
			list[i] = min(list[i], now)
		}
	}
	b.asked = slices.DeleteFunc(b.asked, func(at int64) bool { return at > now })
	maps.DeleteFunc(b.days, func(number int64, _ *Day) bool { return number > now/day })
	for owner, list := range b.outages {
		list = slices.DeleteFunc(list, func(o Outage) bool { return o.From > now && o.To != 0 })
		for i := range list {
			list[i].From, list[i].To = min(list[i].From, now), min(list[i].To, now)
		}
		b.outages[owner] = list
	}
	b.anew = true
}

// facts are all that the file has to hold.
func (b *Book) facts() []Fact {
	list := make([]Fact, 0, b.sightings+len(b.around)+len(b.outages)+1)
	for from := range b.around { // what clears stands before what convicts
		for _, at := range b.visits[from] {
			list = append(list, Fact{Visit: &Visit{at, from}})
		}
	}
	for _, outages := range b.outages {
		for _, o := range outages {
			list = append(list, Fact{Outage: &o})
		}
	}
	for _, sightings := range b.clients {
		for _, s := range sightings {
			list = append(list, Fact{Sighting: &s})
		}
	}
	for _, at := range b.asked {
		list = append(list, Fact{Asked: at})
	}
	for client, took := range b.took {
		for _, at := range took {
			list = append(list, Fact{Took: &Took{at, client}})
		}
	}
	for _, d := range b.days {
		list = append(list, Fact{Day: d})
	}
	for _, p := range b.fleet.pardons {
		list = append(list, Fact{Pardon: &p})
	}
	return append(list, Fact{Alive: b.alive})
}
