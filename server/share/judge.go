package share

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"mxtrap/server/judge"
	"mxtrap/server/pace"
)

// lease is the right to write the list.
type lease struct {
	held   bool
	judged time.Time
	list   map[netip.Prefix]entry // as it stands in the store, by the store's clock
}

// errOvertaken is the error of a judge whose place another has taken.
var errOvertaken = errors.New("another server judges now")

// mayJudge says whether this server may take the lease: it agrees to the list, has read all there is, and no other that is heard is newer.
func (f *Fleet) mayJudge() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		if n.Version > Version && f.tempo.heard(n.At, f.now) {
			return false
		}
	}
	return f.Lists() && f.caught
}

// judgeDue takes or keeps the lease, and judges where it has it and it is time.
func (f *Fleet) judgeDue(ctx context.Context) error {
	l := &f.lease
	if !f.mayJudge() {
		return f.giveUp(ctx)
	}
	key := f.config.key(leaseKey)
	took, err := f.store.SetNX(ctx, key, f.id, f.tempo.Lease).Result()
	if err != nil {
		return err
	}
	holder := f.id
	if !took {
		if holder, err = f.store.Get(ctx, key).Result(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	f.mu.Lock()
	f.holder = holder
	f.mu.Unlock()
	if holder != f.id {
		*l = lease{}
		return nil
	}
	if took || !l.held {
		// What the store has lost of the list is in this server's copy. What another judge has made of it since, too.
		*l = lease{held: true, list: f.copied()}
		f.Log.Info("this server judges for the fleet now", "node", f.config.Node)
	}
	if !took && time.Since(l.judged) < f.tempo.Judge {
		return f.commit(ctx, nil, nil)
	}
	l.judged = time.Now()
	return f.judge(ctx)
}

// giveUp leaves the lease to others.
func (f *Fleet) giveUp(ctx context.Context) error {
	if !f.lease.held {
		return nil
	}
	err := f.fenced(ctx, func(pipe redis.Pipeliner) { pipe.Del(ctx, f.config.key(leaseKey)) })
	f.lease = lease{}
	return err
}

// copied is this server's copy of the list, by the store's clock.
func (f *Fleet) copied() map[netip.Prefix]entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make(map[netip.Prefix]entry, len(f.list))
	for client, e := range f.list {
		list[client] = shiftEntry(e, f.ahead.Load())
	}
	return list
}

// leave hands in what waits, and has another take the lease at once, where this server stops.
func (f *Fleet) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second/2)
	defer cancel()
	if seen, err := f.publish(ctx); err == nil && f.said != 0 {
		f.cursor.Seen = seen
		f.writeState()
	}
	f.giveUp(ctx)
}

// fenced writes only where this server has the lease still. The store sees to it: no server writes with a lease that it has lost without knowing.
func (f *Fleet) fenced(ctx context.Context, write func(redis.Pipeliner)) error {
	key := f.config.key(leaseKey)
	err := f.store.Watch(ctx, func(tx *redis.Tx) error {
		holder, err := tx.Get(ctx, key).Result()
		if errors.Is(err, redis.Nil) || err == nil && holder != f.id {
			return errOvertaken
		} else if err != nil {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			write(pipe)
			return nil
		})
		return err
	}, key)
	if errors.Is(err, errOvertaken) || errors.Is(err, redis.TxFailedErr) {
		f.lease = lease{}
		return nil
	}
	return err
}

// judge brings the list up to date.
func (f *Fleet) judge(ctx context.Context) error {
	f.mu.Lock()
	back := f.back
	f.mu.Unlock()
	now := f.storeNow()
	at := min(now, back)
	listed := f.Book.Listed(at - f.ahead.Load())
	var around []judge.Surrounding
	for _, e := range listed {
		around = append(around, f.Book.AroundClient(e.Client)...)
	}
	if err := f.lookUp(ctx, around, 2); err != nil {
		return err
	}
	set, gone := map[netip.Prefix]entry{}, []netip.Prefix(nil)
	fresh := f.tempo.heard(back, now)
	found := map[netip.Prefix]bool{}
	for _, e := range listed {
		l := f.Book.Judge(e.Client.Addr(), at-f.ahead.Load()) // with the visits that were found
		if l == nil {
			continue
		}
		found[e.Client] = true
		next := brief(shiftEntry(entry{Client: e.Client, Listing: *l}, f.ahead.Load()))
		old, was := f.lease.list[e.Client]
		switch {
		case !fresh:
		case !was, old.Grade != next.Grade, next.End > old.End+retell:
			set[e.Client] = next
		}
	}
	for client, e := range f.lease.list {
		switch {
		case e.End <= now+int64(f.tempo.Judge.Seconds())+1:
			gone = append(gone, client)
		case found[client]:
		case fresh, f.Book.Forgiven(client, e.Grounds[len(e.Grounds)-1].At-f.ahead.Load()):
			gone = append(gone, client)
		}
	}
	strange, err := f.restore(ctx, set)
	if err != nil {
		return err
	}
	gone = append(gone, strange...)
	if err := f.commit(ctx, set, gone); err != nil {
		return err
	}
	return f.trim(ctx)
}

// retell is how many seconds the end of an entry must move for it to be told anew: a busy bot does not change the list at each of its sessions.
const retell = hour

// restore has what the store has lost of the list written again, and returns what stands there and is not in the list, such as when an older state of
// the store has come back.
func (f *Fleet) restore(ctx context.Context, set map[netip.Prefix]entry) (strange []netip.Prefix, err error) {
	pipe := f.store.Pipeline()
	entries, list := pipe.HKeys(ctx, f.config.key(entriesKey)), pipe.HKeys(ctx, f.config.key(listKey))
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	there := map[string]int{}
	for _, name := range append(entries.Val(), list.Val()...) {
		there[name]++
	}
	for client, e := range f.lease.list {
		name := judge.Bare(client)
		if _, changes := set[client]; !changes && there[name] < 2 {
			set[client] = e
		}
		delete(there, name)
	}
	for name := range there {
		if client, err := judge.ParseClients(name); err == nil {
			strange = append(strange, client)
		}
	}
	return strange, nil
}

// commit writes changes of the list, and has lease and list live on.
func (f *Fleet) commit(ctx context.Context, set map[netip.Prefix]entry, gone []netip.Prefix) error {
	for {
		some, rest := map[netip.Prefix]entry{}, map[netip.Prefix]entry{}
		for client, e := range set {
			if len(some) < mostAtOnce {
				some[client] = e
			} else {
				rest[client] = e
			}
		}
		out := gone[:min(mostAtOnce, len(gone))]
		if err := f.commitSome(ctx, some, out); err != nil || !f.lease.held {
			return err
		}
		if set, gone = rest, gone[len(out):]; len(set)+len(gone) == 0 {
			return nil
		}
	}
}

func (f *Fleet) commitSome(ctx context.Context, set map[netip.Prefix]entry, gone []netip.Prefix) error {
	now := f.storeNow()
	life := int64(listLife)
	for client, e := range f.lease.list {
		if !slices.Contains(gone, client) {
			life = min(life, e.End-now)
		}
	}
	for _, e := range set {
		life = min(life, e.End-now)
	}
	err := f.fenced(ctx, func(pipe redis.Pipeliner) {
		pipe.PExpire(ctx, f.config.key(leaseKey), f.tempo.Lease)
		for client, e := range set {
			name := judge.Bare(client)
			pipe.HSet(ctx, f.config.key(entriesKey), name, text(e))
			pipe.HSet(ctx, f.config.key(listKey), name, strconv.Itoa(int(e.Grade)))
			pipe.ZAdd(ctx, f.config.key(endsKey), redis.Z{Score: float64(e.End), Member: name})
		}
		for _, client := range gone {
			name := judge.Bare(client)
			pipe.HDel(ctx, f.config.key(entriesKey), name)
			pipe.HDel(ctx, f.config.key(listKey), name)
			pipe.ZRem(ctx, f.config.key(endsKey), name)
		}
		if len(set)+len(gone) > 0 {
			pipe.Set(ctx, f.config.key(changeKey), randomID(), 0)
		}
		for _, key := range []string{entriesKey, listKey, endsKey} { // nobody stays beyond his end, even if all servers stop
			pipe.Expire(ctx, f.config.key(key), time.Duration(max(1, life))*time.Second)
		}
	})
	if err != nil || !f.lease.held {
		return err
	}
	for client, e := range set {
		f.lease.list[client] = e
	}
	for _, client := range gone {
		delete(f.lease.list, client)
	}
	return nil
}

// trim forgets facts that are to be kept no longer.
func (f *Fleet) trim(ctx context.Context) error {
	keep := f.Book.KeepSeconds()
	if keep == 0 {
		return nil
	}
	return f.store.XTrimMinIDApprox(ctx, f.config.key(factsKey), strconv.FormatInt((f.storeNow()-keep)*1000, 10), 0).Err()
}

// readEntries reads the list.
func (f *Fleet) readEntries(ctx context.Context) (map[netip.Prefix]entry, error) {
	all, err := f.store.HGetAll(ctx, f.config.key(entriesKey)).Result()
	if err != nil {
		return nil, err
	}
	list := make(map[netip.Prefix]entry, len(all))
	for _, said := range all {
		var e entry
		if json.Unmarshal([]byte(said), &e) == nil && f.Book.Sound(e, f.storeNow()) {
			list[e.Client] = e
		}
	}
	return list, nil
}

// readList brings this server's copy of the list up to date, where it has changed. What the store has thrown away stays until its end.
func (f *Fleet) readList(ctx context.Context) error {
	change, err := f.store.Get(ctx, f.config.key(changeKey)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	f.mu.Lock()
	alike := f.known && change == f.change
	f.mu.Unlock()
	if alike {
		return nil
	}
	list, err := f.readEntries(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if change == "" && len(f.list) > 0 { // the store is another, or empty
		return nil
	}
	f.list = make(map[netip.Prefix]entry, len(list))
	for client, e := range list {
		f.list[client] = shiftEntry(e, -f.ahead.Load())
	}
	f.change, f.known = change, true
	pace.Signal(f.Changed)
	return nil
}

// Listed are the clients of the list at a time, in the order of their addresses, but for those that are forgiven here. They are not ok as long as
// it was never read.
func (f *Fleet) Listed(now int64) (entries []judge.Entry, ok bool) {
	f.mu.Lock()
	for client, e := range f.list {
		if e.End <= now {
			delete(f.list, client)
			continue
		}
		entries = append(entries, e)
	}
	ok = f.known
	f.mu.Unlock()
	entries = slices.DeleteFunc(entries, func(e judge.Entry) bool { return f.Book.Forgiven(e.Client, e.Grounds[len(e.Grounds)-1].At) })
	slices.SortFunc(entries, func(a, b judge.Entry) int { return a.Client.Compare(b.Client) })
	return entries, ok
}

// Status is what this server knows of the fleet.
func (f *Fleet) Status() *Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &Status{Store: f.config.Where(), Answers: !f.broken && f.now != 0, Listed: len(f.list), Waiting: f.waiting.size(), Nodes: []Node{}}
	for id, n := range f.nodes {
		_, silent := f.silent[id]
		s.Nodes = append(s.Nodes, Node{Name: n.name(id), Here: id == f.id, Heard: time.Unix(n.At-f.ahead.Load(), 0), Senses: n.Senses, Silent: silent, Version: n.Version})
	}
	s.Judge = f.nodes[f.holder].name(f.holder)
	slices.SortFunc(s.Nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return s
}
