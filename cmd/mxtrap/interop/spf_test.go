//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"
)

// evaluateSPF asks pyspf, which counts look-ups that find nothing of each exchange (Debian: python3-spf, python3-dns).
const evaluateSPF = `
import sys
sys.modules["dns"] = None # pyspf would rather take dnspython, and that another server
import DNS, spf
DNS.defaults.update(server=["127.0.0.1"], port=int(sys.argv[1]), server_rotate=False)
for line in sys.argv[2:]:
    domain, ip = line.split()
    print(domain, ip, spf.check2(i=ip, s="a@" + domain, h="mail." + domain)[0])
`

// TestInteropSPF: what check warns of fails with permerror, and what it does not passes.
func TestInteropSPF(t *testing.T) {
	zone := func(name, addresses string, count int) string {
		return fmt.Sprintf(`name = %q
[records]
"@"    = ["NS ns1", "MX 10 mail", "MX 20 backup", 'TXT "v=spf1 mx -all"']
ns1    = ["A 127.0.0.1"]
mail   = ["A 192.0.2.25", "AAAA 2001:db8::25"]
backup = ["A 198.51.100.25", "AAAA 2001:db8:1::25"]
[trap]
count     = %d
addresses = [%s]
`, name, count, addresses)
	}
	m := serveInstance(t, "", map[string]string{
		"void.toml": zone("void.example", `"192.0.2.128/28"`, 3),
		"two.toml":  zone("two.example", `"192.0.2.128/28"`, 2),
		"both.toml": zone("both.example", `"192.0.2.128/28", "2001:db8:25::/64"`, 8),
	})
	got := output(t, "/usr/bin/python3", "-c", evaluateSPF, m.port,
		"void.example 192.0.2.25", "void.example 2001:db8:1::25", "void.example 2001:db8:9::1", "two.example 2001:db8:1::25", "two.example 2001:db8:9::1", "both.example 198.51.100.25", "both.example 2001:db8:1::25", "both.example 2001:db8:9::1")
	want := strings.Join([]string{
		"void.example 192.0.2.25 pass", "void.example 2001:db8:1::25 permerror", "void.example 2001:db8:9::1 permerror", "two.example 2001:db8:1::25 pass", "two.example 2001:db8:9::1 fail",
		"both.example 198.51.100.25 pass", "both.example 2001:db8:1::25 pass", "both.example 2001:db8:9::1 fail",
	}, "\n")
	if strings.TrimSpace(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	report := said(t, buildOnce(t), "check", "--config", m.config())
	if n := strings.Count(report, "have no IPv6 address"); n != 1 || !strings.Contains(report, "void.toml:7: trap.at") {
		t.Errorf("check warns of %d:\n%s", n, report)
	}
}
