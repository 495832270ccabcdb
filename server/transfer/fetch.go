package transfer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/answer"
	"mxtrap/server/peer"
	"mxtrap/server/state"
	"mxtrap/zone"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
)

// Bounds of a zone that comes in: whatever a primary sends, it ends.
const (
	fetchOctets  = 64 << 20         // on the wire
	fetchRecord  = 64               // octets that a record takes beside its owner and data
	fetchTime    = 30 * time.Minute // or as long as the copy is served that there is, where that is shorter
	fetchAtLeast = time.Minute
	fetchDial    = 10 * time.Second
	fetchMessage = 30 * time.Second // until the next message has come
	fetchNoMAC   = 100              // messages in a row without a signature (RFC 8945 5.3.1)
)

// errCurrent says that the primary has nothing newer.
var errCurrent = errors.New("nothing newer")

// errBehind says that what it has is older.
var errBehind = fmt.Errorf("%w: an earlier serial number", errCurrent)

// errDifferences says that the differences do not fit to what is here: the whole zone does.
var errDifferences = errors.New("the differences do not match the copy")

// errUnreachable says that nobody was there to be asked.
var errUnreachable = errors.New("it cannot be reached")

// fetch gets a zone from a primary, the records that differ where there is a copy already.
// The caller gives the memory back that the zone holds of the room.
func fetch(ctx context.Context, room *fetchRoom, tempo Tempo, from peer.Peer, name string, have *dns.SOA, copied func() ([]rr.Record, error)) (*incoming, error) {
	limit := fetchTime
	if have != nil {
		limit = min(limit, max(fetchAtLeast, tempo.Expiry(have)))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if have != nil {
		in, err := fetchOnce(ctx, room, from, name, have, copied)
		if err == nil || errors.Is(err, errCurrent) || errors.Is(err, errUnreachable) || errors.Is(err, errNoRoom) || ctx.Err() != nil {
			return in, err
		}
		// Whatever is wrong with the differences, the whole zone may be right.
	}
	return fetchOnce(ctx, room, from, name, nil, nil)
}

// rcodeError is an answer of the primary that is no zone.
type rcodeError int

func (e rcodeError) Error() string { return "the primary answers " + dns.RcodeToString[int(e)] }

func fetchOnce(ctx context.Context, room *fetchRoom, from peer.Peer, name string, have *dns.SOA, copied func() ([]rr.Record, error)) (*incoming, error) {
	dialer := from.Dialer("tcp")
	dialer.Timeout = fetchDial
	conn, err := dialer.DialContext(ctx, "tcp", from.Address())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	name = dns.Fqdn(name)
	request := new(dns.Msg).SetAxfr(name)
	if have != nil {
		request = new(dns.Msg).SetIxfr(name, have.Serial, have.Ns, have.Mbox)
	}
	in := &incoming{room: room, conn: conn, key: from.Key, id: request.Id, zone: name}
	packet, err := request.Pack()
	if err != nil {
		return nil, err
	}
	if in.apex, err = zone.WireName(name); err != nil {
		return nil, err
	}
	if in.key != nil {
		signed, mac := in.key.Request(packet)
		packet, in.code = signed, in.key.Behind(mac)
	}
	conn.SetDeadline(time.Now().Add(fetchMessage))
	if _, err := conn.Write(withLength(packet)); err != nil {
		return nil, err
	}
	if in.records, err = in.zoneOf(have, copied); err != nil {
		room.give(in.held)
		in.held = 0
	}
	return in, err
}

// incoming is a zone that comes in.
type incoming struct {
	conn    net.Conn
	key     *peer.Key
	id      uint16
	zone    string
	apex    string      // the same in wire format
	records []rr.Record // what came, in the end
	strays  int         // records that are not of the zone, and were passed over
	stray   string      // owner of the first of them
	octets  int
	memory  int64
	room    *fetchRoom
	held    int64     // of the memory, what is beyond its own share
	code    hash.Hash // what the next signature covers, as far as it has come
	later   bool      // a message of the answer was signed already
	count   int       // of messages since then
	waiting []rr.Record
}

// zoneOf reads the whole answer (RFC 5936 2.2, RFC 1995 4).
func (in *incoming) zoneOf(have *dns.SOA, copied func() ([]rr.Record, error)) ([]rr.Record, error) {
	first, err := in.next()
	if err != nil {
		return nil, err
	}
	if first.Type != dns.TypeSOA {
		return nil, errors.New("the answer does not begin with the SOA record")
	}
	serial := zone.SerialOf(first)
	switch {
	case have != nil && zone.Later(have.Serial, serial):
		return nil, errBehind
	case have != nil && serial == have.Serial:
		return nil, errCurrent // a primary without IXFR may send the whole zone all the same
	}
	second, err := in.next()
	if err != nil {
		return nil, err
	}
	if have != nil && second.Type == dns.TypeSOA && zone.SerialOf(second) == have.Serial {
		old, err := copied()
		if err != nil {
			return nil, errDifferences
		}
		for _, r := range old {
			if err := in.account(r); err != nil {
				return nil, err
			}
		}
		return in.differences(first, second, old)
	}
	records := []rr.Record{first}
	for r := second; ; {
		if r.Type == dns.TypeSOA {
			if zone.SerialOf(r) != serial {
				return nil, errors.New("the zone changed during the transfer")
			}
			return records, in.end()
		}
		records = append(records, r)
		if r, err = in.next(); err != nil {
			return nil, err
		}
	}
}

// differences applies them to what is here, in its order. What does not fit ends it.
func (in *incoming) differences(last, from rr.Record, old []rr.Record) ([]rr.Record, error) {
	records, at := []rr.Record{last}, map[string]int{}
	put := func(r rr.Record) {
		if id := r.Identity(); at[id] == 0 {
			at[id] = len(records)
			records = append(records, r)
		}
	}
	for _, r := range old {
		if r.Type != dns.TypeSOA {
			put(r)
		}
	}
	for adding := false; ; {
		r, err := in.next()
		if err != nil {
			return nil, err
		}
		isSOA := r.Type == dns.TypeSOA
		switch {
		case isSOA && !adding:
			if adding, from = true, r; zone.Later(zone.SerialOf(r), zone.SerialOf(last)) {
				return nil, errDifferences
			}
		case isSOA && zone.SerialOf(r) != zone.SerialOf(from):
			return nil, errDifferences
		case isSOA:
			if adding = false; zone.SerialOf(r) == zone.SerialOf(last) {
				return slices.DeleteFunc(records, func(r rr.Record) bool { return r.Owner == "" }), in.end()
			}
		case adding:
			put(r)
		default:
			id := r.Identity()
			if at[id] == 0 {
				return nil, errDifferences
			}
			records[at[id]] = rr.Record{}
			delete(at, id)
		}
	}
}

// next is the next record of the answer that is of the zone.
func (in *incoming) next() (rr.Record, error) {
	for len(in.waiting) == 0 {
		if err := in.message(); err != nil {
			return rr.Record{}, err
		}
	}
	r := in.waiting[0]
	in.waiting = in.waiting[1:]
	return r, nil
}

// memoryOf is how many octets a record takes.
func memoryOf(r rr.Record) int64 { return int64(len(r.Owner) + len(r.Data) + fetchRecord) }

// account bounds the memory that records take.
func (in *incoming) account(r rr.Record) error {
	if in.memory += memoryOf(r); in.memory > state.MaxRecords {
		return fmt.Errorf("the zone has more than %d octets with all names uncompressed", state.MaxRecords)
	}
	if more := in.memory - fetchShare - in.held; more > 0 {
		if in.held += more; !in.room.take(more) {
			return errNoRoom
		}
	}
	return nil
}

// take judges a record of a message.
func (in *incoming) take(r rr.Record, class uint16) error {
	if err := in.account(r); err != nil {
		return err
	}
	switch {
	case class != dns.ClassINET || !zone.Within(r.Owner, in.apex):
		if in.strays++; in.strays == 1 {
			in.stray = peer.KeyName([]byte(r.Owner))
		}
		return nil
	case r.Type == dns.TypeSOA && r.Owner != in.apex:
		return fmt.Errorf("an SOA record at %s", peer.KeyName([]byte(r.Owner)))
	}
	if err := rdata.Check(r.Type, r.Data); err != nil {
		return fmt.Errorf("%s %s: %w", peer.KeyName([]byte(r.Owner)), rdata.TypeText(r.Type), err)
	}
	in.waiting = append(in.waiting, r)
	return nil
}

// end is the error of an answer that has come to its end, where that was not as it must be.
func (in *incoming) end() error {
	switch {
	case len(in.waiting) > 0:
		return errors.New("records follow the last SOA record")
	case in.count > 0:
		return errors.New("the last message is not signed")
	}
	return nil
}

// message reads a message and judges its signature.
func (in *incoming) message() error {
	in.conn.SetDeadline(time.Now().Add(fetchMessage))
	var size [2]byte
	if _, err := io.ReadFull(in.conn, size[:]); err != nil {
		return fmt.Errorf("the answer is cut short: %w", err)
	}
	packet := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(in.conn, packet); err != nil {
		return fmt.Errorf("the answer is cut short: %w", err)
	}
	if in.octets += len(packet); in.octets > fetchOctets {
		return fmt.Errorf("the zone has more than %d octets", fetchOctets)
	}
	if len(packet) < answer.HeaderSize {
		return errors.New("a message without a header")
	}
	flags := binary.BigEndian.Uint16(packet[2:])
	if binary.BigEndian.Uint16(packet) != in.id || flags&answer.FlagQR == 0 || flags&answer.OpcodeMask != 0 {
		return errors.New("not an answer to what was asked")
	}
	t, err := in.parse(packet)
	if err != nil {
		return err
	}
	rcode := int(flags & 0xf)
	if rcode == dns.RcodeNotAuth && t != nil && t.Fault != dns.RcodeSuccess {
		return fmt.Errorf("the primary rejects the signature: %s", faultText(t.Fault))
	}
	if rcode != dns.RcodeSuccess && t == nil { // signed or not: it is no zone
		return rcodeError(rcode)
	}
	if err := in.verify(packet, t); err != nil {
		return err
	}
	switch {
	case rcode != dns.RcodeSuccess:
		return rcodeError(rcode)
	case binary.BigEndian.Uint16(packet[6:]) == 0:
		return errors.New("a message without records")
	}
	return nil
}

// faultText is the name of an error of TSIG.
func faultText(fault uint16) string {
	switch int(fault) { // the library knows 16 as BADVERS alone
	case dns.RcodeBadSig:
		return "BADSIG"
	case dns.RcodeBadKey:
		return "BADKEY"
	case dns.RcodeBadTime:
		return "BADTIME"
	}
	return fmt.Sprint("TSIG error ", fault)
}

// parse takes the records of a message's answer section in, and finds the TSIG record at its end.
func (in *incoming) parse(packet []byte) (*peer.Tsig, error) {
	at := answer.HeaderSize
	for range binary.BigEndian.Uint16(packet[4:]) {
		if at = answer.SkipName(packet, at) + 4; at < answer.HeaderSize+4 || at > len(packet) {
			return nil, errors.New("a message's question is cut short")
		}
	}
	answers := int(binary.BigEndian.Uint16(packet[6:]))
	others := int(binary.BigEndian.Uint16(packet[8:])) + int(binary.BigEndian.Uint16(packet[10:]))
	begin, owner := 0, ""
	for i := range answers + others {
		r, class, next, err := rr.Unpack(packet, at)
		if err != nil {
			return nil, fmt.Errorf("a record cannot be read: %w", err)
		}
		if i < answers {
			if r.Owner == owner {
				r.Owner = owner // one piece of memory for all of an owner
			}
			owner = r.Owner
			if err := in.take(r, class); err != nil {
				return nil, err
			}
		}
		begin, at = at, next
	}
	if others == 0 {
		return nil, nil
	}
	t, err := peer.ReadTSIG(packet, begin)
	if err != nil {
		return nil, nil // another record, such as an OPT
	}
	return t, nil
}

// verify judges a message of an answer to a signed request: the first is signed, and of those that follow one in a hundred at least,
// whose signature covers those before it (RFC 8945 5.3.1).
func (in *incoming) verify(packet []byte, t *peer.Tsig) error {
	switch {
	case in.key == nil:
		return nil
	case t == nil && (!in.later || in.count == fetchNoMAC-1):
		return errors.New("the answer is not signed")
	case t == nil:
		in.code.Write(packet)
		in.count++
		return nil
	case !in.key.Is(t):
		return errors.New("the answer is signed with another key")
	}
	if fault := t.Judge(packet, in.code, in.later, time.Now()); fault != dns.RcodeSuccess {
		return fmt.Errorf("the answer has a bad signature: %s", faultText(uint16(fault)))
	}
	in.code, in.later, in.count = in.key.Behind(t.Mac), true, 0
	return nil
}
