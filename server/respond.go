package server

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/zone"
)

// packet is a query, and then its response.
type packet struct {
	data []byte
	from netip.AddrPort
}

// client is what a response depends on beside the query.
type client struct {
	transport metrics.Transport
	family    metrics.Family
	addr      netip.Addr
	port      uint16
	now       now
}

// now is the time of a batch.
type now struct {
	seconds uint32 // since 1970
	micros  uint32 // since the process began; goes round in 71 minutes
}

func nowOf(t time.Time) now {
	return now{uint32(t.Unix()), uint32(t.Sub(epoch).Microseconds())}
}

// epoch is when the process began.
var epoch = time.Now()

// responder answers queries by rounds. It belongs to one goroutine. Between rounds it holds nothing but memory that it uses again.
type responder struct {
	state    *state
	counters *metrics.Worker
	queries  [zone.Round]query
	asked    [zone.Round]*zone.Question
	limited  int64 // responses held back
	untapped int64 // queries since the last one that was copied
	encoder  encoder
}

func newResponder(s *state, counters *metrics.Worker) *responder {
	return &responder{state: s, counters: counters}
}

// respondAll answers the packets of a batch, each in its place; no data stand for what gets no answer.
func (r *responder) respondAll(packets []packet, c client) {
	for len(packets) > 0 {
		n := min(len(packets), zone.Round)
		r.round(packets[:n], c)
		packets = packets[n:]
	}
}

func (r *responder) round(packets []packet, c client) {
	snap := r.state.current.Load()
	r.lookUp(packets, snap)
	if snap.limiter != nil && c.transport == metrics.UDP {
		for i := range packets {
			snap.limiter.find(&r.queries[i], packets[i].from.Addr())
		}
	}
	for i := range packets {
		p := &packets[i]
		c.addr, c.port = p.from.Addr(), p.from.Port()
		p.data = r.write(&r.queries[i], p.data[:0], c, snap)
	}
}

// respond answers one packet into out, which must have room for the largest response of the transport. It returns nil for what gets
// no answer. It allocates nothing.
func (r *responder) respond(query, out []byte, c client) []byte {
	snap := r.state.current.Load()
	r.lookUp([]packet{{data: query}}, snap)
	return r.write(&r.queries[0], out, c, snap)
}

// lookUp reads the packets of a round and finds what they ask for.
func (r *responder) lookUp(packets []packet, snap *snapshot) {
	asked := r.asked[:0]
	for i := range packets {
		q := &r.queries[i]
		q.read(packets[i].data)
		if q.verdict == dns.RcodeSuccess && q.class != dns.ClassCHAOS && !q.notify && !q.nothing {
			asked = append(asked, &q.Question)
		}
	}
	snap.zones.LookUp(asked)
}

// write writes the response to a query that was looked up, and copies both to the tap where that is its turn.
func (r *responder) write(q *query, out []byte, c client, snap *snapshot) []byte {
	if snap.tap == nil || q.verdict == noAnswer {
		return r.compose(q, out, c, snap)
	}
	if r.untapped++; r.untapped < snap.tap.sample {
		return r.compose(q, out, c, snap)
	}
	r.untapped = 0
	m := snap.tap.query(q.packet, netip.AddrPortFrom(c.addr, c.port), c.transport)
	reply := r.compose(q, out, c, snap)
	snap.tap.response(m, reply)
	return reply
}

// compose writes the response to a query that was looked up.
func (r *responder) compose(q *query, out []byte, c client, snap *snapshot) []byte {
	if q.verdict == noAnswer {
		if len(q.packet) < headerSize {
			r.counters.Dropped(metrics.Malformed)
		} else {
			r.counters.Dropped(metrics.Response)
		}
		return nil
	}
	r.counters.Query(c.transport, c.family, q.Type)
	var sig *signature
	if q.signed > 0 {
		sig = r.verify(q, snap)
	}
	trusted := sig.verified() != nil || c.transport == metrics.TCP
	trusted = snap.answerCookie(q, c) || trusted
	e := &r.encoder
	e.begin(q, out, c, snap.nsid, sig.room())
	rcode, authoritative := q.verdict, false
	switch {
	case rcode != dns.RcodeSuccess:
		if q.Type == dns.TypeAXFR {
			q.edns.error = dns.ExtendedErrorCodeProhibited
		}
	case q.nothing:
		if !q.edns.cookies { // they are switched off
			rcode = dns.RcodeFormatError
		}
	case q.notify:
		rcode = snap.judge(q, sig, c)
		authoritative = rcode == dns.RcodeSuccess
	case q.ixfr && (!snap.access.permits(c.addr, sig.verified()) || q.Zone < 0 || q.Answer.Apex() > 0):
		rcode = dns.RcodeRefused
		q.edns.error = dns.ExtendedErrorCodeProhibited
	case q.class == dns.ClassCHAOS:
		rcode, authoritative = r.chaos(q, snap)
	case q.Zone < 0:
		rcode = dns.RcodeRefused
		q.edns.error = dns.ExtendedErrorCodeNotAuthoritative
	case len(snap.hidden) > 0 && snap.hidden[q.Zone] && !snap.access.permits(c.addr, sig.verified()):
		rcode = dns.RcodeRefused
		q.edns.error = dns.ExtendedErrorCodeProhibited
	case len(snap.down) > 0 && snap.down[q.Zone]:
		rcode = dns.RcodeServerFailure
		q.edns.error = dns.ExtendedErrorCodeNotReady
	default:
		r.count(q, snap)
		e.answer(&q.Answer)
		// NSD answers the class ANY without AA.
		rcode, authoritative = q.Answer.Rcode, q.Answer.Authoritative && q.class == dns.ClassINET
	}
	if !trusted && snap.limiter != nil && snap.limiter.over(q, c.now.micros) {
		if !r.slips(snap.limiter.slip) {
			r.counters.Dropped(metrics.RateLimited)
			return nil
		}
		r.counters.Slipped()
		e.empty(q)
		rcode, authoritative = dns.RcodeSuccess, false
	}
	r.counters.Response(rcode, e.cut)
	return sig.sign(e.end(q, rcode, authoritative, snap.nsid))
}

// slips says whether a response above the limit is sent empty.
func (r *responder) slips(every int64) bool {
	r.limited++
	return every > 0 && r.limited%every == 0
}

// verify judges the signature of a query, which may change its verdict.
func (r *responder) verify(q *query, snap *snapshot) *signature {
	sig, err := verify(q.packet, q.signed, snap.access.keys)
	if err != nil {
		q.verdict = dns.RcodeFormatError
	} else if rcode := sig.rcode(); rcode != dns.RcodeSuccess {
		q.verdict = rcode
	}
	return sig
}

// count counts a query for its zone, and for the trap.
func (r *responder) count(q *query, snap *snapshot) {
	if len(snap.counts) == 0 {
		return
	}
	c, a := &snap.counts[q.Zone], &q.Answer
	r.counters.Add(c.zone, metrics.ZoneQueries)
	if a.Trapped {
		r.counters.Add(c.zone, metrics.ZoneMX)
	}
	if a.Decoy > 0 {
		decoy := a.Decoy - 1 - c.covers
		r.counters.Add(c.decoys, decoy*metrics.DecoyCounters+metrics.DecoyCounter(q.Type))
	}
}

// chaos tells about the server itself (RFC 4892).
func (r *responder) chaos(q *query, snap *snapshot) (rcode int, authoritative bool) {
	if q.Type != dns.TypeTXT && q.Type != dns.TypeANY {
		return dns.RcodeRefused, false
	}
	text := ""
	switch string(q.Name.Wire()) {
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

// begin copies the question, its letters as the client wrote them, and makes room for the OPT record and a signature.
func (e *encoder) begin(q *query, out []byte, c client, nsid string, signature int) {
	e.limit = dns.MaxMsgSize
	if c.transport == metrics.UDP {
		e.limit = q.edns.limit()
	}
	e.limit -= q.edns.optLen(nsid) + signature
	e.out = append(out[:0], q.packet[:max(headerSize, q.end)]...)
	e.count, e.cut = [3]uint16{}, false
}

// empty takes all back but the question, and has the client ask again over TCP.
func (e *encoder) empty(q *query) {
	e.out = e.out[:max(headerSize, q.end)]
	e.count, e.cut = [3]uint16{}, true
}

// end adds the OPT record and fills the header in.
func (e *encoder) end(q *query, rcode int, authoritative bool, nsid string) []byte {
	if q.edns.present {
		e.out = q.edns.appendOPT(e.out, rcode, nsid)
		e.count[additionalSection]++
	}
	flags := uint16(0)
	if authoritative {
		flags |= flagAA
	}
	if e.cut {
		flags |= flagTC
	}
	q.putHeader(e.out, rcode, flags, e.count)
	return e.out
}

// putHeader fills the header of a response in, whose question is the query's, where that has one.
func (q *query) putHeader(out []byte, rcode int, flags uint16, count [3]uint16) {
	binary.BigEndian.PutUint16(out[2:], q.flags&(opcodeMask|flagRD)|flagQR|uint16(rcode&0xf)|flags)
	questions := uint16(0)
	if q.end > 0 {
		questions = 1
	}
	binary.BigEndian.PutUint16(out[4:], questions)
	for i, n := range count {
		binary.BigEndian.PutUint16(out[6+2*i:], n)
	}
}

// text adds a TXT record of one string in the class CH, at the question's name.
func (e *encoder) text(s string) {
	e.out = append(e.out, 0, 0, 0, byte(dns.TypeTXT), 0, dns.ClassCHAOS, 0, 0, 0, 0, 0, byte(len(s)+1), byte(len(s)))
	pointer(e.out[len(e.out)-13:], headerSize)
	e.out = append(e.out, s...)
	e.count[answerSection]++
}
