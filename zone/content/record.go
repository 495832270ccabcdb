package content

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
)

// Record is one record of a zone, its data in wire format with whole names, and where it was written.
type Record struct {
	Owner dname.Name
	Typ   uint16
	Ttl   uint32
	Data  []byte
	Item  *conf.Item // where it is written in a zone file
	Place rr.Place   // or in a master file
}

// ParseRecord reads "[ttl] TYPE data" as a master file has it behind the owner.
func ParseRecord(text string, owner, apex dname.Name, ttl uint32, a *Arena) (Record, error) {
	if r, ok := commonRecord(text, apex, ttl, a); ok {
		r.Owner = owner
		return r, nil
	}
	if strings.TrimSpace(text) == "" {
		return Record{}, errors.New("empty: write TYPE and data, such as MX 10 mail")
	}
	if strings.ContainsAny(text, "\r\n") {
		return Record{}, errors.New("a record is one line; long data may stand in several quoted strings")
	}
	r, err := rr.ParseRecord(text, string(apex), ttl)
	return Record{Owner: owner, Typ: r.Type, Ttl: r.TTL, Data: r.Data}, err
}

// commonRecord reads the records that nearly all of a mail domain is made of, in their plainest form. It says whether this was one:
// all others, and what is none, are left to package rr. A fuzz test holds both to the same data.
func commonRecord(text string, apex dname.Name, ttl uint32, a *Arena) (r Record, ok bool) {
	word, rest := nextWord(text)
	if n, ok := parseNumber(word, 1<<31-1); ok {
		ttl = n
		word, rest = nextWord(rest)
	}
	r.Ttl = ttl
	if word == "TXT" {
		r.Typ = dns.TypeTXT
		r.Data, ok = appendStrings(a.reserve(len(rest)), rest)
		return r, ok
	}
	value, rest := nextWord(rest)
	switch word {
	case "A", "AAAA":
		addr, err := netip.ParseAddr(value)
		r.Typ, r.Data = addressType(addr), a.address(addr)
		ok = err == nil && addr.Is4() == (word == "A") && (addr.Is4() || strings.IndexByte(value, '.') < 0 && addr.Zone() == "")
	case "NS", "CNAME":
		if r.Typ = dns.TypeNS; word == "CNAME" {
			r.Typ = dns.TypeCNAME
		}
		r.Data, ok = dname.AppendPlain(a.reserve(len(value)+1+len(apex)), value, apex)
	case "MX":
		var preference uint32
		if preference, ok = parseNumber(value, math.MaxUint16); ok {
			value, rest = nextWord(rest)
			r.Typ = dns.TypeMX
			r.Data, ok = dname.AppendPlain(binary.BigEndian.AppendUint16(a.reserve(2+len(value)+1+len(apex)), uint16(preference)), value, apex)
		}
	}
	return r, ok && withoutBlanks(rest) == ""
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
		n := strings.IndexByte(text[1:], '"')
		if n < 0 || n > 255 || n+2 < len(text) && !isBlank(text[n+2]) {
			return to, false
		}
		one := text[1 : 1+n]
		if strings.IndexByte(one, '\\') >= 0 || !conf.Printable(one) {
			return to, false
		}
		to = append(append(to, byte(n)), one...)
		text = text[n+2:]
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

// Host is the host that a record leads to, the root where it leads to none.
func (r *Record) Host() dname.Name {
	skip, count := names(r.Typ)
	if count == 0 || len(r.Data) <= skip {
		return dname.Root
	}
	return dname.Lowered(r.Data[skip : skip+dname.Length(r.Data[skip:])])
}

// Preference is that of an MX record.
func (r *Record) Preference() uint16 { return binary.BigEndian.Uint16(r.Data) }

// address is that of an A or AAAA record.
func (r *Record) address() netip.Addr {
	a, _ := netip.AddrFromSlice(r.Data)
	return a
}

// equal says whether two records of a set are the same, whatever the letters of a host are.
func (r *Record) equal(other *Record) bool {
	if len(r.Data) != len(other.Data) {
		return false
	}
	if bytes.Equal(r.Data, other.Data) {
		return true
	}
	skip, count := names(r.Typ)
	host, otherHost := r.Host(), other.Host()
	return count == 1 && host == otherHost && bytes.Equal(r.Data[:skip], other.Data[:skip]) && bytes.Equal(r.Data[skip+len(host):], other.Data[skip+len(host):])
}

func (r *Record) isOneOf(list []Record) bool {
	for i := range list {
		if r.equal(&list[i]) {
			return true
		}
	}
	return false
}

// identity is the same for records that are equal.
func (r *Record) identity() string {
	skip, count := names(r.Typ)
	if count != 1 {
		return string(r.Data)
	}
	host := r.Host()
	return string(r.Data[:skip]) + string(host) + string(r.Data[skip+len(host):])
}

// Text is that of a TXT record, its strings put together. Of a single one it is no copy: nobody changes a record's data.
func (r *Record) Text() string {
	if n := int(r.Data[0]); n > 0 && n+1 == len(r.Data) {
		return unsafe.String(&r.Data[1], n)
	}
	var b strings.Builder
	for data := r.Data; len(data) > 0; data = data[1+data[0]:] {
		b.Write(data[1 : 1+data[0]])
	}
	return b.String()
}
