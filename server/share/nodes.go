package share

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/redis/go-redis/v9"

	"mxtrap/server/judge"
	"mxtrap/server/pace"
)

// say tells the others of this server, and of which real exchanges are not well.
func (f *Fleet) say(ctx context.Context, seen int64) error {
	now := f.storeNow()
	me := node{Version: Version, Name: f.config.Node, Run: f.run, At: now, Seen: seen, Senses: f.Senses}
	if asked := f.asked.Load(); asked != 0 {
		me.Asked = asked + f.ahead.Load()
	}
	unwell := f.Unwell()
	if len(unwell) > mostUnwell {
		unwell = unwell[:mostUnwell]
	}
	pipe := f.store.Pipeline()
	pipe.HSet(ctx, f.config.key(nodesKey), f.id, text(me))
	pipe.HDel(ctx, f.config.key(forgottenKey), f.id)
	pipe.Set(ctx, f.config.key(healthKey+f.id), text(unwell), f.tempo.Heard)
	_, err := pipe.Exec(ctx)
	if err != nil {
		return err
	}
	f.said = now
	if seen-f.cursor.Seen >= noteSeen {
		f.cursor.Seen = seen
		f.writeState()
	}
	return nil
}

// hearNodes reads what the others say of themselves, and of real exchanges.
func (f *Fleet) hearNodes(ctx context.Context) error {
	all, err := f.store.HGetAll(ctx, f.config.key(nodesKey)).Result()
	if err != nil {
		return err
	}
	forgotten, err := f.store.HGetAll(ctx, f.config.key(forgottenKey)).Result()
	if err != nil {
		return err
	}
	nodes := make(map[string]node, len(all))
	now, back := f.storeNow(), f.storeNow()
	for id, said := range all {
		var n node
		if json.Unmarshal([]byte(said), &n) != nil {
			continue
		}
		if nodes[id] = n; n.Senses {
			back = min(back, n.Seen)
		}
		if id != f.id && n.Asked > 0 && n.Asked <= now+clockStep {
			f.hear(judge.Fact{Asked: n.Asked - f.ahead.Load()})
		}
	}
	back = min(back, f.remember(nodes, forgotten))
	unwell, err := f.hearHealth(ctx, nodes)
	if err != nil {
		return err
	}
	f.mu.Lock()
	before := f.nodes
	f.nodes, f.back, f.now = nodes, back, now // by one time it is told who is silent, and who may be forgotten
	if len(unwell) > 0 || len(f.unwell) > 0 {
		pace.Signal(f.Changed)
	}
	f.unwell = unwell
	for id, n := range nodes {
		switch told, was := f.silent[id]; {
		case id == f.id || !n.Senses || f.tempo.heard(n.At, now):
			if delete(f.silent, id); was {
				f.Log.Info("a server of the fleet is heard again", "node", n.name(id))
			}
		case !was || now-told >= silentTold:
			f.silent[id] = now
			f.Log.Error("a server of the fleet that sees who comes to real hosts is not heard; until it is, nobody new is listed; if it is gone for good: mxtrap share forget "+n.name(id), "node", n.name(id), "silent", time.Duration(now-n.At)*time.Second)
		}
	}
	for id := range f.silent {
		if _, there := nodes[id]; !there {
			delete(f.silent, id)
		}
	}
	f.mu.Unlock()
	for id, n := range before { // without the lock: the book asks this fleet, too
		if _, there := nodes[id]; !there { // the operator knows that it is gone
			f.Book.EndOutages(id, n.At-f.ahead.Load())
		}
	}
	return nil
}

// remember keeps in mind which servers see visits, for a store may forget them, and the operator alone says which are gone. It adds those to the
// servers that the store has, and says until when they had told all visits.
func (f *Fleet) remember(nodes map[string]node, forgotten map[string]string) (back int64) {
	back, changed := math.MaxInt64, false
	if f.cursor.Known == nil {
		f.cursor.Known = map[string]node{}
	}
	for id, n := range nodes {
		if was, known := f.cursor.Known[id]; n.Senses && id != f.id && (!known || n.Seen-was.Seen >= noteSeen) {
			f.cursor.Known[id], changed = n, true
		} else if known && !n.Senses {
			delete(f.cursor.Known, id)
			changed = true
		}
	}
	for id, n := range f.cursor.Known {
		_, gone := forgotten[id]
		if _, there := nodes[id]; there {
			continue
		}
		if gone || id == f.id {
			delete(f.cursor.Known, id)
			changed = true
			continue
		}
		nodes[id], back = n, min(back, n.Seen)
	}
	if changed {
		f.writeState()
	}
	return back
}

// noteSeen is after how many seconds it is noted anew how far servers had come, should all forget it.
const noteSeen = 10

// hearHealth reads which real exchanges are not well for other servers that are heard.
func (f *Fleet) hearHealth(ctx context.Context, nodes map[string]node) (map[netip.Addr]bool, error) {
	var keys []string
	for id := range nodes {
		if id != f.id {
			keys = append(keys, f.config.key(healthKey+id))
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	said, err := f.store.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, err
	}
	unwell := map[netip.Addr]bool{}
	for _, one := range said {
		var list []netip.Addr
		if s, ok := one.(string); ok && json.Unmarshal([]byte(s), &list) == nil {
			for _, a := range list {
				unwell[a] = true
			}
		}
	}
	return unwell, nil
}

// ErrNoNode says that no server is called so.
var ErrNoNode = errors.New("no server of the fleet is called so")

// Forget has nobody wait any more for servers of a name that are not heard, and are gone for good.
func (f *Fleet) Forget(ctx context.Context, name string) error {
	f.mu.Lock()
	var ids, heard []string
	for id, n := range f.nodes {
		switch {
		case n.name(id) != name:
		case f.tempo.heard(n.At, f.now):
			heard = append(heard, id)
		default:
			ids = append(ids, id)
		}
	}
	f.mu.Unlock()
	if len(ids) == 0 && len(heard) > 0 {
		return fmt.Errorf("%s is heard: stop it first", name)
	} else if len(ids) == 0 {
		return ErrNoNode
	}
	_, err := f.store.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, id := range ids {
			pipe.HSet(ctx, f.config.key(forgottenKey), id, time.Now().Unix())
		}
		pipe.HDel(ctx, f.config.key(nodesKey), ids...)
		return nil
	})
	return err
}
