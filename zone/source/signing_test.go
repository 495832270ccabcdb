package source

import (
	"testing"

	"mxtrap/zone/conf"
)

func TestWhichZonesAreSigned(t *testing.T) {
	const (
		plain   = "[records]\n\"@\" = [\"NS ns1.example.org.\"]\n"
		primary = "[primary]\naddress = [\"192.0.2.1\"]\n"
		catalog = primary + "[catalog]\ntemplate = \"t.toml\"\n"
	)
	for text, want := range map[string][2]bool{ // where the server file says no, and where it says yes
		plain:                                  {false, true},
		"dnssec = true\n" + plain:              {true, true},
		"dnssec = false\n" + plain:             {false, false},
		"dnssec = { nsec3 = true }\n" + plain:  {true, true},
		"dnssec = { nsec3 = false }\n" + plain: {true, true},
		primary:                                {false, true},
		catalog:                                {false, false}, // is for other servers alone
		"dnssec = true\n" + catalog:            {true, true},
	} {
		var report conf.Report
		s := Parse("zone.toml", []byte("name = \"example.com\"\n"+text), &report)
		if s == nil {
			t.Errorf("%q: %v", text, report.Problems())
			continue
		}
		if got := [2]bool{s.Signed(false), s.Signed(true)}; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
