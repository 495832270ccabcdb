package server

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// key is a secret that is shared with another server (TSIG, RFC 8945).
type key struct {
	name      string // in lower case, with its final dot
	algorithm string // as the DNS library names it
	secret    string // in base64
}

// same says whether two keys are one, of whichever load of the configuration.
func (k *key) same(other *key) bool { return other != nil && *k == *other }

// fudge is by how many seconds two clocks may differ (RFC 8945 10).
const fudge = 300

// parseKey reads a key from its name and "ALGORITHM SECRET".
func parseKey(name, text string) (*key, error) {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return nil, errors.New("the name of a key is a domain name")
	}
	k := &key{name: dns.CanonicalName(name)}
	algorithm, secret, _ := strings.Cut(text, " ")
	switch algorithm {
	case "hmac-sha256":
		k.algorithm = dns.HmacSHA256
	case "hmac-sha512":
		k.algorithm = dns.HmacSHA512
	default:
		return nil, errors.New(`not a key: write "hmac-sha256 SECRET" or "hmac-sha512 SECRET", the secret in base64, such as of "openssl rand -base64 32"`)
	}
	k.secret = strings.TrimSpace(secret)
	if octets, err := base64.StdEncoding.DecodeString(k.secret); err != nil {
		return nil, errors.New("the secret is not base64")
	} else if len(octets) < 16 {
		return nil, fmt.Errorf("the secret has %d octets: take 16 at least, such as of \"openssl rand -base64 32\"", len(octets))
	}
	return k, nil
}

// signature is what the TSIG record of a request came to, and what its response is signed with. The nil signature is of a request
// without.
type signature struct {
	key     *key      // that signed the request; nil where it did not verify
	request *dns.TSIG // the record
	fault   uint16    // of the request (RFC 8945 5.2)
	mac     string    // of the message before the one to be signed
	later   bool      // that one was of this response already
}

// verified is the key that signed a request, nil for none.
func (s *signature) verified() *key {
	if s == nil || s.fault != dns.RcodeSuccess {
		return nil
	}
	return s.key
}

// rcode is what a request that does not verify is answered with.
func (s *signature) rcode() int {
	if s != nil && s.fault != dns.RcodeSuccess {
		return dns.RcodeNotAuth
	}
	return dns.RcodeSuccess
}

// verify judges the TSIG record of a request, which the packet is known to end with.
func verify(packet []byte, keys map[string]*key) (*signature, error) {
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return nil, err
	}
	request := m.IsTsig()
	if request == nil || request.Algorithm == "" { // the library reads a record without data too
		return nil, errors.New("no TSIG record at its end")
	}
	s := &signature{request: request, mac: request.MAC}
	k := keys[dns.CanonicalName(request.Hdr.Name)]
	if k == nil || k.algorithm != dns.CanonicalName(request.Algorithm) {
		s.fault = dns.RcodeBadKey
		return s, nil
	}
	s.key = k
	switch err := dns.TsigVerify(bytes.Clone(packet), k.secret, "", false); {
	case errors.Is(err, dns.ErrTime):
		s.fault = dns.RcodeBadTime
	case err != nil:
		s.fault = dns.RcodeBadSig
	}
	return s, nil
}

// room is how long the TSIG record of a response is at most.
func (s *signature) room() int {
	if s == nil {
		return 0
	}
	const fixed, longestMAC, otherTime = 10 + 16, 64, 6
	return len(s.request.Hdr.Name) + 1 + len(s.request.Algorithm) + 1 + fixed + longestMAC + otherTime
}

// pack packs a message of a response, and signs it.
func (s *signature) pack(m *dns.Msg) ([]byte, error) {
	if s == nil {
		return m.Pack()
	}
	t := &dns.TSIG{
		Hdr:       dns.RR_Header{Name: s.request.Hdr.Name, Rrtype: dns.TypeTSIG, Class: dns.ClassANY},
		Algorithm: s.request.Algorithm, TimeSigned: uint64(time.Now().Unix()), Fudge: fudge, OrigId: m.Id, Error: s.fault,
	}
	secret := ""
	if s.key != nil {
		secret = s.key.secret
	}
	if s.fault == dns.RcodeBadTime { // RFC 8945 5.2.3
		t.OtherLen, t.OtherData = 6, fmt.Sprintf("%012x", t.TimeSigned)
		t.TimeSigned = s.request.TimeSigned
	}
	m.Extra = append(m.Extra, t)
	packet, mac, err := dns.TsigGenerate(m, secret, s.mac, s.later)
	s.mac, s.later = mac, true
	return packet, err
}

// sign signs a response that was written in wire format into out. Where it becomes longer than limit it is cut short.
func (s *signature) sign(out []byte, limit int) []byte {
	m := new(dns.Msg)
	if m.Unpack(out) != nil {
		return out // what the encoder writes the library reads; held by the differential test
	}
	m.Compress = true
	packet, err := s.pack(m)
	if err != nil {
		return out
	}
	if len(packet) > limit {
		m.Truncated, m.Answer, m.Ns, m.Extra = true, nil, nil, nil
		s.mac, s.later = s.request.MAC, false
		if packet, err = s.pack(m); err != nil {
			return out
		}
	}
	return append(out[:0], packet...)
}
