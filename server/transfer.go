package server

import (
	"encoding/binary"
	"net"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone"
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
func (t *tcpServer) transfer(conn net.Conn, packet []byte, c client) error {
	snap := t.state.current.Load()
	req := new(dns.Msg)
	w := &transferWriter{conn: conn, reply: dns.Msg{Compress: true}}
	w.reply.Response, w.reply.Id = true, binary.BigEndian.Uint16(packet)
	err := req.Unpack(packet)
	if err == nil && req.IsTsig() != nil {
		w.signature, err = verify(packet, snap.transfers.keys)
	}
	if err != nil {
		return w.refuse(dns.RcodeFormatError)
	}
	w.reply.Question = req.Question
	question := req.Question[0]
	began, kind := time.Now(), "axfr"
	z, rcode := snap.transferable(question, w.signature, c)
	if rcode != dns.RcodeSuccess {
		w.explain(req, rcode)
		t.metrics.Transfers.WithLabelValues("refused").Inc()
		t.Log.Debug("a zone transfer was refused", "zone", question.Name, "client", c.addr, "rcode", dns.RcodeToString[rcode])
		return w.refuse(rcode)
	}
	select {
	case t.transfers <- struct{}{}:
		defer func() { <-t.transfers }()
	default:
		t.metrics.Transfers.WithLabelValues("refused").Inc()
		return w.refuse(dns.RcodeRefused)
	}
	w.reply.Authoritative = true
	var steps history
	serial, incremental := knownSerial(req)
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
		err = w.flush()
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
func (s *snapshot) transferable(question dns.Question, sig *signature, c client) (z *zone.Zone, rcode int) {
	if rcode := sig.rcode(); rcode != dns.RcodeSuccess {
		return nil, rcode
	}
	if question.Qclass != dns.ClassINET || !s.transfers.permits(c.addr, sig.verified()) {
		return nil, dns.RcodeRefused
	}
	if z = s.zones.Named(question.Name); z == nil {
		return nil, dns.RcodeNotAuth // RFC 5936 2.2.1
	}
	if len(s.down) > 0 && s.down[slices.Index(s.zones.Zones(), z)] {
		return nil, dns.RcodeServerFailure
	}
	return z, dns.RcodeSuccess
}

// knownSerial is the version that an incremental request says its client has.
func knownSerial(req *dns.Msg) (serial uint32, ok bool) {
	if req.Question[0].Qtype != dns.TypeIXFR || len(req.Ns) != 1 {
		return 0, false
	}
	soa, ok := req.Ns[0].(*dns.SOA)
	if !ok {
		return 0, false
	}
	return soa.Serial, true
}

// transferWriter sends records in messages of some size.
type transferWriter struct {
	conn      net.Conn
	reply     dns.Msg // the message that is being filled; its question stands in the first one only
	size      int     // of its records
	records   int     // in all
	signature *signature
}

func (w *transferWriter) whole(z *zone.Zone) error {
	for rr := range z.Records() {
		if err := w.add(rr); err != nil {
			return err
		}
	}
	return w.add(z.SOA())
}

// differences sends steps as RFC 1995 4 has them.
func (w *transferWriter) differences(soa *dns.SOA, steps history) error {
	if err := w.add(soa); err != nil {
		return err
	}
	for _, s := range steps {
		for _, part := range []struct {
			soa     *dns.SOA
			records []dns.RR
		}{{s.from, s.deleted}, {s.to, s.added}} {
			for _, rr := range append([]dns.RR{part.soa}, part.records...) {
				if err := w.add(rr); err != nil {
					return err
				}
			}
		}
	}
	return w.add(soa)
}

func (w *transferWriter) add(rr dns.RR) error {
	size := dns.Len(rr)
	if w.size > 0 && w.size+size > transferMessage {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.reply.Answer = append(w.reply.Answer, rr)
	w.size += size
	w.records++
	return nil
}

// explain says why there is an error (RFC 8914), to who asks with EDNS.
func (w *transferWriter) explain(req *dns.Msg, rcode int) {
	code := map[int]uint16{
		dns.RcodeRefused: dns.ExtendedErrorCodeProhibited, dns.RcodeServerFailure: dns.ExtendedErrorCodeNotReady,
	}[rcode]
	if opt := req.IsEdns0(); opt != nil && code != 0 {
		w.reply.SetEdns0(maxUDP, opt.Do())
		w.reply.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: code}}
	}
}

// refuse answers with an error.
func (w *transferWriter) refuse(rcode int) error {
	w.reply.Rcode = rcode
	return w.flush()
}

// flush sends the message.
func (w *transferWriter) flush() error {
	packet, err := w.signature.pack(&w.reply)
	if err != nil {
		return err
	}
	w.reply.Question, w.reply.Answer, w.reply.Extra, w.size = nil, w.reply.Answer[:0], nil, 0
	w.conn.SetWriteDeadline(time.Now().Add(tcpSend))
	_, err = w.conn.Write(withLength(packet))
	return err
}
