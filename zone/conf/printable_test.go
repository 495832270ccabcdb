package conf

import (
	"strings"
	"testing"
)

func TestAnOctetThatIsNotPrintableIsFoundAtEachPlace(t *testing.T) {
	for size := range 20 {
		if !Printable(strings.Repeat("a", size)) {
			t.Errorf("%d letters are not printable", size)
		}
		for at := range size {
			for c := range 256 {
				for _, beside := range []byte{' ', 'a', '~'} {
					text := []byte(strings.Repeat(string(beside), size))
					text[at] = byte(c)
					if got, want := Printable(string(text)), c >= ' ' && c <= '~'; got != want {
						t.Fatalf("%q: %v, want %v", text, got, want)
					}
				}
			}
		}
	}
}
