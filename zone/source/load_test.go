package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
)

// mailDomain is a zone file as people who run mail domains have them: MX, SPF, DMARC, DKIM, and a trap with addresses of its own.
func mailDomain(name string) string {
	key := strings.Repeat("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA", 5)
	return fmt.Sprintf(`name = %q
ttl = "1h"
[soa]
mname = "ns1"
rname = "hostmaster"
[records]
"@" = ["NS ns1", "NS ns2", "MX 10 mail", "MX 20 mx1", 'TXT "v=spf1 mx -all"']
_dmarc = ['TXT "v=DMARC1; p=reject; rua=mailto:dmarc@%s"']
"k1._domainkey" = ['TXT "v=DKIM1; k=rsa; p=" "%s" "%s"']
ns1 = ["A 192.0.2.53"]
ns2 = ["A 198.51.100.53"]
www = ["A 203.0.113.7"]
mail = ["A 192.0.2.25", "AAAA 2001:db8::25"]
mx1 = ["A 198.51.100.7"]
[trap]
count = 2
addresses = ["192.0.2.26", "192.0.2.27"]
`, name, name, key, key)
}

func BenchmarkLoad(b *testing.B) {
	path := filepath.Join(b.TempDir(), "zone.toml")
	if err := os.WriteFile(path, []byte(mailDomain("example.com")), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("file", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			report := conf.Report{Quiet: true} // as when a server starts
			s := Load(path, &report)
			if s == nil || s.Compile(nil, &report) == nil {
				b.Fatal(report.Problems())
			}
			s.Release()
		}
	})
	text := []byte(mailDomain("example.com"))
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Parse(path, text, &conf.Report{}).Release()
		}
	})
	s := Parse(path, text, &conf.Report{})
	b.Run("compile", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Compile(nil, &conf.Report{})
		}
	})
	b.Run("toml", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			conf.Parse(path, text, &conf.Report{}).Release()
		}
	})
}

// TestAMailDomainLeavesLittleGarbage: very many of them are loaded at a start, and the collector would go through all that are there already.
func TestAMailDomainLeavesLittleGarbage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zone.toml")
	if err := os.WriteFile(path, []byte(mailDomain("example.com")), 0o600); err != nil {
		t.Fatal(err)
	}
	const most = 40 // as the race detector throws a part of each pool away; 9 without it
	if n := testing.AllocsPerRun(1000, func() {
		report := conf.Report{Quiet: true}
		s := Load(path, &report)
		s.Compile(nil, &report)
		s.Release()
	}); n > most {
		t.Errorf("%.0f allocations, want %d at most", n, most)
	}
}

// TestWhatIsReleasedLeavesTheZoneAsItIs: the memory of a source is used again at once, by others and at the same time.
func TestWhatIsReleasedLeavesTheZoneAsItIs(t *testing.T) {
	dir := t.TempDir()
	var zones sync.WaitGroup
	for i := range 8 {
		zones.Go(func() {
			name := fmt.Sprintf("d%d.example.com", i)
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(mailDomain(name)), 0o600); err != nil {
				t.Error(err)
				return
			}
			want := ""
			for range 200 {
				report := conf.Report{Quiet: true}
				s := Load(path, &report)
				if s == nil {
					t.Error(report.Problems())
					return
				}
				z := s.Compile(nil, &report)
				s.Release()
				if got := printed(t, z); want == "" {
					want = got
				} else if got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
					return
				}
			}
		})
	}
	zones.Wait()
}

// TestARotationOutlivesTheTextOfItsFile: its names are told for as long as the zone is served, and its secret is known again at a reload.
func TestARotationOutlivesTheTextOfItsFile(t *testing.T) {
	dir := t.TempDir()
	path, secret, other := filepath.Join(dir, "zone.toml"), filepath.Join(dir, "rotate.secret"), filepath.Join(dir, "other.toml")
	text := mailDomain("example.com") + fmt.Sprintf("names = \"gate-{r}\"\nrotate = \"7d\"\nsecret_file = %q\n", secret)
	for path, text := range map[string]string{path: text, secret: strings.Repeat("s", 32), other: strings.Repeat("#", len(text))} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report := conf.Report{Quiet: true}
	s := Load(path, &report)
	now := time.Now()
	s.At(now)
	z := s.Compile(nil, &report)
	if z == nil || report.Keeps() {
		t.Fatal(report.Problems())
	}
	before := z.Rotation().Name("example.com", now.Unix())
	files := s.Files()
	s.Release()
	for range 100 { // in the memory of that text
		_, text, _ := ReadNoted(other)
		defer ReleaseText(text)
	}
	if _, _, ok := files.Renewed(path); !ok {
		t.Error("files that have not changed are said to have")
	}
	if after := z.Rotation().Name("example.com", now.Unix()); !strings.HasPrefix(before, "gate-") || after != before {
		t.Errorf("the first decoy was %q, and is told as %q later", before, after)
	}
}

// TestRRsetsOutliveTheirSource: updates are made of them, and kept.
func TestRRsetsOutliveTheirSource(t *testing.T) {
	s := Parse("zone.toml", []byte(mailDomain("example.com")), &conf.Report{})
	owner := "\x03www" + s.Apex()
	sets := s.RRsets(map[dname.Name]bool{owner: true})
	want := fmt.Sprint(sets)
	s.Release()
	for range 100 { // in its memory
		defer Parse("other.toml", []byte(mailDomain("zzzzzzzzzzzzzzz.example")), &conf.Report{}).Release()
	}
	if got := fmt.Sprint(sets); got != want || len(sets) != 1 {
		t.Errorf("got %s, want %s", got, want)
	}
}

// BenchmarkGrowth loads once, twice and four times as much: the time per owner, record or file stays the same.
func BenchmarkGrowth(b *testing.B) {
	const head = "name = \"example.com\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\n"
	for what, files := range map[string]func(n int) map[string]string{
		"owners": func(n int) map[string]string {
			text := head
			for i := range n {
				text += fmt.Sprintf("h%d = [\"A 192.0.2.1\"]\n", i)
			}
			return map[string]string{"z.toml": text}
		},
		"records": func(n int) map[string]string {
			return map[string]string{"z.toml": head[:strings.Index(head, "[")] + "file = \"z.zone\"\n", "z.zone": fmt.Sprintf("@ 60 SOA ns1 h 1 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n$GENERATE 1-%d h$ 60 A 192.0.2.1\n", n)}
		},
		"includes": func(n int) map[string]string {
			all := map[string]string{"z.toml": head[:strings.Index(head, "[")] + "file = \"z.zone\"\n", "z.zone": "@ 60 SOA ns1 h 1 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n"}
			for i := range n / 10 {
				all["z.zone"] += fmt.Sprintf("$INCLUDE i%d\n", i)
				all[fmt.Sprintf("i%d", i)] = fmt.Sprintf("h%d 60 A 192.0.2.1\n", i)
			}
			return all
		},
	} {
		for _, n := range []int{2000, 4000, 8000} {
			b.Run(fmt.Sprint(what, "/", n), func(b *testing.B) {
				dir := b.TempDir()
				for name, text := range files(n) {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						b.Fatal(err)
					}
				}
				for b.Loop() {
					report := conf.Report{Quiet: true}
					if s := Load(filepath.Join(dir, "z.toml"), &report); s == nil || s.Compile(nil, &report) == nil {
						b.Fatal(report.Problems())
					}
				}
			})
		}
	}
}
