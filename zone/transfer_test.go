package zone_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

const followed = `name = "example.com"
[soa]
serial = %s
[records]
"@" = ["NS ns1", "MX 10 mail", "MX 20 mx1", "TXT %s"]
ns1 = ["A 192.0.2.53"]
mail = ["A 192.0.2.25"]
mx1 = ["A 192.0.2.26"]
[trap]
addresses = ["192.0.2.%d"]
`

func mustCompile(t *testing.T, text string) *zone.Zone {
	t.Helper()
	var report conf.Report
	if s := source.Parse("z.toml", []byte(text), &report); s != nil {
		if z := s.Compile(nil, &report); z != nil {
			return z
		}
	}
	t.Fatal(report.Problems())
	return nil
}

func texts(z *zone.Zone) (lines []string) {
	for rr := range z.Records() {
		lines = append(lines, rr.String())
	}
	return lines
}

func TestRecordsAreAllThatIsPrinted(t *testing.T) {
	z := mustCompile(t, fmt.Sprintf(followed, "7", "x", 27))
	var printed strings.Builder
	z.Print(&printed, false)
	var want []string
	for _, line := range strings.Split(printed.String(), "\n") {
		if line, _, _ = strings.Cut(line, "\t; "); line != "" && line[0] != ';' {
			want = append(want, line)
		}
	}
	got := texts(z)
	if !strings.Contains(got[0], "\tSOA\t") {
		t.Errorf("the first record is %s", got[0])
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDifferencesLeadFromOneVersionToTheNext(t *testing.T) {
	versions := []*zone.Zone{
		mustCompile(t, fmt.Sprintf(followed, "1", "x", 27)),
		mustCompile(t, fmt.Sprintf(followed, "2", "y", 27)),
		mustCompile(t, strings.Replace(fmt.Sprintf(followed, "3", "y", 28), "MX 20 mx1", "300 MX 20 mx1", 1)), // the TTL of a whole RRset
		mustCompile(t, "name = \"example.com\"\n[soa]\nserial = 4\n[records]\n\"@\" = [\"NS ns.example.net.\"]\n"),
	}
	for _, older := range versions {
		for _, newer := range versions {
			if newer.Serial() <= older.Serial() {
				continue
			}
			steps := zone.History(nil).Then(older, newer)
			if len(steps) != 1 {
				t.Fatal("too many")
			}
			deleted, added := steps[0].Deleted, steps[0].Added
			have := map[string]bool{newer.SOA().String(): true}
			for r := range older.Records() {
				if r.Type != dns.TypeSOA {
					have[r.String()] = true
				}
			}
			for _, rr := range deleted {
				if !have[rr.String()] {
					t.Errorf("%v is to be deleted and is not there", rr)
				}
				delete(have, rr.String())
			}
			for _, rr := range added {
				if have[rr.String()] {
					t.Errorf("%v is to be added and is there", rr)
				}
				have[rr.String()] = true
			}
			want := texts(newer)
			if len(have) != len(want) {
				t.Errorf("%d records, want %d", len(have), len(want))
			}
			for _, line := range want {
				if !have[line] {
					t.Errorf("%s is missing", line)
				}
			}
		}
	}
}

// TestAHistoryHoldsNoStepThatAWholeTransferIsShorterThan: 10,002 records are gone or new.
func TestAHistoryHoldsNoStepThatAWholeTransferIsShorterThan(t *testing.T) {
	hosts := func(serial int) *zone.Zone {
		text := fmt.Sprintf("name = \"example.com\"\n[soa]\nserial = %d\n[records]\n\"@\" = [\"NS ns\"]\nns = [\"A 192.0.2.53\"]\n", serial)
		for i := range 5001 {
			text += fmt.Sprintf("h%d = [\"A 192.0.2.%d\"]\n", i, serial)
		}
		return mustCompile(t, text)
	}
	if steps := zone.History(nil).Then(hosts(1), hosts(2)); len(steps) != 0 {
		t.Errorf("%d steps", len(steps))
	}
}

func TestSerialNumbersComeOneAfterAnotherRoundTheCircle(t *testing.T) {
	for _, c := range []struct {
		serial, other uint32
		want          bool
	}{{1, 0, true}, {0, 1, false}, {5, 5, false}, {0, math.MaxUint32, true}, {math.MaxUint32, 0, false}, {1 << 31, 1, true}, {1, 1 << 31, false}} {
		if got := zone.Later(c.serial, c.other); got != c.want {
			t.Errorf("Later(%d, %d) = %v", c.serial, c.other, got)
		}
	}
}

func TestAZoneWithAnotherNumberIsTheSameButForThat(t *testing.T) {
	z := mustCompile(t, fmt.Sprintf(followed, "7", "x", 27))
	again := z.Numbered(8)
	if again.Serial() != 8 || zone.SerialOf(again.SOA()) != 8 || z.Serial() != 7 || zone.SerialOf(z.SOA()) != 7 {
		t.Errorf("%v and %v", again.SOA(), z.SOA())
	}
	if again.Digest() != z.Digest() {
		t.Error("the number is in the digest")
	}
	if want := mustCompile(t, fmt.Sprintf(followed, "8", "x", 27)); !again.Same(want) {
		t.Error("another zone than one compiled with that number")
	}
	if turned := strings.Replace(fmt.Sprintf(followed, "7", "x", 27), `"MX 10 mail", "MX 20 mx1", "TXT x"`, `"TXT x", "MX 20 mx1", "MX 10 mail"`, 1); mustCompile(t, turned).Digest() != z.Digest() {
		t.Error("the order of records is in the digest")
	}
	if mustCompile(t, fmt.Sprintf(followed, "7", "y", 27)).Digest() == z.Digest() {
		t.Error("equal digests of other content")
	}
}
