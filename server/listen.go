package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"mxtrap/metrics"
)

// drainTime is how long a socket that is closed still answers what it has received.
const drainTime = 100 * time.Millisecond

// listener is one address with its UDP sockets, one a worker, and its TCP socket.
type listener struct {
	udp     []*net.UDPConn
	packets []packetConn // over udp
	family  metrics.Family
	tcp     *net.TCPListener
	running sync.WaitGroup
}

func (l *listener) address() string { return l.tcp.Addr().String() }

// listen opens what the configuration asks for, and only when all of that is open closes what it no longer asks for. Where an address
// cannot be had, nothing changes.
func (s *Server) listen(c *Config) error {
	opened := map[string]*listener{}
	var missing []netip.AddrPort
	undo := func() {
		for _, l := range opened {
			l.close()
		}
	}
	for _, addr := range c.Listen {
		name := addr.String()
		if s.listeners[name] != nil {
			continue
		}
		l, err := s.open(addr)
		if errors.Is(err, syscall.EADDRNOTAVAIL) && len(c.Listen) > 1 {
			s.Log.Warn("an address is not there yet: the others are served, and it is tried again", "address", name, "every", listenAgain)
			missing = append(missing, addr)
			continue
		}
		if err != nil {
			undo()
			return fmt.Errorf("server.listen: %q: %w", name, explained(err))
		}
		opened[name] = l
	}
	if len(missing) == len(c.Listen) {
		return errors.New("server.listen: none of the addresses is one of this host")
	}
	http, err := s.listenHTTP(c)
	if err != nil {
		undo()
		return fmt.Errorf("server.metrics: %q: %w", c.Metrics, explained(err))
	}
	for name, l := range opened {
		s.listeners[name] = l
		s.start(l)
	}
	wanted := map[string]bool{}
	for _, addr := range c.Listen {
		wanted[addr.String()] = true
	}
	for name, l := range s.listeners {
		if !wanted[name] {
			delete(s.listeners, name)
			l.close()
		}
	}
	if http != s.http {
		s.closeHTTP()
		s.http = http
	}
	s.missing = missing
	return nil
}

// listenAgain is how often an address that is not there is tried again: an IPv6 address is tentative for a second or two (RFC 4862 5.4).
const listenAgain = 3 * time.Second

// listenOnMissing tries the addresses that were not there.
func (s *Server) listenOnMissing() {
	s.missing = slices.DeleteFunc(s.missing, func(addr netip.AddrPort) bool {
		l, err := s.open(addr)
		if err != nil {
			s.Log.Debug("an address is not there yet", "address", addr, "error", err)
			return false
		}
		s.listeners[addr.String()] = l
		s.start(l)
		s.Log.Info("an address is there now, and served", "address", addr)
		return true
	})
}

// explained tells what to do about an address that cannot be had.
func explained(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another process has this address: %w; \"ss -lntup\" tells which; end that one, or choose another address (serve --listen)", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: ports below 1024 are for root, or for who has CAP_NET_BIND_SERVICE, as the systemd unit gives it", err)
	}
	return err
}

func (s *Server) workers() int { return s.metrics.Workers() - 1 }

// openTries is how often a port is chosen anew that the kernel has for TCP, and another process for UDP.
const openTries = 20

// open opens the sockets of an address.
func (s *Server) open(addr netip.AddrPort) (l *listener, err error) {
	for range openTries {
		if l, err = s.openOnce(addr); addr.Port() != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return l, err
}

// openOnce opens TCP first: it fails where another process has the address, which UDP sockets that share a port do not.
func (s *Server) openOnce(addr netip.AddrPort) (*listener, error) {
	l := &listener{}
	if addr.Addr().Is6() {
		l.family = metrics.IPv6
	}
	var err error
	if l.tcp, err = s.inherited.listenTCP(addr); err != nil {
		return nil, err
	}
	port := l.tcp.Addr().(*net.TCPAddr).AddrPort().Port()
	if l.udp, err = s.inherited.listenUDP(netip.AddrPortFrom(addr.Addr(), port), s.workers()); err != nil {
		l.close()
		return nil, err
	}
	if len(l.udp) < s.workers() {
		s.Log.Warn("one worker serves an address, whose socket is the service manager's", "address", addr)
	}
	for _, udp := range l.udp {
		packets, err := newPacketConn(udp)
		if err != nil {
			l.close()
			return nil, err
		}
		l.packets = append(l.packets, packets)
	}
	return l, nil
}

// start begins to answer on a listener.
func (s *Server) start(l *listener) {
	for i, conn := range l.packets {
		l.running.Go(func() { s.serveUDP(conn, l.family, s.metrics.Worker(i)) })
	}
	l.running.Go(func() { s.serveTCP(l) })
}

// close lets a listener answer what it has received, and ends it.
func (l *listener) close() {
	l.tcp.Close()
	for _, conn := range l.udp {
		conn.SetReadDeadline(time.Now().Add(drainTime))
	}
	l.running.Wait()
	for _, conn := range l.udp {
		conn.Close()
	}
}

// shut closes everything.
func (s *Server) shut() {
	for name, l := range s.listeners {
		delete(s.listeners, name)
		l.close()
	}
	s.closeHTTP()
}

// httpConnections is how many connections the HTTP side has.
const httpConnections = 64

// listenHTTP opens the HTTP address, where it has changed.
func (s *Server) listenHTTP(c *Config) (*httpListener, error) {
	if !c.Metrics.IsValid() {
		return nil, nil
	}
	name := c.Metrics.String()
	if s.http != nil && s.http.configured == name {
		return s.http, nil
	}
	l, err := net.Listen("tcp", name)
	if err != nil {
		return nil, err
	}
	stop := s.metrics.Serve(placedListener{l, &places{most: httpConnections}}, s.Log)
	return &httpListener{configured: name, listener: l, stop: stop}, nil
}

func (s *Server) closeHTTP() {
	if s.http != nil {
		s.http.stop()
		s.http = nil
	}
}
