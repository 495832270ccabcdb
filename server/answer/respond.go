package answer

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/server/peer"
	"mxtrap/server/tap"
	"mxtrap/zone"
)

// Packet is a query, and then its response.
type Packet struct {
	Data  []byte
	From  netip.AddrPort
	Place int // in the batch
}

// Client is what a response depends on beside the query.
type Client struct {
	Transport metrics.Transport
	Family    metrics.Family
	Addr      netip.Addr
	Port      uint16
	Now       now
}

// now is the time of a batch.
type now struct {
	seconds uint32 // since 1970
	micros  uint32 // since the process began; goes round in 71 minutes
}

// NowOf is a time as answers use it.
func NowOf(t time.Time) now {
	return now{uint32(t.Unix()), uint32(t.Sub(epoch).Microseconds())}
}

// epoch is when the process began.
var epoch = time.Now()

// Later has an update answered that came as the packet of a batch, and is signed with a key that we know. The answer takes its time.
type Later func(p *Packet, update []byte, c Client)

// Responder answers queries by rounds. It belongs to one goroutine. Between rounds it holds nothing but memory that it uses again.
type Responder struct {
	Later    Later // nil: updates are refused
	state    *State
	counters *metrics.Worker
	queries  [zone.Round]Query
	asked    [zone.Round]*zone.Question
	sizes    metrics.Sizes // of the responses of the round
	limited  int64         // responses held back
	untapped [taps]int64   // queries since the last one that was copied
	encoder  encoder
}

// NewResponder makes a Responder that answers from a state and counts into a worker's counters.
func NewResponder(s *State, counters *metrics.Worker) *Responder {
	return &Responder{state: s, counters: counters}
}

// RespondAll answers the packets of a batch, each in its place; no data stand for what gets no answer.
func (r *Responder) RespondAll(packets []Packet, c Client) {
	for len(packets) > 0 {
		n := min(len(packets), zone.Round)
		r.round(packets[:n], c)
		packets = packets[n:]
	}
}

func (r *Responder) round(packets []Packet, c Client) {
	snap := r.state.Current.Load()
	r.lookUp(packets, snap)
	if snap.Limiter != nil && c.Transport == metrics.UDP {
		for i := range packets {
			snap.Limiter.find(&r.queries[i], packets[i].From.Addr(), snap.List)
		}
	}
	for i := range packets {
		p := &packets[i]
		c.Addr, c.Port = p.From.Addr(), p.From.Port()
		if q := &r.queries[i]; q.update && r.postpones(p, q, c, snap) {
			p.Data = nil
			continue
		}
		if p.Data = r.write(&r.queries[i], p.Data[:0], c, snap); p.Data != nil {
			r.sizes.Add(len(p.Data))
		}
	}
	r.counters.Sized(c.Transport, &r.sizes)
}

// postpones has an update answered later, if it is one that may be taken.
func (r *Responder) postpones(p *Packet, q *Query, c Client, snap *Snapshot) bool {
	if snap.Updaters == nil || r.Later == nil || q.Signed == 0 {
		return false
	}
	if sig, err := peer.Verify(q.Packet, q.Signed, snap.Access.Keys); err != nil || sig.Verified() == nil {
		return false
	}
	r.Later(p, q.Packet, c)
	return true
}

// Respond answers one packet into out, which must have room for the largest response of the transport. It returns nil for what gets
// no answer. It allocates nothing.
func (r *Responder) Respond(query, out []byte, c Client) []byte {
	snap := r.state.Current.Load()
	r.lookUp([]Packet{{Data: query}}, snap)
	reply := r.write(&r.queries[0], out, c, snap)
	if reply != nil {
		r.sizes.Add(len(reply))
		r.counters.Sized(c.Transport, &r.sizes)
	}
	return reply
}

// lookUp reads the packets of a round and finds what they ask for.
func (r *Responder) lookUp(packets []Packet, snap *Snapshot) {
	asked := r.asked[:0]
	for i := range packets {
		q := &r.queries[i]
		q.read(packets[i].Data)
		if q.Secure = q.Edns.do; q.Verdict == dns.RcodeSuccess && q.Class != dns.ClassCHAOS && !q.notify && !q.nothing {
			asked = append(asked, &q.Question)
		}
	}
	snap.Zones.LookUp(asked)
	if snap.List != nil {
		for _, q := range asked {
			snap.List.lookUp(q)
		}
	}
}

// write writes the response to a query that was looked up, and copies both to the taps whose turn that is.
func (r *Responder) write(q *Query, out []byte, c Client, snap *Snapshot) []byte {
	if snap.Taps == nil || q.Verdict == NoAnswer {
		return r.compose(q, out, c, snap)
	}
	var taken [taps]*tap.Message
	for i, t := range snap.Taps {
		if t == nil {
			continue
		}
		if r.untapped[i]++; r.untapped[i] >= t.Sample {
			r.untapped[i] = 0
			taken[i] = t.Take(q.Packet, netip.AddrPortFrom(c.Addr, c.Port), c.Transport)
		}
	}
	reply := r.compose(q, out, c, snap)
	for i, m := range taken {
		if m != nil {
			snap.Taps[i].Send(m, reply)
		}
	}
	return reply
}

// compose writes the response to a query that was looked up.
func (r *Responder) compose(q *Query, out []byte, c Client, snap *Snapshot) []byte {
	if q.Verdict == NoAnswer {
		if len(q.Packet) < HeaderSize {
			r.counters.Dropped(metrics.Malformed)
		} else {
			r.counters.Dropped(metrics.Response)
		}
		return nil
	}
	r.counters.Query(c.Transport, c.Family, q.Type)
	var sig *peer.Signature
	if q.Signed > 0 {
		sig = r.verify(q, snap)
	}
	trusted := sig.Verified() != nil || c.Transport == metrics.TCP
	trusted = snap.AnswerCookie(q, c) || trusted
	if q.Edns.expires {
		snap.AnswerExpire(q, c)
	}
	e := &r.encoder
	e.begin(q, out, c, snap.Nsid, sig.Room())
	rcode, authoritative := q.Verdict, false
	switch {
	case q.update && rcode == dns.RcodeNotImplemented && snap.Updaters != nil:
		rcode = dns.RcodeRefused
		q.Edns.Error = dns.ExtendedErrorCodeProhibited
	case rcode != dns.RcodeSuccess:
		if q.Type == dns.TypeAXFR {
			q.Edns.Error = dns.ExtendedErrorCodeProhibited
		}
	case q.nothing:
		if !q.Edns.cookies { // they are switched off
			rcode = dns.RcodeFormatError
		}
	case q.notify:
		rcode = snap.judge(q, sig, c)
		authoritative = rcode == dns.RcodeSuccess
	case q.ixfr && (!snap.permits(q, c.Addr, sig) || q.Answer.Apex() > 0):
		rcode = dns.RcodeRefused
		q.Edns.Error = dns.ExtendedErrorCodeProhibited
	case q.Class == dns.ClassCHAOS:
		rcode, authoritative = r.chaos(q, snap)
	case q.Zone < 0:
		rcode = dns.RcodeRefused
		q.Edns.Error = dns.ExtendedErrorCodeNotAuthoritative
	case snap.hides(q, c.Addr) && !snap.permits(q, c.Addr, sig):
		rcode = dns.RcodeRefused
		q.Edns.Error = dns.ExtendedErrorCodeProhibited
	case len(snap.Down) > 0 && snap.Down[q.Zone]:
		rcode = dns.RcodeServerFailure
		q.Edns.Error = dns.ExtendedErrorCodeNotReady
	default:
		r.count(q, snap)
		e.answer(&q.Answer, q.Signatures)
		// NSD answers the class ANY without AA.
		rcode, authoritative = q.Answer.Rcode, q.Answer.Authoritative && q.Class == dns.ClassINET
		if e.fault {
			e.empty(q)
			e.cut, rcode, authoritative = false, dns.RcodeServerFailure, false
		}
	}
	if !trusted && snap.Limiter != nil && snap.Limiter.over(q, c.Now.micros) {
		if !r.slips(snap.Limiter.slip) {
			r.counters.Dropped(metrics.RateLimited)
			return nil
		}
		r.counters.Slipped()
		e.empty(q)
		rcode, authoritative = dns.RcodeSuccess, false
	}
	r.counters.Response(rcode, e.cut)
	return sig.Sign(e.end(q, rcode, authoritative, snap.Nsid))
}

// slips says whether a response above the limit is sent empty.
func (r *Responder) slips(every int64) bool {
	r.limited++
	return every > 0 && r.limited%every == 0
}

// verify judges the signature of a query, which may change its verdict.
func (r *Responder) verify(q *Query, snap *Snapshot) *peer.Signature {
	sig, err := peer.Verify(q.Packet, q.Signed, snap.Access.Keys)
	if err != nil {
		q.Verdict = dns.RcodeFormatError
	} else if rcode := sig.Rcode(); rcode != dns.RcodeSuccess {
		q.Verdict = rcode
	}
	return sig
}

// count counts a query for its zone, and for the trap.
func (r *Responder) count(q *Query, snap *Snapshot) {
	if len(snap.Counts) == 0 {
		return
	}
	c, a := &snap.Counts[q.Zone], &q.Answer
	r.counters.Add(c.Zone, metrics.ZoneQueries)
	if a.Trapped {
		r.counters.Add(c.Zone, metrics.ZoneMX)
	}
	if a.Host > 0 {
		r.counters.Add(c.Hosts, (a.Host-1)*metrics.HostCounters+metrics.HostCounter(q.Type))
	}
}

// chaos tells about the server itself (RFC 4892).
func (r *Responder) chaos(q *Query, snap *Snapshot) (rcode int, authoritative bool) {
	if q.Type != dns.TypeTXT && q.Type != dns.TypeANY {
		return dns.RcodeRefused, false
	}
	text := ""
	switch string(q.Name.Wire()) {
	case "\x07version\x04bind\x00", "\x07version\x06server\x00":
		text = snap.Version
	case "\x02id\x06server\x00", "\x08hostname\x04bind\x00":
		text = snap.Id
	}
	if text == "" {
		return dns.RcodeRefused, false
	}
	r.encoder.text(text)
	return dns.RcodeSuccess, true
}

// begin copies the question, its letters as the client wrote them, and makes room for the OPT record and a signature.
func (e *encoder) begin(q *Query, out []byte, c Client, nsid string, signature int) {
	e.limit = dns.MaxMsgSize
	if c.Transport == metrics.UDP {
		e.limit = q.Edns.limit()
	}
	e.limit -= q.Edns.optLen(nsid) + signature
	e.out = append(out[:0], q.Packet[:max(HeaderSize, q.End)]...)
	e.count, e.cut, e.fault = [3]uint16{}, false, false
}

// empty takes all back but the question, and has the client ask again over TCP.
func (e *encoder) empty(q *Query) {
	e.out = e.out[:max(HeaderSize, q.End)]
	e.count, e.cut = [3]uint16{}, true
}

// end adds the OPT record and fills the header in.
func (e *encoder) end(q *Query, rcode int, authoritative bool, nsid string) []byte {
	if q.Edns.Present {
		e.out = q.Edns.AppendOPT(e.out, rcode, nsid)
		e.count[AdditionalSection]++
	}
	flags := uint16(0)
	if authoritative {
		flags |= FlagAA
	}
	if e.cut {
		flags |= flagTC
	}
	q.PutHeader(e.out, rcode, flags, e.count)
	return e.out
}

// PutHeader fills the header of a response in, whose question is the query's, where that has one.
func (q *Query) PutHeader(out []byte, rcode int, flags uint16, count [3]uint16) {
	binary.BigEndian.PutUint16(out[2:], q.flags&(OpcodeMask|flagRD)|FlagQR|uint16(rcode&0xf)|flags)
	questions := uint16(0)
	if q.End > 0 {
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
	pointer(e.out[len(e.out)-13:], HeaderSize)
	e.out = append(e.out, s...)
	e.count[AnswerSection]++
}
