package server

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/rr"
)

const (
	// transfersAtOnce is how many transfers a listener serves at a time: each may hold a message and its client's patience.
	transfersAtOnce = 32

	// transferMessage is how many octets of records are sent together, before names are compressed.
	transferMessage = 16 << 10
)

// transferAsked says whether a packet asks for a zone (RFC 5936, RFC 1995).
func transferAsked(packet []byte) bool {
	if len(packet) < headerSize || packet[2]&0xf8 != 0 || binary.BigEndian.Uint16(packet[4:]) != 1 {
		return false
	}
	at := skipName(packet, headerSize)
	if at < 0 || at+4 > len(packet) {
		return false
	}
	typ := binary.BigEndian.Uint16(packet[at:])
	return typ == dns.TypeAXFR || typ == dns.TypeIXFR
}

// transfer answers a request for a zone, whole or by its differences.
func (t *tcpServer) transfer(conn *place, packet []byte, c client) error {
	snap := t.state.current.Load()
	var q query
	q.parse(packet)
	w := &transferWriter{conn: conn, query: &q, nsid: snap.nsid}
	snap.answerCookie(&q, c)
	var err error
	if q.verdict == dns.RcodeSuccess && q.signed > 0 {
		w.signature, err = verify(packet, q.signed, snap.transfers.keys)
	}
	switch {
	case q.verdict == noAnswer:
		return errors.New("an answer to no question")
	case err != nil:
		return w.refuse(dns.RcodeFormatError)
	case q.verdict != dns.RcodeSuccess:
		return w.refuse(q.verdict)
	}
	name := keyName(q.Name.Wire())
	began, kind := time.Now(), "axfr"
	z, rcode := snap.transferable(&q, name, w.signature, c)
	if rcode != dns.RcodeSuccess {
		t.metrics.Transfers.WithLabelValues("refused").Inc()
		t.Log.Debug("a zone transfer was refused", "zone", name, "client", c.addr, "rcode", dns.RcodeToString[rcode])
		return w.refuse(rcode)
	}
	select {
	case t.transfers <- struct{}{}:
		defer func() { <-t.transfers }()
	default:
		t.metrics.Transfers.WithLabelValues("refused").Inc()
		return w.refuse(dns.RcodeRefused)
	}
	var steps history
	serial, incremental := q.knownSerial()
	if incremental {
		steps = snap.histories[z].since(serial)
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
		t.metrics.Transfers.WithLabelValues("failed").Inc()
		t.Log.Warn("a zone transfer failed", "zone", z.Name(), "client", c.addr, "error", err)
		return err
	}
	t.metrics.Transfers.WithLabelValues(kind).Inc()
	t.Log.Info("a zone was transferred", "zone", z.Name(), "serial", z.Serial(), "client", c.addr, "kind", kind, "records", w.records,
		"took", time.Since(began).Round(time.Microsecond))
	return nil
}

// transferable finds the zone that a transfer asks for, where that client may have it.
func (s *snapshot) transferable(q *query, name string, sig *signature, c client) (z *zone.Zone, rcode int) {
	if rcode := sig.rcode(); rcode != dns.RcodeSuccess {
		return nil, rcode
	}
	if q.class != dns.ClassINET || !s.transfers.permits(c.addr, sig.verified()) {
		return nil, dns.RcodeRefused
	}
	if z = s.zones.Named(name); z == nil {
		return nil, dns.RcodeNotAuth // RFC 5936 2.2.1
	}
	if len(s.down) > 0 && s.down[slices.Index(s.zones.Zones(), z)] {
		return nil, dns.RcodeServerFailure
	}
	return z, dns.RcodeSuccess
}

// knownSerial is the version that an incremental request says its client has: that of the SOA record behind the question.
func (q *query) knownSerial() (serial uint32, ok bool) {
	if q.Type != dns.TypeIXFR || binary.BigEndian.Uint16(q.packet[6:]) != 0 || binary.BigEndian.Uint16(q.packet[8:]) != 1 {
		return 0, false
	}
	r, _, _, err := rr.Unpack(q.packet, q.end)
	if err != nil || r.Type != dns.TypeSOA || rr.Check(r.Type, r.Data) != nil {
		return 0, false
	}
	return zone.SerialOf(r), true
}

// transferWriter sends records in messages of some size, each with the question, for names to point to (RFC 5936 2.2.1).
type transferWriter struct {
	conn      *place
	query     *query
	nsid      string
	message   *rr.Packer // that is being filled; nil: none
	sent      int        // messages
	records   int        // in all
	signature *signature
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
func (w *transferWriter) differences(soa rr.Record, steps history) error {
	if err := w.add(soa); err != nil {
		return err
	}
	for _, s := range steps {
		for _, part := range []struct {
			soa     rr.Record
			records []rr.Record
		}{{s.from, s.deleted}, {s.to, s.added}} {
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
	packet = append(packet, w.query.packet[:max(headerSize, w.query.end)]...)
	w.message = rr.NewPacker(packet, string(w.query.Name.Wire()))
}

// refuse answers with an error, and says why (RFC 8914).
func (w *transferWriter) refuse(rcode int) error {
	w.query.edns.error = map[int]uint16{
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
		flags = flagAA
	}
	count := [3]uint16{answerSection: uint16(w.message.Count)}
	if w.query.edns.present && w.sent == 0 { // RFC 5936 2.2.5: the first message has one
		packet = w.query.edns.appendOPT(packet, rcode, w.nsid)
		count[additionalSection]++
	}
	w.query.putHeader(packet, rcode, flags, count)
	packet = w.signature.sign(packet)
	w.message = nil
	w.sent++
	return w.conn.send(withLength(packet))
}
