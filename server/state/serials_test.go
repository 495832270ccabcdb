package state

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// numbered compiles a zone whose own serial number and content are given.
func numbered(t *testing.T, own uint32, content string) *zone.Zone {
	t.Helper()
	var report conf.Report
	text := fmt.Sprintf("name = \"example.com\"\n[soa]\nserial = %d\n[records]\n\"@\" = [\"NS ns1\", 'TXT %q']\nns1 = [\"A 192.0.2.53\"]\n", own, content)
	z := source.Parse("z.toml", []byte(text), &report).Compile(nil, &report)
	if z == nil {
		t.Fatal(report.Problems())
	}
	return z
}

// TestUnderASerialNumberThereIsOneContent plays versions of a zone one after the other, in one process and with a restart between each two.
func TestUnderASerialNumberThereIsOneContent(t *testing.T) {
	type version struct {
		own     uint32
		content string
		want    uint32
		back    bool // the own number is lower than before, and that is told
	}
	for _, c := range []struct {
		name     string
		versions []version
	}{
		{"the own number is taken while it grows with the content", []version{{7, "a", 7, false}, {8, "b", 8, false}, {20, "c", 20, false}}},
		{"the own number is taken where it grows alone", []version{{7, "a", 7, false}, {9, "a", 9, false}}},
		{"other content under the same number is one more", []version{{7, "a", 7, false}, {7, "b", 8, false}, {7, "b", 8, false}, {7, "c", 9, false}}},
		{"content that comes back is new all the same", []version{{7, "a", 7, false}, {7, "b", 8, false}, {7, "a", 9, false}}},
		{"the own number is taken when it is ahead again", []version{{7, "a", 7, false}, {7, "b", 8, false}, {8, "c", 9, false}, {10, "d", 10, false}}},
		{"the own number reaches what is served with the same content", []version{{7, "a", 7, false}, {7, "b", 8, false}, {8, "b", 8, false}}},
		{"a number that goes back", []version{{2026010101, "a", 2026010101, false}, {1767225600, "b", 2026010102, true}, {1767225600, "b", 2026010102, false}, {1767225600, "c", 2026010103, false}}},
		{"a number that goes back with the same content", []version{{7, "a", 7, false}, {5, "a", 8, true}, {5, "a", 8, false}}},
		{"round the circle", []version{{4294967295, "a", 4294967295, false}, {4294967295, "b", 0, false}, {0, "c", 1, false}, {2, "d", 2, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			var inProcess Served
			for i, v := range c.versions {
				z := numbered(t, v.own, v.content)
				n := NewNumbering("")
				one, now, _ := n.Number(z, inProcess, "")
				if now.Digest = z.Digest(); one.Serial() != v.want {
					t.Errorf("version %d in one process: serial %d, want %d", i, one.Serial(), v.want)
				}
				inProcess = now

				restarted := NewNumbering(folder)
				again, _, _ := restarted.Number(z, Served{}, "")
				if again.Serial() != v.want || zone.SerialOf(again.SOA()) != v.want {
					t.Errorf("version %d after a restart: serial %d, want %d", i, again.Serial(), v.want)
				}
				for _, change := range restarted.changes {
					if change.back != v.back {
						t.Errorf("version %d: %+v", i, change)
					}
				}
				if v.back && len(restarted.changes) != 1 {
					t.Errorf("version %d: nobody is told that the number goes back", i)
				}
				if err := restarted.book.note(restarted.entries); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestTheBookOfSerialNumbersOutlivesDamage(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(serial uint32) {
		t.Helper()
		n := NewNumbering(folder)
		n.book.last("example.com")
		if err := n.book.note(map[string]Served{"example.com": {Serial: serial, Own: 1, Digest: zone.Digest{1}}}); err != nil {
			t.Fatal(err)
		}
	}
	write(7)
	write(8)
	file := filepath.Join(folder, "serials")
	text, _ := os.ReadFile(file)
	lines := strings.Count(string(text), "\n")
	for cut := len(text); cut > bytes.IndexByte(text, '\n'); cut-- { // as a power failure may leave it
		os.WriteFile(file, text[:cut], 0o600)
		if got := newBook(folder).last("example.com").Serial; got != 8 && got != 7 {
			t.Fatalf("cut to %d octets: serial %d", cut, got)
		}
		write(9)
		if got := newBook(folder).last("example.com").Serial; got != 9 {
			t.Fatalf("written on behind a cut at %d: serial %d", cut, got)
		}
	}
	os.WriteFile(file, []byte(strings.Repeat("\x00\xff garbage\n", 3)+strings.Repeat("x", 200_000)+"\n"+string(text)), 0o600)
	if got := newBook(folder).last("example.com").Serial; got != 8 {
		t.Errorf("behind garbage: %d", got)
	}
	past := Served{Serial: 9, Own: 1, Digest: zone.Digest{1}}.line("example.com")
	for before, after := range map[int]int{1002: 1003, 1003: 1} { // where most of it is of the past it is written anew
		os.WriteFile(file, []byte(strings.Repeat(past, before)), 0o600)
		write(10)
		text, _ = os.ReadFile(file)
		if n := strings.Count(string(text), "\n"); n != after || lines != 2 {
			t.Errorf("%d lines and one more are %d, want %d", before, n, after)
		}
	}
	if got := newBook(folder).last("example.com").Serial; got != 10 {
		t.Errorf("after it was written anew: %d", got)
	}
}

// FuzzNotes: a book of serial numbers and a list of those that wait may hold anything. What is noted afterwards is read again.
func FuzzNotes(f *testing.F) {
	good := Served{Serial: 7, Own: 5, Digest: zone.Digest{1}}
	f.Add([]byte(good.line("example.com")))
	f.Add([]byte(good.line("example.com") + good.line("example.org")[:20]))
	f.Add([]byte("\"zones/a.toml\"\n\"zones/b.toml"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		b := newBook(dir)
		os.WriteFile(b.file, text, 0o600)
		os.WriteFile(waitingFile(dir), text, 0o600)
		b.last("example.com")
		if err := b.note(map[string]Served{"noted.test": good}); err != nil {
			t.Fatal(err)
		}
		if got := newBook(dir).last("noted.test"); got != good {
			t.Fatalf("noted %v, read %v", good, got)
		}
		waiting := ReadWaiting(dir)
		if err := WriteWaiting(dir, waiting); err != nil {
			t.Fatal(err)
		}
		if again := ReadWaiting(dir); !maps.Equal(again, waiting) {
			t.Fatalf("%v, then %v", waiting, again)
		}
	})
}
