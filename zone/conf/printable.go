package conf

import (
	"encoding/binary"
	"unsafe"
)

const (
	ones  = 0x0101010101010101 // 1 in each octet of a word
	highs = 0x80 * ones
)

// Printable says whether a text is made of the characters from the space to the tilde alone, as nearly all that an operator writes. There may be
// very much of it, so it is looked at by eight octets at a time.
func Printable(text string) bool {
	left := unsafe.Slice(unsafe.StringData(text), len(text))
	for ; len(left) >= 8; left = left[8:] {
		// The highest bit of an octet tells one above 127; where there is none, that of the sum tells 127, and that of the difference one below
		// the space. Sums and differences reach into the next octet only from one that has been told.
		w := binary.LittleEndian.Uint64(left)
		if (w|(w+ones)|(w-' '*ones))&highs != 0 {
			return false
		}
	}
	for _, c := range left {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
