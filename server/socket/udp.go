package socket

import (
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
func (s *Listeners) serveUDP(conn packetConn, family metrics.Family, counters *metrics.Worker) {
	r := answer.NewResponder(s.state, counters)
	c := answer.Client{Transport: metrics.UDP, Family: family}
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
			r = answer.NewResponder(s.state, counters)
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
