package catch

import (
	"net/netip"
	"sync"
)

// Bounds of sessions, of all listeners together. A session takes some 10 kB.
const (
	mostSessions  = 20000
	mostOfAClient = 8 // of one IPv4 address or IPv6 /64: no sender needs more at a host of last resort
)

// places are how many sessions there may be.
type places struct {
	most    int // of all clients; the rest of the files that may be open are for those who answer queries
	mu      sync.Mutex
	all     int
	clients map[netip.Prefix]int
}

// enter takes a place, or says why there is none.
func (p *places) enter(client netip.Prefix) (refused string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.all >= p.most:
		return allTaken
	case p.clients[client] >= mostOfAClient:
		return clientFull
	}
	p.all++
	p.clients[client]++
	return ""
}

// leave gives it back.
func (p *places) leave(client netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.clients[client]--; p.clients[client] == 0 {
		delete(p.clients, client)
	}
}
