package answer

import (
	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/zone"
)

// Asker answers questions as a server of these zones does: the same lookup, the same encoder, no sockets.
type Asker struct{ responder Responder }

// NewAsker makes an Asker.
func NewAsker(zones []*zone.Zone) *Asker {
	return &Asker{*NewResponder(NewState(zone.NewSet(zones, func() {})), new(metrics.Worker))}
}

// AskerOf makes an Asker of the zones that a server serves now. What it asks is not counted.
func AskerOf(s *State) *Asker {
	snap := *s.Current.Load()
	snap.Counts, snap.Taps = nil, nil
	of := new(State)
	of.Current.Store(&snap)
	return &Asker{*NewResponder(of, new(metrics.Worker))}
}

// Ask asks over TCP, so that no answer is cut short, and returns the answer and how many octets it has.
func (a *Asker) Ask(name string, qtype uint16) (answer *dns.Msg, octets int) {
	query, answer := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype), new(dns.Msg)
	packet, err := query.SetEdns0(zone.MaxUDP, false).Pack()
	var out []byte
	if err == nil {
		out = a.responder.Respond(packet, nil, Client{Transport: metrics.TCP})
		err = answer.Unpack(out)
	}
	if err != nil { // no name of a zone is one that the library cannot pack
		answer.Rcode = dns.RcodeServerFailure
	}
	return answer, len(out)
}
