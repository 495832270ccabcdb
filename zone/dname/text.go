package dname

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"
)

// maxName is the length of the longest name on the wire, its root label included; maxLabel that of a label (RFC 1035 2.3.4).
const (
	MaxName  = 255
	MaxLabel = 63
)

var (
	errNoName    = errors.New("not a domain name")
	ErrLongName  = errors.New("not a domain name: longer than 255 octets")
	errLongLabel = errors.New("not a domain name: a label is longer than 63 octets")
	errEmpty     = errors.New("not a domain name: two dots in a row")
)

// Append appends the wire format of a name as text has it (RFC 1035 5.1), its letters as written. A name without a final dot
// goes on with origin, which is in wire format; "@" is the origin itself.
func Append(to []byte, text, origin string) ([]byte, error) {
	switch text {
	case "":
		return to, errNoName
	case "@":
		return append(to, origin...), nil
	case ".":
		return append(to, 0), nil
	}
	begin, label := len(to), len(to) // label is where the length of the present one will be
	to = append(to, 0)
	end := func() error {
		switch n := len(to) - label - 1; {
		case n == 0:
			return errEmpty
		case n > MaxLabel:
			return errLongLabel
		default:
			to[label] = byte(n)
		}
		return nil
	}
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '.':
			if err := end(); err != nil {
				return to, err
			}
			label, to = len(to), append(to, 0)
			i++
			continue
		case c == '\\':
			octet, n, err := Unescape(text[i:])
			if err != nil {
				return to, err
			}
			c, i = octet, i+n
		case c >= 0x80:
			return to, notASCII(text)
		case c <= ' ' || c == 0x7f:
			return to, errors.New(`not a domain name: it contains a blank (write \032 for one)`)
		default:
			i++
		}
		if to = append(to, c); len(to)-begin > MaxName {
			return to, ErrLongName
		}
	}
	if len(to) == label+1 { // behind a final dot: the root's label is there already
		if label == begin {
			return to, errNoName
		}
		return to, sized(len(to) - begin)
	}
	if err := end(); err != nil {
		return to, err
	}
	to = append(to, origin...)
	return to, sized(len(to) - begin)
}

func sized(octets int) error {
	if octets > MaxName {
		return ErrLongName
	}
	return nil
}

// notASCII tells what to write instead of a name in another script (RFC 5890).
func notASCII(text string) error {
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(text, "."))
	if err != nil {
		return errors.New("not a domain name: it contains characters outside ASCII")
	}
	return fmt.Errorf("not a domain name in the DNS: write %s", ascii+text[len(strings.TrimSuffix(text, ".")):])
}

// Unescape reads what a backslash stands before: three digits are an octet, another character is itself (RFC 1035 5.1).
func Unescape(text string) (octet byte, size int, err error) {
	if len(text) < 2 {
		return 0, 0, errors.New("nothing stands behind the backslash at its end")
	}
	if !IsDigit(text[1]) {
		return text[1], 2, nil
	}
	if len(text) < 4 || !IsDigit(text[2]) || !IsDigit(text[3]) {
		return 0, 0, errors.New(`a backslash and a digit begin an octet of three digits, such as \032`)
	}
	n := int(text[1]-'0')*100 + int(text[2]-'0')*10 + int(text[3]-'0')
	if n > 255 {
		return 0, 0, fmt.Errorf(`\%s is no octet: it is above 255`, text[1:4])
	}
	return byte(n), 4, nil
}

// IsDigit says whether a character is one of 0 to 9.
func IsDigit(c byte) bool { return '0' <= c && c <= '9' }

// AppendText appends a name in wire format as text, with its final dot.
func AppendText(to []byte, wire []byte) []byte {
	if wire[0] == 0 {
		return append(to, '.')
	}
	for wire[0] != 0 {
		label := wire[1 : 1+wire[0]]
		if isPlain(label) {
			to = append(append(to, label...), '.')
			wire = wire[1+len(label):]
			continue
		}
		for _, c := range label {
			switch {
			case c <= ' ' || c >= 0x7f:
				to = AppendOctet(to, c)
			case strings.IndexByte(`"$().;@\`, c) >= 0:
				to = append(to, '\\', c)
			default:
				to = append(to, c)
			}
		}
		to = append(to, '.')
		wire = wire[1+len(label):]
	}
	return to
}

// isPlain says whether the octets of a label stand for themselves in text, as nearly all do.
func isPlain(label []byte) bool {
	for _, c := range label {
		if !plain[c] {
			return false
		}
	}
	return true
}

var plain = func() (plain [256]bool) {
	for c := '!'; c < 0x7f; c++ {
		plain[c] = !strings.ContainsRune(`"$().;@\`, c)
	}
	return plain
}()

// AppendOctet appends an octet of a label or a text as it is written, escaped where it has to be (RFC 1035 5.1).
func AppendOctet(to []byte, c byte) []byte {
	return append(to, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
}

// Size is the length of the whole name that wire begins with. The error says that there is none: it is cut short, too long, or
// a pointer, which stands in packets alone.
func Size(wire []byte) (int, error) {
	for n := 0; n < len(wire); n += 1 + int(wire[n]) {
		switch {
		case wire[n] == 0:
			if n >= MaxName {
				return 0, errors.New("a name is longer than 255 octets")
			}
			return n + 1, nil
		case wire[n] > MaxLabel:
			return 0, errors.New("a compressed name, which only a message can have (RFC 3597 4)")
		}
	}
	return 0, errors.New("a name is cut short")
}

// Lower folds the letters of a name in wire format. Length octets are below 64 and so never letters.
func Lower(wire []byte) {
	for i, c := range wire {
		if 'A' <= c && c <= 'Z' {
			wire[i] = c | 0x20
		}
	}
}
