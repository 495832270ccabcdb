//go:build interop && linux

package interop

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/judge"
	"mxtrap/server/list"
)

// sightedIn makes a folder of state in which clients have done four hours ago what only bots do.
func sightedIn(t *testing.T, clients ...string) (folder string) {
	t.Helper()
	folder = openFolder(t)
	book := judge.NewBook(judge.Rules{Keep: 30 * 24 * time.Hour})
	if err := book.Write(filepath.Join(folder, list.FactsFile), time.Now().Unix()); err != nil {
		t.Fatal(err)
	}
	for _, client := range clients {
		if err := book.Add(judge.Fact{Sighting: &judge.Sighting{
			At: time.Now().Add(-4 * time.Hour).Unix(), Client: netip.MustParseAddr(client), Owner: "a.test", Decoy: "mx2.a.test", Tried: true, Data: true,
		}}); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// visits tells mxtrap by Postfix's protocol that a client has come to a real host.
func visits(t *testing.T, port, client string) {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "request=smtpd_access_policy\nclient_address=%s\n\n", client)
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "action=DUNNO\n" {
		t.Fatalf("%q, %v", line, err)
	}
}

// listQuestions are of clients that are listed, of what is there for tests, and of nobody, below example.com.
const listQuestions = `9.113.0.203 A TXT MX
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2 A TXT
2.0.0.127 A TXT
2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 A
1.0.0.127 A
113.0.203 A
10.113.0.203 A
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2 A
@ SOA NS A
`

// TestInteropSecondariesServeTheDNSBL has other name servers get the DNSBL, which is called example.com here, and get a change of it in time.
func TestInteropSecondariesServeTheDNSBL(t *testing.T) {
	buildOnce(t)
	for name, start := range map[string]func(t *testing.T, dir, port, primary, algorithm string){"NSD": startNSD, "Knot": startKnot, "BIND": startBIND} {
		for _, signed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, signed: %v", name, signed), func(t *testing.T) {
				t.Parallel()
				dir, state, port, policy := openFolder(t), sightedIn(t, "203.0.113.9", "2001:db8:0:7::1"), freePort(t), freePort(t)
				secret := write(t, openFolder(t), "secret", strings.Repeat("s", 32))
				extra := fmt.Sprintf("state = %q\n[keys]\nns2 = \"hmac-sha256 %s\"\n[transfer]\nallow = [\"key ns2\"]\nnotify = [\"127.0.0.1:%s key ns2\"]\n", state, transferSecret, port) +
					fmt.Sprintf("[list]\nmode = \"list\"\nzone = \"example.com\"\npolicy = \"127.0.0.1:%s\"\n", policy)
				if signed {
					extra += fmt.Sprintf("[dnssec]\ndefault = true\nsecret = %q\n", secret)
				}
				m := serveInstance(t, extra, map[string]string{"a.toml": "name = \"a.test\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\n"})
				start(t, dir, port, m.port, "hmac-sha256")
				asks := func(at, client string) string {
					reply, err := dns.Exchange(new(dns.Msg).SetQuestion(client+".example.com.", dns.TypeA), "127.0.0.1:"+at)
					if err != nil {
						return err.Error()
					}
					if len(reply.Answer) == 0 {
						return dns.RcodeToString[reply.Rcode]
					}
					return reply.Answer[0].(*dns.A).A.String()
				}
				eventually(t, "the secondary lists a bot", func() bool { return asks(port, "9.113.0.203") == "127.0.0.5" })
				check := func() {
					t.Helper()
					for line := range strings.Lines(listQuestions) {
						client := strings.Fields(line)[0]
						if client == "@" {
							continue
						}
						if ours, theirs := asks(m.port, client), asks(port, client); ours != theirs {
							t.Errorf("%s: mxtrap answers %s, the secondary %s", client, ours, theirs)
						}
					}
					if signed {
						anchor := output(t, buildOnce(t), "key", "ds", "--config", m.config(), "example.com")
						validatesAll(t, validator(t, anchor, m.port), listQuestions)
						validatesAll(t, validator(t, anchor, port), listQuestions)
					}
				}
				check()
				visits(t, policy, "203.0.113.77") // a neighbour
				began := time.Now()
				eventually(t, "a bot whose neighbour behaves is pardoned by the secondary", func() bool { return asks(port, "9.113.0.203") == "NXDOMAIN" })
				t.Logf("%v after its visit the secondary has pardoned the client", time.Since(began).Round(100*time.Millisecond))
				if n := m.sum(t, `mxtrap_transfers_total{outcome="ixfr"`); n < 1 {
					t.Error("the pardon was not transferred by its differences")
				}
				check()
			})
		}
	}
}
