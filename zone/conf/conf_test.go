package conf

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestPlacesOfKeys(t *testing.T) {
	text := `# a comment = "not a key"
name = "x" # = [
"quoted key" = 1
a.b.c = 'literal # string'

[table]
list = [ "one", # not "two"
  "two",
  """three
four""", [ 1,
    2 ],
]
inline = { k = 1, "l.m" = [ 'x' ] }
[table."sub.table"]
'single' = '''multi
line'''
last = 2024-01-01T00:00:00Z
escaped = "a \\" # no comment \\\\"
quotes = """x"""""
ends = '''y'''''
behind = 1
[[array]]
in_array = true
`
	var report Report
	if Parse("x.toml", []byte(text), &report) == nil {
		t.Fatal(report.Problems())
	}
	got := places(text)
	for key, line := range map[string]int{
		"name": 2, `"quoted key"`: 3, "a": 4, "a.b": 4, "a.b.c": 4, "table": 6, "table.list": 7, "table.list[0]": 7, "table.list[1]": 8, "table.list[2]": 9,
		"table.list[3]": 10, "table.list[3][1]": 11, "table.inline": 13, "table.inline.k": 13, `table.inline."l.m"`: 13, `table.inline."l.m"[0]`: 13,
		`table."sub.table"`: 14, `table."sub.table".single`: 15, `table."sub.table".last`: 17, `table."sub.table".escaped`: 18, `table."sub.table".quotes`: 19, `table."sub.table".ends`: 20,
		`table."sub.table".behind`: 21, "array": 22, "array.in_array": 23,
	} {
		if got[key] != line {
			t.Errorf("%s: line %d, want %d", key, got[key], line)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "300": "300", "1h": "3600", "1h30m": "5400", "2d": "172800", "1w": "604800", "1W2D": "777600", "90s": "90",
		"2147483647": "2147483647", "2147483647s": "2147483647", "3550w5d3h14m7s": "2147483647", "3550w5d3h14m8s": "longer than", "2147483648": "longer than", "99999999999w": "longer than", "4000w": "longer than",
		"": "not a time", "h": "not a time", "1x": "not a time", "-1": "not a time", "1h30": "not a time", "1.5h": "not a time", "1 h": "not a time",
	} {
		n, err := ParseSeconds(text)
		got := fmt.Sprint(n)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestAProblemIsASentence(t *testing.T) {
	p := Problem{File: "zones/example.com.toml", Line: 14, Key: "trap.addresses[1]", Text: "192.0.2.256", Reason: "not an IP address or prefix"}
	if got, want := p.String(), `zones/example.com.toml:14: trap.addresses[1]: "192.0.2.256": not an IP address or prefix`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestProblemsAreSortedAndNoneTwice(t *testing.T) {
	var r Report
	r.Add(Problem{File: "b"}, Problem{File: "a", Line: 2}, Problem{File: "a", Line: 1, Warning: true}, Problem{File: "b"})
	if got := fmt.Sprint(r.Problems()); got != "[warning: a:1:  a:2:  b: ]" {
		t.Error(got)
	}
	if r.Faults() != 3 || r.Warnings() != 1 {
		t.Error(r.Faults(), r.Warnings())
	}
	quiet := Report{Quiet: true}
	quiet.Join(&r)
	quiet.Add(Problem{File: "c", Warning: true})
	if got := fmt.Sprint(quiet.Problems()); got != "[warning: a:1:  a:2:  b: ]" || quiet.Warnings() != 2 || quiet.Faults() != 3 {
		t.Error(got, quiet.Warnings(), quiet.Faults())
	}
}

func TestAListOfOtherThingsThanStrings(t *testing.T) {
	var report Report
	table := Parse("x.toml", []byte("a = [\"one\", 2,\n [3], {k = 4}]\nb = [[1]]\n"), &report)
	if got := table.Strings("a"); len(got) != 1 || got[0].Text != "one" {
		t.Error(got)
	}
	want := `[x.toml:1: a[1]: "2": a whole number where a string is wanted x.toml:2: a[2]: a list where a string is wanted x.toml:2: a[3]: a table where a string is wanted]`
	if got := fmt.Sprint(report.Problems()); got != want {
		t.Error(got)
	}
}

// FuzzTOML: whatever the library takes for TOML has places for all of its keys, and scanning it ends; what is read without the
// library is what the library reads.
func FuzzTOML(f *testing.F) {
	f.Add("a = 1\n[b]\nc.'d' = [1, {x = \"\\\"\"}]\n")
	f.Add("a = \"\"\"x\"\"\"\"\"\n'' = \n[ a . b ]\r\n")
	f.Add("name = \"example.com\" # a zone\n[records]\n\"@\" = [\"NS ns1\", # first\n 'TXT \"x\"',\n]\n[trap]\ncount = 20\ncover = true\n[trap.covers]\n")
	f.Add("a = 0x1\nb = 1_0\nc = -1\nd = 00\ne = 1.5\nf = 1979-05-27\ng = \"\"\nh = 12:00:00\ni = falsex\n")
	f.Fuzz(func(t *testing.T, text string) {
		values := map[string]any{}
		meta, err := toml.Decode(text, &values)
		simple := readSimple("", text, &Report{})
		if err != nil {
			if simple != nil {
				t.Fatalf("%q is read without the library, which says: %v", text, err)
			}
			return
		}
		whole := readWhole("", text, &Report{})
		if simple != nil && !reflect.DeepEqual(plain(simple), plain(whole)) {
			t.Errorf("%q is read as %v, by the library as %v", text, plain(simple), plain(whole))
		}
		lines := places(text)
		for _, key := range meta.Keys() {
			if lines[key.String()] == 0 && !strings.Contains(text, "[[") {
				t.Errorf("no place for %q in %q", key, text)
			}
		}
	})
}

// plain is a table with its lines, for comparison.
func plain(t *Table) any {
	out := map[string]any{"": t.line}
	for _, e := range t.entries {
		value := e.any()
		switch v := value.(type) {
		case *Table:
			value = plain(v)
		case *list:
			items := slices.Clone(v.items)
			for i := range items {
				if items[i].table != t {
					panic("an item of another table")
				}
				items[i].table = nil
			}
			value = items
		}
		out[t.whole(e.key)] = []any{e.line, value}
	}
	return out
}

func TestWhatZoneFilesAreMadeOfNeedsNoLibrary(t *testing.T) {
	for text, want := range map[string]bool{
		"name = \"example.com\"\n\n# text\n[records]\n\"@\" = [ \"NS ns1\", 'TXT \"x\"', # end\n]\n[trap]\ncount = 3\ncover = true\n[trap.covers]\nx = []": true,
		"a = \"\\n\"": false, "a.b = 1": false, "[[a]]": false, "a = 1.5": false, "a = 1\na = 2": false, "[a]\n[a]": false, "a = [1]": false, "a": false, "a = ": false, "a = 1 b": false,
	} {
		if got := readSimple("", text, &Report{}) != nil; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestDepthIsBounded: the library would need minutes and gigabytes for these, or end the process.
func TestDepthIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"open brackets": "a = 1\nb = " + strings.Repeat("[", 6<<20), "brackets": "b = " + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"tables": "b = " + strings.Repeat("{a=", 10_000), "keys": strings.Repeat("a.", 10_000) + "a = 1", "headers": "[" + strings.Repeat("a.", 10_000) + "a]", "quoted keys": strings.Repeat("'a'.", 10_000) + "a = 1",
	} {
		var report Report
		if Parse("f.toml", []byte(text), &report) != nil || report.Faults() != 1 || !strings.Contains(report.Problems()[0].Reason, "deep") || report.Problems()[0].Line == 0 {
			t.Errorf("%s: %v", name, report.Problems())
		}
	}
	var report Report
	if Parse("f.toml", []byte("a = [[[\"...........\", 1.5]]] # [[[[[[[[[[\n[b.c.d]\n = 1\n"), &report); report.Faults() > 1 {
		t.Error(report.Problems())
	}
}

func TestFaultsAreKeptHoweverManyWarningsStandBeforeThem(t *testing.T) {
	var r Report
	for range 3 * maxKept {
		r.Warn(func() Problem { return Problem{File: "a", Reason: "doubtful"} })
	}
	for i := range maxKept + 2 {
		r.Add(Problem{File: "b", Line: i, Reason: "wrong"})
	}
	all := r.Problems()
	if r.Faults() != maxKept+2 || r.Warnings() != 3*maxKept || len(all) != 1+maxKept+1 || all[1].Reason != "wrong" {
		t.Errorf("%d faults, %d warnings, %d problems", r.Faults(), r.Warnings(), len(all))
	}
	if got, want := all[len(all)-1].String(), "2002 more problems, of files with more than 1000"; got != want {
		t.Error(got)
	}
}

func TestAFileOfMoreValuesThanMemoryHasRoomForIsRefused(t *testing.T) {
	var r Report
	if Parse("z.toml", []byte("a = ["+strings.Repeat(`"",`, maxValues+1)+"]\n"), &r) != nil || r.Faults() != 1 {
		t.Error(r.Problems())
	}
}

func TestTooManyOpenFilesAreTheFaultOfNone(t *testing.T) {
	_, err := os.ReadFile(filepath.Join(t.TempDir(), "not there"))
	if got := Plain(err).Error(); got != "no such file or directory" {
		t.Error(got)
	}
	if got := Plain(&fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}).Error(); !strings.Contains(got, "LimitNOFILE") || strings.Contains(got, "open x") {
		t.Error(got)
	}
}

func TestListsTablesAndDotsStandEightDeepAndNoDeeper(t *testing.T) {
	for _, text := range []string{"\na = %s1%s", "\n[[x]]\na = %s1%s"} {
		for depth, want := range map[int]int{8: 0, 9: strings.Count(text, "\n") + 1} {
			if line := tooDeep(fmt.Sprintf(text, strings.Repeat("[", depth), strings.Repeat("]", depth))); line != want {
				t.Errorf("%q %d deep: line %d, want %d", text, depth, line, want)
			}
		}
	}
	for dots, want := range map[int]int{8: 0, 9: 1} {
		if line := tooDeep(strings.Repeat("a.", dots) + "b = 1"); line != want {
			t.Errorf("%d dots: line %d, want %d", dots, line, want)
		}
	}
}

func TestElementsBehindListsAndTablesHaveTheirOwnLines(t *testing.T) {
	lines := places("a = [[1], [2],\n[3],\n4]\nb = [{c = 1},\n{d = 2}]\ne = 1\n")
	for key, want := range map[string]int{"a[0]": 1, "a[1]": 1, "a[2]": 2, "a[3]": 3, "b[0]": 4, "b[1]": 5, "e": 6} {
		if lines[key] != want {
			t.Errorf("%s: line %d, want %d", key, lines[key], want)
		}
	}
}

func TestQuotesInsideAStringDoNotEndIt(t *testing.T) {
	for text, want := range map[string]int{
		"a = \"\"\"x\\\"\"\"\ny\"\"\"\nb = 1\n": 3, // the quote behind the backslash is a part of it
		"a = '''x\\'''\nb = '''\n'''\nc = 1\n":  2, // in a literal string a backslash is one character
		"a = \"\"\"x\"\"\"\"\nb = \"y\"\n":      2, // a quote before the closing three
		"a = '''x'''''\nb = 'y'\n":              2, // two of them
	} {
		if lines := places(text); lines["b"] != want {
			t.Errorf("%q: b stands in line %d, want %d", text, lines["b"], want)
		}
	}
	if lines := places("a = [\"\"\"x\"\"\"\", \"y\",\n\"z\"]\nb = 1\n"); lines["a[1]"] != 1 || lines["a[2]"] != 2 || lines["b"] != 3 {
		t.Errorf("elements behind such a string: %v", lines)
	}
}

func TestProblemsThatWereNotKeptAreCountedOverAllReports(t *testing.T) {
	var all, part Report
	for i := range maxKept + 2 {
		all.Add(Problem{Line: i})
		part.Add(Problem{Line: i})
	}
	all.Join(&part)
	if got := all.Problems(); !strings.HasPrefix(got[len(got)-1].Reason, "4 more problems") {
		t.Errorf("%v", got[len(got)-1])
	}
}
