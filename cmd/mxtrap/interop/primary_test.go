//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// primaryPeer is a name server that mxtrap gets its zone from.
type primaryPeer struct {
	name string
	// start runs it with the zone in a master file in its folder, example.com.zone, for a secondary at the other port.
	start func(t *testing.T, dir, port, secondary, algorithm string) *program
	// changed has it take a new version of the file in.
	changed func(t *testing.T, dir string, p *program)
	ixfr    string // what it says of an incremental transfer; "": it can do none
}

var primaryPeers = []primaryPeer{
	{"NSD", startNSDPrimary, hangUp, `ixfr for example\.com\.`},
	{"Knot", startKnotPrimary, hangUp, `IXFR, outgoing`},
	{"BIND", startBINDPrimary, hangUp, `IXFR`},
	{"PowerDNS", startPowerDNSPrimary, loadPowerDNS, ""},
}

func hangUp(t *testing.T, _ string, p *program) { p.cmd.Process.Signal(syscall.SIGHUP) }

// plainZone is a zone without a trap, as somebody has it on his name server.
func plainZone(serial uint32, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN example.com.\n$TTL 3600\n@ SOA ns1 hostmaster %d 3600 3600 1209600 300\n@ NS ns1\n@ MX 10 mail\n@ MX 20 mx1\n@ TXT %q\nns1 A 192.0.2.53\nmail A 192.0.2.25\nmail AAAA 2001:db8::25\nmx1 A 198.51.100.7\n*.wild A 192.0.2.80\nsub NS ns.sub\nns.sub A 192.0.2.60\n", serial, text)
	for i := range 3000 { // more than one message
		fmt.Fprintf(&b, "h%d A 192.0.2.%d\n", i, i%250+1)
	}
	return b.String()
}

func startNSDPrimary(t *testing.T, dir, port, secondary, algorithm string) *program {
	return background(t, "nsd", "-d", "-V", "3", "-c", write(t, dir, "nsd.conf", nsdHead(dir, port, algorithm)+fmt.Sprintf(`
zone:
  name: example.com
  zonefile: example.com.zone
  provide-xfr: 127.0.0.1 ns2
  notify: 127.0.0.1@%s ns2
  store-ixfr: yes
  create-ixfr: yes
`, secondary)))
}

func startKnotPrimary(t *testing.T, dir, port, secondary, algorithm string) *program {
	return background(t, "knotd", "-c", write(t, dir, "knot.conf", knotHead(dir, port, secondary, algorithm, "transfer")+fmt.Sprintf(`
zone:
  - domain: example.com
    storage: %s
    file: example.com.zone
    zonefile-load: difference
    journal-content: changes
    notify: mxtrap
    acl: mxtrap
`, dir)))
}

func startBINDPrimary(t *testing.T, dir, port, secondary, algorithm string) *program {
	options := "  notify explicit;\n  ixfr-from-differences yes;\n"
	return background(t, "named", "-g", "-c", write(t, dir, "named.conf", bindHead(dir, port, algorithm, options)+fmt.Sprintf(`
zone "example.com" {
  type primary;
  file "example.com.zone";
  allow-transfer { key "ns2"; };
  also-notify { 127.0.0.1 port %s key "ns2"; };
};
`, secondary)))
}

func startPowerDNSPrimary(t *testing.T, dir, port, secondary, algorithm string) *program {
	util := powerDNSFolder(t, dir, port, "primary=yes\nonly-notify=127.0.0.1/32")
	util("load-zone", "example.com", filepath.Join(dir, "example.com.zone"))
	util("set-kind", "example.com", "primary")
	util("import-tsig-key", "ns2", algorithm, transferSecret)
	util("activate-tsig-key", "example.com", "ns2", "primary")
	util("set-meta", "example.com", "ALSO-NOTIFY", "127.0.0.1:"+secondary)
	return background(t, "pdns_server", "--config-dir="+dir)
}

func loadPowerDNS(t *testing.T, dir string, _ *program) {
	output(t, "pdnsutil", "--config-dir="+dir, "load-zone", "example.com", filepath.Join(dir, "example.com.zone"))
	output(t, "pdns_control", "--config-dir="+dir, "purge")
	output(t, "pdns_control", "--config-dir="+dir, "notify", "example.com")
}

// TestInteropATrapOnTopOfAPrimary has mxtrap get a zone from each name server, put its trap on top, and follow a change.
func TestInteropATrapOnTopOfAPrimary(t *testing.T) {
	buildOnce(t)
	for _, p := range primaryPeers {
		for _, algorithm := range []string{"hmac-sha256", "hmac-sha512"} {
			t.Run(p.name+" "+algorithm, func(t *testing.T) {
				t.Parallel()
				const first = 4294967290 // the change goes over the end of the numbers
				port, dir := freePort(t), openFolder(t)
				write(t, dir, "example.com.zone", plainZone(first, "first"))
				m := serveInstance(t, fmt.Sprintf("state = \"state\"\n[keys]\nns2 = %q\n", algorithm+" "+transferSecret), map[string]string{
					"a.toml": fmt.Sprintf("name = \"example.com\"\n[primary]\naddress = [\"127.0.0.1:%s\"]\ntsig = \"ns2\"\n[trap]\naddresses = [\"192.0.2.26\", \"192.0.2.27\"]\n", port),
				})
				peer := p.start(t, dir, port, m.port, algorithm)
				m.wants(t, "first", first)
				write(t, dir, "example.com.zone", plainZone(5, "second"))
				os.Chtimes(filepath.Join(dir, "example.com.zone"), timeAfter(), timeAfter())
				p.changed(t, dir, peer)
				m.wants(t, "second", 5)
				if p.ixfr != "" {
					wantLines(t, p.name, peer.out.String(), p.ixfr)
				}
			})
		}
	}
}

// wants waits until a version is served, with its trap.
func (m *instance) wants(t *testing.T, text string, serial uint32) {
	t.Helper()
	ask := func(name string, qtype uint16) (lines string) {
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion(name, qtype), "127.0.0.1:"+m.port)
		if err != nil {
			return err.Error()
		}
		for _, rr := range reply.Answer {
			lines += rr.String() + "\n"
		}
		return lines
	}
	eventually(t, text+" is served", func() bool { return strings.Contains(ask("example.com.", dns.TypeTXT), text) })
	wantLines(t, "mxtrap", ask("example.com.", dns.TypeMX)+ask("example.com.", dns.TypeSOA)+ask("mx3.example.com.", dns.TypeA)+ask("h2999.example.com.", dns.TypeA)+ask("x.wild.example.com.", dns.TypeA),
		`10 mail\.`, `20 mx1\.`, `30 mx2\.`, `40 mx3\.`, fmt.Sprint(" ", serial, " 3600 3600 "), `^mx3.*192\.0\.2\.27`, `^h2999.*192\.0\.2\.250`, `^x\.wild.*192\.0\.2\.80`)
}
