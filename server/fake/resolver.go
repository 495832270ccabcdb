package fake

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// Resolver answers every host's A with an address, or fails.
type Resolver struct {
	Addr    string                 // with its port
	address atomic.Pointer[string] // "": SERVFAIL
	Asked   atomic.Int64
	TTL     int // of its answers, in seconds
}

// NewResolver starts a resolver that answers SERVFAIL; the test ends it.
func NewResolver(t *testing.T) *Resolver {
	t.Helper()
	f := &Resolver{}
	f.Answer("")
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.Addr = conn.LocalAddr().String()
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		f.Asked.Add(1)
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		switch address := *f.address.Load(); {
		case address == "":
			m.Rcode = dns.RcodeServerFailure
		case q.Question[0].Qtype == dns.TypeA:
			rr, _ := dns.NewRR(fmt.Sprintf("%s %d A %s", q.Question[0].Name, f.TTL, address))
			m.Answer = append(m.Answer, rr)
		}
		w.WriteMsg(m)
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return f
}

// Answer has it answer with an address; "" is SERVFAIL.
func (f *Resolver) Answer(address string) { f.address.Store(&address) }
