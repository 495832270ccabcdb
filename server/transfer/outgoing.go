package transfer

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/answer"
	"mxtrap/server/peer"
	"mxtrap/zone"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
)

const (
	// transfersAtOnce is how many transfers are served at a time: each may hold a message and its client's patience.
	transfersAtOnce = 32

	// transferMessage is how many octets of records are sent together, before names are compressed.
	transferMessage = 16 << 10
)

// Outgoing sends zones to the clients that may transfer them.
type outgoing struct {
	state  *answer.State
	log    *slog.Logger
	count  func(zone, outcome string)
	places chan struct{} // holds a token for each transfer that is under way
}

// NewOutgoing makes an Outgoing that has counted what came of each request.
func NewOutgoing(s *answer.State, log *slog.Logger, count func(zone, outcome string)) *outgoing {
	return &outgoing{state: s, log: log, count: count, places: make(chan struct{}, transfersAtOnce)}
}

// Serve answers a request for a zone, whole or by its differences, in as many messages as that takes. The error says that the connection
// is of no use any more.
func (o *outgoing) Serve(_ context.Context, send func(octets []byte) error, packet []byte, c answer.Client) error {
	snap := o.state.Current.Load()
	var q answer.Query
	q.Parse(packet)
	w := &transferWriter{send: send, query: &q, nsid: snap.Nsid}
	snap.AnswerCookie(&q, c)
	var err error
	if q.Verdict == dns.RcodeSuccess && q.Signed > 0 {
		w.signature, err = peer.Verify(packet, q.Signed, snap.Access.Keys)
	}
	switch {
	case q.Verdict == answer.NoAnswer:
		return errors.New("an answer to no question")
	case err != nil:
		return w.refuse(dns.RcodeFormatError)
	case q.Verdict != dns.RcodeSuccess:
		return w.refuse(q.Verdict)
	}
	name := peer.KeyName(q.Name.Wire())
	began, kind := time.Now(), "axfr"
	z, rcode := transferable(snap, &q, name, w.signature, c)
	if rcode != dns.RcodeSuccess {
		snap.TellExpire(&q, nil, c)
		o.count(shownName(snap, name), "refused")
		o.log.Debug("refused a zone transfer", "zone", zone.NameOf(q.Name.Wire()), "client", c.Addr, "rcode", dns.RcodeToString[rcode])
		return w.refuse(rcode)
	}
	snap.TellExpire(&q, z, c)
	select {
	case o.places <- struct{}{}:
		defer func() { <-o.places }()
	default:
		o.count(z.Name(), "refused")
		return w.refuse(dns.RcodeRefused)
	}
	if err := z.Sign(func() bool { return true }); err != nil {
		o.count(z.Name(), "failed")
		o.log.Error("cannot send a zone transfer, because the zone cannot be signed", "zone", z.Name(), "client", c.Addr, "error", err)
		return w.refuse(dns.RcodeServerFailure)
	}
	var steps zone.History
	serial, incremental := knownSerial(&q)
	if incremental {
		steps = snap.Histories[z].Since(serial)
	}
	switch {
	case incremental && !zone.Later(z.Serial(), serial):
		kind = "current"
		err = w.add(z.SOA())
	case steps != nil:
		kind = "ixfr"
		err = w.differences(z.SOA(), steps)
	default:
		err = w.whole(z)
	}
	if err == nil {
		err = w.flush(dns.RcodeSuccess)
	}
	if err != nil {
		o.count(z.Name(), "failed")
		o.log.Warn("a zone transfer failed", "zone", z.Name(), "client", c.Addr, "error", err)
		return err
	}
	o.count(z.Name(), kind)
	o.log.Info("sent a zone transfer", "zone", z.Name(), "serial", z.Serial(), "client", c.Addr, "kind", kind, "records", w.records,
		"took", time.Since(began).Round(time.Microsecond))
	return nil
}

// shownName is the name of a zone, "" where it is none that is served.
func shownName(s *answer.Snapshot, name string) string {
	if z := s.Zones.Named(name); z != nil {
		return z.Name()
	}
	return ""
}

// transferable finds the zone that a transfer asks for, where that client may have it.
func transferable(s *answer.Snapshot, q *answer.Query, name string, sig *peer.Signature, c answer.Client) (z *zone.Zone, rcode int) {
	if rcode := sig.Rcode(); rcode != dns.RcodeSuccess {
		return nil, rcode
	}
	if q.Class != dns.ClassINET {
		return nil, dns.RcodeRefused
	}
	if z = s.Zones.Named(name); !s.AccessTo(z).Permits(c.Addr, sig.Verified()) {
		return nil, dns.RcodeRefused
	}
	if z == nil {
		return nil, dns.RcodeNotAuth // RFC 5936 2.2.1
	}
	if len(s.Down) > 0 && s.Down[slices.Index(s.Zones.Zones(), z)] {
		return nil, dns.RcodeServerFailure
	}
	return z, dns.RcodeSuccess
}

// knownSerial is the version that an incremental request says its client has: that of the SOA record behind the question.
func knownSerial(q *answer.Query) (serial uint32, ok bool) {
	if q.Type != dns.TypeIXFR || binary.BigEndian.Uint16(q.Packet[6:]) != 0 || binary.BigEndian.Uint16(q.Packet[8:]) != 1 {
		return 0, false
	}
	r, _, _, err := rr.Unpack(q.Packet, q.End)
	if err != nil || r.Type != dns.TypeSOA || rdata.Check(r.Type, r.Data) != nil {
		return 0, false
	}
	return zone.SerialOf(r), true
}

// transferWriter sends records in messages of some size, each with the question, for names to point to (RFC 5936 2.2.1).
type transferWriter struct {
	send      func([]byte) error
	query     *answer.Query
	nsid      string
	message   *rr.Packer // that is being filled; nil: none
	sent      int        // messages
	records   int        // in all
	signature *peer.Signature
}

func (w *transferWriter) whole(z *zone.Zone) error {
	for r := range z.Records() {
		if err := w.add(r); err != nil {
			return err
		}
	}
	return w.add(z.SOA())
}

// differences sends steps as RFC 1995 4 has them.
func (w *transferWriter) differences(soa rr.Record, steps zone.History) error {
	if err := w.add(soa); err != nil {
		return err
	}
	for _, s := range steps {
		for _, part := range []struct {
			soa     rr.Record
			records []rr.Record
		}{{s.From, s.Deleted}, {s.To, s.Added}} {
			for _, r := range append([]rr.Record{part.soa}, part.records...) {
				if err := w.add(r); err != nil {
					return err
				}
			}
		}
	}
	return w.add(soa)
}

func (w *transferWriter) add(r rr.Record) error {
	if w.message != nil && len(w.message.Packet)+len(r.Owner)+len(r.Data) > transferMessage {
		if err := w.flush(dns.RcodeSuccess); err != nil {
			return err
		}
	}
	w.begin()
	w.message.Add(r)
	w.records++
	return nil
}

// begin begins a message.
func (w *transferWriter) begin() {
	if w.message != nil {
		return
	}
	packet := make([]byte, 0, transferMessage+1024)
	packet = append(packet, w.query.Packet[:max(answer.HeaderSize, w.query.End)]...)
	w.message = rr.NewPacker(packet, string(w.query.Name.Wire()))
}

// refuse answers with an error, and says why (RFC 8914).
func (w *transferWriter) refuse(rcode int) error {
	w.query.Edns.Error = map[int]uint16{
		dns.RcodeRefused: dns.ExtendedErrorCodeProhibited, dns.RcodeServerFailure: dns.ExtendedErrorCodeNotReady,
	}[rcode]
	return w.flush(rcode)
}

// flush sends the message.
func (w *transferWriter) flush(rcode int) error {
	w.begin()
	packet := w.message.Packet
	flags := uint16(0)
	if rcode == dns.RcodeSuccess {
		flags = answer.FlagAA
	}
	count := [3]uint16{answer.AnswerSection: uint16(w.message.Count)}
	if w.query.Edns.Present && w.sent == 0 { // RFC 5936 2.2.5: the first message has one
		packet = w.query.Edns.AppendOPT(packet, rcode, w.nsid)
		count[answer.AdditionalSection]++
	}
	w.query.PutHeader(packet, rcode, flags, count)
	packet = w.signature.Sign(packet)
	w.message = nil
	w.sent++
	return w.send(withLength(packet))
}

// withLength is a message as it goes over TCP (RFC 1035 4.2.2).
func withLength(packet []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(packet)), uint16(len(packet))), packet...)
}
