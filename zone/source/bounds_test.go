package source

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
)

// TestWhatIsTooMuchIsRefusedAndNamed: each bound has an error that says what it is.
func TestWhatIsTooMuchIsRefusedAndNamed(t *testing.T) {
	const head = "$TTL 300\n@ SOA ns1 h 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n"
	comment := append([]byte{';'}, bytes.Repeat([]byte{'x'}, maxFile/2)...)
	deep := func(names int) string {
		random := rand.New(rand.NewPCG(1, 1))
		var b strings.Builder
		for range names {
			for range 100 {
				b.WriteString(string(rune('a'+random.IntN(26))) + ".")
			}
			b.WriteString("example.com. A 192.0.2.1\n")
		}
		return b.String()
	}
	for name, c := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"a file as large as one may be":   {map[string][]byte{"z.zone": append([]byte(head), comment...)}, ""},
		"files that are larger together":  {map[string][]byte{"z.zone": []byte(head + "$INCLUDE a\n$INCLUDE b\n"), "a": comment, "b": comment}, "the zone's files have more than 67108864 bytes together"},
		"one file that is larger":         {map[string][]byte{"z.zone": append(append([]byte(head), comment...), comment...)}, "larger than 67108864 bytes"},
		"names that are not too many":     {map[string][]byte{"z.zone": []byte(head + deep(content.MaxEmpty/110))}, ""},
		"too many names above a few":      {map[string][]byte{"z.zone": []byte(head + deep(content.MaxEmpty/90))}, "more than 500000 names that exist only for others below them"},
		"a set of more than a message":    {map[string][]byte{"z.zone": []byte(head + longSet(4500))}, "its records may have"},
		"a set of very many, a few twice": {map[string][]byte{"z.zone": []byte(head + longSet(3000) + longSet(3000))}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.files["z.toml"] = []byte("name = \"example.com\"\nfile = \"z.zone\"\n")
			for file, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			report := conf.Report{Quiet: true}
			if s := Load(filepath.Join(dir, "z.toml"), &report); s != nil {
				s.Compile(nil, &report)
			}
			got := fmt.Sprint(report.Problems())
			if (c.want == "") != (report.Faults() == 0) || !strings.Contains(got, c.want) {
				t.Errorf("got %.300s, want %s", got, c.want)
			}
		})
	}
}

// longSet is so many A records of one owner.
func longSet(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "x A 10.0.%d.%d\n", i>>8, i&255)
	}
	return b.String()
}
