package server

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
)

// Limits of TCP (RFC 7766 6.2, RFC 9210 4.2). They bound memory too: a connection holds 4 KiB while it waits, and a batch of
// answers while it is served.
const (
	tcpConnections       = 1024
	tcpClientConnections = 64               // of one IPv4 address or IPv6 /64
	tcpIdle              = 10 * time.Second // for a whole query to come in
	tcpBusyIdle          = 2 * time.Second  // the same when half of the connections are taken
	tcpSend              = 10 * time.Second // for a batch of answers to be taken
)

// tcpBuffer is a responder with room for a batch of answers, each with its length.
type tcpBuffer struct {
	responder
	out [2 * (2 + dns.MaxMsgSize)]byte
}

// tcpClients counts connections.
type tcpClients struct {
	mu    sync.Mutex
	all   int
	count map[netip.Prefix]int
}

// enter takes a place for a client, or says why there is none.
func (t *tcpClients) enter(client netip.Prefix) (ok bool, why metrics.Drop) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.all >= tcpConnections:
		return false, metrics.TCPFull
	case t.count[client] >= tcpClientConnections:
		return false, metrics.TCPClient
	}
	t.all++
	t.count[client]++
	return true, 0
}

func (t *tcpClients) leave(client netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.count[client]--; t.count[client] == 0 {
		delete(t.count, client)
	}
}

// idle is how long a connection may wait for a query.
func (t *tcpClients) idle() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all > tcpConnections/2 {
		return tcpBusyIdle
	}
	return tcpIdle
}

// serveTCP accepts connections until the listener is closed, and waits for them.
func (s *Server) serveTCP(l *listener) {
	clients := &tcpClients{count: map[netip.Prefix]int{}}
	counters := s.metrics.Worker(s.workers())
	buffers := &sync.Pool{New: func() any {
		return &tcpBuffer{responder: responder{state: &s.state, counters: counters}}
	}}
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := l.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // such as no file descriptors: passing
			continue
		}
		from := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		prefix := clientPrefix(from)
		ok, why := clients.enter(prefix)
		if !ok {
			counters.Dropped(why)
			conn.Close()
			continue
		}
		open.Go(func() {
			defer clients.leave(prefix)
			defer conn.Close()
			ended := make(chan struct{})
			defer close(ended)
			go func() { // ends the wait for a query when the listener closes
				select {
				case <-l.closing:
					conn.SetReadDeadline(time.Now().Add(drainTime))
				case <-ended:
				}
			}()
			c := client{transport: metrics.TCP}
			if from.Is6() {
				c.family = metrics.IPv6
			}
			serveConn(conn, c, clients, buffers, l.closing)
		})
	}
}

// clientPrefix is what counts as one client: whoever has an IPv6 address has its /64.
func clientPrefix(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// serveConn answers the queries of a connection in order; those that have come in together are answered together (RFC 7766 6.2.1.1).
func serveConn(conn net.Conn, c client, clients *tcpClients, buffers *sync.Pool, closing <-chan struct{}) {
	in := bufio.NewReader(conn)
	for {
		idle := clients.idle()
		select {
		case <-closing:
			idle = drainTime
		default:
		}
		conn.SetReadDeadline(time.Now().Add(idle))
		if _, err := in.Peek(2); err != nil {
			return
		}
		b := buffers.Get().(*tcpBuffer)
		err := b.batch(conn, in, c)
		buffers.Put(b)
		if err != nil {
			return
		}
	}
}

// batch answers the query that has begun to come in, and those that are there behind it.
func (b *tcpBuffer) batch(conn net.Conn, in *bufio.Reader, c client) error {
	out := b.out[:0]
	for {
		packet, err := readMessage(in)
		if err != nil {
			return err
		}
		began := time.Now()
		reply := b.respond(packet, out[len(out)+2:len(out)+2], c)
		if reply == nil {
			return errNotQuery
		}
		binary.BigEndian.PutUint16(out[len(out):len(out)+2], uint16(len(reply)))
		out = out[:len(out)+2+len(reply)]
		b.counters.Took(time.Since(began), 1)
		if cap(out)-len(out) < 2+dns.MaxMsgSize || !waiting(in) {
			break
		}
	}
	conn.SetWriteDeadline(time.Now().Add(tcpSend))
	if _, err := conn.Write(out); err != nil {
		b.counters.Dropped(metrics.Unsent)
		return err
	}
	return nil
}

// errNotQuery ends a connection: who sends that will send no better.
var errNotQuery = errors.New("not a query")

// waiting says whether a whole query has come in already.
func waiting(in *bufio.Reader) bool {
	if in.Buffered() < 2 {
		return false
	}
	size, _ := in.Peek(2)
	return in.Buffered() >= 2+int(binary.BigEndian.Uint16(size))
}

// readMessage reads a message with its length (RFC 1035 4.2.2). One that fits the reader's buffer is not copied.
func readMessage(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(2)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(head))
	in.Discard(2)
	if size <= in.Size() {
		packet, err := in.Peek(size)
		in.Discard(len(packet))
		return packet, err
	}
	packet := make([]byte, size)
	_, err = io.ReadFull(in, packet)
	return packet, err
}
