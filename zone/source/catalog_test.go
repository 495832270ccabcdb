package source

import (
	"slices"
	"strings"
	"testing"

	"mxtrap/zone/conf"
	"mxtrap/zone/rr"
)

func TestACatalogListsWhatItWasMadeOf(t *testing.T) {
	want := []string{"example.com", "example.org", "xn--bcher-kva.example"}
	s, err := NewCatalog("catalog.test", want, 7)
	if err != nil {
		t.Fatal(err)
	}
	var report conf.Report
	z := s.Compile(nil, &report)
	if z == nil || report.Faults() > 0 {
		t.Fatal(report.Problems())
	}
	if z.Serial() != 7 {
		t.Error(z.Serial())
	}
	got, _, err := s.Members()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	again, _ := NewCatalog("catalog.test", want[:2], 7)
	if printed(t, again.Compile(nil, &report)) == printed(t, z) || !strings.Contains(printed(t, z), "version.catalog.test.\t3600\tIN\tTXT\t\"2\"") {
		t.Error(printed(t, z))
	}
}

func TestABrokenCatalogIsNotHeeded(t *testing.T) {
	const head = "@ 3600 SOA invalid. invalid. 1 3600 600 86400 0\n@ 3600 NS invalid.\n"
	for _, c := range []struct{ name, text, want, err, table string }{
		{"members, and properties that we do not know", head + "version 0 TXT \"2\"\na.zones 0 PTR Example.COM.\ngroup.a.zones 0 TXT x\nb.zones 0 PTR example.org.\n", "example.com example.org", "", ""},
		{"no members", head + "version 0 TXT \"2\"\n", "", "", ""},
		{"no version", head + "a.zones 0 PTR example.com.\n", "", "exactly one version", ""},
		{"two versions", head + "version 0 TXT \"2\"\nversion 0 TXT \"3\"\n", "", "its version is not 2", ""},
		{"another version", head + "version 0 TXT \"1\"\n", "", "its version is not 2", ""},
		{"two zones at one node", head + "version 0 TXT \"2\"\na.zones 0 PTR example.com.\na.zones 0 PTR example.org.\n", "", "two PTR records", ""},
		{"a zone twice", head + "version 0 TXT \"2\"\na.zones 0 PTR example.com.\nb.zones 0 PTR example.com.\n", "", "twice", ""},
		{"the root, and a top level domain, are passed over", head + "version 0 TXT \"2\"\na.zones 0 PTR .\nb.zones 0 PTR com.\nc.zones 0 PTR example.com.\n", "example.com; . com.", "", ""},
		{"a top level domain that is named", head + "version 0 TXT \"2\"\nb.zones 0 PTR com.\nc.zones 0 PTR example.org.\n", "com; example.org.", "", `names = ["com"]`},
		{"names below which they lie", head + "version 0 TXT \"2\"\na.zones 0 PTR example.net.\nb.zones 0 PTR a.example.net.\nc.zones 0 PTR badexample.net.\n", "a.example.net example.net; badexample.net.", "", `names = ["example.net"]`},
		{"as many as there may be", head + "version 0 TXT \"2\"\na.zones 0 PTR a.test.\nb.zones 0 PTR b.test.\n", "a.test b.test", "", "most = 2"},
		{"one more", head + "version 0 TXT \"2\"\na.zones 0 PTR a.test.\nb.zones 0 PTR b.test.\nc.zones 0 PTR c.test.\n", "", "lists 3 zones", "most = 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var report conf.Report
			var records []rr.Record
			reader := rr.Reader{
				Apex: "\x07catalog\x04test\x00", Record: func(r rr.Record, _ rr.Place) { records = append(records, r) },
				Fault: func(_ rr.Place, text, reason string) bool { t.Fatal(text, reason); return true },
			}
			reader.Read("copy", c.text)
			s := Parse("catalog.toml", []byte("name = \"catalog.test\"\n[primary]\naddress = [\"192.0.2.1\"]\n[catalog]\ntemplate = \"member.toml\"\n"+c.table), &report)
			if s == nil {
				t.Fatal(report.Problems())
			}
			s.TakeCopy(records)
			members, refused, err := s.Members()
			got := strings.TrimSuffix(strings.Join(members, " ")+"; "+strings.Join(refused, " "), "; ")
			if got != c.want || (c.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestSecondaryZoneFiles(t *testing.T) {
	const primary = "name = \"example.com\"\n[primary]\naddress = [\"192.0.2.1\"]\n"
	for _, c := range []struct{ name, text, want string }{
		{"a primary and a trap", primary + "[trap]\n", ""},
		{"records too", primary + "[records]\nmail = [\"A 192.0.2.1\"]\n", "records: comes from the primary: leave it out"},
		{"no address", "name = \"example.com\"\n[primary]\n", "primary.address: name the primary"},
		{"a catalog without a primary", "name = \"example.com\"\n[catalog]\ntemplate = \"m.toml\"\n", "catalog.produce"},
		{"a catalog without a template", primary + "[catalog]\n", "catalog.template: name the zone file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var report conf.Report
			s := Parse("z.toml", []byte(c.text), &report)
			got := ""
			for _, p := range report.Problems() {
				got += p.String() + "\n"
			}
			if (s == nil) != (c.want != "") || (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	var report conf.Report
	if ParseMember("m.toml", []byte(primary), Files{}, "example.org", &report) != nil {
		t.Error("a template with a name")
	}
}
