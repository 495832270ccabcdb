package source

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
)

// allTypes is a record of every type that the DNS library knows, as a zone file has it.
var allTypes = []string{
	"A 192.0.2.1", "AAAA 2001:db8::1", "AFSDB 1 afs", "AMTRELAY 10 0 1 192.0.2.1", "APL 1:192.0.2.0/24 !2:2001:db8::/32", "AVC \"app\"",
	"CAA 0 issue \"ca.example.net\"", "CDNSKEY 257 3 13 aGVsbG8=", "CDS 1 13 2 " + sha, "CERT 1 2 8 aGVsbG8=", "CSYNC 66 3 A NS AAAA",
	"DHCID aGVsbG8=", "DLV 1 13 2 " + sha, "DNAME other.example.", "DNSKEY 257 3 13 aGVsbG8=", "DS 1 13 2 " + sha, "EID 6865", "EUI48 00-00-5e-00-53-2a",
	"EUI64 00-00-5e-ef-10-00-00-2a", "GID 10", "GPOS 1.0 2.0 3.0", "HINFO \"cpu\" \"os\"", "HIP 2 200100107B1A74DF365639CC39F1D578 aGVsbG8= rvs",
	"HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1", "IPSECKEY 10 1 2 192.0.2.1 aGVsbG8=", "ISDN \"150862028003217\" \"004\"", "KEY 256 3 5 aGVsbG8=", "KX 10 kx", "L32 10 10.1.2.0", "L64 10 2001:0db8:0001:0000",
	"LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", "LP 10 l64", "MB mail", "MD mail", "MF mail", "MG mail", "MINFO mail mail2",
	"MR mail", "MX 10 mail", "NAPTR 100 10 \"u\" \"sip+E2U\" \"!^.*$!sip:info@example.com!\" .", "NID 10 0014:4fff:ff20:ee64", "NIMLOC 6865", "NINFO \"x\"",
	"NS ns9.example.net.", "NSEC next A RRSIG", "NSEC3 1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A", "NSEC3PARAM 1 0 12 AABBCCDD", "NSAP-PTR x", "OPENPGPKEY aGVsbG8=",
	"PTR mail", "PX 10 a b", "RESINFO qnamemin exterr=15", "RFC3597 \\# 1 00", "RKEY 0 1 5 aGVsbG8=", "RP mail txt",
	"RRSIG A 13 2 3600 20300101000000 20200101000000 1 example.com. aGVsbG8=", "RT 10 mail", "SIG A 13 2 3600 20300101000000 20200101000000 1 example.com. aGVsbG8=",
	"SMIMEA 3 0 0 308201", "SOA ns1 hostmaster 1 2 3 4 5", "SPF \"v=spf1 -all\"", "SRV 10 20 25 mail", "SSHFP 1 2 " + sha, "SVCB 1 svc port=8443",
	"TA 1 13 2 " + sha, "TALINK a b", "TLSA 3 1 1 " + sha, "TXT \"text\" \"more\"", "UID 10", "UINFO \"u\"", "URI 10 1 \"ftp://ftp.example.com/\"", "X25 311061700956", "NXT next A", "ZONEMD 1 1 1 " + sha + sha[:32],
	"CNAME mail", "TYPE65280 \\# 4 0A000001", "TYPE1 \\# 4 0A000001", "DELEG 1 x", "NULL \\# 2 abcd", "NXNAME \\# 0", "IXFR x", "ANY x",
}

const exampleCom = dname.Name("\x07example\x03com\x00")

const sha = "ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB"

// TestATypeAloneIsRefused: the library would read it, and pack what no client can.
func TestATypeAloneIsRefused(t *testing.T) {
	for _, typ := range []string{"A", "MX", "NS", "SRV", "CNAME", "SOA", "TXT", "CAA", "TLSA", "HTTPS"} {
		if r, err := content.ParseRecord(typ, exampleCom, exampleCom, 60, nil); err == nil {
			t.Errorf("%s is read as %v", typ, r)
		}
	}
}

// TestEveryTypeIsServed loads a record of every type that the DNS library knows and looks it up.
func TestEveryTypeIsServed(t *testing.T) {
	seen := map[uint16]bool{}
	for _, text := range allTypes {
		word, _, _ := strings.Cut(text, " ")
		t.Run(word, func(t *testing.T) {
			r, err := content.ParseRecord(text, exampleCom, exampleCom, 3600, nil)
			if err != nil {
				if _, known := dns.TypeToRR[dns.StringToType[word]]; known && word != "ANY" && word != "NXNAME" && word != "RFC3597" {
					t.Errorf("%s: %v", text, err)
				}
				return
			}
			typ := r.Typ
			seen[typ] = true
			owner, records := "x", "x = ['"+strings.ReplaceAll(text, "'", "")+"']"
			if typ == dns.TypeSOA || typ == dns.TypeNS {
				owner, records = "@", ""
			}
			var report conf.Report
			s := Parse("zone.toml", []byte("name = \"example.com\"\n[soa]\nserial = 1\nmname = \"ns1\"\nretry = 2\n[records]\n\"@\" = [\"NS ns9.example.net.\"]\n"+records+"\n"), &report)
			if s == nil {
				t.Fatal(report.Problems())
			}
			z := s.Compile(nil, &report)
			if z == nil {
				t.Fatal(report.Problems())
			}
			n, _ := dname.Parse(owner, exampleCom)
			var got []rr.Record
			for one := range z.Records() {
				if one.Type == typ && one.Owner == string(n) {
					got = append(got, one)
				}
			}
			if len(got) != 1 || typ != dns.TypeSOA && !bytes.Equal(got[0].Data, r.Data) {
				t.Errorf("got %v, want %x", got, r.Data)
			}
			loadsBack(t, z)
		})
	}
	questionsOnly := []uint16{dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeANY, dns.TypeNXNAME, dns.TypeNone}
	for typ := range dns.TypeToRR {
		if !seen[typ] && !slices.Contains(questionsOnly, typ) {
			t.Errorf("no record of the type %s is tested", dns.Type(typ))
		}
	}
}
