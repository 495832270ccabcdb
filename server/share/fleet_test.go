//go:build interop

package share

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"mxtrap/server/judge"
)

var ctx = context.Background()

func TestInteropWhatOneSeesAllListByIt(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	all[0].sights(bot, 60)
	everyLists(t, all, bot)
	c := s.client()
	if grade := c.HGet(ctx, "mxtrap:list", bot.String()).Val(); grade != "5" {
		t.Errorf("rspamd reads %q", grade)
	}
	if end := c.ZScore(ctx, "mxtrap:ends", bot.String()).Val(); int64(end) < time.Now().Unix()+80000 {
		t.Errorf("the end is %v", end)
	}
	six := netip.MustParseAddr("2001:db8:7::9")
	all[1].sights(six, 60)
	everyLists(t, all, six)
	if grade := c.HGet(ctx, "mxtrap:list", "2001:db8:7::/64").Val(); grade != "5" {
		t.Errorf("rspamd reads %q of IPv6", grade)
	}
	// One that joins later knows it all, and so does one that comes back.
	everyLists(t, []*peer{join(t, "n4", s.at())}, bot)
	if list, _ := all[2].Book.Sightings(bot); len(list) != 1 {
		t.Errorf("the third has %d sightings", len(list))
	}
}

func TestInteropAVisitAtOneServerClearsASightingAtAnother(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	for i, c := range []struct {
		name          string
		visit, sight  int64 // seconds ago
		visitLater    bool  // than the sighting becomes known
		tries, listed bool
	}{
		{"who came five minutes before", 600, 300, false, false, false},
		{"who came a quarter of an hour before", 300 + 14*60, 300, false, false, false},
		{"who came long before", 8 * 3600, 300, false, false, true},
		{"who comes two minutes later", 180, 300, true, false, false},
		{"who tried alone, and comes half an hour later", 7200, 9000, true, true, false},
		{"who tried alone, and never comes", 0, 9000, true, true, true},
	} {
		client := netip.AddrFrom4([4]byte{198, 18, byte(i), 9})
		t.Run(c.name, func(t *testing.T) {
			for at := int64(0); at < 4; at++ { // somebody comes to real hosts all the time
				all[2].Book.Add(judge.Fact{Asked: all[2].now() - 9000 - 1800 + at*1800})
				all[0].Book.Hear(judge.Fact{Asked: all[2].now() - 9000 - 1800 + at*1800})
				all[1].Book.Hear(judge.Fact{Asked: all[2].now() - 9000 - 1800 + at*1800})
			}
			if !c.visitLater && c.visit > 0 {
				all[1].visits(client, c.visit)
				time.Sleep(100 * time.Millisecond)
			}
			if c.tries && !c.listed { // the visit must be known before the judge looks
				all[1].visits(client, c.visit)
			}
			if c.tries {
				all[0].tries(client, c.sight)
			} else {
				all[0].sights(client, c.sight)
			}
			if c.listed {
				everyLists(t, all, client)
				return
			}
			if c.visitLater && !c.tries {
				all[1].visits(client, c.visit)
				eventually(t, "nobody lists it", func() bool { return !someLists(all, client)() })
			}
			never(t, "it is listed", 400*time.Millisecond, someLists(all, client))
		})
	}
}

func TestInteropAPardonHoldsEverywhere(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	all[0].sights(bot, 60)
	everyLists(t, all, bot)
	pardon := judge.Pardon{At: all[2].now(), For: netip.MustParsePrefix("203.0.113.0/24")}
	all[2].Book.Hear(judge.Fact{Pardon: &pardon})
	all[2].Pardon(pardon)
	eventually(t, "nobody lists it", func() bool { return !someLists(all, bot)() })
	eventually(t, "rspamd does not either", func() bool { return !s.client().HExists(ctx, "mxtrap:list", bot.String()).Val() })
}

func TestInteropAListingEndsInTime(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	all[0].sights(bot, 86400-4) // it ends in four seconds
	everyLists(t, all, bot)
	c := s.client()
	end := int64(c.ZScore(ctx, "mxtrap:ends", bot.String()).Val())
	for c.HExists(ctx, "mxtrap:list", bot.String()).Val() || someLists(all, bot)() {
		if time.Now().Unix() > end {
			t.Fatal("it is listed beyond its end")
		}
		time.Sleep(20 * time.Millisecond)
	}
	// And where all servers have stopped.
	second := netip.MustParseAddr("203.0.113.10")
	all[0].sights(second, 86400-5)
	everyLists(t, all, second)
	end = int64(c.ZScore(ctx, "mxtrap:ends", second.String()).Val())
	for _, p := range all {
		p.stop()
	}
	for c.HExists(ctx, "mxtrap:list", second.String()).Val() {
		if time.Now().Unix() > end {
			t.Fatal("it is listed beyond its end")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestInteropTheStoreIsKilled by kill -9: who is listed stays, nobody is added, and what was seen meanwhile is handed in.
func TestInteropTheStoreIsKilled(t *testing.T) {
	s := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	all := three(t, s.at())
	all[0].sights(bot, 60)
	everyLists(t, all, bot)
	s.kill()
	meanwhile := netip.MustParseAddr("203.0.113.20")
	all[1].sights(meanwhile, 1)
	never(t, "somebody is listed without the store", 500*time.Millisecond, someLists(all, meanwhile))
	everyLists(t, all, bot)
	began := time.Now()
	for range 1000 {
		all[0].lists(bot)
	}
	if time.Since(began) > time.Second {
		t.Error("a look-up waits for the store")
	}
	s.start()
	everyLists(t, all, meanwhile)
	everyLists(t, all, bot)
}

// TestInteropTheStoreComesBackEmpty: what is listed stays, and nobody is listed by what was seen near that time.
func TestInteropTheStoreComesBackEmpty(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	all[0].sights(bot, 7200)
	everyLists(t, all, bot)
	s.kill()
	honest := netip.MustParseAddr("203.0.113.21")
	s.start()
	all[1].sights(honest, 1) // its visit may be among what is lost
	hearAll(t, all)
	eventually(t, "all know that the store is another", func() bool {
		return all[0].log.has("has lost what it held") && all[1].log.has("has lost what it held") && all[2].log.has("has lost what it held")
	})
	never(t, "somebody is listed by what was seen near that time", 500*time.Millisecond, someLists(all, honest))
	everyLists(t, all, bot)
	eventually(t, "rspamd reads the list again", func() bool { return s.client().HExists(ctx, "mxtrap:list", bot.String()).Val() })
}

// TestInteropTheStoreGoesBack to what it had long ago: visits of the meantime are lost, and what was taken out of the list is there again.
func TestInteropTheStoreGoesBack(t *testing.T) {
	s := startRedis(t, "--dbfilename", "dump.rdb")
	all := three(t, s.at())
	pardoned, honest := netip.MustParseAddr("203.0.113.23"), netip.MustParseAddr("198.18.79.9")
	all[0].sights(pardoned, 60)
	everyLists(t, all, pardoned)
	if err := s.client().Save(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		p.Book.Hear(judge.Fact{Pardon: &judge.Pardon{At: p.now(), For: judge.Narrow(pardoned)}})
	}
	eventually(t, "the pardoned one is out", func() bool { return !s.client().HExists(ctx, "mxtrap:list", pardoned.String()).Val() })
	all[1].visits(honest, 0)
	time.Sleep(soon.Sent + 500*time.Millisecond) // nobody writes that visit once more
	s.kill()
	s.start()
	hearAll(t, all)
	all[0].sights(honest, 0)
	never(t, "one is listed whose visit is lost", 800*time.Millisecond, someLists(all, honest))
	eventually(t, "the pardoned one is out again", func() bool { return !s.client().HExists(ctx, "mxtrap:list", pardoned.String()).Val() })
	eventually(t, "the log tells", func() bool { return all[2].log.has("gone back to an earlier state") })
}

// TestInteropTheStoreStandsStill by SIGSTOP.
func TestInteropTheStoreStandsStill(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	all[0].sights(bot, 60)
	everyLists(t, all, bot)
	s.signal(syscall.SIGSTOP)
	meanwhile := netip.MustParseAddr("203.0.113.22")
	all[1].sights(meanwhile, 1)
	all[1].visits(netip.MustParseAddr("198.51.100.7"), 0)
	never(t, "somebody is listed without the store", 1500*time.Millisecond, someLists(all, meanwhile))
	everyLists(t, all, bot)
	if !all[0].log.has("does not answer as it should") {
		t.Error("the log does not tell")
	}
	s.signal(syscall.SIGCONT)
	everyLists(t, all, meanwhile)
	if !all[0].log.has("answers again") {
		t.Error("the log does not tell that it answers again")
	}
}

// TestInteropTheJudgeDies: another takes its place, and one that comes back after it has lost the lease writes nothing.
func TestInteropTheJudgeDies(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	holder := s.client().Get(ctx, "mxtrap:judge").Val()
	var judgeOf *peer
	var others []*peer
	for _, p := range all {
		if p.id == holder {
			judgeOf = p
		} else {
			others = append(others, p)
		}
	}
	judgeOf.stop()
	began := time.Now()
	eventually(t, "another judges", func() bool { now := s.client().Get(ctx, "mxtrap:judge").Val(); return now != "" && now != holder })
	if took := time.Since(began); took > soon.Lease+time.Second {
		t.Errorf("it took %v", took)
	}
	// It sees visits, and is not heard: nobody is listed until the operator says that it is gone.
	time.Sleep(soon.Heard + 1100*time.Millisecond)
	others[0].sights(bot, 1)
	never(t, "somebody is listed while a server that sees visits is not heard", 500*time.Millisecond, someLists(others, bot))
	eventually(t, "the log tells of the silent server", func() bool { return others[0].log.has("is not heard") })
	if err := others[0].Forget(ctx, others[1].config.Node); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("a server that is heard is forgotten: %v", err)
	}
	if err := others[0].Forget(ctx, "nobody"); err != ErrNoNode {
		t.Error(err)
	}
	if err := others[0].Forget(ctx, judgeOf.config.Node); err != nil {
		t.Fatal(err)
	}
	everyLists(t, others, bot)
	// The one that died stood still in truth, and takes itself for the judge.
	judgeOf.lease.held = true
	judgeOf.lease.list = map[netip.Prefix]entry{}
	wrong := netip.MustParsePrefix("192.0.2.1/32")
	if err := judgeOf.commit(ctx, map[netip.Prefix]entry{wrong: {Client: wrong, Listing: judge.Listing{Grade: judge.Deaf, End: time.Now().Unix() + 1000}}}, []netip.Prefix{judge.Narrow(bot)}); err != nil {
		t.Error(err)
	}
	if judgeOf.lease.held || s.client().HExists(ctx, "mxtrap:list", "192.0.2.1").Val() || !s.client().HExists(ctx, "mxtrap:list", bot.String()).Val() {
		t.Error("a judge that has lost its lease writes")
	}
}

// TestInteropClocksDiffer by minutes: what counts is the store's.
func TestInteropClocksDiffer(t *testing.T) {
	s := startRedis(t)
	slow, fast := s.at(), s.at()
	slow.skew, fast.skew = -400, 400
	all := []*peer{join(t, "right", s.at()), join(t, "slow", slow), join(t, "fast", fast)}
	hearAll(t, all)
	// In truth the client came to a real host of the slow one twelve minutes before the decoy of the fast one.
	honest := netip.MustParseAddr("198.18.77.9")
	all[1].visits(honest, 600+12*60)
	time.Sleep(100 * time.Millisecond)
	all[2].sights(honest, 600)
	never(t, "an honest client is listed", 500*time.Millisecond, someLists(all, honest))
	// What a mail host tells is told at the same moment to all.
	all[1].Book.Visit(netip.MustParseAddr("198.18.200.9"), "", all[1].now(), false)
	for _, p := range all {
		eventually(t, "all know when somebody was asked about", func() bool { return p.Book.Asked(p.now()-20, p.now()+20) })
	}
	all[2].sights(bot, 600)
	everyLists(t, all, bot)
	for _, p := range all {
		entries, _ := p.Listed(p.now())
		if left := entries[0].End - p.now(); left < 86400-700 || left > 86400-590 {
			t.Errorf("at %s it has %d seconds left", p.config.Node, left)
		}
	}
}

// TestInteropTheStoreMakesRoom and throws visits away: who is sighted near that time is not listed.
func TestInteropTheStoreMakesRoom(t *testing.T) {
	s := startRedis(t, "--maxmemory-policy", "volatile-ttl")
	all := three(t, s.at())
	honest := netip.MustParseAddr("198.18.78.9")
	all[1].visits(honest, 60)
	c := s.client()
	hour := "mxtrap:visits:" + hourOf(time.Now().Unix()-60)
	eventually(t, "the visit is there", func() bool { return c.HLen(ctx, hour).Val() > 1 })
	if err := c.ConfigSet(ctx, "maxmemory", "2mb").Err(); err != nil {
		t.Fatal(err)
	}
	junk := strings.Repeat("x", 10_000)
	for i := 0; c.Exists(ctx, hour).Val() == 1 && i < 2000; i++ {
		c.Set(ctx, "junk:"+time.Now().String(), junk, 1000*time.Hour)
	}
	if c.Exists(ctx, hour).Val() == 1 {
		t.Skip("redis keeps the visits")
	}
	c.ConfigSet(ctx, "maxmemory", "0")
	all[0].sights(honest, 30)
	never(t, "an honest client is listed", time.Second, someLists(all, honest))
	eventually(t, "a log tells", func() bool {
		return all[0].log.has("thrown visits away") || all[1].log.has("thrown visits away") || all[2].log.has("thrown visits away")
	})
}

// TestInteropFactsHaveGone from the stream before a server has read them.
func TestInteropFactsHaveGone(t *testing.T) {
	s := startRedis(t)
	state := t.TempDir()
	with := s.at()
	with.state = state
	all := []*peer{join(t, "n1", s.at()), join(t, "n2", with)}
	hearAll(t, all)
	all[0].sights(netip.MustParseAddr("203.0.113.30"), 60)
	everyLists(t, all, netip.MustParseAddr("203.0.113.30"))
	all[1].stop()
	all[0].sights(netip.MustParseAddr("203.0.113.31"), 60)
	c := s.client()
	eventually(t, "it is handed in", func() bool { return c.XLen(ctx, "mxtrap:facts").Val() == 2 })
	c.XTrimMaxLen(ctx, "mxtrap:facts", 0)
	all[0].sights(netip.MustParseAddr("203.0.113.32"), 60)
	eventually(t, "it is handed in", func() bool { return c.XLen(ctx, "mxtrap:facts").Val() == 1 })
	again := join(t, "n2", with)
	eventually(t, "it sees the gap", func() bool { return again.log.has("have gone from the shared store") })
}

// TestInteropHealthIsOfAll: what one does not reach is not well for any.
func TestInteropHealthIsOfAll(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	down := netip.MustParseAddr("192.0.2.25")
	all[1].unwell.Store(&[]netip.Addr{down})
	eventually(t, "the others hear of it", func() bool { return all[0].OthersUnwell()[down] && all[2].OthersUnwell()[down] })
	if all[1].OthersUnwell()[down] {
		t.Error("it hears itself")
	}
	// An outage at one clears what is sighted at another.
	all[1].Book.Down("example.com", true, all[1].now())
	time.Sleep(100 * time.Millisecond)
	all[0].sights(bot, 0)
	never(t, "somebody is listed during an outage", 400*time.Millisecond, someLists(all, bot))
	all[1].unwell.Store(new([]netip.Addr))
	eventually(t, "the others hear that it is well", func() bool { return !all[0].OthersUnwell()[down] })
	all[1].stop()
	all[2].unwell.Store(&[]netip.Addr{down})
	eventually(t, "another one does not reach it", func() bool { return all[0].OthersUnwell()[down] })
	all[2].stop()
	eventually(t, "who is silent does not count", func() bool { return !all[0].OthersUnwell()[down] })
}

// TestInteropServersAreUpgradedOneAtATime: what is newer is left alone, and nobody judges beside a newer one.
func TestInteropServersAreUpgradedOneAtATime(t *testing.T) {
	s := startRedis(t)
	c := s.client()
	newer := func() {
		said, _ := json.Marshal(node{Version: Version + 1, Name: "newer", At: time.Now().Unix(), Seen: time.Now().Unix()})
		c.HSet(ctx, "mxtrap:nodes", "newer", said)
	}
	newer()
	p := join(t, "n1", s.at())
	c.XAdd(ctx, addArgs(map[string]any{"v": Version + 1, "node": "newer", "fact": `{"sighting":"of another form"}`, "more": "x"}))
	c.XAdd(ctx, addArgs(map[string]any{"nothing": "known"}))
	p.sights(bot, 60)
	end := time.Now().Add(time.Second)
	for time.Now().Before(end) {
		newer()
		if p.lists(bot) {
			t.Fatal("an older server judges beside a newer one")
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.HDel(ctx, "mxtrap:nodes", "newer")
	everyLists(t, []*peer{p}, bot)
	c.Set(ctx, "mxtrap:format", Version+1, 0)
	eventually(t, "it leaves a newer store alone", func() bool { return p.log.has("newer version of mxtrap") })
}

// TestInteropWhatCannotWaitIsDropped, and the time is no evidence.
func TestInteropWhatCannotWaitIsDropped(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	s.kill()
	for i := range mostWaiting + 10 {
		all[1].tell(judge.Fact{Visit: &judge.Visit{At: all[1].now(), From: judge.Surrounding(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String())}})
	}
	if n := all[1].waiting.size(); n != mostWaiting {
		t.Errorf("%d facts wait", n)
	}
	s.start()
	eventually(t, "all is handed in", func() bool { return all[1].waiting.size() == 0 })
	if !all[1].log.has("could wait") {
		t.Error("the log does not tell")
	}
	all[0].sights(bot, 0)
	never(t, "somebody is listed by what was seen near that time", 500*time.Millisecond, someLists(all, bot))
}
