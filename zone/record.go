package zone

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"slices"
	"strings"
	"unsafe"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/rr"
)

// record is one record of a zone, its data in wire format with whole names, and where it was written.
type record struct {
	owner name
	typ   uint16
	ttl   uint32
	data  []byte
	item  *conf.Item // where it is written in a zone file
	place rr.Place   // or in a master file
}

// parseRecord reads "[ttl] TYPE data" as a master file has it behind the owner.
func parseRecord(text string, owner, apex name, ttl uint32, a *arena) (record, error) {
	if r, ok := commonRecord(text, apex, ttl, a); ok {
		r.owner = owner
		return r, nil
	}
	if strings.TrimSpace(text) == "" {
		return record{}, errors.New("empty: write TYPE and data, such as MX 10 mail")
	}
	if strings.ContainsAny(text, "\r\n") {
		return record{}, errors.New("a record is one line; long data may stand in several quoted strings")
	}
	r, err := rr.ParseRecord(text, string(apex), ttl)
	return record{owner: owner, typ: r.Type, ttl: r.TTL, data: r.Data}, err
}

// commonRecord reads the records that nearly all of a mail domain is made of, in their plainest form. It says whether this was one:
// all others, and what is none, are left to package rr. A fuzz test holds both to the same data.
func commonRecord(text string, apex name, ttl uint32, a *arena) (r record, ok bool) {
	word, rest := nextWord(text)
	if n, ok := parseNumber(word, 1<<31-1); ok {
		ttl = n
		word, rest = nextWord(rest)
	}
	r.ttl = ttl
	if word == "TXT" {
		r.typ = dns.TypeTXT
		r.data, ok = appendStrings(a.reserve(len(rest)), rest)
		return r, ok
	}
	value, rest := nextWord(rest)
	switch word {
	case "A", "AAAA":
		addr, err := netip.ParseAddr(value)
		r.typ, r.data = addressType(addr), a.address(addr)
		ok = err == nil && dns.TypeToString[r.typ] == word && (r.typ == dns.TypeA || !strings.ContainsAny(value, ".%"))
	case "NS", "CNAME":
		r.typ = dns.StringToType[word]
		r.data, ok = appendName(a.reserve(len(value)+1+len(apex)), value, apex)
	case "MX":
		var preference uint32
		if preference, ok = parseNumber(value, math.MaxUint16); ok {
			value, rest = nextWord(rest)
			r.typ = dns.TypeMX
			r.data, ok = appendName(binary.BigEndian.AppendUint16(a.reserve(2+len(value)+1+len(apex)), uint16(preference)), value, apex)
		}
	}
	return r, ok && withoutBlanks(rest) == ""
}

// address is the data of an address's record; that of no address is empty.
func (a *arena) address(addr netip.Addr) []byte {
	switch {
	case addr.Is4():
		data := addr.As4()
		return append(a.reserve(len(data)), data[:]...)
	case addr.IsValid():
		data := addr.As16()
		return append(a.reserve(len(data)), data[:]...)
	}
	return nil
}

func addressType(a netip.Addr) uint16 {
	if a.Is4() {
		return dns.TypeA
	}
	return dns.TypeAAAA
}

// nextWord cuts the first word off.
func nextWord(text string) (word, rest string) {
	text = withoutBlanks(text)
	n := 0
	for n < len(text) && !isBlank(text[n]) {
		n++
	}
	return text[:n], text[n:]
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// withoutBlanks is a text without the blanks at its beginning.
func withoutBlanks(text string) string {
	for text != "" && isBlank(text[0]) {
		text = text[1:]
	}
	return text
}

// parseNumber reads a number of digits alone.
func parseNumber(s string, most uint32) (uint32, bool) {
	n := uint32(0)
	if s == "" || len(s) > 9 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + uint32(s[i]-'0')
	}
	return n, n <= most
}

// appendStrings appends quoted strings of printable characters, as TXT has them.
func appendStrings(to []byte, text string) ([]byte, bool) {
	for {
		text = withoutBlanks(text)
		if text == "" {
			return to, len(to) > 0
		}
		if text[0] != '"' {
			return to, false
		}
		n := 1
		for n < len(text) && text[n] != '"' {
			if text[n] == '\\' || text[n] < ' ' || text[n] > '~' {
				return to, false
			}
			n++
		}
		if n == len(text) || n-1 > 255 || n+1 < len(text) && !isBlank(text[n+1]) {
			return to, false
		}
		to = append(append(to, byte(n-1)), text[1:n]...)
		text = text[n+1:]
	}
}

// names says where in the data of a type there are names that are hosts: behind so many octets, so many in a row.
func names(typ uint16) (skip, count int) {
	switch typ {
	case dns.TypeNS, dns.TypeCNAME, dns.TypePTR:
		return 0, 1
	case dns.TypeMX, dns.TypeSVCB, dns.TypeHTTPS:
		return 2, 1
	case dns.TypeSRV:
		return 6, 1
	case dns.TypeSOA:
		return 0, 2
	}
	return 0, 0
}

// host is the host that a record leads to, the root where it leads to none.
func (r *record) host() name {
	skip, count := names(r.typ)
	if count == 0 || len(r.data) <= skip {
		return root
	}
	return lowered(r.data[skip : skip+nameSize(r.data[skip:])])
}

// lowered makes a name of wire format in any letters. One that is in lower case, as nearly all are, is not copied: nobody changes a
// record's data.
func lowered(wire []byte) name {
	if !slices.ContainsFunc(wire, func(c byte) bool { return 'A' <= c && c <= 'Z' }) {
		return name(unsafe.String(unsafe.SliceData(wire), len(wire)))
	}
	var room [maxName]byte
	low := append(room[:0], wire...)
	lower(low)
	return name(low)
}

// preference is that of an MX record.
func (r *record) preference() uint16 { return binary.BigEndian.Uint16(r.data) }

// address is that of an A or AAAA record.
func (r *record) address() netip.Addr {
	a, _ := netip.AddrFromSlice(r.data)
	return a
}

// equal says whether two records of a set are the same, whatever the letters of a host are.
func (r *record) equal(other *record) bool {
	if len(r.data) != len(other.data) {
		return false
	}
	if bytes.Equal(r.data, other.data) {
		return true
	}
	skip, count := names(r.typ)
	host, otherHost := r.host(), other.host()
	return count == 1 && host == otherHost && bytes.Equal(r.data[:skip], other.data[:skip]) && bytes.Equal(r.data[skip+len(host):], other.data[skip+len(host):])
}

// identity is the same for records that are equal.
func (r *record) identity() string {
	skip, count := names(r.typ)
	if count != 1 {
		return string(r.data)
	}
	host := r.host()
	return string(r.data[:skip]) + string(host) + string(r.data[skip+len(host):])
}

// nameSize is the length of the uncompressed name that wire begins with.
func nameSize(wire []byte) int {
	n := 0
	for wire[n] != 0 {
		n += int(wire[n]) + 1
	}
	return n + 1
}
