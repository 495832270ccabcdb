package server

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"mxtrap/metrics"
)

// tcpConns are the open connections of a listener.
type tcpConns struct {
	mu       sync.Mutex
	open     map[*net.TCPConn]netip.Prefix
	clients  map[netip.Prefix]int
	draining bool
}

// enter takes a place for a connection, or says why there is none.
func (t *tcpConns) enter(conn *net.TCPConn) (ok bool, why metrics.Drop) {
	t.mu.Lock()
	defer t.mu.Unlock()
	client := clientOf(conn)
	switch {
	case len(t.open) >= tcpConnections:
		return false, metrics.TCPFull
	case t.clients[client] >= tcpClientConnections:
		return false, metrics.TCPClient
	}
	if t.open == nil {
		t.open, t.clients = map[*net.TCPConn]netip.Prefix{}, map[netip.Prefix]int{}
	}
	t.open[conn] = client
	t.clients[client]++
	return true, 0
}

func (t *tcpConns) leave(conn *net.TCPConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	client := t.open[conn]
	delete(t.open, conn)
	if t.clients[client]--; t.clients[client] == 0 {
		delete(t.clients, client)
	}
}

// await bounds how long a connection waits until its next query has come in whole.
func (t *tcpConns) await(conn *net.TCPConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	idle := tcpIdle
	switch {
	case t.draining:
		idle = drainTime
	case len(t.open) > tcpConnections/2:
		idle = tcpBusyIdle
	}
	conn.SetReadDeadline(time.Now().Add(idle))
}

// drain lets the connections answer what comes in at once.
func (t *tcpConns) drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.draining = true
	for conn := range t.open {
		conn.SetReadDeadline(time.Now().Add(drainTime))
	}
}

// addressOf is the client's address.
func addressOf(conn *net.TCPConn) netip.Addr {
	return conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
}

// clientOf is what counts as one client: whoever has an IPv6 address has its /64.
func clientOf(conn *net.TCPConn) netip.Prefix {
	a := addressOf(conn)
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
