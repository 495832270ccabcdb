package server

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/zone"
)

// client is what a response depends on beside the query.
type client struct {
	transport metrics.Transport
	family    metrics.Family
}

// responder answers queries, one at a time. Between queries it holds nothing but memory that it uses again.
type responder struct {
	state    *state
	counters *metrics.Worker
	query    query
	answer   zone.Answer
	encoder  encoder
}

// respond answers a packet into out, which must have room for the largest response of the transport. It returns nil for what gets no
// answer. It allocates nothing.
func (r *responder) respond(packet, out []byte, c client) []byte {
	snap := r.state.current.Load()
	q := &r.query
	rcode := q.parse(packet)
	if rcode == noAnswer {
		if len(packet) < headerSize {
			r.counters.Dropped(metrics.Malformed)
		} else {
			r.counters.Dropped(metrics.Response)
		}
		return nil
	}
	r.counters.Query(c.transport, c.family, q.typ)
	e := &r.encoder
	e.begin(q, out, c, snap.nsid)
	authoritative := false
	if rcode == dns.RcodeSuccess {
		rcode, authoritative = r.lookup(snap)
	}
	r.counters.Response(rcode, e.cut)
	return e.end(q, rcode, authoritative, snap.nsid)
}

// lookup finds the answer to a well-formed question and writes its sections.
func (r *responder) lookup(snap *snapshot) (rcode int, authoritative bool) {
	q := &r.query
	switch q.class {
	case dns.ClassINET, dns.ClassANY:
	case dns.ClassCHAOS:
		return r.chaos(snap)
	default:
		return dns.RcodeRefused, false
	}
	switch q.typ {
	case dns.TypeAXFR, dns.TypeIXFR:
		return dns.RcodeRefused, false // nobody may transfer
	case dns.TypeMAILA, dns.TypeMAILB:
		return dns.RcodeNotImplemented, false
	case dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeNone:
		return dns.RcodeFormatError, false
	}
	z, i := snap.zones.Find(&q.name, q.typ == dns.TypeDS)
	if z == nil {
		return dns.RcodeRefused, false
	}
	a := &r.answer
	z.Lookup(&q.name, q.typ, a)
	if len(snap.counts) > 0 {
		r.count(&snap.counts[i], a)
	}
	r.encoder.answer(a)
	// NSD answers the class ANY without AA.
	return a.Rcode, a.Authoritative && q.class == dns.ClassINET
}

// count counts a query for its zone, and for the trap.
func (r *responder) count(c *zoneCounts, a *zone.Answer) {
	r.counters.Add(c.zone, metrics.ZoneQueries)
	if a.Trapped {
		r.counters.Add(c.zone, metrics.ZoneMX)
	}
	if a.Decoy > 0 {
		decoy := a.Decoy - 1 - c.covers
		r.counters.Add(c.decoys, decoy*metrics.DecoyCounters+metrics.DecoyCounter(r.query.typ))
	}
}

// chaos tells about the server itself (RFC 4892).
func (r *responder) chaos(snap *snapshot) (rcode int, authoritative bool) {
	if r.query.typ != dns.TypeTXT && r.query.typ != dns.TypeANY {
		return dns.RcodeRefused, false
	}
	text := ""
	switch string(r.query.name.Wire()) {
	case "\x07version\x04bind\x00", "\x07version\x06server\x00":
		text = snap.version
	case "\x02id\x06server\x00", "\x08hostname\x04bind\x00":
		text = snap.id
	}
	if text == "" {
		return dns.RcodeRefused, false
	}
	r.encoder.text(text)
	return dns.RcodeSuccess, true
}

// begin copies the question, its letters as the client wrote them, and makes room for the OPT record.
func (e *encoder) begin(q *query, out []byte, c client, nsid string) {
	e.limit = dns.MaxMsgSize
	if c.transport == metrics.UDP {
		e.limit = q.edns.limit()
	}
	e.limit -= q.edns.optLen(nsid)
	e.out = append(out[:0], q.packet[:max(headerSize, q.end)]...)
	e.count, e.cut = [3]uint16{}, false
}

// end adds the OPT record and fills the header in.
func (e *encoder) end(q *query, rcode int, authoritative bool, nsid string) []byte {
	if q.edns.present {
		e.out = q.edns.appendOPT(e.out, rcode, nsid)
		e.count[additionalSection]++
	}
	flags := q.flags&(opcodeMask|flagRD) | flagQR | uint16(rcode&0xf)
	if authoritative {
		flags |= flagAA
	}
	if e.cut {
		flags |= flagTC
	}
	binary.BigEndian.PutUint16(e.out[2:], flags)
	questions := uint16(0)
	if q.end > 0 {
		questions = 1
	}
	binary.BigEndian.PutUint16(e.out[4:], questions)
	for i, n := range e.count {
		binary.BigEndian.PutUint16(e.out[6+2*i:], n)
	}
	return e.out
}

// text adds a TXT record of one string in the class CH, at the question's name.
func (e *encoder) text(s string) {
	e.out = append(e.out, 0, 0, 0, byte(dns.TypeTXT), 0, dns.ClassCHAOS, 0, 0, 0, 0, 0, byte(len(s)+1), byte(len(s)))
	pointer(e.out[len(e.out)-13:], headerSize)
	e.out = append(e.out, s...)
	e.count[answerSection]++
}
