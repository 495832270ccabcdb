package share

import (
	"context"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"mxtrap/server/judge"
)

// waiting is what is to be handed in, in the order of its coming.
type waiting struct {
	mu   sync.Mutex
	list []judge.Fact // by this server's clock
	sent []sent       // what was written lately
	lost int64        // since when facts had to be dropped; 0: none was
}

// sent is a fact that was written at a time.
type sent struct {
	fact judge.Fact
	at   time.Time
}

// tell takes a fact of this server. It waits for nobody: the book is locked.
func (f *Fleet) tell(fact judge.Fact) {
	if fact.Asked != 0 {
		f.asked.Store(fact.Asked)
		return
	}
	if o := fact.Outage; o != nil && o.Owner == "" && !f.Senses {
		return // that this server does not see visits is nothing new
	}
	f.enqueue(fact)
}

// enqueue has a fact handed in.
func (f *Fleet) enqueue(fact judge.Fact) {
	w := &f.waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := fact.Sighting; s != nil {
		named := *s
		named.Cleared = false
		named.ID = fmt.Sprintf("%s/%d.%08x", f.id, s.At, crc32.ChecksumIEEE([]byte(text(named))))
		fact.Sighting = &named
	}
	if len(w.list) >= mostWaiting {
		if w.lost == 0 {
			w.lost = f.Clock().Unix()
		}
		return
	}
	w.list = append(w.list, fact)
}

// enqueueOwn has the facts of this server's book handed in that are not older than a time, and all pardons. Who has them takes them for none.
func (f *Fleet) enqueueOwn(since int64) {
	for _, fact := range f.Book.Own() {
		s, v, o := fact.Sighting, fact.Visit, fact.Outage
		if fact.Pardon != nil || s != nil && s.At >= since || v != nil && v.At >= since || o != nil && (o.To == 0 || o.To >= since) {
			f.enqueue(fact)
		}
	}
}

// again has what was written lately written once more: a store that has failed may have lost it. Who has it takes no second.
func (w *waiting) again(sentSince time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]judge.Fact, 0, len(w.sent)+len(w.list))
	for _, s := range w.sent {
		if time.Since(s.at) <= sentSince {
			list = append(list, s.fact)
		}
	}
	w.list, w.sent = append(list, w.list...), nil
}

func (w *waiting) size() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.list)
}

// publish hands in what waits, and says until when all visits that this server has seen are in the store then.
func (f *Fleet) publish(ctx context.Context) (seen int64, err error) {
	w := &f.waiting
	for {
		w.mu.Lock()
		some := w.list[:min(mostAtOnce, len(w.list))]
		seen = f.storeNow()
		lost := w.lost
		w.mu.Unlock()
		if len(some) == 0 {
			if lost == 0 {
				return seen, nil
			}
			w.mu.Lock()
			w.lost = 0
			w.mu.Unlock()
			f.Log.Warn("more was seen here than could wait for the shared store; what clients did meanwhile is no evidence", "since", time.Unix(lost, 0).UTC())
			f.blind(lost + f.ahead.Load())
			continue
		}
		if err := f.write(ctx, some); err != nil {
			return 0, err
		}
		w.mu.Lock()
		now := time.Now()
		for _, fact := range some {
			w.sent = append(w.sent, sent{fact, now})
			if s := fact.Sighting; s != nil { // others may have seen the client before
				f.unlooked = append(f.unlooked, judge.Surroundings(s.Client, s.Name)...)
			}
		}
		for len(w.sent) > 0 && (now.Sub(w.sent[0].at) > f.tempo.Sent || len(w.sent) > mostWaiting) {
			w.sent = w.sent[1:]
		}
		if w.list = w.list[len(some):]; len(w.list) == 0 {
			w.list = nil
		}
		w.mu.Unlock()
	}
}

// write writes some facts.
func (f *Fleet) write(ctx context.Context, facts []judge.Fact) error {
	pipe := f.store.Pipeline()
	hours := map[string]bool{}
	for _, fact := range facts {
		fact = shift(fact, f.ahead.Load())
		if v := fact.Visit; v != nil {
			hour := hourOf(v.At)
			hours[hour] = true
			pipe.HSet(ctx, f.config.key(visitsKey+hour), visitField(v.From, v.At), v.At)
			if !f.Book.Sighted(v.From) {
				continue // who is sighted later finds it there
			}
		}
		if o := fact.Outage; o != nil {
			o.Node = f.id
		}
		pipe.XAdd(ctx, &redis.XAddArgs{Stream: f.config.key(factsKey), MaxLen: mostFacts, Approx: true, Values: []any{"v", Version, "node", f.id, "fact", text(fact)}})
	}
	if err := f.beginHours(ctx, hours); err != nil {
		return err
	}
	_, err := pipe.Exec(ctx)
	return err
}

// beginHours notes which hours have visits in the store, so that it shows when the store has thrown some away. The key of an hour and the note on
// it have the same mark.
func (f *Fleet) beginHours(ctx context.Context, hours map[string]bool) error {
	for hour := range hours {
		mark := randomID()
		key := f.config.key(visitsKey + hour)
		fresh, err := f.store.HSetNX(ctx, f.config.key(hoursKey), hour, mark).Result()
		if err != nil {
			return err
		}
		if fresh {
			if err := f.store.HSet(ctx, key, markField, mark).Err(); err != nil {
				return err
			}
		}
		if err := f.store.Expire(ctx, key, (visitHours+1)*time.Hour).Err(); err != nil {
			return err
		}
	}
	return nil
}

// markField is the field of an hour's visits that tells it from another of the same name.
const markField = "mark"

// Pardon tells the others of the operator's word.
func (f *Fleet) Pardon(p judge.Pardon) { f.tell(judge.Fact{Pardon: &p}) }
