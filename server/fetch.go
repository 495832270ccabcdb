package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone"
)

// Bounds of a zone that comes in: whatever a primary sends, it ends.
const (
	fetchOctets  = 64 << 20
	fetchTime    = 30 * time.Minute
	fetchMessage = 30 * time.Second // until the next message has come
	fetchNoMAC   = 100              // messages in a row without a signature (RFC 8945 5.3.1)
)

// errCurrent says that the primary has nothing newer.
var errCurrent = errors.New("nothing newer")

// errDifferences says that the differences do not fit to what is here: the whole zone does.
var errDifferences = errors.New("the differences do not fit to the copy")

// fetch gets the records of a zone from a primary, those that differ where there is a copy already.
func fetch(ctx context.Context, from peer, name string, have *dns.SOA, copied func() ([]dns.RR, error)) ([]dns.RR, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	if have != nil {
		records, err := fetchOnce(ctx, from, name, have, copied)
		var answer rcodeError
		if !errors.Is(err, errDifferences) && !errors.As(err, &answer) {
			return records, err
		}
	}
	return fetchOnce(ctx, from, name, nil, nil)
}

// rcodeError is an answer of the primary that is no zone.
type rcodeError int

func (e rcodeError) Error() string { return "the primary answers " + dns.RcodeToString[int(e)] }

func fetchOnce(ctx context.Context, from peer, name string, have *dns.SOA, copied func() ([]dns.RR, error)) ([]dns.RR, error) {
	port := from.port
	if port == 0 {
		port = 53
	}
	conn, err := (&net.Dialer{Timeout: fetchMessage}).DialContext(ctx, "tcp", netip.AddrPortFrom(from.prefix.Addr(), port).String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	name = dns.Fqdn(name)
	request := new(dns.Msg).SetAxfr(name)
	if have != nil {
		request = new(dns.Msg).SetIxfr(name, have.Serial, have.Ns, have.Mbox)
	}
	in := &incoming{conn: conn, key: from.key, id: request.Id, zone: name}
	var packet []byte
	if from.key != nil {
		request.SetTsig(from.key.name, from.key.algorithm, fudge, time.Now().Unix())
		packet, in.mac, err = dns.TsigGenerate(request, from.key.secret, "", false)
	} else {
		packet, err = request.Pack()
	}
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(fetchMessage))
	if _, err := conn.Write(withLength(packet)); err != nil {
		return nil, err
	}
	return in.zoneOf(have, copied)
}

// incoming is a zone that comes in.
type incoming struct {
	conn    net.Conn
	key     *key
	id      uint16
	zone    string
	octets  int
	mac     string // of the last message that was signed
	later   bool   // that was one of the answer already
	without []byte // the messages since
	count   int    // of them
	waiting []dns.RR
}

// zoneOf reads the whole answer (RFC 5936 2.2, RFC 1995 4).
func (in *incoming) zoneOf(have *dns.SOA, copied func() ([]dns.RR, error)) ([]dns.RR, error) {
	first, err := in.soa()
	if err != nil {
		return nil, err
	}
	if have != nil && !zone.Later(first.Serial, have.Serial) {
		return nil, in.end(errCurrent)
	}
	second, err := in.next()
	if err != nil {
		return nil, err
	}
	if soa, ok := second.(*dns.SOA); ok && have != nil && soa.Serial == have.Serial {
		old, err := copied()
		if err != nil {
			return nil, errDifferences
		}
		return in.differences(first, soa, old)
	}
	records := []dns.RR{first}
	for rr := second; ; {
		if soa, ok := rr.(*dns.SOA); ok {
			if soa.Serial != first.Serial {
				return nil, errors.New("the zone changed while it came in")
			}
			return records, in.end(nil)
		}
		records = append(records, rr)
		if rr, err = in.next(); err != nil {
			return nil, err
		}
	}
}

// differences applies them to what is here, in its order. What does not fit ends it.
func (in *incoming) differences(last, from *dns.SOA, old []dns.RR) ([]dns.RR, error) {
	records, at := []dns.RR{last}, map[string]int{}
	put := func(rr dns.RR) {
		if id := identity(rr); at[id] == 0 {
			at[id] = len(records)
			records = append(records, rr)
		}
	}
	for _, rr := range old {
		if rr.Header().Rrtype != dns.TypeSOA {
			put(rr)
		}
	}
	for adding := false; ; {
		rr, err := in.next()
		if err != nil {
			return nil, err
		}
		soa, isSOA := rr.(*dns.SOA)
		switch {
		case isSOA && !adding:
			if adding, from = true, soa; zone.Later(soa.Serial, last.Serial) {
				return nil, errDifferences
			}
		case isSOA && soa.Serial != from.Serial:
			return nil, errDifferences
		case isSOA:
			if adding = false; soa.Serial == last.Serial {
				return slices.DeleteFunc(records, func(rr dns.RR) bool { return rr == nil }), in.end(nil)
			}
		case adding:
			put(rr)
		default:
			id := identity(rr)
			if at[id] == 0 {
				return nil, errDifferences
			}
			records[at[id]] = nil
			delete(at, id)
		}
	}
}

// identity is what tells a record from others of the zone: all but its TTL.
func identity(rr dns.RR) string {
	h := *rr.Header()
	text := rr.String()
	return strings.ToLower(h.Name) + strings.TrimPrefix(text, h.String()) + "\x00" + fmt.Sprint(h.Rrtype)
}

// soa is the next record, which must be the zone's SOA.
func (in *incoming) soa() (*dns.SOA, error) {
	rr, err := in.next()
	if err != nil {
		return nil, err
	}
	soa, ok := rr.(*dns.SOA)
	if !ok {
		return nil, errors.New("the answer does not begin with the SOA record")
	}
	return soa, nil
}

// next is the next record of the answer.
func (in *incoming) next() (dns.RR, error) {
	for len(in.waiting) == 0 {
		m, err := in.message()
		if err != nil {
			return nil, err
		}
		in.waiting = m.Answer
	}
	rr := in.waiting[0]
	in.waiting = in.waiting[1:]
	h := rr.Header()
	switch {
	case h.Class != dns.ClassINET || !dns.IsSubDomain(in.zone, h.Name):
		return nil, fmt.Errorf("%s is not of the zone", h.Name)
	case h.Rrtype == dns.TypeSOA && !strings.EqualFold(h.Name, in.zone):
		return nil, fmt.Errorf("an SOA record at %s", h.Name)
	}
	return rr, nil
}

// end is the error of an answer that has come to its end, where that was as it must be.
func (in *incoming) end(or error) error {
	switch {
	case len(in.waiting) > 0:
		return errors.New("there is more behind the last SOA record")
	case in.count > 0:
		return errors.New("the last message is not signed")
	}
	return or
}

// message reads a message and judges its signature.
func (in *incoming) message() (*dns.Msg, error) {
	in.conn.SetDeadline(time.Now().Add(fetchMessage))
	var size [2]byte
	if _, err := io.ReadFull(in.conn, size[:]); err != nil {
		return nil, fmt.Errorf("the answer is cut short: %w", err)
	}
	packet := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(in.conn, packet); err != nil {
		return nil, fmt.Errorf("the answer is cut short: %w", err)
	}
	if in.octets += len(packet); in.octets > fetchOctets {
		return nil, fmt.Errorf("the zone has more than %d octets", fetchOctets)
	}
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return nil, err
	}
	switch {
	case m.Id != in.id || !m.Response || m.Opcode != dns.OpcodeQuery:
		return nil, errors.New("not an answer to what was asked")
	case m.Rcode == dns.RcodeNotAuth && m.IsTsig() != nil && m.IsTsig().Error != dns.RcodeSuccess:
		return nil, fmt.Errorf("the primary does not take the signature: %s", dns.RcodeToString[int(m.IsTsig().Error)])
	}
	if err := in.verify(packet, m.IsTsig()); err != nil {
		return nil, err
	}
	if m.Rcode != dns.RcodeSuccess {
		return nil, rcodeError(m.Rcode)
	}
	if len(m.Answer) == 0 {
		return nil, errors.New("a message without records")
	}
	return m, nil
}

// verify judges a message of an answer to a signed request: the first is signed, and of those that follow one in a hundred at least,
// whose signature covers those before it (RFC 8945 5.3.1).
func (in *incoming) verify(packet []byte, t *dns.TSIG) error {
	switch {
	case in.key == nil:
		return nil
	case t == nil && (!in.later || in.count == fetchNoMAC-1):
		return errors.New("the answer is not signed")
	case t == nil:
		in.without = append(in.without, packet...)
		in.count++
		return nil
	case dns.CanonicalName(t.Hdr.Name) != in.key.name:
		return errors.New("the answer is signed with another key")
	}
	mac := t.MAC
	if err := dns.TsigVerifyWithProvider(packet, covering{in.key, len(in.mac) / 2, in.without}, in.mac, in.later); err != nil {
		return err
	}
	in.mac, in.later, in.without, in.count = mac, true, nil, 0
	return nil
}

// covering makes and judges signatures that cover messages before the one that they are in.
type covering struct {
	key    *key
	mac    int // octets of the signature before, which stands first
	before []byte
}

// Generate is the signature of a message as the library has prepared it.
func (c covering) Generate(text []byte, t *dns.TSIG) ([]byte, error) {
	secret, err := base64.StdEncoding.DecodeString(c.key.secret)
	if err != nil {
		return nil, err
	}
	algorithm := map[string]func() hash.Hash{dns.HmacSHA256: sha256.New, dns.HmacSHA512: sha512.New}[dns.CanonicalName(t.Algorithm)]
	if algorithm == nil || dns.CanonicalName(t.Algorithm) != c.key.algorithm {
		return nil, dns.ErrKeyAlg
	}
	h := hmac.New(algorithm, secret)
	head := 0
	if c.mac > 0 {
		head = 2 + c.mac
	}
	h.Write(text[:head])
	h.Write(c.before)
	h.Write(text[head:])
	return h.Sum(nil), nil
}

// Verify holds a signature to the one that must be.
func (c covering) Verify(text []byte, t *dns.TSIG) error {
	want, err := c.Generate(text, t)
	if err != nil {
		return err
	}
	got, err := hex.DecodeString(t.MAC)
	if err != nil || !hmac.Equal(got, want) {
		return dns.ErrSig
	}
	return nil
}
