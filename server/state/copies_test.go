package state

import (
	"crypto/sha256"
	"os"
	"testing"

	"mxtrap/server/fake"
	"mxtrap/zone/conf"
	"mxtrap/zone/rdata"
	"mxtrap/zone/source"
)

// FuzzCopy: whatever stands in the place of a copy is what was written, or is damaged.
func FuzzCopy(f *testing.F) {
	dir := f.TempDir()
	c := NewCopies(dir)
	for _, lines := range [][]string{fake.ZoneLines(1, "x"), fake.ZoneLines(7, "other")[:1], nil} {
		prepared, err := c.Prepare("x", fake.Wired(lines...))
		if err != nil {
			f.Fatal(err)
		}
		text, _ := os.ReadFile(prepared)
		f.Add(text[len(copyHead) : len(text)-sha256.Size])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		text := append([]byte(copyHead), body...)
		if _, err := parseCopy(text, "example.com"); err == nil {
			t.Fatal("a copy without a sum")
		}
		sum := sha256.Sum256(text)
		text = append(text, sum[:]...) // as if it had been written so
		records, err := parseCopy(text, "example.com")
		if err != nil {
			return
		}
		var again []byte
		for _, r := range records {
			if err := rdata.Check(r.Type, r.Data); err != nil {
				t.Fatal(err)
			}
			again = r.AppendWire(again)
		}
		if _, err := parseCopy(sealed(again), "example.com"); err != nil {
			t.Fatalf("it cannot be read again: %v", err)
		}
		// And whatever is made of it, a zone or none, ends no process.
		source := source.Parse("z.toml", []byte("name = \"example.com\"\n[primary]\naddress = [\"192.0.2.1\"]\n[catalog]\ntemplate = \"m.toml\"\n[trap]\ncount = 100\n"), &conf.Report{Quiet: true})
		source.TakeCopy(records)
		source.Compile(nil, &conf.Report{Quiet: true})
		source.Members()
	})
}

// sealed is a copy of records in wire format.
func sealed(wire []byte) []byte {
	text := append([]byte(copyHead), wire...)
	sum := sha256.Sum256(text)
	return append(text, sum[:]...)
}
