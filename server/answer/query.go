package answer

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"mxtrap/zone"
)

// Sizes of the parts of a message (RFC 1035 4.1, RFC 6891 6.1.2).
const (
	HeaderSize = 12
	optSize    = 11
)

// Bits of the header's flags (RFC 1035 4.1.1).
const (
	FlagQR     = 1 << 15
	FlagAA     = 1 << 10
	flagTC     = 1 << 9
	flagRD     = 1 << 8
	OpcodeMask = 0xf << 11
)

// Query is a packet that was read.
type Query struct {
	zone.Question
	Packet  []byte
	Class   uint16
	End     int // of the question section; 0: none could be read
	flags   uint16
	Edns    edns
	Signed  int  // where the TSIG record begins that the packet ends with; 0: it has none
	notify  bool // a primary says that its zone has changed (RFC 1996)
	update  bool // a client wants a zone changed (RFC 2136)
	ixfr    bool // over UDP an incremental transfer is asked what the SOA record is (RFC 1995 2)
	Verdict int
	nothing bool   // no question: the client wants a cookie alone (RFC 7873 5.4)
	limited bool   // the limiter counts the response
	bucket  uint64 // of the limiter, where it does
	fetched uint64 // keeps the compiler from leaving the fetching out
}

// NoAnswer is the verdict on what is not answered at all.
const NoAnswer = -1

// read reads a packet. Its verdict is an RCODE, NOERROR where the question can be looked up, or noAnswer for what has no header or
// is an answer itself.
func (q *Query) read(packet []byte) {
	if q.Parse(packet); q.Verdict == dns.RcodeSuccess && !q.nothing {
		q.Verdict = q.permit()
	}
}

// permit is the verdict on a well-formed question.
func (q *Query) permit() (verdict int) {
	if q.update {
		return dns.RcodeNotImplemented // unless the server takes them
	}
	if q.notify {
		if q.Class != dns.ClassINET || q.Type != dns.TypeSOA {
			return dns.RcodeNotImplemented
		}
		return dns.RcodeSuccess
	}
	switch q.Class {
	case dns.ClassINET, dns.ClassANY:
	case dns.ClassCHAOS:
		return dns.RcodeSuccess
	default:
		return dns.RcodeRefused
	}
	switch q.Type {
	case dns.TypeAXFR:
		return dns.RcodeRefused // over UDP
	case dns.TypeIXFR:
		q.Type, q.ixfr = dns.TypeSOA, true
	case dns.TypeMAILA, dns.TypeMAILB:
		return dns.RcodeNotImplemented
	case dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeNone:
		return dns.RcodeFormatError
	}
	return dns.RcodeSuccess
}

// Parse reads what the packet says. Its OPT record is read whatever else is wrong, for the answer has one too then (RFC 6891 7).
func (q *Query) Parse(packet []byte) {
	q.Packet, q.End, q.Type, q.Edns, q.Signed, q.notify, q.update, q.ixfr, q.nothing = packet, 0, dns.TypeNone, edns{}, 0, false, false, false, false
	q.Zone, q.Class = -1, 0 // until it is looked up: what the query before was counts no more
	if q.Verdict = NoAnswer; len(packet) < HeaderSize {
		return
	}
	q.flags = binary.BigEndian.Uint16(packet[2:])
	if q.flags&FlagQR != 0 {
		return
	}
	question := q.parseQuestion()
	q.Verdict = dns.RcodeFormatError
	if at := q.behindQuestions(); at != -1 {
		q.Verdict = q.parseRecords(at)
	}
	q.notify, q.update = q.flags&OpcodeMask == dns.OpcodeNotify<<11, q.flags&OpcodeMask == dns.OpcodeUpdate<<11
	q.nothing = q.Edns.cookies && binary.BigEndian.Uint16(packet[4:]) == 0
	switch {
	case q.flags&OpcodeMask != dns.OpcodeQuery && !q.notify && !q.update:
		q.Verdict = dns.RcodeNotImplemented
	case !question && (!q.nothing || q.notify || q.update):
		q.Verdict = dns.RcodeFormatError
	}
}

// parseQuestion reads the one question that a query has (RFC 9619).
func (q *Query) parseQuestion() bool {
	if binary.BigEndian.Uint16(q.Packet[4:]) != 1 {
		return false
	}
	at := q.Name.Read(q.Packet, HeaderSize)
	if at == -1 || at+4 > len(q.Packet) {
		return false
	}
	q.Type = binary.BigEndian.Uint16(q.Packet[at:])
	q.Class = binary.BigEndian.Uint16(q.Packet[at+2:])
	q.End = at + 4
	return true
}

// behindQuestions is the offset behind the question section, however many questions there are; -1 where it is cut short.
func (q *Query) behindQuestions() (at int) {
	if q.End > 0 {
		return q.End
	}
	at = HeaderSize
	for range binary.BigEndian.Uint16(q.Packet[4:]) {
		if at = SkipName(q.Packet, at); at == -1 || at+4 > len(q.Packet) {
			return -1
		}
		at += 4
	}
	return at
}

// parseRecords passes over the records behind the questions: only an OPT among the additional ones says something to us.
func (q *Query) parseRecords(at int) (verdict int) {
	records := 0
	for i := 6; i < HeaderSize; i += 2 {
		records += int(binary.BigEndian.Uint16(q.Packet[i:]))
	}
	additional := int(binary.BigEndian.Uint16(q.Packet[10:]))
	for ; records > 0; records-- {
		owner := at
		if at = SkipName(q.Packet, at); at == -1 || at+10 > len(q.Packet) {
			return dns.RcodeFormatError
		}
		typ := binary.BigEndian.Uint16(q.Packet[at:])
		data := at + 10
		end := data + int(binary.BigEndian.Uint16(q.Packet[at+8:]))
		if end > len(q.Packet) {
			return dns.RcodeFormatError
		}
		if typ == dns.TypeOPT {
			if !q.Edns.take(q.Packet[owner], records <= additional, q.Packet[at+2:data-2], q.Packet[data:end]) {
				return dns.RcodeFormatError
			}
		}
		if typ == dns.TypeTSIG {
			if records > 1 || additional == 0 { // RFC 8945 5.1: it is the last
				return dns.RcodeFormatError
			}
			q.Signed = owner
		}
		at = end
	}
	if at != len(q.Packet) {
		return dns.RcodeFormatError
	}
	if q.Edns.version > 0 {
		return dns.RcodeBadVers
	}
	return dns.RcodeSuccess
}

// Reply is a response without records.
func (q *Query) Reply(rcode int, nsid string) []byte {
	out := append([]byte(nil), q.Packet[:max(HeaderSize, q.End)]...)
	var count [3]uint16
	if q.Edns.Present {
		out = q.Edns.AppendOPT(out, rcode, nsid)
		count[AdditionalSection]++
	}
	q.PutHeader(out, rcode, 0, count)
	return out
}

// SkipName returns the offset behind a name that may be compressed, -1 where the packet ends first.
func SkipName(packet []byte, at int) int {
	for at < len(packet) {
		switch n := int(packet[at]); {
		case n == 0:
			return at + 1
		case n >= 0xc0:
			return at + 2
		case n > 63:
			return -1
		default:
			at += n + 1
		}
	}
	return -1
}

// IsUpdate says whether a packet asks for a zone to be changed (RFC 2136).
func IsUpdate(packet []byte) bool {
	return len(packet) >= HeaderSize && packet[2]&0xf8 == dns.OpcodeUpdate<<3
}

// AsksTransfer says whether a packet asks for a zone (RFC 5936, RFC 1995).
func AsksTransfer(packet []byte) bool {
	if len(packet) < HeaderSize || packet[2]&0xf8 != 0 || binary.BigEndian.Uint16(packet[4:]) != 1 {
		return false
	}
	at := SkipName(packet, HeaderSize)
	if at == -1 || at+4 > len(packet) {
		return false
	}
	typ := binary.BigEndian.Uint16(packet[at:])
	return typ == dns.TypeAXFR || typ == dns.TypeIXFR
}
