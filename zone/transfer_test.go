package zone

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
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

func mustCompile(t *testing.T, text string) *Zone {
	t.Helper()
	var report conf.Report
	if s := Parse("z.toml", []byte(text), &report); s != nil {
		if z := s.Compile(nil, &report); z != nil {
			return z
		}
	}
	t.Fatal(report.Problems())
	return nil
}

func texts(z *Zone) (lines []string) {
	for rr := range z.Records() {
		lines = append(lines, rr.String())
	}
	return lines
}

func TestRecordsAreAllThatIsPrinted(t *testing.T) {
	z := mustCompile(t, fmt.Sprintf(followed, "7", "x", 27))
	var want []string
	for _, line := range strings.Split(Printed(t, z), "\n") {
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
	versions := []*Zone{
		mustCompile(t, fmt.Sprintf(followed, "1", "x", 27)),
		mustCompile(t, fmt.Sprintf(followed, "2", "y", 27)),
		mustCompile(t, strings.Replace(fmt.Sprintf(followed, "3", "y", 28), "MX 20 mx1", "300 MX 20 mx1", 1)), // the TTL of a whole RRset
		mustCompile(t, "name = \"example.com\"\n[records]\n\"@\" = [\"NS ns.example.net.\"]\n"),
	}
	for _, older := range versions {
		for _, newer := range versions {
			deleted, added, ok := differences(older, newer, 100)
			if !ok {
				t.Fatal("too many")
			}
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
	if _, _, ok := differences(versions[0], versions[3], 3); ok {
		t.Error("more differences than are wanted")
	}
}

func TestSerialNumbersComeOneAfterAnotherRoundTheCircle(t *testing.T) {
	for _, c := range []struct {
		serial, other uint32
		want          bool
	}{{1, 0, true}, {0, 1, false}, {5, 5, false}, {0, math.MaxUint32, true}, {math.MaxUint32, 0, false}, {1 << 31, 1, true}, {1, 1 << 31, false}} {
		if got := Later(c.serial, c.other); got != c.want {
			t.Errorf("Later(%d, %d) = %v", c.serial, c.other, got)
		}
	}
}

func TestAZoneWithAnotherNumberIsTheSameButForThat(t *testing.T) {
	z := mustCompile(t, fmt.Sprintf(followed, "7", "x", 27))
	again := z.Numbered(8)
	if again.Serial() != 8 || SerialOf(again.SOA()) != 8 || z.Serial() != 7 || SerialOf(z.SOA()) != 7 {
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
