package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/sign"
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

// TestWhatCannotBeSignedIsRefused, for a validator would take it for forged.
func TestWhatCannotBeSignedIsRefused(t *testing.T) {
	label := strings.Repeat("l", 63) + "."
	const nsec3 = "dnssec = { nsec3 = true }\n"
	zone := func(name, more string) string { return fmt.Sprintf("name = %q\n%s", name, more) }
	const records = "[records]\n\"@\" = [\"NS ns.example.net.\"]\n"
	for _, c := range []struct{ name, text, want string }{
		{"the longest name that has room for a hash", zone(label+label+label+strings.Repeat("m", 28)+".", nsec3+records), ""},
		{"a name that has none", zone(label+label+label+strings.Repeat("m", 29)+".", nsec3+records), "no hash fits before it"},
		{"the same without hashes", zone(label+label+label+strings.Repeat("m", 29)+".", records), ""},
		{"name servers of a wildcard", zone("example.com", records+"\"*.x\" = [\"NS ns.example.net.\"]\n"), "cannot be proved in a signed zone"},
		{"what outlives its signatures", zone("example.com", "[soa]\nexpire = 2147483647\n"+records), "are more than a year"},
		{"a TTL that does", zone("example.com", records+"a = [\"2147483647 A 192.0.2.1\"]\n"), "are more than a year"},
	} {
		var report conf.Report
		s := Parse("zone.toml", []byte(c.text), &report)
		if s == nil {
			t.Fatal(c.name, report.Problems())
		}
		k, err := sign.Derive([]byte(strings.Repeat("x", sign.MinSecret)), s.Apex(), dns.ECDSAP256SHA256, 0)
		if err != nil {
			t.Fatal(err)
		}
		s.At(time.Unix(1.8e9, 0))
		s.SignWith(&Signing{Keys: []*sign.Key{k}})
		z := s.Compile(nil, &report)
		if got := fmt.Sprint(report.Problems()); !strings.Contains(got, c.want) || c.want == "" && got != "[]" {
			t.Errorf("%s: %s, want %q", c.name, got, c.want)
		}
		if z != nil && z.Plan().Window.Expiration-z.Plan().Window.Inception >= 1<<31 {
			t.Errorf("%s: the signatures live from %d to %d", c.name, z.Plan().Window.Inception, z.Plan().Window.Expiration)
		}
	}
}

// TestGivenSignaturesFitIntoAMessage with the set that they are of.
func TestGivenSignaturesFitIntoAMessage(t *testing.T) {
	for _, c := range []struct {
		most int
		of   string // whose signatures are many
		want string
	}{
		{10, "ns1 A", ""}, {700, "ns1 A", "its records may have"},
		{10, "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NSEC3", ""}, {700, "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NSEC3", "its records may have"},
	} {
		dir := t.TempDir()
		const rrsig = " 60 RRSIG %s 13 2 60 20991231000000 20261101000000 %d example.com. eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eA==\n"
		text := "@ 60 SOA ns1 h 1 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n@ 60 DNSKEY 257 3 13 eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eA==\n"
		owner, typ, _ := strings.Cut(c.of, " ")
		if typ == "NSEC3" {
			text += "@ 60 NSEC3PARAM 1 0 0 -\n0p9mhaveqvm6t7vbl5lop2u3t2rp3tom 60 NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG\n"
		} else {
			text += "@ 60 NSEC ns1 NS SOA RRSIG NSEC DNSKEY\nns1 60 NSEC @ A RRSIG NSEC\n"
		}
		for _, typ := range []string{"SOA", "DNSKEY"} {
			text += "@" + fmt.Sprintf(rrsig, typ, 1)
		}
		for i := range c.most {
			text += owner + fmt.Sprintf(rrsig, typ, i)
		}
		os.WriteFile(filepath.Join(dir, "z.zone"), []byte(text), 0o600)
		os.WriteFile(filepath.Join(dir, "z.toml"), []byte("name = \"example.com\"\nfile = \"z.zone\"\n"), 0o600)
		var report conf.Report
		s := Load(filepath.Join(dir, "z.toml"), &report)
		if s == nil {
			t.Fatal(report.Problems())
		}
		z := s.Compile(nil, &report)
		if got := fmt.Sprint(report.Problems()); !strings.Contains(got, c.want) || (z != nil) != (c.want == "") {
			t.Errorf("%d signatures of %s: %.200s, want %q", c.most, c.of, got, c.want)
		}
	}
}
