package socket

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"mxtrap/metrics"
	"mxtrap/server/answer"
	"mxtrap/zone/conf"
)

// Limits of TCP (RFC 7766 6.2, RFC 9210 4.2). They bound memory too: a connection that waits for its client holds tcpQuery, one that
// waits until its client has taken the answers tcpBatch, and the kernel holds some batches more.
const (
	tcpConnections       = 1024             // of a listener
	tcpClientConnections = 64               // of one IPv4 address or IPv6 /64
	tcpIdle              = 10 * time.Second // for a whole query to come in
	tcpBusyIdle          = 2 * time.Second  // the same when half of the connections are taken
	tcpSend              = 10 * time.Second // for a batch of answers to be taken
	tcpQuery             = 4 << 10          // the longest query: longer than all names and options that are in use
	tcpBatch             = 16 << 10         // of answers that are sent together; a longer answer goes alone
	tcpRoom              = 4 << 10          // of a batch that must be free for the next answer
	tcpKernel            = 2 * tcpBatch     // what the kernel may hold of a connection, in each direction
)

// tcpServer serves the connections of a listener.
type tcpServer struct {
	*Listeners
	closing    context.Context // ends when the listener is to be closed
	places     places
	counters   *metrics.Worker
	responders sync.Pool // of *responder
	batches    sync.Pool // of *[tcpBatch]byte
}

// serveTCP accepts connections until the listener's deadline has passed, and waits for them.
func (s *Listeners) serveTCP(l *listener) {
	t := &tcpServer{
		Listeners: s, closing: l.closing, counters: s.metrics.Worker(s.workers()),
		places: places{most: tcpConnections, perClient: tcpClientConnections},
	}
	t.responders.New = func() any { return answer.NewResponder(s.state, t.counters) }
	t.batches.New = func() any { return new([tcpBatch]byte) }
	var running sync.WaitGroup
	for {
		conn, err := l.tcp.AcceptTCP()
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			t.places.drain()
			running.Wait()
			return
		}
		if err != nil {
			if s.unaccepted.Allow(time.Now()) {
				s.log.Error("cannot accept a TCP connection", "listen", l.address(), "error", conf.Plain(err))
			}
			time.Sleep(10 * time.Millisecond) // such as no file descriptors: passing
			continue
		}
		conn.SetReadBuffer(tcpKernel) // wishes, both
		conn.SetWriteBuffer(tcpKernel)
		place, full := t.places.enter(conn)
		if full {
			t.counters.Dropped(metrics.TCPFull)
		}
		if place == nil {
			t.counters.Dropped(metrics.TCPClient)
			conn.Close()
			continue
		}
		running.Go(func() {
			t.metrics.TCPConnections.Inc()
			defer t.metrics.TCPConnections.Dec()
			defer place.Close()
			defer t.survive(t.counters)
			t.serve(place)
		})
	}
}

// serve answers the queries of a connection in order; those that have come in together are answered together (RFC 7766 6.2.1.1).
// While it waits for its client it holds neither a responder nor a batch.
func (t *tcpServer) serve(conn *place) {
	c := answer.Client{Transport: metrics.TCP, Addr: addressOf(conn), Port: conn.RemoteAddr().(*net.TCPAddr).AddrPort().Port()}
	if c.Addr.Is6() {
		c.Family = metrics.IPv6
	}
	in := bufio.NewReaderSize(conn, 2+tcpQuery)
	for {
		conn.await()
		if size, err := in.Peek(2); err != nil {
			return
		} else if _, err := in.Peek(2 + int(binary.BigEndian.Uint16(size))); err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				t.counters.Dropped(metrics.Malformed)
			}
			return
		}
		conn.move()
		if packet := message(in); alone(packet) {
			if t.serveAlone(conn, packet, c) != nil {
				return
			}
			in.Discard(2 + len(packet))
		} else if t.answer(conn, in, c) != nil {
			return
		}
	}
}

// alone says whether a request is answered by itself, for it takes its time.
func alone(packet []byte) bool { return answer.AsksTransfer(packet) || answer.IsUpdate(packet) }

func (t *tcpServer) serveAlone(conn *place, packet []byte, c answer.Client) error {
	c.Now = answer.NowOf(time.Now())
	if answer.AsksTransfer(packet) {
		return t.Listeners.alone.Transfer(t.closing, conn.send, packet, c)
	}
	return t.Listeners.alone.Update(t.closing, func(octets []byte) error {
		return conn.send(append(binary.BigEndian.AppendUint16(nil, uint16(len(octets))), octets...))
	}, packet, c)
}

// answer answers the query that has come in, and those that have come in whole behind it.
func (t *tcpServer) answer(conn *place, in *bufio.Reader, c answer.Client) error {
	batch := t.batches.Get().(*[tcpBatch]byte)
	defer t.batches.Put(batch)
	began := time.Now()
	c.Now = answer.NowOf(began)
	out, answers, end := t.respond(in, batch[:0], c)
	if answers == 0 {
		return end
	}
	if err := conn.send(out); err != nil {
		t.counters.DroppedMany(metrics.Unsent, uint64(answers))
		return err
	}
	t.counters.Took(time.Since(began), answers)
	return end
}

// errNotQuery ends a connection: a client that sends this will send nothing better.
var errNotQuery = errors.New("not a query")

// respond appends a batch of answers, each behind its length (RFC 1035 4.2.2).
func (t *tcpServer) respond(in *bufio.Reader, out []byte, c answer.Client) (batch []byte, answers int, end error) {
	r := t.responders.Get().(*answer.Responder)
	defer t.responders.Put(r)
	for packet := message(in); packet != nil && !alone(packet) && cap(out)-len(out) >= tcpRoom; packet = message(in) {
		at := len(out)
		reply := r.Respond(packet, out[at+2:at+2], c)
		if reply == nil {
			return out, answers, errNotQuery
		}
		in.Discard(2 + len(packet))
		out = binary.BigEndian.AppendUint16(out, uint16(len(reply)))
		out = append(out, reply...) // stands there already, unless it was too long for the batch
		answers++
	}
	return out, answers, nil
}

// message is the next message where it has come in whole, else nil.
func message(in *bufio.Reader) []byte {
	if in.Buffered() < 2 {
		return nil
	}
	size, _ := in.Peek(2)
	whole := 2 + int(binary.BigEndian.Uint16(size))
	if in.Buffered() < whole {
		return nil
	}
	packet, _ := in.Peek(whole)
	return packet[2:]
}
