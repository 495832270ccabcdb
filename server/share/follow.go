package share

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"mxtrap/server/judge"
	"mxtrap/zone/conf"
)

// cursor is how far a server has read the stream of a store.
type cursor struct {
	ID    string          `json:"id"` // of this server
	Born  string          `json:"born"`
	Last  string          `json:"last"`
	At    int64           `json:"at"`              // when it had read so far, by the store's clock
	Lost  []string        `json:"lost,omitempty"`  // hours of which it knows that visits were lost
	Seen  int64           `json:"seen"`            // until when all visits that this server saw had been handed in
	Known map[string]node `json:"known,omitempty"` // the other servers that see visits
}

// stateFile has the cursor, in the folder of state.
const stateFile = "share"

func randomID() string {
	var id [8]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// readState reads how far this server had come, and who it is. One that keeps nothing is another at each start.
func (f *Fleet) readState() (id string) {
	data, err := os.ReadFile(filepath.Join(f.State, stateFile))
	if err == nil && json.Unmarshal(data, &f.cursor) == nil && f.cursor.ID != "" {
		return f.cursor.ID
	}
	f.cursor = cursor{ID: randomID()}
	return f.cursor.ID
}

// writeState notes how far this server has come.
func (f *Fleet) writeState() {
	f.cursor.ID = f.id
	path := filepath.Join(f.State, stateFile)
	err := os.MkdirAll(f.State, 0o700)
	if err == nil {
		err = os.WriteFile(path+".new", []byte(text(f.cursor)), 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		f.Log.Error("cannot note how far the shared facts are read; after a restart they are read once more", "file", path, "error", conf.Plain(err))
	}
}

// follow takes in what others have noted since.
func (f *Fleet) follow(ctx context.Context) error {
	if err := f.checkGap(ctx); err != nil {
		return err
	}
	before := f.cursor.Last
	for {
		from := "(" + f.cursor.Last
		if f.cursor.Last == "0" {
			from = "-"
		}
		some, err := f.store.XRangeN(ctx, f.config.key(factsKey), from, "+", mostAtOnce).Result()
		if err != nil {
			return err
		}
		for _, m := range some {
			f.unlooked = append(f.unlooked, f.take(m)...)
			f.cursor.Last = m.ID
		}
		if err := f.lookUp(ctx, f.unlooked, visitHours); err != nil {
			return err
		}
		if f.unlooked = nil; len(some) < mostAtOnce {
			break
		}
	}
	f.cursor.At, f.caught = f.storeNow(), true
	if f.cursor.Last != before {
		f.writeState()
	}
	return nil
}

// checkGap finds out whether facts have gone from the stream that were not read here.
func (f *Fleet) checkGap(ctx context.Context) error {
	if f.cursor.Last == "0" {
		return nil
	}
	oldest, err := f.store.XRangeN(ctx, f.config.key(factsKey), "-", "+", 1).Result()
	if err != nil || len(oldest) == 0 {
		return err
	}
	if idTime(oldest[0].ID) > idTime(f.cursor.Last) {
		f.Log.Warn("facts of the fleet have gone from the shared store before this server has read them; what clients did meanwhile is no evidence")
		f.blind(f.cursor.At)
		f.cursor.Last = "0"
	}
	return nil
}

// idTime is the time of an entry of a stream, in milliseconds since 1970.
func idTime(id string) uint64 {
	text, _, _ := strings.Cut(id, "-")
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// take takes a fact of another server in, and returns what surrounds its client where it is a sighting.
func (f *Fleet) take(m redis.XMessage) []judge.Surrounding {
	value := func(key string) string { s, _ := m.Values[key].(string); return s }
	version, _ := strconv.Atoi(value("v"))
	id := value("node")
	var fact judge.Fact
	if id == f.id || id == "" || version > Version || json.Unmarshal([]byte(value("fact")), &fact) != nil {
		return nil // what it has noted itself is in its book
	}
	if o := fact.Outage; o != nil {
		o.Node = id
	}
	if !sound(fact, f.storeNow()) {
		return nil
	}
	fact = shift(fact, -f.ahead.Load())
	f.hear(fact)
	if s := fact.Sighting; s != nil {
		return judge.Surroundings(s.Client, s.Name)
	}
	return nil
}

// sound says whether a fact is one that servers tell each other, and not of the future: its words are nobody's.
func sound(fact judge.Fact, now int64) bool {
	at := int64(0)
	switch {
	case fact.Sighting != nil:
		at = fact.Sighting.At
	case fact.Visit != nil:
		at = fact.Visit.At
	case fact.Outage != nil:
		at = max(fact.Outage.From, fact.Outage.To)
	case fact.Pardon != nil:
		at = fact.Pardon.At
	}
	return at > 0 && at <= now+clockStep
}

// hear notes a fact of others.
func (f *Fleet) hear(fact judge.Fact) {
	if err := f.Book.Hear(fact); err != nil {
		f.Log.Debug("cannot write what another server has told; it is in memory alone", "error", conf.Plain(err))
	}
}

// lookUp takes in visits of the last hours of some surroundings. It is an error where the store has thrown visits away.
func (f *Fleet) lookUp(ctx context.Context, around []judge.Surrounding, hours int64) error {
	slices.Sort(around)
	around = slices.Compact(around)
	if len(around) == 0 {
		return nil
	}
	now := f.storeNow()
	if err := f.checkHours(ctx); err != nil {
		return err
	}
	for some := range slices.Chunk(around, mostAtOnce/(hour/step)) {
		var fields []string
		for _, from := range some {
			for at := int64(0); at < hour; at += step {
				fields = append(fields, visitField(from, at))
			}
		}
		pipe := f.store.Pipeline()
		var found []*redis.SliceCmd
		for h := int64(0); h <= hours; h++ {
			found = append(found, pipe.HMGet(ctx, f.config.key(visitsKey+hourOf(now-h*hour)), fields...))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		for _, c := range found {
			for i, v := range c.Val() {
				s, ok := v.(string)
				if at, err := strconv.ParseInt(s, 10, 64); ok && err == nil {
					f.hear(shift(judge.Fact{Visit: &judge.Visit{At: at, From: some[i/(hour/step)]}}, -f.ahead.Load()))
				}
			}
		}
	}
	return nil
}

// checkHours finds out whether the store has thrown visits away, to make room or by somebody's hand. Nobody saw then who came.
func (f *Fleet) checkHours(ctx context.Context) error {
	marks, err := f.store.HGetAll(ctx, f.config.key(hoursKey)).Result()
	if err != nil {
		return err
	}
	now := f.storeNow()
	for text, mark := range marks {
		h, err := strconv.ParseInt(text, 10, 64)
		if err != nil || h < now/hour-visitHours {
			if err := f.store.HDel(ctx, f.config.key(hoursKey), text).Err(); err != nil {
				return err
			}
			continue
		}
		there, err := f.store.HGet(ctx, f.config.key(visitsKey+text), markField).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		known := !strings.HasPrefix(mark, lostMark) || slices.Contains(f.cursor.Lost, mark)
		if there == mark && known {
			continue
		}
		if there != mark && f.doubted != text+mark { // another server may have noted the hour a moment ago, and not yet its mark
			f.doubted = text + mark
			return errDoubt
		}
		f.Log.Warn("the shared store has thrown visits away, perhaps to make room; what clients did near that time is no evidence", "hour", text)
		if there != mark { // this server is the first to see it, and marks the hour for the others
			mark = lostMark + randomID()
			pipe := f.store.Pipeline()
			pipe.HSet(ctx, f.config.key(hoursKey), text, mark)
			pipe.HSet(ctx, f.config.key(visitsKey+text), markField, mark)
			pipe.Expire(ctx, f.config.key(visitsKey+text), (visitHours+1)*time.Hour)
			if _, err := pipe.Exec(ctx); err != nil {
				return err
			}
		}
		f.blind(h * hour)
		f.cursor.Lost = append(f.cursor.Lost, mark)
		f.cursor.Lost = f.cursor.Lost[max(0, len(f.cursor.Lost)-4*visitHours):]
		f.writeState()
	}
	return nil
}

// lostMark begins the mark of an hour of which visits were lost. Each server sees that by itself, and before it looks for visits.
const lostMark = "lost "

// errDoubt ends a round: whether the store has all visits shows in the next one.
var errDoubt = errors.New("visits of an hour are not all there yet")
