package catch

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mxtrap/server/pace"
	"mxtrap/server/peer"
	"mxtrap/zone/conf"
)

// sessionTime is how long a session lasts at most, the pause before the greeting included.
const sessionTime = 60 * time.Second

// Counters is where the catch counts, and tells what it saw.
type Counters struct {
	Session func(zone string, rung Rung, rank int) // the rank of the decoy whose owner the client named a recipient of; 0: it named none
	Age     func(seconds int64)                    // of a client's MX list, where that is known
	Refused func(reason string)
	Sighted func(s *Sighting) // a session whose rung may be evidence: E2 and above
}

// Reasons for which a connection has no session, or one that tells nothing.
const (
	unwell     = "unwell"    // a real exchange is down, or not known to be well for long enough
	noDecoy    = "no_decoy"  // no decoy has the address
	allTaken   = "full"      // too many sessions
	clientFull = "client"    // too many of this client
	overtaken  = "overtaken" // a real exchange went down meanwhile
)

// Reasons are those that [Counters.Refused] is called with.
var Reasons = []string{unwell, noDecoy, allTaken, clientFull, overtaken}

// Catch accepts connections at the decoys' addresses.
type Catch struct {
	log      *slog.Logger
	counters Counters
	key      func() []byte // of the hashes of recipients

	settings   atomic.Pointer[settings]
	working    chan struct{} // sessions that have a processor
	places     places
	unaccepted pace.PerMinute

	mu        sync.Mutex
	listeners map[netip.AddrPort]*net.TCPListener
	end       func() // of the room that is made; nil: none is
	running   sync.WaitGroup
	ended     atomic.Bool
	open      map[net.Conn]bool
}

// settings are what may change at a reload.
type settings struct {
	Config
	sites *Sites
}

// New makes a catch that has no listeners yet. Its sessions have half of the processors at most: the others answer queries.
func New(key func() []byte, processors int, counters Counters, log *slog.Logger) *Catch {
	c := &Catch{log: log, counters: counters, key: key, listeners: map[netip.AddrPort]*net.TCPListener{}, open: map[net.Conn]bool{}, places: places{most: int(min(mostSessions, openFiles()/2)), clients: map[netip.Prefix]int{}}, working: make(chan struct{}, max(1, processors/2))}
	c.settings.Store(&settings{})
	return c
}

// Use takes a configuration and the addresses of decoys, and listens where these say, at least at what can be had: an address of a decoy
// that this host does not have is another's to listen on. The error is about the addresses that the configuration names.
func (c *Catch) Use(config Config, sites *Sites) error {
	c.settings.Store(&settings{config, sites})
	wanted := map[netip.AddrPort]bool{}
	for _, a := range config.Listen {
		wanted[a] = true
	}
	if config.Decoys != 0 {
		for _, a := range sites.addresses() {
			wanted[netip.AddrPortFrom(a, config.Decoys)] = false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.makeRoom()
	for a, l := range c.listeners {
		if _, ok := wanted[a]; !ok {
			l.Close()
			delete(c.listeners, a)
		}
	}
	var errs []error
	for _, a := range slices.SortedFunc(maps.Keys(wanted), netip.AddrPort.Compare) {
		if c.listeners[a] != nil || c.ended.Load() {
			continue
		}
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(a))
		switch {
		case err == nil:
			c.listeners[a] = l
			c.running.Go(func() { c.accept(l) })
			c.log.Info("catching", "listen", a.String(), "decoys", len(c.siteOf(a.Addr()).Decoys))
		case wanted[a]:
			errs = append(errs, fmt.Errorf("catch.listen: %q: %w", a, err))
		case !errors.Is(err, syscall.EADDRNOTAVAIL):
			c.log.Warn("cannot listen on a decoy's address", "address", a.String(), "error", conf.Plain(err))
		}
	}
	return errors.Join(errs...)
}

// makeRoom has the runtime answer queries beside the sessions, as long as there may be some. The caller has the lock.
func (c *Catch) makeRoom() {
	switch catching := len(c.listeners) > 0 && !c.ended.Load(); {
	case catching && c.end == nil:
		c.end = pace.Beside()
	case !catching && c.end != nil:
		c.end()
		c.end = nil
	}
}

// Listening are the addresses that are listened on.
func (c *Catch) Listening() (addresses []netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a := range c.listeners {
		addresses = append(addresses, a.Addr())
	}
	return addresses
}

// stray is the site of an address that no decoy has.
var stray = NewSite(nil, func() bool { return false })

// siteOf is what is known of an address of this host.
func (c *Catch) siteOf(a netip.Addr) *Site { return cmp.Or(c.settings.Load().sites.Of(a), stray) }

// Stop ends all sessions, and waits for them.
func (c *Catch) Stop() {
	c.mu.Lock()
	c.ended.Store(true)
	for _, l := range c.listeners {
		l.Close()
	}
	for conn := range c.open {
		conn.Close()
	}
	c.makeRoom()
	c.mu.Unlock()
	c.running.Wait()
}

// accept takes connections until the listener is closed.
func (c *Catch) accept(l *net.TCPListener) {
	for {
		conn, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if c.unaccepted.Allow(time.Now()) {
				c.log.Error("the catch cannot accept a connection", "listen", l.Addr(), "error", conf.Plain(err))
			}
			time.Sleep(10 * time.Millisecond) // such as no file descriptors: passing
			continue
		}
		c.admit(conn)
	}
}

// admit begins a session, or refuses it.
func (c *Catch) admit(conn *net.TCPConn) {
	client := unmapped(conn.RemoteAddr())
	prefix := peer.ClientOf(client.Addr())
	if why := c.places.enter(prefix); why != "" {
		c.counters.Refused(why)
		refuse(conn, replyFull)
		return
	}
	c.running.Go(func() {
		defer c.places.leave(prefix)
		c.working <- struct{}{}
		defer func() { <-c.working }()
		c.serve(conn, client)
	})
}

// unmapped is an address as a zone has it.
func unmapped(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// refuse says why, as far as the client hears it at once.
func refuse(conn net.Conn, reply string) {
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	io.WriteString(conn, reply)
	conn.Close()
}

// serve has a session.
func (c *Catch) serve(conn *net.TCPConn, client netip.AddrPort) {
	local := unmapped(conn.LocalAddr()).Addr()
	site := c.siteOf(local)
	if !site.Well() {
		why := unwell
		if site == stray {
			why = noDecoy
		}
		c.counters.Refused(why)
		refuse(conn, replyLater)
		return
	}
	now := time.Now()
	conn.SetDeadline(now.Add(sessionTime))
	if !c.keep(conn) {
		conn.Close()
		return
	}
	defer c.drop(conn)
	set := c.settings.Load()
	d := &dialogue{detail: detailOf(set.Recipients, c.key), seen: Sighting{At: now, Client: client, Local: local, Decoy: site.first(local, now), site: site}}
	d.hostname = cmp.Or(set.Hostname, d.seen.Decoy.Host)
	converse(resting{conn, c.working}, d, set.Pause, now.Add(sessionTime))
	if !site.Well() {
		c.counters.Refused(overtaken)
		return
	}
	rank := 0
	if d.seen.Tried {
		rank = d.seen.Decoy.Rank
	}
	if c.counters.Session(d.seen.Decoy.Zone, d.seen.Rung(), rank); d.seen.Aged {
		c.counters.Age(d.seen.Age)
	}
	d.seen.log(c.log, time.Now())
	if d.seen.Rung() >= E2 {
		c.counters.Sighted(&d.seen)
	}
}

// resting is a connection whose session leaves the processor to others while it waits for its client.
type resting struct {
	net.Conn
	working chan struct{}
}

// Read implements [net.Conn].
func (r resting) Read(to []byte) (int, error) {
	<-r.working
	defer func() { r.working <- struct{}{} }()
	return r.Conn.Read(to)
}

// keep notes a connection, so that [Catch.Stop] can end it.
func (c *Catch) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn] = true
	return !c.ended.Load()
}

// drop closes it.
func (c *Catch) drop(conn net.Conn) {
	c.mu.Lock()
	delete(c.open, conn)
	c.mu.Unlock()
	conn.Close()
}

// converse reads lines and writes replies until either side has had enough.
func converse(conn net.Conn, d *dialogue, pause time.Duration, end time.Time) {
	room := buffers.Get().(*[maxLine]byte)
	defer buffers.Put(room)
	filled := 0
	if pause > 0 {
		conn.SetReadDeadline(time.Now().Add(pause))
		n, err := conn.Read(room[:])
		if filled = n; n > 0 {
			d.seen.Early = true
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		conn.SetReadDeadline(end)
	}
	if _, err := io.WriteString(conn, d.greeting()); err != nil {
		return
	}
	for {
		from := 0
		for {
			eol := bytes.IndexByte(room[from:filled], '\n')
			if eol < 0 {
				break
			}
			reply, over := d.reply(room[from : from+eol])
			from += eol + 1
			if _, err := io.WriteString(conn, reply); err != nil || over {
				return
			}
		}
		filled = copy(room[:], room[from:filled])
		if filled == len(room) {
			io.WriteString(conn, replyLong)
			return
		}
		n, err := conn.Read(room[filled:])
		filled += n
		if n == 0 && err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				conn.SetWriteDeadline(time.Now().Add(time.Second))
				io.WriteString(conn, replyTime)
			}
			return
		}
	}
}

// buffers are those of sessions.
var buffers = sync.Pool{New: func() any { return new([maxLine]byte) }}
