package server

import (
	"context"
	"net"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
)

// listenUDP opens a UDP socket that shares its port with those of the other workers.
func listenUDP(addr string) (*net.UDPConn, error) {
	c, err := (&net.ListenConfig{Control: sharePort}).ListenPacket(context.Background(), "udp", addr)
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// serveUDP answers what a socket receives until its read deadline has passed.
func (s *Server) serveUDP(conn *net.UDPConn, counters *metrics.Worker) {
	r := &responder{state: &s.state, counters: counters}
	in, out := make([]byte, dns.MaxMsgSize), make([]byte, 0, maxUDP)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(in)
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				return
			}
			time.Sleep(time.Millisecond) // such as ICMP errors or no buffers: passing
			continue
		}
		began := time.Now()
		c := client{transport: metrics.UDP}
		if from.Addr().Is6() && !from.Addr().Is4In6() {
			c.family = metrics.IPv6
		}
		if reply := r.respond(in[:n], out, c); reply != nil {
			if _, err := conn.WriteToUDPAddrPort(reply, from); err != nil {
				counters.Dropped(metrics.Unsent)
			}
			counters.Took(time.Since(began))
		}
	}
}
