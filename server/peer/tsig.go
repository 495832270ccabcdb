package peer

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
)

// Key is a secret that is shared with another server (TSIG, RFC 8945).
type Key struct {
	Name      string // in lower case, with its final dot
	Algorithm string // as the DNS library names it
	Secret    string // in base64
}

// Same says whether two keys are one, of whichever load of the configuration.
func (k *Key) Same(other *Key) bool { return other != nil && *k == *other }

// Fudge is by how many seconds two clocks may differ (RFC 8945 10).
const Fudge = 300

// ParseKey reads a key from its name and "ALGORITHM SECRET".
func ParseKey(name, text string) (*Key, error) {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return nil, errors.New("the name of a key is a domain name")
	}
	k := &Key{Name: dns.CanonicalName(name)}
	algorithm, secret, _ := strings.Cut(text, " ")
	switch algorithm {
	case "hmac-sha256":
		k.Algorithm = dns.HmacSHA256
	case "hmac-sha512":
		k.Algorithm = dns.HmacSHA512
	default:
		return nil, errors.New(`not a key: write "hmac-sha256 SECRET" or "hmac-sha512 SECRET", the secret in base64, such as of "openssl rand -base64 32"`)
	}
	k.Secret = strings.TrimSpace(secret)
	if octets, err := base64.StdEncoding.DecodeString(k.Secret); err != nil {
		return nil, errors.New("the secret is not base64")
	} else if len(octets) < 16 {
		return nil, fmt.Errorf("the secret has %d octets; use 16 or more", len(octets))
	}
	return k, nil
}

// begin begins a code under the key; what it covers is written to it.
func (k *Key) begin() hash.Hash {
	secret, _ := base64.StdEncoding.DecodeString(k.Secret) // was read by parseKey
	algorithm := map[string]func() hash.Hash{dns.HmacSHA256: sha256.New, dns.HmacSHA512: sha512.New}[k.Algorithm]
	return hmac.New(algorithm, secret)
}

// Behind is begin for what follows a signature, which is covered too.
func (k *Key) Behind(mac []byte) hash.Hash {
	h := k.begin()
	h.Write(counted(mac))
	return h
}

// mac is the code of some octets under the key.
func (k *Key) mac(parts ...[]byte) []byte {
	h := k.begin()
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// Tsig is the TSIG record that a message ends with (RFC 8945 4.2).
type Tsig struct {
	at        int    // where it begins in the message
	name      []byte // of the key, in wire format, in lower case
	algorithm []byte // likewise
	seconds   uint64 // since 1970, when it was signed
	fudge     uint16
	Mac       []byte
	id        uint16 // of the message when it was signed
	Fault     uint16
	other     []byte
}

var errNoTSIG = errors.New("no TSIG record at its end")

// ReadTSIG reads the record at an offset of a message, which ends with it.
func ReadTSIG(packet []byte, at int) (*Tsig, error) {
	r, class, next, err := rr.Unpack(packet, at)
	if err != nil || r.Type != dns.TypeTSIG || class != dns.ClassANY || next != len(packet) {
		return nil, errNoTSIG
	}
	t := &Tsig{at: at, name: []byte(r.Owner)}
	n, err := dname.Size(r.Data)
	if err != nil || len(r.Data) < n+10 {
		return nil, errNoTSIG
	}
	t.algorithm, r.Data = r.Data[:n], r.Data[n:]
	dname.Lower(t.algorithm)
	t.seconds = uint64(binary.BigEndian.Uint16(r.Data))<<32 | uint64(binary.BigEndian.Uint32(r.Data[2:]))
	t.fudge = binary.BigEndian.Uint16(r.Data[6:])
	n = int(binary.BigEndian.Uint16(r.Data[8:]))
	if r.Data = r.Data[10:]; len(r.Data) < n+6 {
		return nil, errNoTSIG
	}
	t.Mac, r.Data = r.Data[:n], r.Data[n:]
	t.id, t.Fault = binary.BigEndian.Uint16(r.Data), binary.BigEndian.Uint16(r.Data[2:])
	if t.other = r.Data[6:]; len(t.other) != int(binary.BigEndian.Uint16(r.Data[4:])) {
		return nil, errNoTSIG
	}
	return t, nil
}

// signed is what the signature of a message covers beside the message (RFC 8945 4.3.3). Behind the first message of an answer those
// are the times alone.
func (t *Tsig) signed(timesAlone bool) []byte {
	var v []byte
	if !timesAlone {
		v = append(append(v, t.name...), 0, dns.ClassANY, 0, 0, 0, 0)
		v = append(v, t.algorithm...)
	}
	v = binary.BigEndian.AppendUint16(v, uint16(t.seconds>>32))
	v = binary.BigEndian.AppendUint32(v, uint32(t.seconds))
	v = binary.BigEndian.AppendUint16(v, t.fudge)
	if !timesAlone {
		v = binary.BigEndian.AppendUint16(v, t.Fault)
		v = append(binary.BigEndian.AppendUint16(v, uint16(len(t.other))), t.other...)
	}
	return v
}

// counted is a signature before this one, as the next one covers it: behind its length.
func counted(mac []byte) []byte {
	if len(mac) == 0 {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(mac))), mac...)
}

// Judge says what is wrong with a message's signature: BADSIG, BADTIME or nothing. The code was begun with what the signature covers
// before the message: the signature before, and messages between the two that have none.
func (t *Tsig) Judge(packet []byte, code hash.Hash, timesAlone bool, now time.Time) (fault int) {
	message := bytes.Clone(packet[:t.at])
	binary.BigEndian.PutUint16(message, t.id)
	binary.BigEndian.PutUint16(message[10:], binary.BigEndian.Uint16(message[10:])-1)
	code.Write(message)
	code.Write(t.signed(timesAlone))
	if !hmac.Equal(t.Mac, code.Sum(nil)) {
		return dns.RcodeBadSig
	}
	if age := now.Unix() - int64(t.seconds); age > int64(t.fudge) || -age > int64(t.fudge) {
		return dns.RcodeBadTime
	}
	return dns.RcodeSuccess
}

// Is says whether a record names the key and its algorithm.
func (k *Key) Is(t *Tsig) bool {
	return KeyName(t.name) == k.Name && KeyName(t.algorithm) == k.Algorithm
}

// KeyName is a name in wire format as keys are named here.
func KeyName(wire []byte) string { return string(dname.AppendText(nil, wire)) }

// Signature is that of a request, and what its responses are signed with. Nil is no signature.
type Signature struct {
	request *Tsig
	key     *Key // nil: we do not know it
	fault   int  // BADKEY, BADSIG, BADTIME or none
	mac     []byte
	later   bool // there was a response already
}

// Verified is the key that signed a request, nil for none.
func (s *Signature) Verified() *Key {
	if s == nil || s.fault != dns.RcodeSuccess {
		return nil
	}
	return s.key
}

// Rcode is what a request that does not verify is answered with.
func (s *Signature) Rcode() int {
	if s != nil && s.fault != dns.RcodeSuccess {
		return dns.RcodeNotAuth
	}
	return dns.RcodeSuccess
}

// Verify judges the TSIG record of a request, which the packet ends with.
func Verify(packet []byte, at int, keys map[string]*Key) (*Signature, error) {
	t, err := ReadTSIG(packet, at)
	if err != nil {
		return nil, err
	}
	s := &Signature{request: t, mac: t.Mac, key: keys[KeyName(t.name)]}
	if s.key == nil || !s.key.Is(t) {
		s.key, s.fault = nil, dns.RcodeBadKey
		return s, nil
	}
	s.fault = t.Judge(packet, s.key.begin(), false, time.Now())
	return s, nil
}

// Room is how long the TSIG record of a response is at most.
func (s *Signature) Room() int {
	if s == nil {
		return 0
	}
	const fixed, longestMAC, otherTime = 10 + 16, 64, 6
	return len(s.request.name) + len(s.request.algorithm) + fixed + longestMAC + otherTime
}

// Sign appends the TSIG record to a response. One to a request whose signature is not good has the present time all the same, or the
// client would take its clock for wrong (RFC 8945 5.3.2).
func (s *Signature) Sign(packet []byte) []byte {
	if s == nil {
		return packet
	}
	t := Tsig{name: s.request.name, algorithm: s.request.algorithm, seconds: uint64(time.Now().Unix()), fudge: Fudge, Fault: uint16(s.fault)}
	if s.fault == dns.RcodeBadTime { // RFC 8945 5.2.3
		t.other = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, uint16(t.seconds>>32)), uint32(t.seconds))
		t.seconds = s.request.seconds
	}
	if s.key != nil && s.fault != dns.RcodeBadSig {
		t.Mac = s.key.mac(counted(s.mac), packet, t.signed(s.later))
	}
	s.mac, s.later = t.Mac, true
	return t.appendTo(packet)
}

// Request signs a request, and returns its signature, which the answer's covers.
func (k *Key) Request(packet []byte) (signed, mac []byte) {
	name, _ := zone.WireName(k.Name) // both were read by parseKey
	algorithm, _ := zone.WireName(k.Algorithm)
	t := Tsig{name: []byte(name), algorithm: []byte(algorithm), seconds: uint64(time.Now().Unix()), fudge: Fudge}
	t.Mac = k.mac(packet, t.signed(false))
	return t.appendTo(packet), t.Mac
}

// appendTo appends the record to the message that it signs.
func (t *Tsig) appendTo(packet []byte) []byte {
	id := binary.BigEndian.Uint16(packet)
	binary.BigEndian.PutUint16(packet[10:], binary.BigEndian.Uint16(packet[10:])+1)
	packet = append(packet, t.name...)
	packet = append(packet, 0, byte(dns.TypeTSIG), 0, dns.ClassANY, 0, 0, 0, 0)
	packet = binary.BigEndian.AppendUint16(packet, uint16(len(t.algorithm)+16+len(t.Mac)+len(t.other)))
	packet = append(packet, t.algorithm...)
	packet = append(packet, t.signed(true)...)
	packet = append(binary.BigEndian.AppendUint16(packet, uint16(len(t.Mac))), t.Mac...)
	packet = binary.BigEndian.AppendUint16(packet, id)
	packet = binary.BigEndian.AppendUint16(packet, t.Fault)
	return append(binary.BigEndian.AppendUint16(packet, uint16(len(t.other))), t.other...)
}
