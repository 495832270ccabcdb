package socket

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"mxtrap/metrics"
	"mxtrap/server/answer"
)

const (
	// batchSize is how many packets one system call brings at most: more gains nothing, as the cost of the call is spread already.
	batchSize = 64

	// packetSize is the room of a query, and of its response in the same place: any query that fits an Ethernet frame. It is an odd
	// number of cache lines, so that the packets of a batch do not compete for the same places in the cache.
	packetSize = 25 * 64

	// receiveBuffer is what a socket may hold while its worker is busy; the kernel may grant less.
	receiveBuffer = 4 << 20
)

// packetConn receives and sends UDP packets by batches. It belongs to one goroutine.
type packetConn interface {
	// receive waits for packets. The data of each have room for its response, which takes their place; nil there is no response.
	receive() (packets []answer.Packet, err error)
	// send sends the responses that stand in the place of the packets of receive, and says how many could not be sent.
	send() (unsent int)
	// reply is what sends a response to a packet of receive after others have come.
	reply(place int) func(octets []byte) error
	// overflowed is how many packets the kernel has dropped since the last call, because the socket was full.
	overflowed() uint64
}

// listenUDP opens a UDP socket that shares its port with those of the other workers.
func listenUDP(addr netip.AddrPort) (*net.UDPConn, error) {
	c, err := (&net.ListenConfig{Control: controlUDP}).ListenPacket(context.Background(), "udp"+ipVersion(addr.Addr()), addr.String())
	if err != nil {
		return nil, err
	}
	conn := c.(*net.UDPConn)
	conn.SetReadBuffer(receiveBuffer) // a wish
	return conn, nil
}

// ipVersion makes a wildcard address mean the addresses of its family alone.
func ipVersion(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

// serveUDP answers what a socket receives until its read deadline has passed.
func (s *Listeners) serveUDP(l *listener, conn packetConn, counters *metrics.Worker) {
	responder := func() *answer.Responder {
		r := answer.NewResponder(s.state, counters)
		r.Later = func(p *answer.Packet, update []byte, c answer.Client) {
			s.updateLater(l, conn.reply(p.Place), bytes.Clone(update), c)
		}
		return r
	}
	r := responder()
	c := answer.Client{Transport: metrics.UDP, Family: l.family}
	for {
		packets, err := conn.receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // such as no memory: passing
			continue
		}
		began := time.Now()
		c.Now = answer.NowOf(began)
		if !s.respondAll(r, packets, c, counters) {
			r = responder()
			for i := range packets {
				packets[i].Data = nil
			}
		}
		counters.DroppedMany(metrics.Unsent, uint64(conn.send()))
		counters.DroppedMany(metrics.Overflow, conn.overflowed())
		counters.Took(time.Since(began), len(packets))
	}
}

// respondAll answers a batch. Ok: no fault of ours came to light.
func (s *Listeners) respondAll(r *answer.Responder, packets []answer.Packet, c answer.Client, counters *metrics.Worker) (ok bool) {
	defer s.survive(counters)
	r.RespondAll(packets, c)
	return true
}

// updateLater takes an update beside the queries that come meanwhile. Where too many are under way it is dropped: the client asks again.
func (s *Listeners) updateLater(l *listener, reply func([]byte) error, update []byte, c answer.Client) {
	select {
	case s.later <- struct{}{}:
	default:
		return
	}
	l.udpRuns.Go(func() {
		defer func() { <-s.later }()
		s.alone.Update(l.closing, reply, update, c)
	})
}
