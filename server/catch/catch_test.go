package catch

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// caught is a catch on loopback, and what it has counted and told.
type caught struct {
	*Catch
	addr string
	well atomic.Bool

	mu     sync.Mutex
	counts map[string]int
	log    strings.Builder
}

func (c *caught) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

func (c *caught) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(p)
}

// counted waits until something has been counted so often.
func (c *caught) counted(t *testing.T, what string, want int) {
	t.Helper()
	var got int
	for range 200 {
		c.mu.Lock()
		got = c.counts[what]
		c.mu.Unlock()
		if got == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%s: %d, want %d", what, got, want)
}

func catching(t *testing.T, pause time.Duration) *caught {
	t.Helper()
	c := &caught{counts: map[string]int{}}
	c.well.Store(true)
	c.Catch = New(func() []byte { return []byte("key") }, 2, Counters{
		Session: func(zone string, r Rung, _ int) { c.count(zone + " " + r.String()) },
		Refused: func(reason string) { c.count(reason) },
		Sighted: func(s *Sighting) { c.count("sighted " + s.Rung().String()) },
	}, slog.New(slog.NewTextHandler(c, nil)))
	t.Cleanup(c.Stop)
	local := netip.MustParseAddr("127.0.0.1")
	site := NewSite([]Decoy{{Host: "mx2.example.com", Owner: "example.com", Zone: "example.com"}}, c.well.Load)
	listen := netip.AddrPortFrom(local, 0)
	if err := c.Use(Config{Listen: []netip.AddrPort{listen}, Pause: pause, Recipients: Hashed}, &Sites{At: map[netip.Addr]*Site{local: site}}); err != nil {
		t.Fatal(err)
	}
	c.addr = c.listeners[listen].Addr().String()
	return c
}

// client is a connection to the catch.
type client struct {
	net.Conn
	in *bufio.Reader
}

func (c *caught) dial(t *testing.T) client {
	t.Helper()
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return client{conn, bufio.NewReader(conn)}
}

// hears reads a line that begins so.
func (c client) hears(t *testing.T, want string) {
	t.Helper()
	line, err := c.in.ReadString('\n')
	if !strings.HasPrefix(line, want) {
		t.Fatalf("%q %v, want %q", line, err, want)
	}
}

// ends reads what is left.
func (c client) ends(t *testing.T) {
	t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("%q, %v", rest, err)
	}
}

func TestASessionIsCountedAndTold(t *testing.T) {
	c := catching(t, 0)
	s := c.dial(t)
	s.hears(t, "220 mx2.example.com ESMTP")
	for line, reply := range map[string]string{"HELO bot \"x\"\r\n": "250 mx2"} {
		fmt.Fprint(s, line)
		s.hears(t, reply)
	}
	fmt.Fprint(s, "MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@exam") // lines come as they like
	s.hears(t, "250")
	fmt.Fprint(s, "ple.com>\n")
	s.hears(t, "451")
	fmt.Fprint(s, "QUIT\r\n")
	s.hears(t, "221")
	s.ends(t)
	c.counted(t, "example.com E3", 1)
	c.counted(t, "sighted E3", 1)
	c.Stop()
	const want = `msg=catch client=127.0.0.1 port=`
	if log := c.log.String(); !strings.Contains(log, want) || !strings.Contains(log, `rung=E3 decoy=mx2.example.com owner=example.com helo="bot \"x\"" sender=b.test recipients=[3833c030dcb7@example.com] early=false foreign=false`) {
		t.Error(log)
	}
}

func TestWhoSpeaksBeforeTheGreetingIsFoundOut(t *testing.T) {
	c := catching(t, 50*time.Millisecond)
	early := c.dial(t)
	fmt.Fprint(early, "EHLO bot\r\nQUIT\r\n")
	early.hears(t, "220")
	early.hears(t, "250-")
	early.ends(t)
	c.counted(t, "example.com E2", 1)
	patient := c.dial(t)
	patient.hears(t, "220")
	fmt.Fprint(patient, "QUIT\r\n")
	patient.ends(t)
	c.counted(t, "example.com E1", 1)
	c.counted(t, "sighted E1", 0)
	gone := c.dial(t)
	gone.Close()
	c.counted(t, "example.com E0", 1)
}

func TestWhileARealExchangeIsNotWellNobodyIsEvidence(t *testing.T) {
	c := catching(t, 0)
	open := c.dial(t)
	open.hears(t, "220")
	fmt.Fprint(open, "EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n")
	for range 4 {
		open.hears(t, "2")
	}
	open.hears(t, "451")
	open.hears(t, "451")
	c.well.Store(false)
	fmt.Fprint(open, "QUIT\r\n")
	open.ends(t)
	c.counted(t, "overtaken", 1)
	s := c.dial(t)
	s.hears(t, "421")
	s.ends(t)
	c.counted(t, "unwell", 1)
	if c.counted(t, "example.com E4", 0); strings.Contains(c.log.String(), "rung") {
		t.Error(c.log.String())
	}
}

func TestLinesAndCommandsHaveBounds(t *testing.T) {
	c := catching(t, 0)
	for _, text := range []string{strings.Repeat("x", 64<<10), "EHLO " + strings.Repeat("x", 64<<10) + "\r\n", strings.Repeat("\x00", 3000), strings.Repeat("NOOP\r\n", 100), strings.Repeat("\r", 5000)} {
		s := c.dial(t)
		s.hears(t, "220")
		go io.WriteString(s, text)
		last := ""
		for {
			line, err := s.in.ReadString('\n')
			if err != nil {
				break
			}
			last = line
		}
		if last != "" && !strings.HasPrefix(last, "421") { // the reply may be lost behind what was not read
			t.Errorf("%.20q: the last reply is %q", text, last)
		}
	}
}

func TestAClientHasSoManySessions(t *testing.T) {
	c := catching(t, 0)
	var all []client
	for range mostOfAClient {
		s := c.dial(t)
		s.hears(t, "220")
		all = append(all, s)
	}
	s := c.dial(t)
	s.hears(t, "421")
	c.counted(t, "client", 1)
	for _, s := range all {
		s.Close()
	}
	c.counted(t, "example.com E0", mostOfAClient)
	again := c.dial(t)
	again.hears(t, "220")
}

func TestThereAreSoManySessionsInAll(t *testing.T) {
	one, other := netip.MustParsePrefix("2001:db8::/64"), netip.MustParsePrefix("2001:db8:0:1::/64")
	p := places{most: mostSessions, clients: map[netip.Prefix]int{}}
	if why := p.enter(one); why != "" {
		t.Error(why)
	}
	p.all = mostSessions
	if why := p.enter(other); why != allTaken {
		t.Error(why)
	}
	p.leave(one)
	if why := p.enter(other); why != "" || len(p.clients) != 1 {
		t.Error(why, p.clients)
	}
}

func TestTheCatchListensWhereItsConfigurationSays(t *testing.T) {
	c := catching(t, 0)
	c.dial(t).hears(t, "220")
	well := func() bool { return true }
	port := netip.MustParseAddrPort(c.addr).Port()
	site := func(host string) *Site {
		return NewSite([]Decoy{{Host: host, Owner: "example.com", Zone: "example.com"}}, well)
	}
	sites := &Sites{At: map[netip.Addr]*Site{}}
	for _, a := range []string{"127.0.0.26", "127.0.0.27", "192.0.2.1"} { // the last is not one of this host
		sites.At[netip.MustParseAddr(a)] = site("at-" + a)
	}
	if err := c.Use(Config{Decoys: port}, sites); err != nil {
		t.Fatal(err)
	}
	listening := c.Listening()
	if slices.SortFunc(listening, netip.Addr.Compare); fmt.Sprint(listening) != "[127.0.0.26 127.0.0.27]" {
		t.Error(listening)
	}
	c.addr = fmt.Sprintf("127.0.0.27:%d", port)
	c.dial(t).hears(t, "220 at-127.0.0.27 ESMTP")
	if err := c.Use(Config{Listen: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25")}}, sites); err == nil || !strings.Contains(err.Error(), `catch.listen: "192.0.2.1:25"`) {
		t.Error(err)
	}
	if err := c.Use(Config{Listen: []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), port)}}, nil); err != nil {
		t.Fatal(err)
	}
	c.addr = fmt.Sprintf("127.0.0.1:%d", port)
	c.dial(t).hears(t, "421 No service")
	c.counted(t, "no_decoy", 1)
	if err := c.Use(Config{}, nil); err != nil || len(c.Listening()) > 0 {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", c.addr); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

func TestStopEndsSessions(t *testing.T) {
	c := catching(t, 0)
	s := c.dial(t)
	s.hears(t, "220")
	began := time.Now()
	c.Stop()
	if s.ends(t); time.Since(began) > time.Second {
		t.Error("a session goes on")
	}
}

// BenchmarkSession has whole sessions, through RCPT, from clients that do not wait.
func BenchmarkSession(b *testing.B) {
	c := New(func() []byte { return []byte("key") }, 2, Counters{Session: func(string, Rung, int) {}, Refused: func(why string) { b.Error(why) }, Sighted: func(*Sighting) {}}, slog.New(slog.DiscardHandler))
	defer c.Stop()
	local := netip.MustParseAddr("127.0.0.1")
	listen := netip.AddrPortFrom(local, 0)
	site := NewSite([]Decoy{{Host: "mx2.example.com", Owner: "example.com", Zone: "example.com"}}, func() bool { return true })
	if err := c.Use(Config{Listen: []netip.AddrPort{listen}, Recipients: Hashed}, &Sites{At: map[netip.Addr]*Site{local: site}}); err != nil {
		b.Fatal(err)
	}
	addr := c.listeners[listen].Addr().String()
	b.ReportAllocs()
	for b.Loop() {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		in := bufio.NewReaderSize(conn, 512)
		in.ReadString('\n')
		for _, line := range []string{"HELO bot\r\n", "MAIL FROM:<a@b.test>\r\n", "RCPT TO:<c@example.com>\r\n", "QUIT\r\n"} {
			io.WriteString(conn, line)
			in.ReadString('\n')
		}
		conn.Close()
	}
}
