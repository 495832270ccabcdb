package conf

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestWhatGettersReturnAndReport has a file, what is asked of it, what comes out (">" and the value), and then what is reported.
func TestWhatGettersReturnAndReport(t *testing.T) {
	text := func(key string) func(*Table) any {
		return func(t *Table) any { v := "default"; t.String(key, &v); return v }
	}
	number := func(key string) func(*Table) any {
		return func(t *Table) any { v := int64(-7); t.Int(key, 2, 5, &v); return v }
	}
	seconds := func(key string) func(*Table) any {
		return func(t *Table) any { v := uint32(9); t.Seconds(key, &v); return v }
	}
	truth := func(key string) func(*Table) any { return func(t *Table) any { v := true; t.Bool(key, &v); return v } }
	for name, c := range map[string]struct {
		toml string
		ask  func(t *Table) any
		want string
	}{
		"a string":                     {`a = "x"`, text("a"), "> x"},
		"no string":                    {`b = "x"`, text("a"), "> default"},
		"a number for a string":        {"\na = 5", text("a"), "> default\nf:2: a: \"5\": a whole number where a string is wanted"},
		"a fraction for a string":      {"a = 1.5", text("a"), "> default\nf:1: a: \"1.5\": a fraction where a string is wanted"},
		"a truth for a string":         {"a = true", text("a"), "> default\nf:1: a: \"true\": true or false where a string is wanted"},
		"a time for a string":          {"a = 2024-01-01", text("a"), "> default\nf:1: a: a date or time where a string is wanted"},
		"a list for a string":          {"a = []", text("a"), "> default\nf:1: a: a list where a string is wanted"},
		"a table for a string":         {"[a]", text("a"), "> default\nf:1: a: a table where a string is wanted"},
		"the smallest number":          {"a = 2", number("a"), "> 2"},
		"the largest number":           {"a = 5", number("a"), "> 5"},
		"too small a number":           {"a = 1", number("a"), "> -7\nf:1: a: \"1\": must be from 2 to 5"},
		"too large a number":           {"a = 6", number("a"), "> -7\nf:1: a: \"6\": must be from 2 to 5"},
		"no number":                    {"", number("a"), "> -7"},
		"text for a number":            {`a = "3"`, number("a"), "> -7\nf:1: a: \"3\": a string where a whole number is wanted"},
		"false":                        {"a = false", truth("a"), "> false"},
		"text for a truth":             {`a = "no"`, truth("a"), "> true\nf:1: a: \"no\": a string where true or false is wanted"},
		"no seconds":                   {"", seconds("a"), "> 9"},
		"seconds":                      {"a = 0", seconds("a"), "> 0"},
		"the most seconds":             {"a = 2147483647", seconds("a"), "> 2147483647"},
		"too many seconds":             {"a = 2147483648", seconds("a"), "> 9\nf:1: a: \"2147483648\": must be from 0 to 2147483647 seconds"},
		"less than none":               {"a = -1", seconds("a"), "> 9\nf:1: a: \"-1\": must be from 0 to 2147483647 seconds"},
		"seconds as text":              {`a = "1h1m1s"`, seconds("a"), "> 3661"},
		"text that is no time":         {`a = "soon"`, seconds("a"), "> 9\nf:1: a: \"soon\": not a time: write seconds, or numbers with s, m, h, d, w, such as \"1h30m\""},
		"a truth for seconds":          {"a = true", seconds("a"), "> 9\nf:1: a: \"true\": true or false where seconds or text such as \"1h30m\" is wanted"},
		"a list of strings":            {"a = [\"x\",\n'y']", func(t *Table) any { return len(t.Strings("a")) }, "> 2"},
		"no list":                      {"", func(t *Table) any { return t.Strings("a") == nil }, "> true"},
		"a string for a list":          {`a = "x"`, func(t *Table) any { return t.Strings("a") == nil }, "> true\nf:1: a: \"x\": a string where a list of strings is wanted"},
		"an element of a list":         {"[t]\na = [\"x\",\n\"y\"]", func(t *Table) any { t.Table("t").Strings("a")[1].Fault("wrong"); return 0 }, "> 0\nf:3: t.a[1]: \"y\": wrong"},
		"the first element of a list":  {"a = [\"x\"]", func(t *Table) any { t.Strings("a")[0].Warn("doubtful"); return 0 }, "> 0\nwarning: f:1: a[0]: \"x\": doubtful"},
		"an element of a second list":  {"a = ['x', 'y']\nb = ['z']", func(t *Table) any { t.Strings("b")[0].Fault("wrong"); return 0 }, "> 0\nf:2: b[0]: \"z\": wrong"},
		"a table":                      {"[t]\na = \"x\"", func(t *Table) any { return text("a")(t.Table("t")) }, "> x"},
		"a table that is not there":    {"[t]", func(t *Table) any { t.Table("t").Table("u").Fault("a", "", "wrong"); return 0 }, "> 0\nf:1: t.u.a: wrong"},
		"a string for a table":         {"\nt = \"x\"", func(t *Table) any { t.Table("t").Fault("a", "", "wrong"); return 0 }, "> 0\nf:2: t: \"x\": a string where a table is wanted\nf:2: t.a: wrong"},
		"what is there":                {"a = 1", func(t *Table) any { return fmt.Sprint(t.Has("a"), t.Has("b")) }, "> true false"},
		"which keys there are":         {"b = 1\n\"a.c\" = 2\n[d]", func(t *Table) any { return fmt.Sprint(t.Keys()) }, "> [b a.c d]"},
		"what is a table":              {"a = 1\n[b]", func(t *Table) any { return fmt.Sprint(t.IsTable("a"), t.IsTable("b"), t.IsTable("c")) }, "> false true false"},
		"a key with dots, unquoted":    {"a.b.c = 1", func(t *Table) any { return t.Quoted("a") }, `> "a.b.c"`},
		"a key above two, unquoted":    {"a.b = 1\na.c = 1", func(t *Table) any { return t.Quoted("a") }, `> "a"`},
		"a key that is unknown":        {"\na = 1\nbc = 2", func(t *Table) any { t.Has("bd"); t.Known("a"); t.Close(); return 0 }, "> 0\nf:3: bc: unknown key"},
		"a letter too many":            {"countt = 1", func(t *Table) any { number("count")(t); t.Close(); return 0 }, "> 0\nf:1: countt: unknown key: did you mean count?"},
		"a letter that is missing":     {"cont = 1", func(t *Table) any { number("count")(t); t.Close(); return 0 }, "> 0\nf:1: cont: unknown key: did you mean count?"},
		"the last letter is missing":   {"coun = 1", func(t *Table) any { number("count")(t); t.Close(); return 0 }, "> 0\nf:1: coun: unknown key: did you mean count?"},
		"another letter":               {"cownt = 1", func(t *Table) any { number("count")(t); t.Close(); return 0 }, "> 0\nf:1: cownt: unknown key: did you mean count?"},
		"another last letter":          {"couns = 1", func(t *Table) any { number("count")(t); t.Close(); return 0 }, "> 0\nf:1: couns: unknown key: did you mean count?"},
		"letters that changed places":  {"conut = 1", func(t *Table) any { number("count")(t); t.Close(); return 0 }, "> 0\nf:1: conut: unknown key: did you mean count?"},
		"the last two changed places":  {"coutn = 1", func(t *Table) any { number("count")(t); t.Close(); return 0 }, "> 0\nf:1: coutn: unknown key: did you mean count?"},
		"two other letters":            {"comnd = 1", func(t *Table) any { number("count")(t); t.Close(); return 0 }, "> 0\nf:1: comnd: unknown key"},
		"two letters too many":         {"countts = 1", func(t *Table) any { number("count")(t); t.Close(); return 0 }, "> 0\nf:1: countts: unknown key"},
		"three letters, one of them":   {"atx = 1", func(t *Table) any { number("at")(t); t.Close(); return 0 }, "> 0\nf:1: atx: unknown key: did you mean at?"},
		"two letters":                  {"ab = 1", func(t *Table) any { number("ac")(t); t.Close(); return 0 }, "> 0\nf:1: ab: unknown key"},
		"a key of the table above":     {"[t]\nfile = 1", func(t *Table) any { text("file")(t); t.Table("t").Close(); return 0 }, "> 0\nf:2: t.file: unknown key: it belongs above [t]"},
		"a key of the second above":    {"[t.u]\nfile = 1", func(t *Table) any { text("file")(t); t.Table("t").Table("u").Close(); return 0 }, "> 0\nf:2: t.u.file: unknown key: it belongs above [t.u]"},
		"a word of another table":      {"[t]\nfilee = 1", func(t *Table) any { text("file")(t); t.Table("t").Close(); return 0 }, "> 0\nf:2: t.filee: unknown key"},
		"a problem that is told later": {"a = 1", func(t *Table) any { return t.Problem("a", "x", "wrong").Error() }, "> f:1: a: \"x\": wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			var report Report
			table := Parse("f", []byte(c.toml), &report)
			if table == nil {
				t.Fatal(report.Problems())
			}
			got := fmt.Sprint("> ", c.ask(table))
			for _, p := range report.Problems() {
				got += "\n" + p.String()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestKeysAreFoundHoweverManyThereAre: up to sixteen are looked through, more have an index, which grows with the table.
func TestKeysAreFoundHoweverManyThereAre(t *testing.T) {
	for _, n := range []int{1, 16, 17, 18, 100} {
		text := "# many\n"
		for i := range n {
			text += fmt.Sprintf("k%d = %d\n", i, i)
		}
		var report Report
		table := Parse("f", []byte(text), &report)
		for i := range n {
			var v int64
			if table.Int(fmt.Sprint("k", i), 0, 1000, &v); v != int64(i) {
				t.Errorf("of %d: k%d is %d", n, i, v)
			}
		}
		if table.Has(fmt.Sprint("k", n)) {
			t.Errorf("of %d: one that is not there is found", n)
		}
		if table.Close(); report.Faults() > 0 {
			t.Error(report.Problems())
		}
	}
	if Parse("f", []byte(strings.Repeat("a = 1\n", 2)), &Report{}) != nil {
		t.Error("a key that stands there twice is taken")
	}
}

// TestOnlySoManyKeysAreRememberedForSuggestions: forty, which no file of ours has.
func TestOnlySoManyKeysAreRememberedForSuggestions(t *testing.T) {
	for wanted, suggested := range map[int]bool{39: true, 40: false} {
		var report Report
		table := Parse("f", []byte("countt = 1"), &report)
		for i := range wanted {
			table.Has(fmt.Sprint("some other key ", i))
		}
		table.Has("count")
		if table.Close(); strings.Contains(report.Problems()[0].Reason, "did you mean") != suggested {
			t.Errorf("behind %d others: %v", wanted, report.Problems())
		}
	}
}

func TestATextThatIsNoTOMLIsToldByItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"a = 1\nb = \"x\n": "f:2: b: a quotation mark is missing: the string does not end in its line", "a = \n": "f:1: a: expected value but found '\\n' instead", "[t\n": "f:2: expected '.' or ']' to end table name, but got '\\n' instead",
	} {
		var report Report
		if table := Parse("f", []byte(text), &report); table != nil || !strings.HasPrefix(fmt.Sprint(report.Problems()[0]), strings.SplitN(want, " instead", 2)[0]) {
			t.Errorf("%q: %v, want %s", text, report.Problems(), want)
		}
	}
}

func TestAGlimpseOfATextThatNeedNotBeTOML(t *testing.T) {
	for text, want := range map[string]string{
		"name = \"x.test\"": "x.test true", "a = [\n\t name='y.test' # z\n": "y.test true", "name = \"a\nb\"": " false", "names = \"x\"": " false", "": " false", "rename = \"x\"": " false",
	} {
		value, ok := Glimpse([]byte(text), "name")
		if got := fmt.Sprint(value, " ", ok); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestProblemsAreToldByPlace(t *testing.T) {
	for want, p := range map[string]Problem{
		"why": {Reason: "why"}, "f: why": {File: "f", Reason: "why"}, "f:7: why": {File: "f", Line: 7, Reason: "why"}, "warning: f: k: why": {File: "f", Key: "k", Reason: "why", Warning: true},
		`k: "t": why`: {Key: "k", Text: "t", Reason: "why", Line: 7},
	} {
		if p.String() != want || p.Error() != want {
			t.Errorf("%s, want %s", p, want)
		}
		if !p.AsWarning().Warning {
			t.Error("no warning")
		}
	}
	var r Report
	r.Add(Problem{File: "a", Key: "y"}, Problem{File: "a", Key: "x"})
	r.Warn(func() Problem { return Problem{File: "b", Warning: true} })
	if doubtful := r.Doubtful(); doubtful.Faults() != 0 || doubtful.Warnings() != 3 || fmt.Sprint(doubtful.Problems()) != "[warning: a: x:  warning: a: y:  warning: b: ]" || !doubtful.Keeps() {
		t.Error(doubtful.Problems())
	}
	if (&Report{}).Keeps() {
		t.Error("an empty report keeps a problem")
	}
	quiet := Report{Quiet: true}
	quiet.Warn(func() Problem { panic("it is put in words") })
	if quiet.Keeps() || quiet.Warnings() != 1 {
		t.Error(quiet.Problems())
	}
	if err := errors.New("plain"); Plain(err) != err {
		t.Error("another error than before")
	}
}

// TestMemoryThatWasReleasedHasTheNextFile: of files of all sizes, each is read as it is written.
func TestMemoryThatWasReleasedHasTheNextFile(t *testing.T) {
	file := func(n int) string {
		text := fmt.Sprintf("n = %d\n", n)
		for i := range n {
			text += fmt.Sprintf("[t%d]\nlist = [\"%d\", \"x\"]\nk = \"%d\"\n", i, n-i, i)
		}
		return text
	}
	for range 3 {
		for _, n := range []int{0, 1, 7, 8, 9, 40, 600, 2} {
			var report Report
			table := Parse("f", []byte(file(n)), &report)
			for i := range n {
				one, k := table.Table(fmt.Sprint("t", i)), ""
				one.String("k", &k)
				if items := one.Strings("list"); k != fmt.Sprint(i) || len(items) != 2 || items[0].Text != fmt.Sprint(n-i) || items[1].Problem("").Line != 3*i+3 {
					t.Fatalf("%d tables: the one of %d has %s and %v", n, i, k, items)
				}
			}
			if report.Faults() > 0 {
				t.Fatal(report.Problems())
			}
			table.Release()
		}
	}
	whole := Parse("f", []byte("a = 1.5\n"), &Report{})
	whole.Release() // was read by the library, and has no memory of ours
	if !whole.Has("a") {
		t.Error("it is gone")
	}
}

// TestSimpleTextIsReadAsTheLibraryReadsIt, at the borders of what is simple.
func TestSimpleTextIsReadAsTheLibraryReadsIt(t *testing.T) {
	for text, simple := range map[string]bool{
		"a=1": true, "a = 0": true, "a = 10": true, "a = 9223372036854775807": true, "a = 9223372036854775808": false, "a = 01": false, "a = 1_0": false, "a = 1:0": false, "a = 1+0": false,
		"a = 0b1": false, "a = true#": true, "a = falsehood": false, "a = tru": false, "a = \"x": false, "a = 'x": false, "a = \"\"": true, "a = ''": true, "a = \"\"\"x\"\"\"": false,
		"a = '\\'": true, "a = \"\\\\\"": false, "a = \"\t\"": true, "a = \"\x01\"": false, "a = '\x7f'": false, "a = \"\x7f\"": false, "a = \" ~\"": true, "a = \"\x1f\"": false,
		"# \t ~": true, "# \x01": false, "# \x7f": false, "a = []": true, "a = ['x',]": true, "a = ['x',,]": false, "a = [,]": false, "a = ['x' 'y']": false, "a = ['x'": false, "a = ['x',": false, "a = [": false,
		"a = [#\n'x'#\n,#\n'y'\n]": true, "a = [1]": false, "a = ['x', 1]": false, "a = ['\x01']": false, "[a]\nb = 1\n[c]\n[c.d]\ne = 'x'": true, "[ a ]": true, "[a . b]": false, "[a]\n[a . b]": true, "[a]\n[a.b.c]": false,
		"a = 1\n[a]": false, "a = 1\n[a.b]": false, "[a": false, "[": false, "[]": false, "[a]]": false, "[a] b": false, "[a.]": false, "[\"a b\"]\n'c d' = 1": true, "aZz0-_9A = 1": true, "a = \"\" # x": true, "a = [\"\", \"x\"]": true, "é = 1": false, "= 1": false,
		"a 1": false, "a": false, "a =": false, "a = \n1": false, "a = 1 # c\n\n\t b = 2": true, "a = 1\r\n": false, "a = 1,": false, "a = [] b": false, "a = 1\nA = 2": true, "\xff": false,
	} {
		got := readSimple("", text, &Report{})
		if (got != nil) != simple {
			t.Errorf("%q: simple %v, want %v", text, got != nil, simple)
		}
		if got == nil {
			continue
		}
		if whole := readWhole("", text, &Report{}); whole == nil || !reflect.DeepEqual(plain(got), plain(whole)) {
			t.Errorf("%q is read as %v, by the library as %v", text, plain(got), whole)
		}
	}
}
