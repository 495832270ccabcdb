package rdata

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mxtrap/zone/dname"
)

// rest is a field of all octets that are left, at least so many.
func rest(least int, decode func(text string) ([]byte, error), encode func(to, data []byte) []byte) field {
	return field{func(data []byte) (int, error) {
		if len(data) < least {
			return 0, errMissing
		}
		return len(data), nil
	}, func(w *words, to []byte) ([]byte, error) {
		text := w.joined()
		if text == "" && least > 0 {
			return to, errMissing
		}
		data, err := decode(text)
		if err != nil {
			return to, err
		}
		return append(to, data...), nil
	}, encode}
}

// joined takes all words that are left, in one piece.
func (w *words) joined() string {
	if len(w.list) == 1 {
		return w.take()
	}
	var b strings.Builder
	for len(w.list) > 0 {
		b.WriteString(w.take())
	}
	return b.String()
}

func (w *words) take() string {
	first := w.list[0].Text
	w.list = w.list[1:]
	return first
}

func decodeHex(text string) ([]byte, error) {
	data, err := hex.DecodeString(text)
	if err != nil {
		return nil, errors.New("not hexadecimal digits, two for each octet")
	}
	return data, nil
}

func decodeBase64(text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("not base64")
	}
	return data, nil
}

func appendHex(to, data []byte) []byte { return fmt.Appendf(to, "%X", data) }

func appendBase64(to, data []byte) []byte { return base64.StdEncoding.AppendEncode(to, data) }

var (
	base64s     = rest(1, decodeBase64, appendBase64)
	maybeBase64 = rest(0, decodeBase64, appendBase64)
	hexs        = rest(1, decodeHex, appendHex)
	maybeHex    = rest(0, decodeHex, appendHex)
	// nsap has dots anywhere (RFC 1706 5).
	nsap = rest(1, func(text string) ([]byte, error) {
		digits, ok := strings.CutPrefix(strings.ToLower(text), "0x")
		if !ok {
			return nil, errors.New("it begins with 0x")
		}
		return decodeHex(strings.ReplaceAll(digits, ".", ""))
	}, func(to, data []byte) []byte { return appendHex(append(to, "0x"...), data) })
)

// digest is a number that tells the algorithm, and what it made. Those known are as long as they are.
func digest(sizes map[byte]int, least int) field {
	return field{func(data []byte) (int, error) {
		if len(data) < 1 {
			return 0, errCut
		}
		if want := sizes[data[0]]; want != 0 && len(data)-1 != want {
			return 0, fmt.Errorf("the digest has %d octets, and not the %d of its type", len(data)-1, want)
		} else if len(data)-1 < least {
			return 0, fmt.Errorf("the digest has less than %d octets", least)
		}
		return len(data), nil
	}, func(w *words, to []byte) ([]byte, error) {
		to, err := u8.read(w, to)
		if err != nil {
			return to, err
		}
		return hexs.read(w, to)
	}, func(to, data []byte) []byte { return appendHex(append(u8.write(to, data[:1]), ' '), data[1:]) }}
}

var (
	dsDigest    = digest(map[byte]int{1: 20, 2: 32, 3: 32, 4: 48}, 1)
	fingerprint = digest(map[byte]int{1: 20, 2: 32}, 1)  // RFC 4255 3.1.2, RFC 6594 4
	zoneDigest  = digest(map[byte]int{1: 48, 2: 64}, 12) // RFC 8976 2.2.4
)

// counted is octets behind their number.
func counted(least int, decode func(text string) ([]byte, error), encode func(to, data []byte) []byte) field {
	return field{func(data []byte) (int, error) {
		n, err := stringSize(data)
		if err != nil {
			err = errCut
		} else if n-1 < least {
			err = errMissing
		}
		return n, err
	}, text(func(s string, to []byte) ([]byte, error) {
		data, err := decode(s)
		if err == nil && (len(data) > maxString || len(data) < least) {
			err = fmt.Errorf("it has %d octets", len(data))
		}
		return append(append(to, byte(len(data))), data...), err
	}), func(to, data []byte) []byte { return encode(to, data[1:]) }}
}

var (
	base32Hex = base32.HexEncoding.WithPadding(base32.NoPadding)
	// salt is that of NSEC3 (RFC 5155 3.3).
	salt = counted(0, func(text string) ([]byte, error) {
		if text == "-" {
			return nil, nil
		}
		return decodeHex(text)
	}, func(to, data []byte) []byte {
		if len(data) == 0 {
			return append(to, '-')
		}
		return appendHex(to, data)
	})
	hashed = counted(1, func(text string) ([]byte, error) {
		data, err := base32Hex.DecodeString(strings.ToUpper(text))
		if err != nil {
			return nil, errors.New("not base32 with extended hexadecimal digits")
		}
		return data, nil
	}, func(to, data []byte) []byte { return base32Hex.AppendEncode(to, data) })
	// tag is that of CAA (RFC 8659 4.1): letters and digits.
	tag = field{func(data []byte) (int, error) {
		n, err := stringSize(data)
		if err == nil && (n < 2 || slices.ContainsFunc(data[1:n], func(c byte) bool { return !isLetter(c) && !dname.IsDigit(c) })) {
			err = errors.New("a tag is letters and digits")
		}
		return n, err
	}, str.read, func(to, data []byte) []byte { return append(to, data[1:]...) }}
)

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// bitmap is the types of an NSEC record (RFC 4034 4.1.2).
func bitmap(least int) field {
	return field{func(data []byte) (int, error) {
		if len(data) < least {
			return 0, errors.New("the bitmap of types is missing")
		}
		for at, last := 0, -1; at < len(data); {
			if len(data) < at+2 || len(data) < at+2+int(data[at+1]) {
				return 0, errors.New("the bitmap of types is cut short")
			}
			window, size := int(data[at]), int(data[at+1])
			if window <= last || size < 1 || size > 32 || data[at+1+size] == 0 {
				return 0, errors.New("the bitmap of types does not follow RFC 4034 4.1.2")
			}
			at, last = at+2+size, window
		}
		return len(data), nil
	}, func(w *words, to []byte) ([]byte, error) {
		var types []uint16
		for len(w.list) > 0 {
			text := w.take()
			t, ok := TypeOf(text)
			if !ok {
				return to, fmt.Errorf("%q is not a record type", text)
			}
			types = append(types, t)
		}
		slices.Sort(types)
		return AppendBitmap(to, types), nil
	}, func(to, data []byte) []byte {
		for first := true; len(data) > 0; data = data[2+data[1]:] {
			for bit := range 8 * int(data[1]) {
				if data[2+bit/8]&(0x80>>(bit%8)) == 0 {
					continue
				}
				if !first {
					to = append(to, ' ')
				}
				to, first = append(to, TypeText(uint16(data[0])<<8|uint16(bit))...), false
			}
		}
		return to
	}}
}

// AppendBitmap appends the bitmap of types in ascending order (RFC 4034 4.1.2).
func AppendBitmap(to []byte, types []uint16) []byte {
	for len(types) > 0 {
		number := byte(types[0] >> 8)
		var bits [32]byte
		size := 0
		for len(types) > 0 && byte(types[0]>>8) == number {
			low := int(types[0] & 0xff)
			bits[low/8] |= 0x80 >> (low % 8)
			size, types = low/8+1, types[1:]
		}
		to = append(append(to, number, byte(size)), bits[:size]...)
	}
	return to
}

// oldBitmap is the types of an NXT record (RFC 2535 5.2): those below 128.
var oldBitmap = field{func(data []byte) (int, error) {
	if n := len(data); n > 16 || n > 0 && (data[0]&0x80 != 0 || data[n-1] == 0) {
		return 0, errors.New("the bitmap of types does not follow RFC 2535 5.2")
	}
	return len(data), nil
}, func(w *words, to []byte) ([]byte, error) {
	list, err := bitmap(0).read(w, nil)
	if err != nil || len(list) == 0 {
		return to, err
	}
	if list[0] != 0 || list[1] > 16 || int(list[1])+2 < len(list) {
		return to, errors.New("NXT has types below 128 alone")
	}
	return append(to, list[2:]...), nil
}, appendHex}

// prefix is an item of APL (RFC 3123 4). Its bits behind the prefix are what they are.
var prefix = field{func(data []byte) (int, error) {
	if len(data) < 4 {
		return 0, errCut
	}
	n := int(data[3] & 0x7f)
	if len(data) < 4+n {
		return 0, errCut
	}
	most := map[uint16]int{1: 4, 2: 16}[binary.BigEndian.Uint16(data)]
	if most > 0 && (n > most || int(data[2]) > 8*most) || n > 0 && data[3+n] == 0 {
		return 0, errors.New("a prefix does not follow RFC 3123 4")
	}
	return 4 + n, nil
}, text(func(s string, to []byte) ([]byte, error) {
	bad := fmt.Errorf("%q is not a prefix: write 1:192.0.2.0/24, 2:2001:db8::/32, or with ! before it", s)
	rest, negated := strings.CutPrefix(s, "!")
	family, rest, _ := strings.Cut(rest, ":")
	addr, bits, ok := strings.Cut(rest, "/")
	a, err := netip.ParseAddr(addr)
	n, failed := strconv.ParseUint(bits, 10, 8)
	if !ok || err != nil || failed != nil || a.Zone() != "" || int(n) > a.BitLen() || family != map[bool]string{true: "1", false: "2"}[a.Is4()] {
		return to, bad
	}
	octets := a.AsSlice()
	for len(octets) > 0 && octets[len(octets)-1] == 0 {
		octets = octets[:len(octets)-1]
	}
	length := byte(len(octets))
	if negated {
		length |= 0x80
	}
	return append(append(to, 0, family[0]-'0', byte(n), length), octets...), nil
}), func(to, data []byte) []byte {
	if data[3]&0x80 != 0 {
		to = append(to, '!')
	}
	whole := make([]byte, map[byte]int{1: 4, 2: 16}[data[1]])
	copy(whole, data[4:])
	a, _ := netip.AddrFromSlice(whole)
	return fmt.Appendf(to, "%d:%s/%d", binary.BigEndian.Uint16(data), a, data[2])
}}
