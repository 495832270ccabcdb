//go:build interop

package share

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"mxtrap/server/judge"
)

// soon is the tempo of the tests.
var soon = Tempo{Beat: 20 * time.Millisecond, Judge: 50 * time.Millisecond, Lease: time.Second, Heard: 2 * time.Second, Sent: 2 * time.Second}

// server is a redis-server.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string
	dir  string
	more []string
}

// startRedis starts a redis-server at a free port of loopback, with more of its settings.
func startRedis(t *testing.T, more ...string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addr: l.Addr().String(), dir: t.TempDir(), more: more}
	l.Close()
	s.start()
	t.Cleanup(func() { s.kill() })
	return s
}

func (s *server) start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command("redis-server", append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", ""}, s.more...)...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	defer c.Close()
	eventually(s.t, "redis-server answers", func() bool {
		err := c.Ping(context.Background()).Err()
		return err == nil || strings.Contains(err.Error(), "NOAUTH") || len(s.more) > 0 && strings.Contains(strings.Join(s.more, " "), "--tls-port")
	})
}

// kill is kill -9.
func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func (s *server) signal(sig syscall.Signal) { s.cmd.Process.Signal(sig) }

func (s *server) client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	s.t.Cleanup(func() { c.Close() })
	return c
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// never holds that something does not come to be in a time in which it would.
func never(t *testing.T, what string, during time.Duration, f func() bool) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if f() {
			t.Fatalf("%s", what)
		}
	}
}

// peer is a server of a fleet.
type peer struct {
	*Fleet
	t      *testing.T
	stop   func() // as kill -9 does
	skew   atomic.Int64
	unwell atomic.Pointer[[]netip.Addr]
	log    *lines
}

type lines struct {
	sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) has(text string) bool {
	l.Lock()
	defer l.Unlock()
	return strings.Contains(l.String(), text)
}

// settings are those of a peer.
type settings struct {
	options redis.UniversalOptions
	observe bool
	blind   bool // no mail host tells it who comes
	state   string
	skew    int64
	sent    time.Duration // zero: as soon has it
}

// join has a server take part.
func join(t *testing.T, name string, with settings) *peer {
	t.Helper()
	o := with.options
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.ContextTimeoutEnabled, o.MaxRetries, o.Protocol, o.DisableIdentity = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond, true, -1, 2, true
	p := &peer{t: t, log: &lines{}}
	p.skew.Store(with.skew)
	if with.state == "" {
		with.state = t.TempDir()
	}
	p.unwell.Store(new([]netip.Addr))
	tempo := soon
	tempo.Sent = cmp.Or(with.sent, tempo.Sent)
	p.Fleet = New(Config{options: &o, Node: name, prefix: "mxtrap"}, Here{
		Book: judge.NewBook(judge.Rules{Keep: 30 * 24 * time.Hour}), Senses: !with.blind, Lists: func() bool { return !with.observe }, Ready: func() bool { return true },
		Unwell: func() []netip.Addr { return *p.unwell.Load() }, State: with.state, Log: slog.New(slog.NewTextHandler(p.log, nil)),
		Clock: func() time.Time { return time.Now().Add(time.Duration(p.skew.Load()) * time.Second) },
	}, tempo)
	ctx, cancel := context.WithCancel(context.Background())
	done := p.run(ctx)
	p.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s:\n%s", name, p.log)
		}
	})
	return p
}

// run is Run without the word at the end.
func (p *peer) run(ctx context.Context) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			p.round(ctx)
			time.Sleep(p.tempo.Beat)
		}
	}()
	return done
}

// now is the time by the peer's clock.
func (p *peer) now() int64 { return p.Clock().Unix() }

var bot = netip.MustParseAddr("203.0.113.9")

// sights notes that a client went on to DATA at a decoy of this server so many seconds ago, which convicts at once.
func (p *peer) sights(client netip.Addr, ago int64) {
	p.Book.Add(judge.Fact{Sighting: &judge.Sighting{At: p.now() - ago, Client: client, Owner: "example.com", Decoy: "mx2.example.com", Tried: true, Data: true}})
}

// tries notes that a client named a recipient, which convicts where it came to no real host.
func (p *peer) tries(client netip.Addr, ago int64) {
	p.Book.Add(judge.Fact{Sighting: &judge.Sighting{At: p.now() - ago, Client: client, Owner: "example.com", Decoy: "mx2.example.com", Tried: true}})
}

// visits notes that a client came to a real host of this server so many seconds ago.
func (p *peer) visits(client netip.Addr, ago int64) {
	p.Book.Visit(client, "", p.now()-ago, true)
}

// lists says whether a client is in the copy of this server.
func (p *peer) lists(client netip.Addr) bool {
	entries, _ := p.Listed(p.now())
	for _, e := range entries {
		if e.Client.Contains(client) {
			return true
		}
	}
	return false
}

// at is a plain store.
func (s *server) at() settings {
	return settings{options: redis.UniversalOptions{Addrs: []string{s.addr}}}
}

// three are servers of a fleet, which hear each other.
func three(t *testing.T, with settings) []*peer {
	t.Helper()
	var all []*peer
	for i := range 3 {
		all = append(all, join(t, fmt.Sprintf("n%d", i+1), with))
	}
	hearAll(t, all)
	return all
}

func hearAll(t *testing.T, all []*peer) {
	t.Helper()
	eventually(t, "all hear all", func() bool {
		for _, p := range all {
			s := p.Status()
			if !s.Answers || len(s.Nodes) < len(all) || s.Judge == "" {
				return false
			}
		}
		return true
	})
}

// everyLists waits until all servers list a client.
func everyLists(t *testing.T, all []*peer, client netip.Addr) {
	t.Helper()
	for _, p := range all {
		eventually(t, fmt.Sprintf("%s lists %s", p.config.Node, client), func() bool { return p.lists(client) })
	}
}

func someLists(all []*peer, client netip.Addr) func() bool {
	return func() bool {
		for _, p := range all {
			if p.lists(client) {
				return true
			}
		}
		return false
	}
}

func writeFile(t *testing.T, name, text string) string {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func addArgs(values map[string]any) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: "mxtrap:facts", Values: values}
}
