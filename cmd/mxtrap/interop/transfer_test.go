//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// transferSecret is a key that mxtrap and its peers share.
const transferSecret = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I="

// secondary is a name server that gets its zone from mxtrap.
type secondary struct {
	name      string
	algorithm string // of the key
	// start runs it with an empty folder of its own.
	start func(t *testing.T, dir, port, primary, algorithm string)
}

var secondaries = []secondary{
	{"NSD", "hmac-sha256", startNSD},
	{"NSD", "hmac-sha512", startNSD},
	{"Knot", "hmac-sha256", startKnot},
	{"Knot", "hmac-sha512", startKnot},
	{"BIND", "hmac-sha256", startBIND},
	{"BIND", "hmac-sha512", startBIND},
	{"PowerDNS", "hmac-sha256", startPowerDNS},
	{"PowerDNS", "hmac-sha512", startPowerDNS},
}

// write writes a file of a peer and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func startNSD(t *testing.T, dir, port, primary, algorithm string) {
	background(t, "nsd", "-d", "-c", write(t, dir, "nsd.conf", nsdHead(dir, port, algorithm)+fmt.Sprintf(`
zone:
  name: example.com
  zonefile: example.com.zone
  request-xfr: 127.0.0.1@%s ns2
  allow-notify: 127.0.0.1 ns2
`, primary)))
}

func startKnot(t *testing.T, dir, port, primary, algorithm string) {
	background(t, "knotd", "-c", write(t, dir, "knot.conf", knotHead(dir, port, primary, algorithm, "notify")+fmt.Sprintf(`
zone:
  - domain: example.com
    storage: %s
    master: mxtrap
    acl: mxtrap
`, dir)))
}

func startBIND(t *testing.T, dir, port, primary, algorithm string) {
	background(t, "named", "-g", "-c", write(t, dir, "named.conf", bindHead(dir, port, algorithm, "")+fmt.Sprintf(`
zone "example.com" {
  type secondary;
  file "example.com.zone";
  primaries { 127.0.0.1 port %s key "ns2"; };
  allow-notify { key "ns2"; };
};
`, primary)))
}

// powerDNSFolder makes a folder that PowerDNS runs from, with an empty database; more is what its role needs. What it returns
// runs pdnsutil on it.
func powerDNSFolder(t *testing.T, dir, port, more string) (util func(args ...string)) {
	db := filepath.Join(dir, "db")
	output(t, "sqlite3", db, readFile(t, "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"))
	write(t, dir, "pdns.conf", fmt.Sprintf(`
launch=gsqlite3
gsqlite3-database=%[1]s
gsqlite3-dnssec
local-address=127.0.0.1
local-port=%[2]s
daemon=no
guardian=no
socket-dir=%[3]s
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
%[4]s
`, db, port, dir, more))
	return func(args ...string) { output(t, "pdnsutil", append([]string{"--config-dir=" + dir}, args...)...) }
}

// startPowerDNS lets it ask for whole zones, as it does unless told otherwise: what it has taken in by differences it serves only
// after "pdnsutil rectify-zone" (4.7).
func startPowerDNS(t *testing.T, dir, port, primary, algorithm string) {
	util := powerDNSFolder(t, dir, port, "secondary=yes\nxfr-cycle-interval=1")
	util("create-secondary-zone", "example.com", "127.0.0.1:"+primary)
	util("import-tsig-key", "ns2", algorithm, transferSecret)
	util("activate-tsig-key", "example.com", "ns2", "secondary")
	background(t, "pdns_server", "--config-dir="+dir)
}

// TestInteropSecondariesServeTheSameTrap has each name server get the zone, be told of a change, and get that by its differences.
func TestInteropSecondariesServeTheSameTrap(t *testing.T) {
	buildOnce(t)
	for _, s := range secondaries {
		t.Run(s.name+" "+s.algorithm, func(t *testing.T) {
			t.Parallel()
			port, dir := freePort(t), openFolder(t)
			m := serveInstance(t, fmt.Sprintf("[keys]\nns2 = %q\n[transfer]\nallow = [\"key ns2\"]\nnotify = [\"127.0.0.1:%s key ns2\"]\n",
				s.algorithm+" "+transferSecret, port), map[string]string{"a.toml": interopZone})
			s.start(t, dir, port, m.port, s.algorithm)
			m.servedBy(t, port, 7)
			changed := strings.NewReplacer("serial = 7", "serial = 8", "v=spf1 mx -all", "v=spf1 mx ~all", "192.0.2.26", "192.0.2.27").Replace(interopZone)
			write(t, m.dir, "zones/a.toml", changed)
			m.reload()
			m.servedBy(t, port, 8)
			if s.name == "PowerDNS" {
				return
			}
			if n := m.sum(t, `mxtrap_transfers_total{outcome="ixfr"`); n < 1 {
				t.Error("the change was not transferred by its differences")
			}
		})
	}
}

// openFolder is a folder that a daemon which gives up its rights may write into.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mxtrap-peer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if u, err := user.Current(); err == nil && u.Uid == "0" {
		os.Chmod(dir, 0o777)
	}
	return dir
}

// servedBy waits until a peer serves a version of the zone, and holds it to all that mxtrap serves.
func (m *instance) servedBy(t *testing.T, port string, serial uint32) {
	t.Helper()
	ask := func(at, name string, qtype uint16) *dns.Msg {
		t.Helper()
		var reply *dns.Msg
		// A peer that takes up a new version may cut the connections of the old one: the question is asked again.
		eventually(t, fmt.Sprintf("an answer to %s %s at port %s", name, dns.TypeToString[qtype], at), func() bool {
			var err error
			reply, _, err = (&dns.Client{Net: "tcp"}).Exchange(new(dns.Msg).SetQuestion(name, qtype), "127.0.0.1:"+at)
			return err == nil
		})
		return reply
	}
	eventually(t, fmt.Sprintf("the peer serves serial %d", serial), func() bool {
		reply := ask(port, "example.com.", dns.TypeSOA)
		return len(reply.Answer) > 0 && reply.Answer[0].(*dns.SOA).Serial == serial
	})
	text := func(reply *dns.Msg) string {
		var lines []string
		for _, rr := range reply.Answer {
			lines = append(lines, strings.ToLower(rr.String()))
		}
		slices.Sort(lines)
		return strings.Join(append(lines, dns.RcodeToString[reply.Rcode]), "\n")
	}
	for _, q := range []struct {
		name  string
		types []uint16
	}{
		{"example.com.", []uint16{dns.TypeMX, dns.TypeNS, dns.TypeTXT}}, {"mx1.example.com.", []uint16{dns.TypeA, dns.TypeAAAA}},
		{"mx2.example.com.", []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX}}, {"mx3.example.com.", []uint16{dns.TypeA, dns.TypeAAAA}},
		{"mail.example.com.", []uint16{dns.TypeA, dns.TypeAAAA}}, {"x.wild.example.com.", []uint16{dns.TypeA}}, {"_25._tcp.mail.example.com.", []uint16{dns.TypeTLSA}},
		{"raw.example.com.", []uint16{65280}}, {"nothing.example.com.", []uint16{dns.TypeA}},
	} {
		for _, qtype := range q.types {
			if got, want := text(ask(port, q.name, qtype)), text(ask(m.port, q.name, qtype)); got != want {
				t.Errorf("%s %s: the peer says\n%s\nmxtrap\n%s", q.name, dns.TypeToString[qtype], got, want)
			}
		}
	}
}

// TestInteropTransfersAreRefused to whom they are not allowed, and kdig reads why.
func TestInteropTransfersAreRefused(t *testing.T) {
	m := serveInstance(t, fmt.Sprintf("[keys]\nns2 = \"hmac-sha256 %s\"\n[transfer]\nallow = [\"192.0.2.0/24\", \"127.0.0.1 key ns2\"]\n", transferSecret), map[string]string{"a.toml": interopZone})
	wrong := strings.Repeat("A", 43) + "="
	for _, c := range []struct{ name, key, zone, want string }{
		{"without a key", "", "example.com", "REFUSED"},
		{"with the key", "hmac-sha256:ns2:" + transferSecret, "example.com", `MX\s+40 mx3\.example\.com\.`},
		{"with a key of the same name", "hmac-sha256:ns2:" + wrong, "example.com", "BADSIG"},
		{"with the key's secret by another algorithm", "hmac-sha512:ns2:" + transferSecret, "example.com", "BADKEY"},
		{"with a key that is not known", "hmac-sha256:ns3:" + transferSecret, "example.com", "BADKEY"},
		{"of a name in a zone", "hmac-sha256:ns2:" + transferSecret, "mail.example.com", "NOTAUTH"},
		{"of another zone", "hmac-sha256:ns2:" + transferSecret, "example.net", "NOTAUTH"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"@127.0.0.1", "-p", m.port, c.zone, "AXFR", "+noidn"}
			if c.key != "" {
				args = append(args, "-y", c.key)
			}
			wantLines(t, "kdig", said(t, "kdig", args...), c.want)
			wantLines(t, "dig", said(t, "dig", append(args[:5:5], args[6:]...)...), strings.NewReplacer("REFUSED", "Transfer failed", "NOTAUTH", "Transfer failed").Replace(c.want))
		})
	}
	wantLines(t, "kdig", said(t, "kdig", "@127.0.0.1", "-p", m.port, "example.com", "IXFR=1", "+edns"), `REFUSED`)
	wantLines(t, "dig", said(t, "dig", "@127.0.0.1", "-p", m.port, "example.net", "MX"), `REFUSED`, `EDE: 20 \(Not Authoritative\)`)
	// What is signed is answered signed, over either transport.
	for _, transport := range []string{"+notcp", "+tcp"} {
		out := said(t, "kdig", "@127.0.0.1", "-p", m.port, "example.com", "MX", transport, "-y", "hmac-sha256:ns2:"+transferSecret)
		wantLines(t, "kdig", out, `40 mx3\.example\.com\.`, `TSIG`)
		if strings.Contains(strings.ToLower(out), "warning") {
			t.Error(out)
		}
	}
}
