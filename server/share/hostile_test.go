//go:build interop

package share

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mxtrap/server/judge"
)

// line is a way to the store that can be cut.
type line struct{ cut atomic.Bool }

var errCut = errors.New("cut")

// cable is a connection that ends where its line is cut.
type cable struct {
	net.Conn
	of *line
}

func (c cable) Read(b []byte) (int, error) {
	if c.of.cut.Load() {
		return 0, errCut
	}
	return c.Conn.Read(b)
}

func (c cable) Write(b []byte) (int, error) {
	if c.of.cut.Load() {
		return 0, errCut
	}
	return c.Conn.Write(b)
}

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if l.cut.Load() {
		return nil, errCut
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	return cable{c, l}, err
}

// by are the settings of a server that reaches the store by a line.
func (s *server) by(l *line) settings {
	with := s.at()
	with.options.Dialer = l.dial
	return with
}

// TestInteropAnHourLosesVisitsTwice: each time is seen.
func TestInteropAnHourLosesVisitsTwice(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	c := s.client()
	hour := func() string { return "mxtrap:visits:" + hourOf(time.Now().Unix()) }
	for i := range byte(3) {
		honest := netip.AddrFrom4([4]byte{198, 18, 90 + i, 9})
		all[1].visits(honest, 0)
		eventually(t, "the visit is there", func() bool { return c.HLen(ctx, hour()).Val() > 1 })
		c.Del(ctx, hour())
		all[0].sights(honest, 0)
		never(t, "one is listed whose visit is lost", 600*time.Millisecond, someLists(all, honest))
	}
}

// TestInteropACopyOfAServer: two have one folder of state, as copies of a virtual host do. What one tells the other must hear.
func TestInteropACopyOfAServer(t *testing.T) {
	s := startRedis(t)
	first := s.at()
	first.state = t.TempDir()
	a := join(t, "n1", first)
	hearAll(t, []*peer{a})
	second := s.at()
	second.state = t.TempDir()
	eventually(t, "it has an id", func() bool {
		text, err := os.ReadFile(filepath.Join(first.state, stateFile))
		return err == nil && os.WriteFile(filepath.Join(second.state, stateFile), text, 0o600) == nil
	})
	b := join(t, "n1", second)
	eventually(t, "one of them takes another id", func() bool { return a.log.has("takes another id") || b.log.has("takes another id") })
	eventually(t, "both take part", func() bool {
		return s.client().HLen(ctx, "mxtrap:nodes").Val() == 2 || s.client().HLen(ctx, "mxtrap:nodes").Val() == 3
	})
	honest := netip.MustParseAddr("198.18.95.9")
	a.visits(honest, 0)
	a.Book.Down("example.com", true, a.now())
	time.Sleep(200 * time.Millisecond)
	b.sights(honest, 0)
	never(t, "what one saw the other has not heard", 600*time.Millisecond, someLists([]*peer{a, b}, honest))
}

// TestInteropAnEmptyStoreForgetsNoServer that all wait for.
func TestInteropAnEmptyStoreForgetsNoServer(t *testing.T) {
	s := startRedis(t)
	var l line
	a, b := join(t, "n1", s.at()), join(t, "n2", s.by(&l))
	hearAll(t, []*peer{a, b})
	l.cut.Store(true)
	eventually(t, "the second is not heard", func() bool { return a.log.has("is not heard") })
	s.client().FlushAll(ctx)
	eventually(t, "the first knows that the store is another", func() bool { return a.log.has("has lost what it held") })
	waits := func() bool { // nobody new is listed meanwhile
		for _, n := range a.Status().Nodes {
			if n.Name == "n2" {
				return n.Silent
			}
		}
		return false
	}
	never(t, "it waits no more", time.Second, func() bool { return !waits() })
	if err := a.Forget(ctx, "n2"); err != nil {
		t.Error(err)
	}
	eventually(t, "it waits no more", func() bool { return !waits() })
}

// TestInteropAServerIsKilledWithVisitsThatWait: nobody is listed for a lack of them.
func TestInteropAServerIsKilledWithVisitsThatWait(t *testing.T) {
	s := startRedis(t)
	var l line
	with := s.by(&l)
	with.state = t.TempDir()
	a, b := join(t, "n1", with), join(t, "n2", s.at())
	hearAll(t, []*peer{a, b})
	eventually(t, "it notes how far it has come", func() bool {
		text, _ := os.ReadFile(filepath.Join(with.state, stateFile))
		return strings.Contains(string(text), `"seen":1`)
	})
	l.cut.Store(true)
	time.Sleep(300 * time.Millisecond)
	a.visits(bot, 0)
	a.stop()
	time.Sleep(soon.Heard + 1500*time.Millisecond)
	l.cut.Store(false)
	again := join(t, "n1", with)
	hearAll(t, []*peer{again, b})
	b.sights(bot, 3)
	never(t, "one is listed whose visit was lost with the process", 800*time.Millisecond, someLists([]*peer{again, b}, bot))
}

// TestInteropAServerIsMadeAnew without its state: the one before is forgotten though another has its name.
func TestInteropAServerIsMadeAnew(t *testing.T) {
	s := startRedis(t)
	a, b := join(t, "n1", s.at()), join(t, "n2", s.at())
	hearAll(t, []*peer{a, b})
	b.stop()
	join(t, "n2", s.at())
	eventually(t, "the old one is not heard", func() bool { return a.log.has("is not heard") })
	if err := a.Forget(ctx, "n2"); err != nil {
		t.Fatal(err)
	}
	a.sights(bot, 1)
	everyLists(t, []*peer{a}, bot)
}

// TestInteropAJudgeComesBack that was cut off, and has an old list in mind.
func TestInteropAJudgeComesBack(t *testing.T) {
	s := startRedis(t)
	var l line
	with := s.by(&l)
	with.blind = true
	a := join(t, "n1", with)
	hearAll(t, []*peer{a})
	a.sights(bot, 5)
	everyLists(t, []*peer{a}, bot)
	b := join(t, "n2", s.at())
	l.cut.Store(true)
	holder := a.id
	eventually(t, "the other judges", func() bool { now := s.client().Get(ctx, "mxtrap:judge").Val(); return now != "" && now != holder })
	b.Book.Hear(judge.Fact{Pardon: &judge.Pardon{At: b.now(), For: judge.Narrow(bot)}})
	b.Pardon(judge.Pardon{At: b.now(), For: judge.Narrow(bot)})
	eventually(t, "the bot is out", func() bool { return !s.client().HExists(ctx, "mxtrap:list", bot.String()).Val() })
	time.Sleep(200 * time.Millisecond)
	b.stop()
	l.cut.Store(false)
	eventually(t, "the first judges again", func() bool { return s.client().Get(ctx, "mxtrap:judge").Val() == holder })
	never(t, "it has an old list", 600*time.Millisecond, func() bool { return a.lists(bot) || s.client().HExists(ctx, "mxtrap:list", bot.String()).Val() })
}

// TestInteropTheStoresClockJumps, as with a replica that takes over: visits of before seem too old.
func TestInteropTheStoresClockJumps(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	honest := netip.MustParseAddr("198.18.96.9")
	all[1].visits(honest, 5)
	time.Sleep(200 * time.Millisecond)
	for _, p := range all { // which is the same as all others going back
		p.skew.Add(-3600)
	}
	eventually(t, "they see it", func() bool { return all[0].log.has("has jumped") && all[2].log.has("has jumped") })
	all[0].sights(honest, 0)
	never(t, "an honest client is listed", 600*time.Millisecond, someLists(all, honest))
}

// TestInteropGarbageInTheStore does no harm.
func TestInteropGarbageInTheStore(t *testing.T) {
	s := startRedis(t)
	all := three(t, s.at())
	all[0].sights(bot, 60)
	everyLists(t, all, bot)
	c := s.client()
	now := time.Now().Unix()
	c.HSet(ctx, "mxtrap:entries", "0.0.0.0/0", `{"client":"0.0.0.0/0","grade":77,"from":1,"end":9000000000000000000,"grounds":[{"at":5}]}`)
	c.HSet(ctx, "mxtrap:entries", "127.0.0.1", `{"client":"127.0.0.1/32","grade":5,"from":1,"end":`+time.Now().Add(time.Hour).Format("20060102")+`,"grounds":[{"at":5}]}`)
	c.HSet(ctx, "mxtrap:entries", "x", `{`)
	c.HSet(ctx, "mxtrap:list", "192.0.2.77", "4")
	c.HSet(ctx, "mxtrap:nodes", "y", `{"v":2,"name":"y","at":9000000000000}`)
	c.HSet(ctx, "mxtrap:nodes", "z", `{"senses":true}`)
	c.HSet(ctx, "mxtrap:hours", "x", "y")
	c.Set(ctx, "mxtrap:change", "garbage", 0)
	for _, fact := range []string{
		`{"day":{"day":1,"visits":7}}`, `{"took":{"at":5}}`, `{"asked":99999999999}`, `{"sighting":{"at":9}}`, `{"sighting":{"at":99999999999,"client":"192.0.2.1"}}`,
		`{"visit":{"at":-5}}`, `{"outage":{"from":99999999999}}`, `{"pardon":{"at":5}}`, `{}`, `[]`, ``,
	} {
		c.XAdd(ctx, addArgs(map[string]any{"v": "1", "node": "garbage", "fact": fact}))
	}
	eventually(t, "what is none of the list is gone", func() bool { return !c.HExists(ctx, "mxtrap:list", "192.0.2.77").Val() })
	never(t, "garbage is listed", 300*time.Millisecond, func() bool {
		for _, p := range all {
			entries, _ := p.Listed(now)
			if len(entries) != 1 {
				return true
			}
			p.Book.CountSession("E3", 1, now)
		}
		return false
	})
	if err := all[0].Forget(ctx, "z"); err != nil {
		t.Error(err)
	}
	other := netip.MustParseAddr("203.0.113.61")
	all[0].sights(other, 60)
	everyLists(t, all, other)
	c.Del(ctx, "mxtrap:born")
	c.LPush(ctx, "mxtrap:born", "x")
	eventually(t, "the log says what to do", func() bool { return all[0].log.has("set share.prefix to another one") })
}
