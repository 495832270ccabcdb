package ascii

import (
	"strings"
	"testing"
)

func TestEachOctetAtEachPlace(t *testing.T) {
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

func FuzzPrintable(f *testing.F) {
	f.Add("v=spf1 mx -all")
	f.Add("\x7f\x80\x1f\xff ~\x00\x01\x00\x00")
	f.Fuzz(func(t *testing.T, text string) {
		want := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
		if got := Printable(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	})
}
