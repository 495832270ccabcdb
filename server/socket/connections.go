package socket

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mxtrap/server/peer"
)

// places are how many connections of a listener may be open. When all are taken, the one makes room that has been still longest, of the
// client that has most: so a client with many connections loses its own, and others are served.
type places struct {
	most      int // in all
	perClient int // of one IPv4 address or IPv6 /64; 0: any number

	mu      sync.Mutex
	open    map[*place]bool
	clients map[netip.Prefix]int
	drained time.Time // when all must have ended; zero: they go on
}

// place is an open connection.
type place struct {
	net.Conn
	of     *places
	client netip.Prefix
	moved  atomic.Int64 // when the last octets were awaited, came or went, in nanoseconds since the process began
}

// enter takes a place for a connection; nil: its client has as many as one may have. It says whether another one had to make room.
func (p *places) enter(conn net.Conn) (taken *place, full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open, p.clients = map[*place]bool{}, map[netip.Prefix]int{}
	}
	taken = &place{Conn: conn, of: p, client: peer.ClientOf(addressOf(conn))}
	if p.perClient > 0 && p.clients[taken.client] >= p.perClient {
		return nil, false
	}
	if full = len(p.open) >= p.most; full {
		p.makeRoom()
	}
	taken.move()
	p.open[taken] = true
	p.clients[taken.client]++
	return taken, full
}

// makeRoom closes a connection.
func (p *places) makeRoom() {
	most := 0
	for _, n := range p.clients {
		most = max(most, n)
	}
	var still *place
	for c := range p.open {
		if p.clients[c.client] == most && (still == nil || c.moved.Load() < still.moved.Load()) {
			still = c
		}
	}
	p.leave(still)
	still.Conn.Close()
}

// leave gives a place back, once.
func (p *places) leave(c *place) {
	if !p.open[c] {
		return
	}
	delete(p.open, c)
	if p.clients[c.client]--; p.clients[c.client] == 0 {
		delete(p.clients, c.client)
	}
}

// drainSend is how long clients have to take the answers of a listener that closes: the server ends within a second, whoever does not read.
const drainSend = 3 * drainTime

// drain lets the connections answer what comes in at once.
func (p *places) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.drained = now.Add(drainSend)
	for c := range p.open {
		c.SetReadDeadline(now.Add(drainTime))
		c.SetWriteDeadline(p.drained)
	}
}

// move notes that the connection is not still.
func (c *place) move() { c.moved.Store(int64(time.Since(began))) }

// began is when the process did.
var began = time.Now()

// Close closes the connection, and gives its place back.
func (c *place) Close() error {
	c.of.mu.Lock()
	c.of.leave(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// await bounds how long the connection waits until its next query has come in whole.
func (c *place) await() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	idle := tcpIdle
	switch {
	case !c.of.drained.IsZero():
		idle = drainTime
	case len(c.of.open) > c.of.most/2:
		idle = tcpBusyIdle
	}
	c.move()
	c.SetReadDeadline(time.Now().Add(idle))
}

// send sends answers, within a bounded time.
func (c *place) send(data []byte) error {
	c.move()
	c.of.mu.Lock()
	end := c.of.drained
	if end.IsZero() {
		end = time.Now().Add(tcpSend)
	}
	c.SetWriteDeadline(end)
	c.of.mu.Unlock()
	_, err := c.Write(data)
	return err
}

// addressOf is the client's address.
func addressOf(conn net.Conn) netip.Addr {
	return conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
}

// placedListener gives the connections of a listener places, for servers of HTTP.
type placedListener struct {
	net.Listener
	places *places
}

// Accept waits for the next connection.
func (l placedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c, _ := l.places.enter(conn)
	return moving{c}, nil
}

// moving is a place whose reads and writes are noted.
type moving struct{ *place }

func (m moving) Read(b []byte) (int, error) {
	n, err := m.place.Read(b)
	m.move()
	return n, err
}

func (m moving) Write(b []byte) (int, error) {
	m.move()
	return m.place.Write(b)
}
