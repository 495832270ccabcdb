package share

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"mxtrap/server/judge"
	"mxtrap/zone/conf"
)

// Tempo is how often a server of a fleet does what.
type Tempo struct {
	Beat  time.Duration // it says that it is there, hands in what it has, and reads what others have
	Judge time.Duration // it judges, where it does
	Lease time.Duration // that a judge has before another takes its place
	Heard time.Duration // after which a server that is silent counts as not heard; as old may be the word of all about visits for somebody to be listed
	Sent  time.Duration // for which what was written is kept, should the store lose it
}

// RealTime is the tempo of a server.
var RealTime = Tempo{Beat: time.Second, Judge: 10 * time.Second, Lease: 15 * time.Second, Heard: time.Minute, Sent: 2 * time.Minute}

// heard is when a server was heard that counts as heard at a time.
func (t Tempo) heard(at, now int64) bool {
	return now-at <= int64(t.Heard.Seconds()) && at-now <= int64(t.Heard.Seconds())
}

// Here is what a server has to do with the others.
type Here struct {
	Book   *judge.Book
	Senses bool                // mail hosts tell it who comes to them
	Lists  func() bool         // it may judge
	Ready  func() bool         // what its book kept before is known
	Unwell func() []netip.Addr // addresses of real exchanges that are not well, as far as it can judge
	Clock  func() time.Time
	State  string // folder; "": none
	Log    *slog.Logger
}

// Fleet is the other servers, as one of them sees them.
type Fleet struct {
	Here
	config Config
	tempo  Tempo
	store  redis.UniversalClient
	id     string // of this server, whatever it is called
	run    string // of this process

	// Changed receives when the list, or what others say of exchanges, has changed.
	Changed chan struct{}

	waiting  waiting
	ahead    atomic.Int64 // that the store's clock is ahead of this one's, in seconds
	cursor   cursor
	said     int64 // when this server has said last that it is there, by the clock of the store
	caught   bool  // this server has read all that was in the stream
	broken   bool  // the last round failed
	told     time.Time
	asked    atomic.Int64
	lease    lease
	unlooked []judge.Surrounding // of clients that were sighted, whose visits of before are to be looked for
	doubted  string              // an hour of visits whose mark was not there at the last look

	mu     sync.Mutex
	list   map[netip.Prefix]entry // by this server's clock
	holder string                 // the id of the server that judges
	change string                 // of which that is
	known  bool
	nodes  map[string]node
	unwell map[netip.Addr]bool // as others say
	silent map[string]int64    // servers that see visits and are not heard, and when that was told
	back   int64               // until when all servers have told all visits, by the store's clock
	now    int64               // by the store's clock, at the last round
}

// New makes the fleet of a server. It asks nobody yet.
func New(config Config, here Here, tempo Tempo) *Fleet {
	f := &Fleet{run: randomID(), Here: here, config: config, tempo: tempo, store: config.client(), Changed: make(chan struct{}, 1), list: map[netip.Prefix]entry{}, silent: map[string]int64{}}
	f.id = f.readState()
	here.Book.Join(f.tell, f.Has)
	return f
}

// Has says whether a client is in the list.
func (f *Fleet) Has(client netip.Prefix) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.list[client]
	return ok
}

// Run takes part until the context ends. The function that it returns waits for that.
func (f *Fleet) Run(ctx context.Context) (wait func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer f.store.Close()
		tick := time.NewTicker(f.tempo.Beat)
		defer tick.Stop()
		for {
			f.round(ctx)
			select {
			case <-ctx.Done():
				f.leave()
				return
			case <-tick.C:
			}
		}
	}()
	return func() { <-ended }
}

// roundTime is how long a round may take.
const roundTime = 20 * time.Second

// round does what is due, once.
func (f *Fleet) round(ctx context.Context) {
	if !f.Ready() {
		return // what is known here would be judged without what was known before
	}
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	err := f.beat(ctx)
	if err == nil {
		err = f.judgeDue(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		if f.broken {
			f.Log.Info("the shared store answers again", "store", f.config.Where())
		}
		f.broken = false
	case ctx.Err() == context.Canceled, errors.Is(err, errDoubt):
	default:
		f.lease = lease{} // another may judge meanwhile
		if !f.broken || time.Since(f.told) >= time.Minute {
			f.told = time.Now()
			f.Log.Error("the shared store does not answer as it should; who is listed stays until his end, nobody new is listed, and what is seen here is handed in later", "store", f.config.Where(), "error", conf.Plain(err))
			if strings.Contains(err.Error(), "WRONGTYPE") {
				f.Log.Error("something else writes to keys of this prefix in the shared store: set share.prefix to another one at all servers, or delete the keys", "prefix", f.config.key(""))
			}
		}
		if !f.broken {
			f.waiting.again(f.tempo.Sent) // the store may have lost what it had last
		}
		f.broken = true
	}
}

// beat hands in what waits, reads what is new, and says that this server is there.
func (f *Fleet) beat(ctx context.Context) error {
	if err := f.readClock(ctx); err != nil {
		return err
	}
	if err := f.checkStore(ctx); err != nil {
		return err
	}
	if err := f.checkRollback(ctx); err != nil {
		return err
	}
	if f.said == 0 {
		f.begin()
	}
	seen, err := f.publish(ctx)
	if err != nil {
		return err
	}
	if err := f.follow(ctx); err != nil {
		return err
	}
	if err := f.say(ctx, seen); err != nil {
		return err
	}
	if err := f.hearNodes(ctx); err != nil {
		return err
	}
	return f.readList(ctx)
}

// readClock finds out how far the store's clock is ahead.
func (f *Fleet) readClock(ctx context.Context) error {
	before := f.Clock()
	at, err := f.store.Time(ctx).Result()
	if err != nil {
		return err
	}
	middle := before.Add(f.Clock().Sub(before) / 2)
	ahead := int64(at.Sub(middle).Round(time.Second).Seconds())
	if was := f.ahead.Swap(ahead); f.said != 0 && (ahead-was > clockStep || was-ahead > clockStep) {
		f.Log.Warn("the clock of the shared store, or of this server, has jumped; what clients did near that time is no evidence", "seconds", ahead-was)
		f.blind(f.storeNow() - aroundVisit)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = at.Unix()
	return nil
}

// begin does what is due when this process takes part for the first time: what waited in the one before is lost, but for what its book has, and pardons
// that were given while none ran are not told yet.
func (f *Fleet) begin() {
	if seen := f.cursor.Seen; seen != 0 && f.storeNow()-seen > int64(f.tempo.Heard.Seconds()) {
		f.blind(seen)
	}
	f.enqueueOwn(f.cursor.Seen - f.ahead.Load() - int64(f.tempo.Sent.Seconds()))
}

// renew has this server take part under another id: another one has the same, such as a copy of its folder of state. What either has told the other has
// taken for its own.
func (f *Fleet) renew() {
	f.Log.Error("another server takes part with the id of this one, perhaps with a copy of its folder of state; this one takes another id", "node", f.config.Node)
	f.id = randomID()
	f.cursor.Last, f.caught, f.lease, f.said = "0", false, lease{}, 0
	f.enqueueOwn(math.MinInt64)
	f.blind(f.storeNow() - aroundVisit)
	f.writeState()
}

// clockStep is how many seconds a clock may be put forward or back without harm, and aroundVisit for how long a visit may clear a sighting.
const (
	clockStep   = 60
	aroundVisit = 2 * hour
)

// checkRollback finds out whether the store has gone back to an earlier state, by what this server has said of itself last. What it has written
// since is written once more, as far as it has it still; what others have may be lost.
func (f *Fleet) checkRollback(ctx context.Context) error {
	if f.said == 0 {
		return nil
	}
	said, err := f.store.HGet(ctx, f.config.key(nodesKey), f.id).Result()
	if errors.Is(err, redis.Nil) {
		return nil // the operator has had this server forgotten, while it was not heard
	} else if err != nil {
		return err
	}
	var me node
	if json.Unmarshal([]byte(said), &me) != nil {
		return nil
	}
	if me.Run != f.run && me.At >= f.said {
		f.renew()
		return nil
	}
	if me.At >= f.said {
		return nil
	}
	if f.waiting.again(f.tempo.Sent); f.said-me.At > int64(f.tempo.Sent.Seconds())/2 {
		f.Log.Warn("the shared store has gone back to an earlier state; what clients did meanwhile is no evidence", "store", f.config.Where(), "seconds", f.said-me.At)
		f.blind(me.At)
	}
	f.said, f.cursor.Last = me.At, "0" // what comes now may have numbers that were read once
	return nil
}

// errNewer is the error of a store whose data this version does not know.
var errNewer = errors.New("a newer version of mxtrap keeps its facts there in another form: upgrade this server too")

// checkStore finds out whether the store is the one that was there before. What visits were lost with another one nobody knows: it is a time in
// which nobody saw who came.
func (f *Fleet) checkStore(ctx context.Context) error {
	id := randomID()
	if err := f.store.SetNX(ctx, f.config.key(formatKey), Version, 0).Err(); err != nil {
		return err
	}
	if format, err := f.store.Get(ctx, f.config.key(formatKey)).Int(); err != nil {
		return err
	} else if format > Version {
		return errNewer
	}
	if err := f.store.SetNX(ctx, f.config.key(bornKey), id, 0).Err(); err != nil {
		return err
	}
	born, err := f.store.Get(ctx, f.config.key(bornKey)).Result()
	if err != nil {
		return err
	}
	if f.cursor.Born != born {
		if f.cursor.Born != "" {
			f.Log.Warn("the shared store has lost what it held; what clients did meanwhile is no evidence", "store", f.config.Where())
			f.blind(f.cursor.At)
		}
		f.cursor.Born, f.cursor.Last, f.cursor.At, f.caught = born, "0", f.storeNow(), false
		f.enqueueOwn(math.MinInt64)
		f.mu.Lock()
		f.change = ""
		f.mu.Unlock()
		f.waiting.again(f.tempo.Sent)
	}
	return nil
}

// storeNow is the time by the store's clock.
func (f *Fleet) storeNow() int64 { return f.Clock().Unix() + f.ahead.Load() }

// blind notes that visits may have been missed since a time of the store.
func (f *Fleet) blind(since int64) {
	now := f.Clock().Unix()
	fact := judge.Fact{Outage: &judge.Outage{From: min(since-f.ahead.Load(), now-1), To: now}}
	if err := f.Book.Add(fact); err != nil {
		f.Log.Error("cannot write an outage; it is in memory alone", "error", conf.Plain(err))
	}
	if !f.Senses { // the others may not see it any more
		f.enqueue(fact)
	}
}

// OthersUnwell are the addresses of real exchanges that are not well for other servers.
func (f *Fleet) OthersUnwell() map[netip.Addr]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unwell
}

// Status is what a server knows of its fleet.
type Status struct {
	Store   string `json:"store"`
	Answers bool   `json:"answers"`
	Judge   string `json:"judge,omitempty"` // the server that judges; "": none, or not known
	Listed  int    `json:"listed"`
	Waiting int    `json:"waiting"` // facts that are to be handed in
	Nodes   []Node `json:"nodes"`
}

// Node is a server of a fleet.
type Node struct {
	Name    string    `json:"node"`
	Here    bool      `json:"here,omitempty"` // it is this one
	Heard   time.Time `json:"heard"`
	Senses  bool      `json:"senses"` // mail hosts tell it who comes to them
	Silent  bool      `json:"silent,omitempty"`
	Version int       `json:"version"` // of the data
}

// quiet keeps the library from logging by itself: what is wrong comes back as an error.
type quiet struct{}

// Printf implements the library's logger.
func (quiet) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(quiet{}) }
