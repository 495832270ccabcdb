//go:build interop

package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestInteropImport moves a zone from BIND: by a transfer, by its master file, and by what init finds; each time mxtrap serves what BIND serves.
func TestInteropImport(t *testing.T) {
	dir, port := openFolder(t), freePort(t)
	master := `$TTL 3600
@ SOA ns1 hostmaster 7 7200 1800 1209600 300
@ NS ns1
@ MX 10 mail
@ MX 20 backup
@ 300 TXT "v=spf1 mx -all"
@ CAA 0 issue "ca.example.net"
ns1 A 192.0.2.53
mail A 192.0.2.25
mail AAAA 2001:db8::25
backup A 198.51.100.25
www CNAME mail
_dmarc TXT "v=DMARC1; p=none" "it's \"quoted\""
default._domainkey TXT ( "v=DKIM1; k=rsa; " "p=MIIB" )
_25._tcp.mail TLSA 3 1 1 ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB
_submission._tcp SRV 0 1 587 mail
odd\.name TXT "a dot within a label"
UPPER A 192.0.2.10
*.wild TXT "any"
sub NS ns.sub
ns.sub A 192.0.2.60
raw TYPE65280 \# 4 0A000001
`
	write(t, dir, "example.com.db", master)
	config := write(t, dir, "named.conf", fmt.Sprintf(`options { directory "%s"; listen-on port %s { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none; recursion no; allow-transfer { any; }; dnssec-validation no; minimal-responses yes; };
controls { };
zone "example.com" { type primary; file "example.com.db"; };
`, dir, port))
	background(t, "named", "-g", "-c", config)
	theirs := func() []string { return transferredFrom(t, port, "example.com.") }
	eventually(t, "BIND sends the zone", func() bool { return len(theirs()) > 10 })
	for name, args := range map[string][]string{
		"by a transfer": {"import", "example.com", "--from", "127.0.0.1:" + port}, "by its master file": {"import", "example.com", dir + "/example.com.db"},
	} {
		t.Run(name, func(t *testing.T) {
			text := output(t, buildOnce(t), args...)
			m := serveInstance(t, "[transfer]\nallow = [\"127.0.0.1\"]\n", map[string]string{"example.com.toml": text})
			if ours := transferredFrom(t, m.port, "example.com."); !slices.Equal(ours, theirs()) {
				t.Errorf("BIND has\n%s\nmxtrap has\n%s", strings.Join(theirs(), "\n"), strings.Join(ours, "\n"))
			}
		})
	}
	t.Run("by what init finds", func(t *testing.T) {
		out := t.TempDir()
		said := output(t, buildOnce(t), "init", "example.com", "--from", "127.0.0.1:"+port, "--out", out)
		if !strings.Contains(said, "wrote "+out+"/zones/example.com.toml") {
			t.Error(said)
		}
		text, _, trapped := strings.Cut(readFile(t, out+"/zones/example.com.toml"), "\n[trap]\n")
		if !trapped {
			t.Fatal(text)
		}
		m := serveInstance(t, "[transfer]\nallow = [\"127.0.0.1\"]\n", map[string]string{"example.com.toml": text})
		if ours := transferredFrom(t, m.port, "example.com."); !slices.Equal(ours, theirs()) {
			t.Errorf("BIND has\n%s\nmxtrap has\n%s", strings.Join(theirs(), "\n"), strings.Join(ours, "\n"))
		}
		output(t, buildOnce(t), "check", "--config", out+"/mxtrap.toml")
	})
}

// transferredFrom are the records of a zone that a server sends, in an order of their own; none where it does not send it.
func transferredFrom(t *testing.T, port, zone string) (records []string) {
	t.Helper()
	envelopes, err := new(dns.Transfer).In(new(dns.Msg).SetAxfr(zone), "127.0.0.1:"+port)
	if err != nil {
		return nil
	}
	for e := range envelopes {
		for _, r := range e.RR {
			r.Header().Name = strings.ToLower(r.Header().Name)
			records = append(records, r.String())
		}
	}
	slices.Sort(records)
	return records
}
