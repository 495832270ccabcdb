package content

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
)

// FuzzRecord parses records as they stand in a zone file: one that is read the short way is what package rr reads.
func FuzzRecord(f *testing.F) {
	types, err := os.ReadFile("../rr/testdata/types.zone")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(types)) {
		if _, text, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			f.Add(strings.Replace(text, "\t", " ", 1))
		}
	}
	for _, s := range append([]string{}, "60 A 192.0.2.1", "MX 10 @", "MX 10 Mail.Example.", `5 TXT "a b" "c;("`, "NS a_b.*", "AAAA ::ffff:192.0.2.1", "TXT a") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecord(text, testApex, testApex, 3600, nil)
		if err != nil {
			return
		}
		if _, common := commonRecord(text, testApex, 3600, nil); !common {
			return
		}
		want, err := rr.ParseRecord(text, string(testApex), 3600)
		if err != nil {
			t.Fatalf("%q is read without package rr, which says: %v", text, err)
		}
		if want.Type != r.Typ || want.TTL != r.Ttl || !bytes.Equal(want.Data, r.Data) {
			t.Fatalf("%q is read as %v, by package rr as %v", text, r, want)
		}
	})
}

const testApex = dname.Name("\x07example\x03com\x00")
