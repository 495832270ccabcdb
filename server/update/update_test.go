package update

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/server/answer"
	"mxtrap/server/peer"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
	"mxtrap/zone/source"
)

const keys = "[keys]\nacme = \"hmac-sha256 mjEdEvhOIbe6YHSm5Fm7TsAIbMSpkr0BGWDrnyrxqDk=\"\ndane = \"hmac-sha256 bjEdEvhOIbe6YHSm5Fm7TsAIbMSpkr0BGWDrnyrxqDk=\"\n"

// configOf reads rules, and what is wrong with them.
func configOf(t testing.TB, rules ...string) (c Config, access peer.Access, problems string) {
	t.Helper()
	var report conf.Report
	table := conf.Parse("mxtrap.toml", []byte(keys+fmt.Sprintf("[update]\nallow = [%s]\n", quoted(rules))), &report)
	access = peer.AccessOf(table.Table("keys"), table.Table("transfer"), nil)
	c = ConfigOf(table.Table("update"), &access)
	for _, p := range report.Problems() {
		problems += p.String() + "\n"
	}
	return c, access, problems
}

func quoted(texts []string) string {
	var list []string
	for _, text := range texts {
		list = append(list, fmt.Sprintf("%q", text))
	}
	return strings.Join(list, ", ")
}

func TestARuleNamesAKeyNamesAndTypes(t *testing.T) {
	for _, c := range []struct{ rule, want string }{
		{"key acme _acme-challenge.* TXT", ""},
		{"key acme _acme-challenge.example.com _acme-challenge.www.example.com. TXT", ""},
		{"key dane _25._tcp.* *._domainkey.* TLSA TXT CNAME", ""},
		{"key acme * A", ""},
		{"acme _acme-challenge.* TXT", "not a rule"},
		{"key acme TXT", "not a rule"},
		{"key acme _acme-challenge.*", "not a rule"},
		{"key acme _acme-challenge.* txt", "not a rule"},
		{"key acme TXT _acme-challenge.*", "not a rule"},
		{"key acme TXT TXT", ""}, // a name that looks like a type
		{"key other _acme-challenge.* TXT", `no key "other"; add it to [keys]`},
		{"key acme a TXT b", `"b" stands behind the types`},
		{"key acme a..b TXT", `"a..b"`},
		{"key acme * MX", "the trap's"},
		{"key acme * SOA", "mxtrap counts the serial number itself"},
		{"key acme * NS", "a delegation may hide"},
		{"key acme * RRSIG", "mxtrap signs by itself"},
		{"key acme * ANY", "no type of records"},
		{"key acme * TYPE65280", "no type of records"},
	} {
		if _, _, got := configOf(t, c.rule); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%q: %q, want %q", c.rule, got, c.want)
		}
	}
}

func TestAPatternStandsForOneLabelOrMore(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"_acme-challenge.*", "_acme-challenge.example.com", true},
		{"_acme-challenge.*", "_Acme-Challenge.a.b.example.com", true},
		{"_acme-challenge.*", "_acme-challenge", false},
		{"_acme-challenge.*", "x._acme-challenge.example.com", false},
		{"*._domainkey.*", "s1._domainkey.example.com", true},
		{"*._domainkey.*", "_domainkey.example.com", false},
		{"*._domainkey.*", "a._domainkey._domainkey.b", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", "a.b.example.com", true},
		{"*.example.com", "a.example.com.example.com", true},
		{"www.example.com", "www.example.com", true},
		{"www.example.com", "www.example.org", false},
		{"*", "a.b", true},
		{"a.*.b.*.c", "a.x.b.y.b.z.c", true},
		{"a.*.b.*.c", "a.b.b.c", false},
		{`a\.b.*`, `a\.b.c`, true},
		{"a.b.*", `a\.b.c`, false},
	} {
		p, err := parsePattern(c.pattern)
		n, _ := dname.Parse(c.name, dname.Root)
		if err != nil || p.matches(n) != c.want {
			t.Errorf("%s of %s: %v, %v", c.name, c.pattern, !c.want, err)
		}
	}
	// A pattern with many stars costs no more than the product of the lengths.
	p, _ := parsePattern(strings.Repeat("*.a.", 60) + "b")
	n, _ := dname.Parse(strings.Repeat("a.", 120)+"c", dname.Root)
	if p.matches(n) {
		t.Error("it matches")
	}
}

// zoneNow is what the zone of these tests has.
var zoneNow = []string{
	`@ 3600 SOA ns hostmaster 1 2 3 4 5`, `@ 3600 NS ns1`, `@ 3600 TXT "v=spf1 -all"`, `_acme-challenge 60 TXT "one"`, `_acme-challenge 60 TXT "two"`, `www 300 A 192.0.2.1`, `alias 300 CNAME www`,
}

const apex = dname.Name("\x07example\x03com\x00")

func record(t testing.TB, text string) rr.Record {
	t.Helper()
	owner, rest, _ := strings.Cut(text, " ")
	r, err := rr.ParseRecord(rest, string(apex), 0)
	if err != nil {
		t.Fatal(text, err)
	}
	n, _ := dname.Parse(owner, apex)
	r.Owner = string(n)
	return r
}

func setsOf(t testing.TB, records []string) (sets []source.RRset) {
	for _, text := range records {
		r := record(t, text)
		i := slices.IndexFunc(sets, func(s source.RRset) bool { return string(s.Owner) == r.Owner && s.Type == r.Type })
		if i < 0 {
			i, sets = len(sets), append(sets, source.RRset{Owner: dname.Name(r.Owner), Type: r.Type})
		}
		sets[i].Records = append(sets[i].Records, r)
	}
	return sets
}

// message makes one with the library, as nsupdate words its lines.
func update(t testing.TB, lines ...string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetUpdate("example.com.")
	parse := func(text string) []dns.RR {
		fields := strings.Fields(text)
		fields[0] = strings.TrimPrefix(fields[0]+".example.com.", "@.")
		r, err := dns.NewRR(strings.Join(fields, " "))
		if err != nil {
			t.Fatal(text, err)
		}
		return []dns.RR{r}
	}
	header := func(text string) []dns.RR {
		fields := strings.Fields(text + " ANY")
		return []dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: strings.TrimPrefix(fields[0]+".example.com.", "@."), Rrtype: dns.StringToType[fields[1]]}}}
	}
	for _, line := range lines {
		verb, rest, _ := strings.Cut(line, ": ")
		switch verb {
		case "add":
			m.Insert(parse(rest))
		case "delete":
			m.Remove(parse(rest))
		case "delete RRset":
			m.RemoveRRset(header(rest))
		case "delete name":
			m.RemoveName(header(rest))
		case "yxdomain":
			m.NameUsed(header(rest))
		case "nxdomain":
			m.NameNotUsed(header(rest))
		case "yxrrset":
			m.RRsetUsed(header(rest))
		case "nxrrset":
			m.RRsetNotUsed(header(rest))
		case "is":
			m.Used(parse(rest))
		default:
			t.Fatal(verb)
		}
	}
	return m
}

// request reads a message as the server does.
func request(t testing.TB, m *dns.Msg, by *peer.Key) (*Request, error) {
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var q answer.Query
	q.Parse(packet)
	if q.Verdict != dns.RcodeSuccess {
		return nil, rcodeError{q.Verdict, errors.New("the packet cannot be read")}
	}
	read, err := readMessage(&q, apex)
	return &Request{message: read, By: by}, err
}

func TestAnUpdateChangesRRsetsAsTheRFCSays(t *testing.T) {
	c, access, problems := configOf(t, "key acme * TXT A AAAA CNAME", "key dane _25._tcp.* TLSA")
	if problems != "" {
		t.Fatal(problems)
	}
	for _, e := range []struct {
		name  string
		lines []string
		want  string // the RRsets that change, or an RCODE
	}{
		{"a record is added to an RRset", []string{`add: _acme-challenge 30 TXT "three"`}, `_acme-challenge 60 TXT "one", "two", "three"`},
		{"a record that is there changes its TTL alone", []string{`add: _acme-challenge 30 TXT "one"`}, `_acme-challenge 30 TXT "one", "two"`},
		{"what is added and deleted again leaves all as it was", []string{`add: _acme-challenge 30 TXT "three"`, `delete: _acme-challenge 0 TXT "three"`}, `_acme-challenge 60 TXT "one", "two"`},
		{"an alias is deleted", []string{`delete RRset: alias CNAME`}, `alias CNAME gone`},
		{"an exchange does not exist", []string{`nxrrset: www MX`, `add: new 30 TXT "x"`}, `new 30 TXT "x"`},
		{"a decoy exists", []string{`nxrrset: mx1 A`, `add: new 30 TXT "x"`}, `YXRRSET`},
		{"the owner of a wildcard", []string{`add: *.www 30 TXT "x"`}, `REFUSED`},
		{"a new name", []string{`add: new 30 TXT "x"`}, `new 30 TXT "x"`},
		{"a record is deleted", []string{`delete: _acme-challenge 0 TXT "one"`}, `_acme-challenge 60 TXT "two"`},
		{"a record that is not there is deleted", []string{`delete: _acme-challenge 0 TXT "none"`}, `_acme-challenge 60 TXT "one", "two"`},
		{"the last record of an RRset is deleted", []string{`delete: www 0 A 192.0.2.1`}, `www A gone`},
		{"an RRset is deleted", []string{`delete RRset: _acme-challenge TXT`}, `_acme-challenge TXT gone`},
		{"a name is deleted", []string{`delete name: _acme-challenge ANY`}, `_acme-challenge TXT gone`},
		{"an RRset is put in the place of another", []string{`delete RRset: _acme-challenge TXT`, `add: _acme-challenge 30 TXT "new"`}, `_acme-challenge 30 TXT "new"`},
		{"what is added and deleted again", []string{`add: new 30 TXT "x"`, `delete: new 0 TXT "x"`}, `new TXT gone`},
		{"an alias takes the place of an alias", []string{`add: alias 60 CNAME ns1.example.com.`}, `alias 60 CNAME ns1.example.com.`},
		{"an alias beside other records is passed over", []string{`add: www 60 CNAME ns1.example.com.`}, ``},
		{"a record beside an alias is passed over", []string{`add: alias 60 A 192.0.2.9`}, ``},
		{"another type than the key may change", []string{`add: www 60 TLSA 3 1 1 ABCD`}, "REFUSED"},
		{"the zone's own records are deleted", []string{`delete name: @ ANY`}, "REFUSED"},
		{"one of two may not be changed", []string{`add: new 30 TXT "x"`, `add: @ 60 MX 10 www.example.com.`}, "REFUSED"},
		{"a name exists", []string{`yxdomain: www ANY`, `add: new 30 TXT "x"`}, `new 30 TXT "x"`},
		{"a name does not exist that should", []string{`yxdomain: no ANY`, `add: new 30 TXT "x"`}, "NXDOMAIN"},
		{"a name exists that should not", []string{`nxdomain: www ANY`, `add: new 30 TXT "x"`}, "YXDOMAIN"},
		{"an RRset does not exist that should", []string{`yxrrset: www AAAA`, `add: new 30 TXT "x"`}, "NXRRSET"},
		{"an RRset exists that should not", []string{`nxrrset: www A`, `add: new 30 TXT "x"`}, "YXRRSET"},
		{"an RRset is as it should be, in another order", []string{`is: _acme-challenge 0 TXT "two"`, `is: _acme-challenge 0 TXT "one"`, `add: new 30 TXT "x"`}, `new 30 TXT "x"`},
		{"an RRset has more than it should", []string{`is: _acme-challenge 0 TXT "two"`, `add: new 30 TXT "x"`}, "NXRRSET"},
		{"nothing", nil, ""},
	} {
		t.Run(e.name, func(t *testing.T) {
			r, err := request(t, update(t, e.lines...), access.Keys["acme."])
			var changed []source.RRset
			if err == nil {
				changed, err = r.Apply(&c, setsOf(t, zoneNow), setsOf(t, append(zoneNow, "mx1 300 A 192.0.2.26")))
			}
			got := shown(changed)
			if known := (rcodeError{}); errors.As(err, &known) {
				got = dns.RcodeToString[known.rcode]
			}
			if got != e.want {
				t.Errorf("got %s, want %s", got, e.want)
			}
		})
	}
}

// shown is RRsets as the tests write them.
func shown(sets []source.RRset) string {
	var list []string
	for _, s := range sets {
		text := s.Owner.Relative(apex) + " "
		if len(s.Records) == 0 {
			list = append(list, text+rdata.TypeText(s.Type)+" gone")
			continue
		}
		text += fmt.Sprintf("%d %s ", s.Records[0].TTL, rdata.TypeText(s.Type))
		var data []string
		for _, r := range s.Records {
			data = append(data, string(rdata.Append(nil, r.Type, r.Data)))
		}
		list = append(list, text+strings.Join(data, ", "))
	}
	return strings.Join(list, "; ")
}

func TestAMessageThatNoUpdateIsIsAFormatError(t *testing.T) {
	for name, change := range map[string]func(*dns.Msg){
		"a name of another zone":           func(m *dns.Msg) { m.Ns[0].Header().Name = "example.org." },
		"a class that no update has":       func(m *dns.Msg) { m.Ns[0].Header().Class = dns.ClassCHAOS },
		"a TTL at what is deleted":         func(m *dns.Msg) { m.Ns[0].Header().Class = dns.ClassNONE },
		"data at an RRset that is deleted": func(m *dns.Msg) { m.Ns[0].Header().Class, m.Ns[0].Header().Ttl = dns.ClassANY, 0 },
		"a TTL at a prerequisite":          func(m *dns.Msg) { m.Answer, m.Ns = m.Ns, nil },
		"data at an RRset that is to be": func(m *dns.Msg) {
			m.Answer, m.Ns = m.Ns, nil
			m.Answer[0].Header().Class, m.Answer[0].Header().Ttl = dns.ClassANY, 0
		},
		"a type that no zone has": func(m *dns.Msg) {
			m.Ns = []dns.RR{&dns.RFC3597{Hdr: dns.RR_Header{Name: "a.example.com.", Rrtype: 251, Class: dns.ClassINET}}}
		},
		"data that are none of the type": func(m *dns.Msg) {
			m.Ns = []dns.RR{&dns.RFC3597{Hdr: dns.RR_Header{Name: "a.example.com.", Rrtype: dns.TypeA, Class: dns.ClassINET}, Rdata: "01"}}
		},
		"a type that no RRset has to delete": func(m *dns.Msg) {
			m.Ns = []dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: "a.example.com.", Rrtype: 251, Class: dns.ClassANY}}}
		},
	} {
		m := update(t, `add: a 60 TXT "x"`)
		change(m)
		want := dns.RcodeFormatError
		if name == "a name of another zone" {
			want = dns.RcodeNotZone
		}
		_, err := request(t, m, nil)
		if known := (rcodeError{}); !errors.As(err, &known) || known.rcode != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzUpdate: whatever a message says, what comes of it are RRsets that its key may change, with records that zones hold.
func FuzzUpdate(f *testing.F) {
	c, access, _ := configOf(f, "key acme * TXT A CNAME")
	for _, m := range []*dns.Msg{
		update(f, `add: a 60 TXT "x"`), update(f, "delete name: www ANY", "yxdomain: www ANY"), update(f, `is: _acme-challenge 0 TXT "one"`, "add: alias 60 CNAME www.example.com."),
	} {
		packet, _ := m.Pack()
		f.Add(packet)
	}
	have := setsOf(f, zoneNow)
	f.Fuzz(func(t *testing.T, packet []byte) {
		var q answer.Query
		if q.Parse(packet); q.Verdict != dns.RcodeSuccess {
			return
		}
		m, err := readMessage(&q, apex)
		if err != nil {
			return
		}
		r := &Request{message: m, By: access.Keys["acme."]}
		changed, err := r.Apply(&c, have, have)
		if err != nil {
			return
		}
		for _, set := range changed {
			if !set.Owner.Within(apex) || !c.permits(r.By, set.Owner, set.Type) {
				t.Errorf("%s %s changes", set.Owner, rdata.TypeText(set.Type))
			}
			for _, record := range set.Records {
				if err := rdata.Check(record.Type, record.Data); err != nil || record.Owner != string(set.Owner) || record.Type != set.Type {
					t.Error(record, err)
				}
			}
		}
		if shown(have) != shown(setsOf(t, zoneNow)) {
			t.Error("the zone was changed in place")
		}
	})
}
