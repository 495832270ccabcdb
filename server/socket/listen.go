package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"mxtrap/metrics"
	"mxtrap/server/answer"
	"mxtrap/server/pace"
)

// drainTime is how long a socket that is closed still answers what it has received.
const drainTime = 100 * time.Millisecond

// listener is one address with its UDP sockets, one a worker, and its TCP socket.
type listener struct {
	udp     []*net.UDPConn
	packets []packetConn // over udp
	family  metrics.Family
	tcp     *net.TCPListener
	udpRuns sync.WaitGroup
	tcpRuns sync.WaitGroup
	closing context.Context // ends when the listener is to be closed
	end     context.CancelFunc
}

func (l *listener) address() string { return l.tcp.Addr().String() }

// Listeners are all sockets of a server: UDP and TCP for DNS, and TCP for HTTP.
type Listeners struct {
	state   *answer.State
	metrics *metrics.Metrics
	log     *slog.Logger
	alone   Handlers
	later   chan struct{} // holds a token for each update over UDP that is being taken

	inherited  inherited // not used yet
	open       map[string]*listener
	http       *httpListener
	missing    []netip.AddrPort // addresses that are not there yet
	unaccepted pace.PerMinute   // bounds what the log says of connections that could not be accepted
	faults     pace.PerMinute   // and of faults of ours
}

// Handler answers a request that takes its time, until the context ends: who closes the listener waits for it.
type Handler func(ctx context.Context, send func(octets []byte) error, request []byte, c answer.Client) error

// Handlers answer what is no ordinary query.
type Handlers struct {
	Transfer Handler // sends messages with their lengths before them
	Update   Handler // sends one message
}

// updatesAtOnce is how many updates over UDP wait for their turn; clients ask again.
const updatesAtOnce = 64

// NewListeners makes Listeners that have no sockets yet. They take over those that the service manager has opened for this process.
func NewListeners(s *answer.State, m *metrics.Metrics, log *slog.Logger, alone Handlers) (*Listeners, error) {
	in, err := inherit()
	return &Listeners{state: s, metrics: m, log: log, alone: alone, inherited: in, open: map[string]*listener{}, later: make(chan struct{}, updatesAtOnce)}, err
}

// Listen opens the sockets of these addresses and of that for HTTP, where it is valid, and only when all are open closes those that are no
// longer asked for. Where an address cannot be had, nothing changes.
func (s *Listeners) Listen(addresses []netip.AddrPort, http netip.AddrPort) error {
	opened := map[string]*listener{}
	var missing []netip.AddrPort
	undo := func() {
		for _, l := range opened {
			l.close()
		}
	}
	wanted := map[string]bool{}
	for _, addr := range addresses {
		name := addr.String()
		if wanted[name] = true; s.open[name] != nil {
			continue
		}
		l, err := s.openSockets(addr)
		if errors.Is(err, syscall.EADDRNOTAVAIL) && len(addresses) > 1 {
			s.log.Warn("this host does not have a listen address yet; serving the others and trying again", "address", name, "every", ListenAgain)
			missing = append(missing, addr)
			continue
		}
		if err != nil {
			undo()
			return fmt.Errorf("server.listen: %q: %w", name, explained(err))
		}
		opened[name] = l
	}
	if len(addresses) > 0 && len(missing) == len(addresses) {
		return errors.New("server.listen: none of the addresses is one of this host")
	}
	newHTTP, err := s.listenHTTP(http)
	if err != nil {
		undo()
		return fmt.Errorf("server.metrics: %q: %w", http, explained(err))
	}
	for name, l := range opened {
		s.open[name] = l
		s.start(l)
	}
	s.closeUnless(wanted)
	if newHTTP != s.http {
		s.closeHTTP()
		s.http = newHTTP
	}
	s.missing = missing
	return nil
}

// ListenAgain is how often an address that is not there is to be tried again: an IPv6 address is tentative for a second or two (RFC 4862 5.4).
const ListenAgain = 3 * time.Second

// ListenOnMissing tries the addresses that were not there.
func (s *Listeners) ListenOnMissing() {
	s.missing = slices.DeleteFunc(s.missing, func(addr netip.AddrPort) bool {
		l, err := s.openSockets(addr)
		if err != nil {
			s.log.Debug("this host still does not have a listen address", "address", addr, "error", err)
			return false
		}
		s.open[addr.String()] = l
		s.start(l)
		s.log.Info("now serving a listen address that was missing", "address", addr)
		return true
	})
}

// Addresses are where DNS is served, of those that were asked for.
func (s *Listeners) Addresses(wanted []netip.AddrPort) (served []string) {
	for _, a := range wanted {
		if l := s.open[a.String()]; l != nil {
			served = append(served, l.address())
		}
	}
	return served
}

// HTTPAddress is where HTTP is served.
func (s *Listeners) HTTPAddress() string {
	if s.http == nil {
		return "off"
	}
	return s.http.listener.Addr().String()
}

// explained tells what to do about an address that cannot be had.
func explained(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another process uses this address: %w; find it with \"ss -lntup\" and stop it, or choose another address (serve --listen)", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: ports below 1024 need root or CAP_NET_BIND_SERVICE, which the systemd unit grants", err)
	}
	return err
}

// workers is how many UDP sockets an address has.
func (s *Listeners) workers() int { return s.metrics.Workers() - 1 }

// openTries is how often a port is chosen anew that the kernel has for TCP, and another process for UDP.
const openTries = 20

// openSockets opens the sockets of an address.
func (s *Listeners) openSockets(addr netip.AddrPort) (l *listener, err error) {
	for range openTries {
		if l, err = s.openOnce(addr); addr.Port() != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return l, err
}

// openOnce opens TCP first: it fails where another process has the address, which UDP sockets that share a port do not.
func (s *Listeners) openOnce(addr netip.AddrPort) (*listener, error) {
	l := &listener{}
	l.closing, l.end = context.WithCancel(context.Background())
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
		s.log.Warn("only one UDP worker serves an inherited socket; set ReusePort=yes in the socket unit", "address", addr)
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
func (s *Listeners) start(l *listener) {
	for i, conn := range l.packets {
		l.udpRuns.Go(func() { s.serveUDP(l, conn, s.metrics.Worker(i)) })
	}
	l.tcpRuns.Go(func() { s.serveTCP(l) })
}

// close lets a listener answer what it has received, and ends it. The TCP socket keeps the port as long as UDP sockets answer on it, or
// another server could have it in between.
func (l *listener) close() {
	l.end()
	l.tcp.SetDeadline(time.Now())
	for _, conn := range l.udp {
		conn.SetReadDeadline(time.Now().Add(drainTime))
	}
	l.udpRuns.Wait()
	for _, conn := range l.udp {
		conn.Close()
	}
	l.tcp.Close()
	l.tcpRuns.Wait()
}

// closeUnless closes the listeners that are not wanted, at the same time.
func (s *Listeners) closeUnless(wanted map[string]bool) {
	var closing sync.WaitGroup
	for name, l := range s.open {
		if !wanted[name] {
			delete(s.open, name)
			closing.Go(l.close)
		}
	}
	closing.Wait()
}

// Shut closes everything.
func (s *Listeners) Shut() {
	s.closeUnless(nil)
	s.closeHTTP()
}

// httpConnections is how many connections the HTTP side has.
const httpConnections = 64

// httpListener is the HTTP side.
type httpListener struct {
	configured netip.AddrPort
	listener   net.Listener
	stop       func()
}

// listenHTTP opens the HTTP address, where it has changed.
func (s *Listeners) listenHTTP(addr netip.AddrPort) (*httpListener, error) {
	if !addr.IsValid() {
		return nil, nil
	}
	if s.http != nil && s.http.configured == addr {
		return s.http, nil
	}
	l, err := net.Listen("tcp", addr.String())
	if err != nil {
		return nil, err
	}
	stop := s.metrics.Serve(placedListener{l, &places{most: httpConnections}}, s.log)
	return &httpListener{configured: addr, listener: l, stop: stop}, nil
}

func (s *Listeners) closeHTTP() {
	if s.http != nil {
		s.http.stop()
		s.http = nil
	}
}

// survive is deferred where queries are answered: a fault that one of them brings to light costs its answer, and not the process. It is told
// as what it is.
func (s *Listeners) survive(counters *metrics.Worker) {
	fault := recover()
	if fault == nil {
		return
	}
	counters.Dropped(metrics.Fault)
	if s.faults.Allow(time.Now()) {
		s.log.Error("a query has brought a fault of mxtrap to light, and gets no answer; please report it with these lines", "fault", fault, "stack", string(debug.Stack()))
	}
}

// ListenUnix makes a Unix socket at a path, with a mode, and its folder where that is missing. A socket that a process has left there is taken
// away.
func ListenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return nil, errors.New("another process answers there")
		}
		os.Remove(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	return l, err
}
