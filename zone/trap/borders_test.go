package trap_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/server/answer"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/source"
	"mxtrap/zone/trap"
)

// trapped compiles a zone of two mail hosts with a trap, and tells its problems, a line each, those of addresses for examples left out.
func trapped(records, table string, look trap.Lookups) (*zone.Zone, string) {
	text := "name = \"example.com\"\n[records]\n\"@\" = [\"NS ns1\", \"MX 10 mail\", \"MX 20 mx1\"]\nns1 = [\"A 192.0.2.53\"]\nmail = [\"A 192.0.2.25\"]\nmx1 = [\"A 192.0.2.24\"]\n" +
		records + "\n[trap]\n" + table
	var report conf.Report
	var z *zone.Zone
	if s := source.Parse("z", []byte(text), &report); s != nil {
		z = s.Compile(look, &report)
	}
	var lines []string
	for _, p := range report.Problems() {
		if !strings.Contains(p.Reason, "not globally routable") {
			lines = append(lines, fmt.Sprint(p.Warning, " ", p.Key, ": ", p.Text, ": ", p.Reason))
		}
	}
	return z, strings.Join(lines, "\n")
}

// decoysOf are the decoys' MX records and addresses, in short.
func decoysOf(z *zone.Zone) string {
	var out []string
	for _, h := range z.Hosts() {
		line := h.Name + " "
		if !h.Decoy {
			line = h.Name + "=" + h.For + " "
		}
		for r := range z.Records() {
			switch text := strings.Fields(r.String()); {
			case text[3] == "MX" && strings.HasPrefix(text[5], h.Name+"."):
				line += text[4] + " "
			case (text[3] == "A" || text[3] == "AAAA") && text[0] == h.Name+".example.com.":
				line += text[4] + " "
			}
		}
		out = append(out, strings.TrimSpace(line))
	}
	return strings.Join(out, ", ")
}

// TestWhatATrapIsRefusedFor has a trap, and the fault of it.
func TestWhatATrapIsRefusedFor(t *testing.T) {
	for table, want := range map[string]string{
		`names = "mx"`:                                 `names: mx: must contain {n} once`,
		`names = "{n}{n}"`:                             `names: {n}{n}: must contain {n} once`,
		`names = "mx{n}.example.net."`:                 `names: mx{n}.example.net.: is outside the zone example.com`,
		`names = "-mx{n}"`:                             `names: -mx{n}: gives names that no host has`,
		`names = "mx{n}-"`:                             `names: mx{n}-: gives names that no host has`,
		`names = "mx{n}.a_b"`:                          `names: mx{n}.a_b: gives names that no host has`,
		`names = "mx{n}.a*"`:                           `names: mx{n}.a*: gives names that no host has`,
		`names = "a..{n}"`:                             `names: a..{n}: not a domain name: two dots in a row`,
		`style = "indirect"`:                           `style: indirect: must be "hosts"`,
		`count = 0`:                                    `count: 0: must be from 1 to 100`,
		`count = 101`:                                  `count: 101: must be from 1 to 100`,
		`step = 0`:                                     `step: 0: must be from 1 to 10000`,
		`step = 10001`:                                 `step: 10001: must be from 1 to 10000`,
		`first = -1`:                                   `first: -1: must be from 0 to 1000000`,
		`first = 1000001`:                              `first: 1000001: must be from 0 to 1000000`,
		`target = "a..b"`:                              `target: a..b: not a domain name: two dots in a row`,
		`target = "."`:                                 `target: .: is no host`,
		`at = []`:                                      `at: : names no owner`,
		`at = ["a..b"]`:                                `at[0]: a..b: not a domain name: two dots in a row`,
		`addresses = ["192.0.2"]`:                      `addresses[0]: 192.0.2: not an IP address or prefix`,
		`addresses = ["192.0.2.1/33"]`:                 `addresses[0]: 192.0.2.1/33: not an IP address or prefix`,
		`addresses = ["fe80::1%eth0"]`:                 `addresses[0]: fe80::1%eth0: an address in the DNS has no zone`,
		`addresses = ["::ffff:192.0.2.1"]`:             `addresses[0]: ::ffff:192.0.2.1: write it as an IPv4 address: 192.0.2.1`,
		`addresses = ["192.0.2.1/24"]`:                 `addresses[0]: 192.0.2.1/24: the prefix has bits beyond its length; write 192.0.2.0/24`,
		`addresses = ["64.0.0.0/7"]`:                   `addresses[0]: 64.0.0.0/7: the prefix is too short`,
		`addresses = ["2000::/31"]`:                    `addresses[0]: 2000::/31: the prefix is too short`,
		`addresses = ["224.0.0.1"]`:                    `addresses[0]: 224.0.0.1: no host can have this address`,
		`addresses = ["0.0.0.0"]`:                      `addresses[0]: 0.0.0.0: no host can have this address`,
		`addresses = ["::"]`:                           `addresses[0]: ::: no host can have this address`,
		`addresses = ["240.0.0.1"]`:                    `addresses[0]: 240.0.0.1: no host can have this address`,
		`addresses = ["2001:db8::1"]`:                  `addresses[0]: 2001:db8::1: the real exchanges have no IPv6 address`,
		"[trap.covers]\na.b = [\"1.2.3.4\"]":           `covers.a: : an exchange with a dot must be quoted: "a.b" = ["192.0.2.7"]`,
		"[trap.covers]\n\"a..b\" = [\"1.2.3.4\"]":      `covers."a..b": : the exchange is not a domain name: two dots in a row`,
		"[trap.covers]\n\"a.test\" = []":               `covers."a.test": : no address; leave the exchange out`,
		"[trap.covers]\n\"a.test\" = [\"1.2.3.0/24\"]": `covers."a.test"[0]: 1.2.3.0/24: a cover has addresses, not prefixes`,
		"[trap.covers]\n\"a.test\" = [\"x\"]":          `covers."a.test"[0]: x: not an IP address or prefix`,
	} {
		if z, got := trapped("", table, nil); z != nil || !strings.Contains("\n"+got, "\nfalse trap."+want) {
			t.Errorf("%s\ngot  %s\nwant %s", table, got, want)
		}
	}
}

// TestWhatATrapComesTo has a trap, its decoys and covers with their preferences and addresses, and the first warning.
func TestWhatATrapComesTo(t *testing.T) {

	for name, c := range map[string]struct{ records, table, want, warning string }{
		"the defaults":                      {"", "", "mx2 30 192.0.2.25, mx3 40 192.0.2.25", ""},
		"one decoy":                         {"", "count = 1", "mx2 30 192.0.2.25", ""},
		"the least step":                    {"", "step = 1", "mx2 21 192.0.2.25, mx3 22 192.0.2.25", ""},
		"the largest step":                  {"", "step = 10000\ncount = 1", "mx2 10020 192.0.2.25", ""},
		"names from zero":                   {"", "first = 0", "mx0 30 192.0.2.25, mx2 40 192.0.2.25", ""},
		"the last name":                     {"", "first = 1000000\ncount = 1", "mx1000000 30 192.0.2.25", ""},
		"a name of letters, digits, hyphen": {"", "names = \"A-9{n}z\"\ncount = 1", "a-91z 30 192.0.2.25", ""},
		"the first of MXPS's numbers":       {"", "count = 1\nat = [\"p\"]", "", ""},
		"the last of MXPS's numbers":        {"", "count = 1\nat = [\"p\"]", "", ""},
		"the number before MXPS's":          {"", "step = 6389\ncount = 2", "mx2 6409 192.0.2.25, mx3 12798 192.0.2.25", ""},
		"an IPv4 prefix of two":             {"", "addresses = [\"192.0.2.64/31\"]", "mx2 30 192.0.2.64, mx3 40 192.0.2.65", ""},
		"an IPv4 prefix of four":            {"", "addresses = [\"192.0.2.64/30\"]", "mx2 30 192.0.2.65, mx3 40 192.0.2.66", ""},
		"an IPv4 prefix that is too small":  {"", "addresses = [\"192.0.2.64/30\"]\ncount = 3", "mx2 30 192.0.2.65, mx3 40 192.0.2.66, mx4 50 192.0.2.65", "true trap.addresses: : more decoys than IPv4 addresses: some decoys share one"},
		"a single one, then a prefix":       {"", "addresses = [\"192.0.2.64/30\", \"192.0.2.99\"]", "mx2 30 192.0.2.99, mx3 40 192.0.2.65", ""},
		"two prefixes":                      {"", "addresses = [\"192.0.2.64/31\", \"192.0.2.72/30\"]\ncount = 4", "mx2 30 192.0.2.64, mx3 40 192.0.2.65, mx4 50 192.0.2.73, mx5 60 192.0.2.74", ""},
		"an address twice":                  {"", "addresses = [\"192.0.2.99\", \"192.0.2.99\", \"192.0.2.98\"]", "mx2 30 192.0.2.99, mx3 40 192.0.2.98", ""},
		"an IPv6 prefix of two":             {"mail2 = [\"AAAA 2001:db8::1\"]\n", "addresses = [\"2001:db8:1::2/127\"]\nat = [\"six\"]", "", ""},
	} {
		switch name {
		case "an IPv6 prefix of two":
			c.records = "six = [\"MX 10 mail6\", \"MX 20 mail66\"]\nmail6 = [\"AAAA 2001:db8::25\"]\nmail66 = [\"AAAA 2001:db8::26\"]"
			c.want = "mx2 30 2001:db8:1::3, mx3 40 2001:db8:1::3"
			c.warning = "true trap.addresses: : more decoys than IPv6 addresses: some decoys share one"
		case "the first of MXPS's numbers":
			c.records = "p = [\"MX 12780 mail\", \"MX 12790 mx1\"]"
			c.want = "mx2 12800 192.0.2.25"
			c.warning = "true trap.at[0]: p: a decoy has the preference 12800: 12800 to 13055 are reserved by the MXPS convention"
		case "the last of MXPS's numbers":
			c.records = "p = [\"MX 13035 mail\", \"MX 13045 mx1\"]"
			c.want = "mx2 13055 192.0.2.25"
			c.warning = "true trap.at[0]: p: a decoy has the preference 13055: 12800 to 13055 are reserved by the MXPS convention"
		}
		t.Run(name, func(t *testing.T) {
			z, problems := trapped(c.records, c.table, nil)
			if z == nil {
				t.Fatal(problems)
			}
			if got := decoysOf(z); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if first, _, _ := strings.Cut(problems, "\n"); first != c.warning {
				t.Errorf("got  %s\nwant %s", first, c.warning)
			}
		})
	}
}

// sixes are two mail hosts that have IPv6 addresses alone.
const sixes = "six = [\"MX 10 mail6\", \"MX 20 mail66\"]\nmail6 = [\"AAAA 2001:db8::25\"]\nmail66 = [\"AAAA 2001:db8::26\"]"

func TestDecoysOfHostsWithIPv6AloneHaveNoOtherAddress(t *testing.T) {
	for _, table := range []string{"", "addresses = [\"2001:db8:1::/64\"]\n"} {
		z, problems := trapped(sixes, table+"at = [\"six\"]", nil)
		if z == nil {
			t.Fatal(problems)
		}
		ask := answer.NewAsker([]*zone.Zone{z}).Ask
		if m, _ := ask("mx2.example.com", dns.TypeAAAA); len(m.Answer) != 1 {
			t.Errorf("AAAA: %v", m)
		}
		if m, _ := ask("mx2.example.com", dns.TypeA); len(m.Answer) != 0 || len(m.Ns) != 1 {
			t.Errorf("A: %v", m)
		}
	}
	if z, problems := trapped(sixes, "at = [\"six\"]\nstyle = \"direct\"", nil); z == nil || problems != "" {
		t.Errorf("direct decoys: %s", problems)
	}
}

// TestSPFHasRoomForSoManyExchangesAndSoManyVoids: ten exchanges, and two look-ups of a family that find nothing (RFC 7208 4.6.4).
func TestSPFHasRoomForSoManyExchangesAndSoManyVoids(t *testing.T) {
	const permerror = "fails with permerror"
	for name, c := range map[string]struct {
		hosts []string // their addresses
		spf   string
		table string
		want  string // "": nothing is said of SPF
	}{
		"ten with the decoys":                       {slices.Repeat([]string{"A 192.0.2.7 AAAA 2001:db8::7"}, 8), "mx", "count = 2", ""},
		"eleven with the decoys":                    {slices.Repeat([]string{"A 192.0.2.7 AAAA 2001:db8::7"}, 8), "mx", "count = 3", "set count = 2 or less"},
		"ten real ones":                             {slices.Repeat([]string{"A 192.0.2.7 AAAA 2001:db8::7"}, 10), "mx", "count = 1", "set count = 0 or less"},
		"eleven real ones":                          {slices.Repeat([]string{"A 192.0.2.7 AAAA 2001:db8::7"}, 11), "mx", "count = 1", "11 are more than the 10"},
		"eleven, and no record that reaches them":   {slices.Repeat([]string{"A 192.0.2.7 AAAA 2001:db8::7"}, 8), "a", "count = 3", ""},
		"two void look-ups with the decoys":         {[]string{"A 192.0.2.7 AAAA 2001:db8::7", "A 192.0.2.8"}, "mx", "count = 1\naddresses = [\"192.0.2.99\"]", ""},
		"three void look-ups with the decoys":       {[]string{"A 192.0.2.7 AAAA 2001:db8::7", "A 192.0.2.8"}, "mx", "count = 2\naddresses = [\"192.0.2.99\"]", "3 of them have no IPv6 address"},
		"three, two of them real":                   {[]string{"A 192.0.2.7 AAAA 2001:db8::7", "A 192.0.2.8", "A 192.0.2.9"}, "mx", "count = 1\naddresses = [\"192.0.2.99\"]", "3 of them have no IPv6 address"},
		"three real ones, which is no decoy's work": {[]string{"A 192.0.2.7 AAAA 2001:db8::7", "A 192.0.2.8", "A 192.0.2.9", "A 192.0.2.10"}, "mx", "count = 1\naddresses = [\"192.0.2.99\"]", ""},
		"three of a family that nobody sends from":  {[]string{"A 192.0.2.7", "A 192.0.2.8"}, "mx", "count = 2", ""},
		"three of a family that the record names":   {[]string{"A 192.0.2.7", "A 192.0.2.8"}, "mx ip6:2001:db8::1", "count = 1", "3 of them have no IPv6 address"},
		"three of IPv4":                             {[]string{"AAAA 2001:db8::7 A 192.0.2.7", "AAAA 2001:db8::8"}, "mx", "count = 2\naddresses = [\"2001:db8:1::/64\"]", "3 of them have no IPv4 address"},
		"one real one and a decoy":                  {[]string{"AAAA 2001:db8::7 A 192.0.2.7", "AAAA 2001:db8::8 A 192.0.2.8", "AAAA 2001:db8::9"}, "mx", "count = 1\naddresses = [\"2001:db8:1::/64\"]", ""},
		"two of IPv4, and three real ones of IPv6":  {[]string{"A 192.0.2.7", "A 192.0.2.8", "A 192.0.2.9", "AAAA 2001:db8::7"}, "mx", "count = 1\naddresses = [\"2001:db8:1::/64\"]", ""},
		"two of IPv4":                               {[]string{"AAAA 2001:db8::7 A 192.0.2.7", "AAAA 2001:db8::8"}, "mx", "count = 1\naddresses = [\"2001:db8:1::/64\"]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			mx, hosts := []string{fmt.Sprintf("'TXT \"v=spf1 %s -all\"'", c.spf)}, ""
			for i, addresses := range c.hosts {
				mx = append(mx, fmt.Sprintf("'MX %d h%d'", 10*i+10, i))
				var list []string
				for a := range slices.Chunk(strings.Fields(addresses), 2) {
					list = append(list, "'"+strings.Join(a, " ")+"'")
				}
				hosts += fmt.Sprintf("h%d = [%s]\n", i, strings.Join(list, ", "))
			}
			_, problems := trapped("sends = ["+strings.Join(mx, ", ")+"]\n"+hosts, "at = [\"sends\"]\n"+c.table, nil)
			if said := strings.Contains(problems, permerror) || strings.Contains(problems, "would fail with permerror"); said != (c.want != "") || !strings.Contains(problems, c.want) {
				t.Errorf("got %s\nwant %s", problems, c.want)
			}
		})
	}
}

func TestAnOwnerWithoutDecoysIsNoTrap(t *testing.T) {
	z, problems := trapped("away = [\"MX 10 a.other.test.\", \"MX 20 b.other.test.\"]", "at = [\"away\"]", nil) // nothing is known of its exchanges
	if z == nil || len(z.Traps()) > 0 || len(z.Hosts()) > 0 || fmt.Sprint(z.Lookups()) != "[a.other.test]" {
		t.Errorf("%v %v", z, problems)
	}
}

func TestWhichAddressesAHostOfTheInternetMayHave(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "192.0.2.1": true, "2606:4700::1111": true, "2001:db8::1": true, "10.0.0.1": false, "127.0.0.1": false, "224.0.0.1": false, "0.0.0.0": false, "::": false, "::1": false,
		"fe80::1": false, "fd00::1": false, "ff02::1": false, "100.64.0.1": false, "169.254.1.1": false, "172.15.255.255": true, "172.16.0.0": false, "172.31.255.255": false, "172.32.0.0": true,
		"255.255.255.255": false, "::ffff:8.8.8.8": false, "64:ff9b:1::1": false, "fec0::1": false,
	} {
		if got := trap.MayBeHost(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestWhyAnExchangeIsNoHost(t *testing.T) {
	for wire, want := range map[string]string{
		"\x00": "a null MX says", "\x09localhost\x00": "means the sender's own host", "\x01a\x09localhost\x00": "means the sender's own host", "\x03192\x010\x012\x0225\x00": "is an address",
		"\x0210\x010\x010\x010\x00": "is an address", "\x0210\x019\x019\x019\x00": "is an address", "\x03192\x010\x012\x03256\x00": "", "\x04mail\x0225\x00": "", "\x04mail\x04test\x00": "", "\x09localhosu\x00": "",
	} {
		if got := trap.NoHost(dname.Name(wire)); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", wire, got, want)
		}
	}
}
