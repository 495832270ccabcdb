package rdata

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
)

// layout is what the data of a type are made of.
type layout struct {
	typ     uint16
	name    string
	Fields  []part
	foreign bool // BIND or NSD do not know its mnemonic: its text is that of RFC 3597
}

// part is a field in its place.
type part struct {
	field
	label string // for messages
	kind  string
}

func (p *part) IsName() bool { return p.kind == "name" }

// kinds are the fields by the words that the table has for them.
var kinds = map[string]field{
	"u8": u8, "u16": u16, "u32": u32, "period": period, "moment": moment, "type": typeField, "algorithm": algorithm, "certtype": certType,
	"ipv4": ipv4, "ipv6": ipv6, "eui48": eui48, "eui64": eui64, "four16": four16, "name": host, "names": many(host, 0),
	"string": str, "strings": strs, "string?": optional(str), "digits": digits, "octets": octets,
	"base64": base64s, "base64?": maybeBase64, "hex": hexs, "hex?": maybeHex, "nsap": nsap, "salt": salt, "hash": hashed, "tag": tag,
	"digest": dsDigest, "zonedigest": zoneDigest, "types": bitmap(1), "types?": bitmap(0), "oldtypes": oldBitmap, "gateway": gateway, "relay": relay,
	"identity": identity, "prefixes": many(prefix, 0), "location": location, "params": params, "services": services, "fingerprint": fingerprint,
}

// table has a type a line: name, number, and its fields with their labels. A "*" in front: BIND or NSD do not know the name.
const table = `
A 1 address:ipv4
NS 2 host:name
MD 3 host:name
MF 4 host:name
CNAME 5 target:name
SOA 6 mname:name rname:name serial:u32 refresh:period retry:period expire:period minimum:period
MB 7 host:name
MG 8 mailbox:name
MR 9 mailbox:name
*NULL 10 data:hex?
WKS 11 address:ipv4 services:services
PTR 12 target:name
HINFO 13 cpu:string os:string
MINFO 14 responsible:name errors:name
MX 15 preference:u16 exchange:name
TXT 16 text:strings
RP 17 mailbox:name text:name
AFSDB 18 subtype:u16 host:name
X25 19 address:digits
ISDN 20 address:string subaddress:string?
RT 21 preference:u16 host:name
NSAP 22 address:nsap
*NSAP-PTR 23 owner:name
SIG 24 covered:type algorithm:algorithm labels:u8 ttl:period expiration:moment inception:moment tag:u16 signer:name signature:base64
KEY 25 flags:u16 protocol:u8 algorithm:algorithm key:base64?
PX 26 preference:u16 map822:name mapx400:name
*GPOS 27 longitude:string latitude:string altitude:string
AAAA 28 address:ipv6
LOC 29 location:location
*NXT 30 next:name types:oldtypes
*EID 31 endpoint:hex
*NIMLOC 32 locator:hex
SRV 33 priority:u16 weight:u16 port:u16 target:name
NAPTR 35 order:u16 preference:u16 flags:string services:string regexp:string replacement:name
KX 36 preference:u16 exchanger:name
CERT 37 type:certtype tag:u16 algorithm:algorithm certificate:base64
DNAME 39 target:name
*SINK 40 coding:u8 subcoding:u8 data:base64?
APL 42 prefixes:prefixes
DS 43 tag:u16 algorithm:algorithm digest:digest
SSHFP 44 algorithm:u8 fingerprint:fingerprint
IPSECKEY 45 precedence:u8 gateway:gateway key:base64?
RRSIG 46 covered:type algorithm:algorithm labels:u8 ttl:period expiration:moment inception:moment tag:u16 signer:name signature:base64
NSEC 47 next:name types:types
DNSKEY 48 flags:u16 protocol:u8 algorithm:algorithm key:base64?
DHCID 49 digest:base64
NSEC3 50 algorithm:u8 flags:u8 iterations:u16 salt:salt next:hash types:types?
NSEC3PARAM 51 algorithm:u8 flags:u8 iterations:u16 salt:salt
TLSA 52 usage:u8 selector:u8 matching:u8 certificate:hex
SMIMEA 53 usage:u8 selector:u8 matching:u8 certificate:hex
*HIP 55 identity:identity servers:names
*NINFO 56 text:strings
*RKEY 57 flags:u16 protocol:u8 algorithm:algorithm key:base64?
*TALINK 58 previous:name next:name
CDS 59 tag:u16 algorithm:algorithm digest:digest
CDNSKEY 60 flags:u16 protocol:u8 algorithm:algorithm key:base64?
OPENPGPKEY 61 key:base64
CSYNC 62 serial:u32 flags:u16 types:types?
ZONEMD 63 serial:u32 scheme:u8 digest:zonedigest
SVCB 64 priority:u16 target:name params:params
HTTPS 65 priority:u16 target:name params:params
SPF 99 text:strings
*UINFO 100 text:string
*UID 101 number:u32
*GID 102 number:u32
NID 104 preference:u16 id:four16
L32 105 preference:u16 locator:ipv4
L64 106 preference:u16 locator:four16
LP 107 preference:u16 host:name
EUI48 108 address:eui48
EUI64 109 address:eui64
URI 256 priority:u16 weight:u16 target:octets
CAA 257 flags:u8 tag:tag value:octets
AVC 258 text:strings
*AMTRELAY 260 precedence:u8 relay:relay
*RESINFO 261 text:strings
*TA 32768 tag:u16 algorithm:algorithm digest:digest
DLV 32769 tag:u16 algorithm:algorithm digest:digest
`

// byType and byName find layouts. The types of mail domains are found without a map.
var (
	byType = map[uint16]*layout{}
	byName = map[string]*layout{}
)

func init() {
	for line := range strings.Lines(strings.TrimSpace(table)) {
		words := strings.Fields(line)
		name := strings.TrimLeft(words[0], "*")
		number, err := strconv.ParseUint(words[1], 10, 16)
		l := &layout{typ: uint16(number), name: name, foreign: words[0][0] == '*'}
		for _, word := range words[2:] {
			label, kind, _ := strings.Cut(word, ":")
			f, ok := kinds[kind]
			if !ok || err != nil {
				panic("rr: the table of layouts has a line that cannot be read: " + line)
			}
			l.Fields = append(l.Fields, part{f, label, kind})
		}
		byType[l.typ], byName[name] = l, l
	}
}

// Of is what the data of a type are made of; nil: it is not known, and any data are right (RFC 3597).
func Of(typ uint16) *layout { return byType[typ] }

// TypeOf is the type that a word names: its mnemonic, or TYPE and its number (RFC 3597 5).
func TypeOf(word string) (typ uint16, ok bool) {
	upper := strings.ToUpper(word)
	if l := byName[upper]; l != nil {
		return l.typ, true
	}
	if t, ok := dns.StringToType[upper]; ok {
		return t, true
	}
	digits, ok := strings.CutPrefix(upper, "TYPE")
	n, err := strconv.ParseUint(digits, 10, 16)
	return uint16(n), ok && err == nil && digits[0] != '+'
}

// TypeText is a type's mnemonic, or TYPE and its number.
func TypeText(typ uint16) string {
	if l := Of(typ); l != nil && !l.foreign {
		return l.name
	}
	return "TYPE" + strconv.Itoa(int(typ))
}

// Check says what is wrong with the data of a type: a field that is cut short, octets behind the last one, a name that is none or is
// compressed. Of a type that nobody knows any data are right (RFC 3597).
func Check(typ uint16, data []byte) error {
	switch {
	case typ == 0 || typ == dns.TypeOPT || 128 <= typ && typ <= 255:
		return fmt.Errorf("%s is a type for questions and packets, not for zones", questionType(typ))
	case len(data) > 0xffff:
		return errors.New("the data is longer than 65535 octets")
	}
	l := Of(typ)
	if l == nil {
		return nil
	}
	at := 0
	for _, f := range l.Fields {
		n, err := f.Size(data[at:])
		if err != nil {
			return fmt.Errorf("%s: %s: %w", l.name, f.label, err)
		}
		at += n
	}
	if at < len(data) {
		return fmt.Errorf("%s: more octets than its fields have", l.name)
	}
	return nil
}

func questionType(typ uint16) string {
	if name, ok := dns.TypeToString[typ]; ok {
		return name
	}
	return TypeText(typ)
}

// usage is how a type's data are written.
func (l *layout) usage() string {
	usage := "write " + l.name
	for _, f := range l.Fields {
		usage += " " + strings.ToUpper(f.label)
	}
	return usage
}

// Read reads the words of a type's data. Relative names go on with origin, in wire format. The data still have to pass [Check].
func Read(typ uint16, list []Word, origin string) ([]byte, error) {
	w := &words{list, origin}
	if len(w.list) > 0 && w.list[0].Text == `\#` && !w.list[0].Quoted {
		return readGeneric(typ, w)
	}
	l := Of(typ)
	if l == nil || typ == dns.TypeNULL {
		return nil, fmt.Errorf(`data of the type %s cannot be written as text: write TYPE%d \# LENGTH HEXADECIMAL (RFC 3597 5)`, questionType(typ), typ)
	}
	data := make([]byte, 0, 32)
	var err error
	for _, f := range l.Fields {
		if data, err = f.read(w, data); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", f.label, err, l.usage())
		}
	}
	if len(w.list) > 0 {
		return nil, fmt.Errorf("%q follows the last field: %s", w.list[0].Text, l.usage())
	}
	return data, nil
}

// readGeneric reads the notation that any type has (RFC 3597 5).
func readGeneric(typ uint16, w *words) ([]byte, error) {
	w.take()
	if len(w.list) == 0 {
		return nil, errors.New(`the length is missing after \#`)
	}
	text := w.take()
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf(`%q after \# is not a length from 0 to 65535`, text)
	}
	data, err := decodeHex(w.joined())
	switch {
	case err != nil:
		return nil, err
	case len(data) != int(n):
		return nil, fmt.Errorf(`\# announces %[2]d octets, and %[1]d follow`, len(data), n)
	}
	return data, nil
}

// Append appends a type's data as text, so that BIND, NSD and this package read the same out of it.
func Append(to []byte, typ uint16, data []byte) []byte {
	l := Of(typ)
	if l == nil || l.foreign || len(data) == 0 {
		return appendGeneric(to, data)
	}
	begin := len(to)
	for i, rest := 0, data; i < len(l.Fields); i++ {
		f := l.Fields[i]
		n, err := f.Size(rest)
		if err != nil {
			break // checked data have none
		}
		if n == 0 && f.kind == "base64?" {
			return appendGeneric(to[:begin], data) // NSD has no text for a key that is missing
		}
		if i > 0 {
			to = append(to, ' ')
		}
		to, rest = f.write(to, rest[:n]), rest[n:]
	}
	for to[len(to)-1] == ' ' { // of an empty field at the end
		to = to[:len(to)-1]
	}
	if !readsBack(typ, string(to[begin:]), data) {
		to = appendGeneric(to[:begin], data)
	}
	return to
}

func appendGeneric(to, data []byte) []byte {
	to = fmt.Appendf(to, `\# %d`, len(data))
	if len(data) > 0 {
		to = appendHex(append(to, ' '), data)
	}
	return to
}

// readsBack says whether text is read as the same data: there are data that a type's text has no words for.
func readsBack(typ uint16, text string, data []byte) bool {
	again, err := Parse(typ, text, "\x00")
	return err == nil && slices.Equal(again, data)
}

// Parse reads the text of a type's data. Relative names go on with origin.
func Parse(typ uint16, text, origin string) ([]byte, error) {
	var e Entry
	l := Lexer{Text: text}
	if l.Next(&e); e.Problem != "" || l.Text != "" {
		return nil, errors.New(cmp.Or(e.Problem, "more than one line"))
	}
	data, err := Read(typ, e.Words, origin)
	if err == nil {
		err = Check(typ, data)
	}
	return data, err
}

// Names says where in the data of a type of RFC 1035 names stand that packets may compress (RFC 3597 4): behind so many octets, so
// many in a row.
func Names(typ uint16) (skip, count int) {
	switch typ {
	case dns.TypeNS, dns.TypeMD, dns.TypeMF, dns.TypeCNAME, dns.TypeMB, dns.TypeMG, dns.TypeMR, dns.TypePTR:
		return 0, 1
	case dns.TypeMX:
		return 2, 1
	case dns.TypeSOA, dns.TypeMINFO:
		return 0, 2
	}
	return 0, 0
}

// LowerNames puts the letters of the names in a record's data into lower case, in the data itself.
func LowerNames(typ uint16, data []byte) {
	l := Of(typ)
	if l == nil {
		return
	}
	for i := range l.Fields {
		n, err := l.Fields[i].Size(data)
		if err != nil {
			return
		}
		if l.Fields[i].IsName() {
			dname.Lower(data[:n])
		}
		data = data[n:]
	}
}
