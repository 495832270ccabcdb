// Package fake is other name servers and mail hosts for tests: a primary, a resolver and a mail host that answer whatever a test has them answer.
package fake

import (
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Patience is how long a test waits before it fails. It is long, for the machine may be busy, or the race detector at work.
const Patience = time.Minute

// Primary is a name server whose answers a test writes.
type Primary struct {
	l    net.Listener
	mu   sync.Mutex
	play func(conn net.Conn, request *dns.Msg)
}

// NewPrimary starts a primary; the test ends it.
func NewPrimary(t *testing.T) *Primary {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Primary{l: l}
	var running sync.WaitGroup
	t.Cleanup(func() { l.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(Patience))
				m, err := (&dns.Conn{Conn: conn}).ReadMsg()
				if err != nil {
					return
				}
				p.mu.Lock()
				play := p.play
				p.mu.Unlock()
				play(conn, m)
			})
		}
	})
	return p
}

// Plays has it answer otherwise.
func (p *Primary) Plays(play func(conn net.Conn, request *dns.Msg)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.play = play
}

// Sends answers with records, in a message each so many.
func Sends(each int, lines ...string) func(net.Conn, *dns.Msg) {
	return func(conn net.Conn, request *dns.Msg) {
		for lines := lines; len(lines) > 0; lines = lines[min(each, len(lines)):] {
			m := new(dns.Msg).SetReply(request)
			for _, line := range lines[:min(each, len(lines))] {
				m.Answer = append(m.Answer, Record(line))
			}
			Send(conn, m)
		}
	}
}

// Send sends a message.
func Send(conn net.Conn, m *dns.Msg) error {
	packet, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = conn.Write(Framed(packet))
	return err
}

// Address is where it is, with its port.
func (p *Primary) Address() string { return p.l.Addr().String() }

// Framed is a message as it goes over TCP (RFC 1035 4.2.2).
func Framed(packet []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(packet)), uint16(len(packet))), packet...)
}
