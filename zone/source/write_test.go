package source

import (
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
	"mxtrap/zone/sign"
)

// TestADraftBecomesAFileWithTheSameRecords of every type, and of names that need quotes.
func TestADraftBecomesAFileWithTheSameRecords(t *testing.T) {
	records := []string{
		"@ 3600 SOA ns1 hostmaster 7 2 3 4 5", "@ 60 NS ns1", "@ 60 MX 10 @", "@ 60 MX 20 mail.elsewhere.test.", `a\.b.c 60 A 192.0.2.1`, `*.x 60 TXT "it's"`, `quote\" 7 TXT "\"" "\\" "\195\188" "\000"`,
	}
	for i, text := range allTypes {
		typ, _, _ := strings.Cut(text, " ")
		if r, err := rr.ParseRecord(text, string(exampleCom), 60); err == nil && !sign.Made(r.Type) && r.Type != dns.TypeSOA && r.Type != dns.TypeDNAME && r.Type != dns.TypeNS {
			records = append(records, "t"+strings.ToLower(typ)+string(rune('a'+i%26))+" 60 "+text)
		}
	}
	d := &Draft{Apex: exampleCom, Note: func(dname.Name) string { return "a comment" }}
	for _, text := range records {
		owner, rest, _ := strings.Cut(text, " ")
		r, err := rr.ParseRecord(rest, string(exampleCom), 0)
		n, wrong := dname.Parse(owner, exampleCom)
		if err != nil || wrong != nil {
			t.Fatal(text, err, wrong)
		}
		r.Owner = string(n)
		d.Records = append(d.Records, r)
	}
	if text, err := d.TOML(); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	// What signing adds is left out, and what no file has is told.
	signed, _ := rr.ParseRecord("RRSIG A 13 2 3600 20300101000000 20200101000000 1 example.com. aGVsbG8=", string(exampleCom), 60)
	signed.Owner = string(exampleCom)
	d.Records = append(d.Records, signed)
	if text, err := d.TOML(); err != nil || strings.Contains(text, "RRSIG A") {
		t.Errorf("%v\n%s", err, text)
	}
	alias, _ := rr.ParseRecord("CNAME mail", string(exampleCom), 60)
	alias.Owner = string(exampleCom)
	d.Records = append(d.Records, alias)
	if _, err := d.TOML(); err == nil || !strings.Contains(err.Error(), "a CNAME record beside") {
		t.Error(err)
	}
}

// FuzzDraft: a zone that can be served is written as one that serves the same.
func FuzzDraft(f *testing.F) {
	f.Add("@ 60 NS ns1\n@ 60 MX 10 mail\nmail 7 A 192.0.2.25\n")
	f.Add("@ NS @\n\\195\\188\\\" 5 TXT \"'\\\"\"\n* CNAME @\n")
	f.Fuzz(func(t *testing.T, text string) {
		var d = Draft{Apex: exampleCom}
		reader := rr.Reader{Apex: string(exampleCom), TTL: 60, Most: 100, Record: func(r rr.Record, _ rr.Place) {
			if dname.Name(r.Owner).Within(exampleCom) {
				d.Records = append(d.Records, r)
			}
		}, Fault: func(rr.Place, string, string) bool { return false }, Open: func(string) (string, error) { return "", errors.New("none") }}
		reader.Read("z", text)
		_, err := d.TOML()
		if err == nil {
			return
		}
		// Whoever serves the records from a master file is told the same.
		var report conf.Report
		z := Parse("z", []byte("name = \"example.com\"\n"), &report)
		for _, r := range d.Records {
			z.records = append(z.records, content.Record{Owner: dname.Name(r.Owner), Typ: r.Type, Ttl: r.TTL, Data: r.Data})
		}
		if z.Compile(nil, &report) != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
