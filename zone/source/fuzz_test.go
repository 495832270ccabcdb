package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"mxtrap/zone"
	"mxtrap/zone/conf"
)

// FuzzZone loads zone files: none may crash the loading, and what is accepted is printed, loads again, and prints the same.
func FuzzZone(f *testing.F) {
	cases, err := filepath.Glob("../trap/testdata/*/*.txtar")
	if err != nil || len(cases) == 0 {
		f.Fatal("no zones to begin with", err)
	}
	for _, path := range cases {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(archive.Files[0].Data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file") {
			return // would reach for files of this machine
		}
		var report conf.Report
		s := Parse("fuzz.toml", []byte(text), &report)
		if s == nil {
			if report.Faults() == 0 {
				t.Fatal("refused without a reason")
			}
			return
		}
		z := s.Compile(nil, &report)
		if z == nil {
			if report.Faults() == 0 {
				t.Fatal("refused without a reason")
			}
			return
		}
		loadsBack(t, z)
	})
}

// FuzzMaster loads master files.
func FuzzMaster(f *testing.F) {
	f.Add("$TTL 1h\n@ SOA ns1 host 1 2 3 4 5\n NS ns1\nns1 A 192.0.2.1\n$ORIGIN sub\n* MX 10 @\n")
	f.Add("@ 60 SOA a b 1 2 3 4 5\n@ NS a\n$GENERATE 1-3 h$ A 192.0.2.$\n$INCLUDE x\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "$GENERATE") && len(text) > 200 {
			return // many steps take their time, by design
		}
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "m.zone"), []byte(text), 0o644)
		toml := "name = \"example.com\"\nfile = \"m.zone\"\n[soa]\nserial = 1\n"
		var report conf.Report
		s := Parse(filepath.Join(dir, "zone.toml"), []byte(toml), &report)
		if s == nil {
			if report.Faults() == 0 {
				t.Fatal("refused without a reason")
			}
			return
		}
		if z := s.Compile(nil, &report); z != nil {
			loadsBack(t, z)
		} else if report.Faults() == 0 {
			t.Fatal("refused without a reason")
		}
	})
}

// loadsBack prints a zone, loads that, and wants the same again.
func loadsBack(t *testing.T, z *zone.Zone) {
	t.Helper()
	text := printed(t, z)
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "m.zone"), []byte(text), 0o644)
	back, problems := loadFileText(filepath.Join(dir, "zone.toml"), "name = "+quote(strings.TrimSuffix(z.Name(), ".")+".")+"\nfile = \"m.zone\"\n")
	if back == nil {
		t.Fatalf("%s\ndoes not load back: %s", text, problems)
	}
	if got := stripComments(printed(t, back)); got != stripComments(text) {
		t.Fatalf("printed\n%s\nloads back as\n%s", text, got)
	}
}

func loadFileText(path, text string) (*zone.Zone, string) {
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		panic(err)
	}
	return loadFile(path, nil)
}

// quote writes a TOML string.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// stripComments takes the trap's notes off, which stand behind a tab.
func stripComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, ";") {
			continue
		}
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), "\t; ")
		b.WriteString(line + "\n")
	}
	return b.String()
}
