package rdata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
)

// field is a part of a type's data.
type field struct {
	// size is how many octets of data the field takes, which it begins with. The error says what is wrong with them.
	Size func(data []byte) (int, error)
	// read takes the field's words and appends its octets.
	read func(w *words, to []byte) ([]byte, error)
	// write appends the text of a field that size has passed.
	write func(to, data []byte) []byte
}

var errCut = errors.New("cut short")

// fixed is a field of so many octets.
func fixed(n int, read func(w *words, to []byte) ([]byte, error), write func(to, data []byte) []byte) field {
	return field{func(data []byte) (int, error) {
		if len(data) < n {
			return 0, errCut
		}
		return n, nil
	}, read, write}
}

// text reads one word without its escapes being looked at.
func text(read func(text string, to []byte) ([]byte, error)) func(w *words, to []byte) ([]byte, error) {
	return func(w *words, to []byte) ([]byte, error) {
		t, err := w.next()
		if err != nil {
			return to, err
		}
		return read(t.Text, to)
	}
}

func appendNumber(to, data []byte) []byte {
	var n uint64
	for _, c := range data {
		n = n<<8 | uint64(c)
	}
	return strconv.AppendUint(to, n, 10)
}

// number is a number of so many octets; known are words that stand for numbers.
func number(octets int, known func(word string) (uint64, bool)) field {
	most := uint64(1)<<(8*octets) - 1
	return fixed(octets, text(func(s string, to []byte) ([]byte, error) {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || n > most {
			ok := false
			if known != nil {
				n, ok = known(s)
			}
			if !ok {
				return to, fmt.Errorf("%q is not a number from 0 to %d", s, most)
			}
		}
		for i := octets - 1; i >= 0; i-- {
			to = append(to, byte(n>>(8*i)))
		}
		return to, nil
	}), appendNumber)
}

// mnemonic makes known words of one of the DNS library's tables.
func mnemonic[N ~uint8 | ~uint16](table map[string]N) func(word string) (uint64, bool) {
	return func(word string) (uint64, bool) {
		n, ok := table[strings.ToUpper(word)]
		return uint64(n), ok
	}
}

var (
	u8        = number(1, nil)
	u16       = number(2, nil)
	u32       = number(4, nil)
	algorithm = number(1, mnemonic(dns.StringToAlgorithm))
	certType  = number(2, mnemonic(map[string]uint16{ // RFC 4398 2.1
		"PKIX": 1, "SPKI": 2, "PGP": 3, "IPKIX": 4, "ISPKI": 5, "IPGP": 6, "ACPKIX": 7, "IACPKIX": 8, "URI": 253, "OID": 254,
	}))
	typeField = field{u16.Size, text(func(s string, to []byte) ([]byte, error) {
		t, ok := TypeOf(s)
		if !ok {
			return to, fmt.Errorf("%q is not a record type", s)
		}
		return binary.BigEndian.AppendUint16(to, t), nil
	}), func(to, data []byte) []byte { return append(to, TypeText(binary.BigEndian.Uint16(data))...) }}
	// period is a number of seconds, which may have units.
	period = number(4, func(word string) (uint64, bool) {
		n, err := conf.ParseSeconds(word)
		return uint64(n), err == nil
	})
	// moment is a time of a signature (RFC 4034 3.2).
	moment = field{u32.Size, text(func(s string, to []byte) ([]byte, error) {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			at, err := dns.StringToTime(s)
			if err != nil {
				return to, fmt.Errorf("%q is not a time: write YYYYMMDDHHmmSS", s)
			}
			n = uint64(at)
		}
		return binary.BigEndian.AppendUint32(to, uint32(n)), nil
	}), func(to, data []byte) []byte { return append(to, dns.TimeToString(binary.BigEndian.Uint32(data))...) }}
	ipv4   = address(4, "IPv4")
	ipv6   = address(16, "IPv6")
	eui48  = grouped(6, 1, '-')
	eui64  = grouped(8, 1, '-')
	four16 = grouped(8, 2, ':') // RFC 6742
)

func address(octets int, family string) field {
	return fixed(octets, text(func(s string, to []byte) ([]byte, error) {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" || a.BitLen() != 8*octets {
			return to, fmt.Errorf("%q is not an %s address", s, family)
		}
		return append(to, a.AsSlice()...), nil
	}), func(to, data []byte) []byte {
		a, _ := netip.AddrFromSlice(data)
		if a.Is4In6() { // netip would write ::ffff:192.0.2.1, which is what all read too
			return append(to, a.String()...)
		}
		return a.AppendTo(to)
	})
}

// grouped is octets in hexadecimal digits, so many in a group.
func grouped(octets, group int, between byte) field {
	return fixed(octets, text(func(s string, to []byte) ([]byte, error) {
		parts := strings.Split(s, string(between))
		bad := fmt.Errorf("%q is not %d groups of hexadecimal digits with %q between them", s, octets/group, between)
		if len(parts) != octets/group {
			return to, bad
		}
		for _, p := range parts {
			n, err := strconv.ParseUint(p, 16, 8*group)
			if err != nil || len(p) > 2*group || group == 1 && len(p) != 2 {
				return to, bad
			}
			for i := group - 1; i >= 0; i-- {
				to = append(to, byte(n>>(8*i)))
			}
		}
		return to, nil
	}), func(to, data []byte) []byte {
		for i := 0; i < len(data); i += group {
			if i > 0 {
				to = append(to, between)
			}
			to = fmt.Appendf(to, "%0*x", 2*group, data[i:i+group])
		}
		return to
	})
}

// host is a name.
var host = field{dname.Size, func(w *words, to []byte) ([]byte, error) {
	t, err := w.next()
	if err != nil {
		return to, err
	}
	to, err = dname.Append(to, t.Text, w.origin)
	if err != nil {
		return to, fmt.Errorf("%q is %w", t.Text, err)
	}
	return to, nil
}, func(to, data []byte) []byte { return dname.AppendText(to, data) }}

// many is a field as often as there is something left, at least so often.
func many(f field, least int) field {
	return field{func(data []byte) (int, error) {
		at, count := 0, 0
		for ; at < len(data); count++ {
			n, err := f.Size(data[at:])
			if err != nil {
				return 0, err
			}
			at += n
		}
		if count < least {
			return 0, errMissing
		}
		return at, nil
	}, func(w *words, to []byte) ([]byte, error) {
		var err error
		for count := 0; len(w.list) > 0 || count < least; count++ {
			if to, err = f.read(w, to); err != nil {
				return to, err
			}
		}
		return to, nil
	}, func(to, data []byte) []byte {
		for at := 0; at < len(data); {
			if at > 0 {
				to = append(to, ' ')
			}
			n, _ := f.Size(data[at:])
			to = f.write(to, data[at:at+n])
			at += n
		}
		return to
	}}
}

// optional is a field that may be missing at the end.
func optional(f field) field {
	return field{func(data []byte) (int, error) {
		if len(data) == 0 {
			return 0, nil
		}
		return f.Size(data)
	}, func(w *words, to []byte) ([]byte, error) {
		if len(w.list) == 0 {
			return to, nil
		}
		return f.read(w, to)
	}, func(to, data []byte) []byte {
		if len(data) == 0 {
			return to
		}
		return f.write(to, data)
	}}
}

// maxString is the length of the longest character-string (RFC 1035 3.3).
const maxString = math.MaxUint8

var (
	errLongString = fmt.Errorf("a text is longer than %d octets: write it as several", maxString)
	errNoString   = errors.New("a text is cut short")
)

func stringSize(data []byte) (int, error) {
	if len(data) == 0 || len(data) < 1+int(data[0]) {
		return 0, errNoString
	}
	return 1 + int(data[0]), nil
}

// str is a character-string, with or without quotes.
var str = field{stringSize, func(w *words, to []byte) ([]byte, error) {
	at := len(to)
	to, err := readOctets(w, append(to, 0))
	if err != nil {
		return to, err
	}
	n := len(to) - at - 1
	if n > maxString {
		return to, errLongString
	}
	to[at] = byte(n)
	return to, nil
}, func(to, data []byte) []byte { return appendQuoted(to, data[1:]) }}

// strs is character-strings to the end. One that is too long becomes several, as signatures of mail (DKIM) need it.
var strs = func() field {
	f := many(str, 1)
	f.read = func(w *words, to []byte) ([]byte, error) {
		for first := true; first || len(w.list) > 0; first = false {
			text, err := readOctets(w, nil)
			if err != nil {
				return to, err
			}
			for len(text) > maxString {
				to = append(append(to, maxString), text[:maxString]...)
				text = text[maxString:]
			}
			to = append(append(to, byte(len(text))), text...)
		}
		return to, nil
	}
	return f
}()

// digits is a character-string of four digits at least (RFC 1183 3.1).
var digits = field{func(data []byte) (int, error) {
	n, err := stringSize(data)
	if err == nil && (n < 5 || strings.Trim(string(data[1:n]), "0123456789") != "") {
		err = errors.New("it is a number of four digits at least")
	}
	return n, err
}, str.read, str.write}

// octets is text to the end, without a count.
var octets = field{func(data []byte) (int, error) { return len(data), nil }, readOctets, appendQuoted}

// readOctets appends the octets that a word stands for.
func readOctets(w *words, to []byte) ([]byte, error) {
	t, err := w.next()
	if err != nil {
		return to, err
	}
	for s := t.Text; s != ""; {
		if s[0] != '\\' {
			to, s = append(to, s[0]), s[1:]
			continue
		}
		octet, n, err := dname.Unescape(s)
		if err != nil {
			return to, err
		}
		to, s = append(to, octet), s[n:]
	}
	return to, nil
}

func appendQuoted(to, data []byte) []byte {
	to = append(to, '"')
	for _, c := range data {
		switch {
		case c < ' ' || c > '~':
			to = dname.AppendOctet(to, c)
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}
