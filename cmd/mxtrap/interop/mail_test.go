//go:build interop && linux

package interop

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// What a trap does to real mail software: mxtrap is the only authority, unbound resolves, and Postfix and Exim send to sinks that stand
// on the addresses of real hosts and decoys. All of it runs in namespaces of its own, in which these addresses are the host's.

// insideVariable says to the test that it runs in its namespaces.
const insideVariable = "MXTRAP_TEST_INSIDE"

func TestInteropMail(t *testing.T) {
	if os.Getenv(insideVariable) == "" {
		buildOnce(t)
		cmd := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", os.Args[0], "-test.run", "^TestInteropMail$", "-test.v")
		cmd.Env = append(os.Environ(), insideVariable+"="+binary)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
		return
	}
	binary = os.Getenv(insideVariable)
	h := newMailHost(t)
	play := func(s scenario, senders ...mta) {
		for _, m := range senders {
			t.Run(m.name()+"/"+s.name, func(t *testing.T) { h.play(t, m, s) })
		}
	}
	postfix, exim := newPostfix(t, "2526", "", "", ""), newExim(t, "2527", "")
	fallbackPostfix, fallbackExim := newPostfix(t, "2528", ", "+fallbackIP, "", ""), newExim(t, "2529", " : "+fallbackIP)
	for _, s := range scenarios {
		if s.fromFallback {
			play(s, fallbackPostfix, fallbackExim)
		} else {
			play(s, postfix, exim)
		}
	}
	t.Run("catch", func(t *testing.T) { h.catch(t, postfix, exim) })
	t.Run("which addresses Postfix keeps", func(t *testing.T) { h.keeps(t, postfix) })
	t.Run("bots go where simulate says", h.bots)
	t.Run("postscreen", h.postscreen)
	t.Run("mail hosts ask the DNSBL", h.asked)
	t.Run("nft takes what export prints", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "rules")
		os.WriteFile(file, []byte(output(t, binary, "export", "nftables", "--config", h.config(), scenarios[0].domain()+".test")), 0o644)
		for range 2 { // and once more: it takes the new addresses, and goes on counting
			output(t, "nft", "-c", "-f", file)
			output(t, "nft", "-f", file)
			if conn, err := net.Dial("tcp", decoyIP1+":25"); err == nil {
				conn.Close()
			}
		}
		if counted := output(t, "nft", "list", "counter", "inet", "mxtrap", "decoys4"); !strings.Contains(counted, "packets 2 ") {
			t.Errorf("two connections are counted as\n%s", counted)
		}
	})
}

// Addresses of the sinks. The zones of the scenarios give them to their hosts.
const (
	primaryIP  = "192.0.2.25"
	fallbackIP = "198.51.100.7"
	decoyIP1   = "192.0.2.26"
	decoyIP2   = "192.0.2.27"
	postboxIP  = "203.0.113.99" // takes bounces
)

// mailHost is the network of the test.
type mailHost struct {
	*instance
	sinks map[string]*sink
	sent  int
}

// mta is mail software that sends.
type mta interface {
	name() string
	port() string                   // where it takes mail to be sent
	deferred(domain string) bool    // whether it has tried mail for a domain and keeps it
	flush(t *testing.T)             // tries all that it keeps
	queued(t *testing.T) (kept int) // how many messages it keeps
}

func newMailHost(t *testing.T) *mailHost {
	run := func(command string) {
		t.Helper()
		if out, err := exec.Command("sh", "-ec", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	run("ip link set lo up")
	for i := range 10 {
		run(fmt.Sprintf("ip addr add %s/32 dev lo; ip addr add %s/128 dev lo", keptAddress('4', i), keptAddress('6', i)))
	}
	run("ip addr add " + clientIP + "/32 dev lo")
	h := &mailHost{sinks: map[string]*sink{}}
	for _, ip := range append([]string{primaryIP, fallbackIP, decoyIP1, decoyIP2, postboxIP, "192.0.2.53", dnsblIP}, fiveIPs...) {
		run("ip addr add " + ip + "/32 dev lo")
		if ip != "192.0.2.53" && ip != dnsblIP {
			h.sinks[ip] = &sink{ip: ip, manner: refuses}
		}
	}
	run(`nft -f - <<'X'
table inet mail {
	set dropped { type ipv4_addr; }
	chain input { type filter hook input priority filter; ip daddr @dropped tcp dport 25 drop; }
}
X`)
	dir := t.TempDir()
	for path, text := range map[string]string{
		"/etc/resolv.conf": "nameserver 127.0.0.1\n",
		"/etc/hosts":       "127.0.0.1 localhost sender.test\n",
		"/etc/passwd":      readFile(t, "/etc/passwd") + "\nDebian-exim:x:9999:9999::/var/spool/exim4:/usr/sbin/nologin\n",
		"/etc/group":       readFile(t, "/etc/group") + "\nDebian-exim:x:9999:\n",
	} {
		file := filepath.Join(dir, filepath.Base(path))
		os.WriteFile(file, []byte(text), 0o644)
		run("mount --bind " + file + " $(readlink -f " + path + ")")
	}
	zones := map[string]string{"rotate.secret": strings.Repeat("s", 32), "sender.toml": zoneFor("sender", "MX 10 mail", "", "mail = [\"A "+postboxIP+"\"]")}
	for _, s := range scenarios {
		zones[s.domain()+".toml"] = s.zone()
	}
	maps.Copy(zones, keptZones(t))
	h.instance = &instance{port: "53", metricsPort: "9153"}
	startInstance(t, h.instance, "[server]\nlisten = [\"192.0.2.53:53\"]\nmetrics = \"127.0.0.1:9153\"\n"+botsUnlimited, zones)
	unbound := filepath.Join(dir, "unbound.conf")
	os.WriteFile(unbound, []byte(`server:
 interface: 127.0.0.1
 do-not-query-localhost: no
 username: ""
 chroot: ""
 directory: "`+dir+`"
 pidfile: ""
 use-syslog: no
 module-config: "iterator"
 do-ip6: no
 local-zone: "test." nodefault
remote-control:
 control-enable: no
stub-zone:
 name: test
 stub-addr: 192.0.2.53
stub-zone:
 name: bl.test
 stub-addr: `+dnsblIP+`
`), 0o644)
	background(t, "unbound", "-d", "-c", unbound)
	eventually(t, "unbound resolves through mxtrap", func() bool {
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion("sender.test.", dns.TypeMX), "127.0.0.1:53")
		return err == nil && len(reply.Answer) == 1
	})
	for _, s := range scenarios {
		if s.turns { // long before it is played
			resolve(t, "127.0.0.1:53", s.domain()+".test.", dns.TypeMX)
		}
	}
	return h
}

// zoneFor is a zone of the test.
func zoneFor(name, mx, trap, hosts string) string {
	return fmt.Sprintf(`name = "%s.test"
[soa]
serial = 1
[records]
"@" = ["NS ns1", %s]
ns1 = ["A 192.0.2.53"]
%s
%s
`, name, `"`+strings.ReplaceAll(mx, ", ", `", "`)+`"`, hosts, trap)
}

// scenario is a domain, how its hosts behave, and what must come of a message to it.
type scenario struct {
	name    string
	mx      string // "": MX 10 mail, MX 20 fallback
	trap    string // "": two decoys with addresses of their own
	manners map[string]manner

	fromFallback bool   // the sender is the fallback itself
	from         string // "": a@sender.test
	body         string // "": hello

	messages int    // 0: one
	want     string // connections to primary, fallback and decoys, after the first attempt; "": any
	decoys   string // how many connections may come to decoys where want does not say: "some", "any", "none"
	ends     string // "primary", "fallback": delivered there; "queued": kept; "bounced"
	eximEnds string // where Exim does otherwise
	before   func(t *testing.T, h *mailHost, domain string)
	turns    bool // the decoys change each minute
}

const ownAddresses = "[trap]\naddresses = [\"" + decoyIP1 + "\", \"" + decoyIP2 + "\"]"

var fiveIPs = []string{"192.0.2.101", "192.0.2.102", "192.0.2.103", "192.0.2.104"}

var scenarios = []scenario{
	{name: "all up", want: "1/0/0", ends: "primary"},
	{name: "the primary refuses", manners: map[string]manner{primaryIP: refuses}, want: "0/1/0", ends: "fallback"},
	{name: "the primary drops packets", manners: map[string]manner{primaryIP: drops}, want: "0/1/0", ends: "fallback"},
	{name: "the primary greets with 421", manners: map[string]manner{primaryIP: busy}, want: "1/1/0", ends: "fallback"},
	{name: "the primary defers as greylisting does", manners: map[string]manner{primaryIP: defers}, want: "1/1/0", ends: "fallback"},
	{name: "every real host refuses", manners: map[string]manner{primaryIP: refuses, fallbackIP: refuses}, decoys: "some", ends: "queued"},
	{name: "every real host drops packets", manners: map[string]manner{primaryIP: drops, fallbackIP: drops}, decoys: "some", ends: "queued"},
	{name: "decoys refuse", manners: map[string]manner{decoyIP1: refuses, decoyIP2: refuses}, want: "1/0/0", ends: "primary"},
	{name: "every host refuses", manners: map[string]manner{primaryIP: refuses, fallbackIP: refuses, decoyIP1: refuses, decoyIP2: refuses}, want: "0/0/0", ends: "queued"},
	{name: "decoys retired behind the resolver", want: "1/0/0", ends: "primary", before: retireDecoys},
	{name: "decoys retired and the primary down", manners: map[string]manner{primaryIP: refuses}, want: "0/1/0", ends: "fallback", before: retireDecoys},
	{name: "five real addresses", mx: "MX 10 mail, MX 10 a1, MX 10 a2, MX 10 a3, MX 20 fallback", want: "0/1/0", ends: "fallback",
		manners: map[string]manner{primaryIP: refuses, fiveIPs[0]: refuses, fiveIPs[1]: refuses, fiveIPs[2]: refuses}},
	{name: "fifty messages and a reload", messages: 50, decoys: "none", ends: "primary", before: reloadSoon},
	{name: "S2", trap: "[trap]\nstyle = \"direct\"", want: "1/0/0", ends: "primary"},
	{name: "S3", trap: "[trap]", want: "1/0/0", ends: "primary"},
	{name: "one real host", mx: "MX 10 mail", want: "1/0/0", ends: "primary"},
	{name: "the sender is the fallback, the primary refuses", fromFallback: true, manners: map[string]manner{primaryIP: refuses}, want: "0/0/0", ends: "queued"},
	{name: "the sender is the fallback behind a cover, the primary refuses", fromFallback: true, mx: "MX 10 mail, MX 20 bob.host.invalid.",
		trap:    ownAddresses + "\ncover = true\n[trap.covers]\n\"bob.host.invalid\" = [\"" + fallbackIP + "\"]",
		manners: map[string]manner{primaryIP: refuses}, want: "0/0/0", ends: "queued"},
	// The resolver has the MX set of an earlier epoch, and looks the hosts up now.
	{name: "an MX set of an earlier epoch", turns: true, want: "1/0/0", ends: "primary", before: outliveDecoys},
	{name: "an MX set of an earlier epoch and the primary down", turns: true, manners: map[string]manner{primaryIP: refuses}, want: "0/1/0", ends: "fallback", before: outliveDecoys},
	{name: "an MX set of an earlier epoch and every real host down", turns: true, manners: map[string]manner{primaryIP: refuses, fallbackIP: refuses}, decoys: "some", ends: "queued", before: outliveDecoys},
	// Mail that a host must offer SMTPUTF8 for: what the last host lacks bounces it, and the last host is a decoy.
	{name: "an address in UTF-8, all up", from: "é@sender.test", want: "1/0/0", ends: "primary"},
	{name: "an address in UTF-8, decoys greet with 421", from: "é@sender.test", manners: map[string]manner{primaryIP: refuses, fallbackIP: refuses}, decoys: "some", ends: "queued"},
	{name: "an address in UTF-8, decoys offer SMTPUTF8 and answer 451", from: "é@sender.test",
		manners: map[string]manner{primaryIP: refuses, fallbackIP: refuses, decoyIP1: defers, decoyIP2: defers}, decoys: "some", ends: "queued"},
	{name: "three megabytes in 8 bits, every real host refuses", body: strings.Repeat("é é é é é é é é é é é é é é é é é é é é\r\n", 50_000),
		manners: map[string]manner{primaryIP: refuses, fallbackIP: refuses}, decoys: "some", ends: "queued"},
	{name: "warning: decoys that offer no SMTPUTF8 bounce honest mail that needs it", from: "é@sender.test",
		manners: map[string]manner{primaryIP: refuses, fallbackIP: refuses, decoyIP1: lacks, decoyIP2: lacks}, decoys: "some", ends: "bounced"},
	// What the guide warns of.
	{name: "warning: a fallback that does not know its cover's address goes to decoys", mx: "MX 10 mail, MX 20 bob.host.invalid.",
		trap:    ownAddresses + "\ncover = true\n[trap.covers]\n\"bob.host.invalid\" = [\"" + fallbackIP + "\"]",
		manners: map[string]manner{primaryIP: refuses, fallbackIP: busy}, decoys: "some", ends: "queued"},
	{name: "warning: decoys that greet with 554 bounce honest mail of Exim", manners: map[string]manner{primaryIP: refuses, fallbackIP: refuses, decoyIP1: rejects, decoyIP2: rejects}, decoys: "some", ends: "queued", eximEnds: "bounced"},
	{name: "warning: one real host that defers sends honest mail to decoys", mx: "MX 10 mail", manners: map[string]manner{primaryIP: defers}, decoys: "some", ends: "queued"},
	{name: "warning: decoys that answer 550 bounce honest mail", manners: map[string]manner{primaryIP: refuses, fallbackIP: refuses, decoyIP1: disowns, decoyIP2: disowns}, decoys: "some", ends: "bounced"},
}

// domain is the name of the scenario's zone, without its last label.
func (s *scenario) domain() string {
	return fmt.Sprintf("s%d", slices.IndexFunc(scenarios, func(other scenario) bool { return other.name == s.name }))
}

func (s *scenario) zone() string {
	mx, trap := s.mx, s.trap
	if mx == "" {
		mx = "MX 10 mail, MX 20 fallback"
	}
	if trap == "" {
		trap = ownAddresses
	}
	hosts := "mail = [\"A " + primaryIP + "\"]\nfallback = [\"A " + fallbackIP + "\"]\n"
	for i, ip := range fiveIPs {
		hosts += fmt.Sprintf("a%d = [\"A %s\"]\n", i+1, ip)
	}
	if !s.turns {
		return zoneFor(s.domain(), mx, trap, hosts)
	}
	text := zoneFor(s.domain(), strings.ReplaceAll(mx, "MX ", "500 MX "), trap+"\nrotate = \"1m\"\nsecret_file = \"rotate.secret\"", hosts)
	return strings.Replace(text, "[soa]", "ttl = 30\n[soa]\nrefresh = 20\nretry = 10", 1)
}

// play sends a scenario's messages and holds what comes of them to what is wanted.
func (h *mailHost) play(t *testing.T, m mta, s scenario) {
	for ip, sink := range h.sinks {
		manner := accepts
		if ip == decoyIP1 || ip == decoyIP2 {
			manner = busy
		}
		if given, ok := s.manners[ip]; ok {
			manner = given
		}
		sink.be(t, manner)
	}
	if m.name() == "Exim" {
		s.ends = cmp.Or(s.eximEnds, s.ends)
	}
	domain := s.domain() + ".test"
	// Both senders meet the zone as it was written.
	os.WriteFile(filepath.Join(h.dir, "zones", s.domain()+".toml"), []byte(s.zone()), 0o644)
	if s.before != nil {
		s.before(t, h, s.domain())
	}
	messages := max(1, s.messages)
	subjects := map[string]bool{}
	for range messages {
		h.sent++
		subject := fmt.Sprintf("message-%d", h.sent)
		subjects[subject] = true
		from := cmp.Or(s.from, "a@sender.test")
		body := fmt.Sprintf("From: <%s>\r\nTo: <b@%s>\r\nSubject: %s\r\n\r\n%s\r\n", from, domain, subject, cmp.Or(s.body, "hello"))
		if err := smtp.SendMail("127.0.0.1:"+m.port(), nil, from, []string{"b@" + domain}, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	arrived := func(ip string) (n int) {
		_, got := h.sinks[ip].came()
		for _, subject := range got {
			if subjects[subject] {
				n++
			}
		}
		return n
	}
	switch s.ends {
	case "primary":
		eventually(t, "the primary has all messages", func() bool { return arrived(primaryIP) == messages })
	case "fallback":
		eventually(t, "the fallback has all messages", func() bool { return arrived(fallbackIP) == messages })
	case "bounced":
		eventually(t, "the sender has a bounce", func() bool { _, got := h.sinks[postboxIP].came(); return len(got) > 0 })
	case "queued":
		eventually(t, "the sender keeps the message", func() bool { return m.deferred(domain) })
	}
	counts := h.counts()
	if _, bounces := h.sinks[postboxIP].came(); len(bounces) > 0 != (s.ends == "bounced") {
		t.Errorf("%d bounces", len(bounces))
	}
	got := fmt.Sprintf("%d/%d/%d", counts[0], counts[1], counts[2])
	t.Logf("%-8s %-68s %-8s %s", m.name(), s.name, got, s.ends)
	if s.want != "" && got != s.want {
		t.Errorf("connections to primary/fallback/decoys: %s, want %s", got, s.want)
	}
	if s.decoys == "some" && counts[2] == 0 || s.decoys == "none" && counts[2] > 0 {
		t.Errorf("%d connections to decoys, want %s", counts[2], s.decoys)
	}
	if s.ends == "queued" {
		h.recover(t, m, arrived, messages)
	}
	eventually(t, "the queue is empty", func() bool { return m.queued(t) == 0 })
	if n := arrived(primaryIP) + arrived(fallbackIP); s.ends != "bounced" && n != messages {
		t.Errorf("%d messages arrived, want %d, each once", n, messages)
	}
	if n := arrived(decoyIP1) + arrived(decoyIP2); n > 0 {
		t.Errorf("%d messages went to decoys", n)
	}
}

// counts are the connections to primary, fallback and decoys.
func (h *mailHost) counts() (n [3]int) {
	for i, ips := range [][]string{append([]string{primaryIP}, fiveIPs...), {fallbackIP}, {decoyIP1, decoyIP2}} {
		for _, ip := range ips {
			c, _ := h.sinks[ip].came()
			n[i] += c
		}
	}
	return n
}

// recover lets the primary come back: every message must arrive, once.
func (h *mailHost) recover(t *testing.T, m mta, arrived func(ip string) int, messages int) {
	t.Helper()
	h.sinks[primaryIP].be(t, accepts)
	eventually(t, "every message arrives when the primary is back", func() bool {
		m.flush(t)
		time.Sleep(time.Second / 2)
		return arrived(primaryIP) == messages
	})
}

// retireDecoys lets the resolver know the MX set with decoys, and then takes the trap out of the zone.
func retireDecoys(t *testing.T, h *mailHost, domain string) {
	resolve(t, "127.0.0.1:53", domain+".test.", dns.TypeMX)
	path := filepath.Join(h.dir, "zones", domain+".toml")
	text, _, _ := strings.Cut(readFile(t, path), "[trap]")
	os.WriteFile(path, []byte(text), 0o644)
	h.reload()
	eventually(t, "the decoys are gone", func() bool {
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion("mx1."+domain+".test.", dns.TypeA), "192.0.2.53:53")
		return err == nil && reply.Rcode == dns.RcodeNameError
	})
}

// outliveDecoys waits until the decoys have changed that the resolver knows. Their names must resolve still.
func outliveDecoys(t *testing.T, h *mailHost, domain string) {
	known := exchangesAt(t, "127.0.0.1:53", domain)
	for end := time.Now().Add(90 * time.Second); slices.Equal(exchangesAt(t, "192.0.2.53:53", domain), known); time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatal("the decoys never change")
		}
	}
	for _, host := range known {
		if len(resolve(t, "127.0.0.1:53", host, dns.TypeA)) == 0 {
			t.Errorf("%s does not resolve any more", host)
		}
	}
}

// exchangesAt are the exchanges of a domain as a server has them.
func exchangesAt(t *testing.T, server, domain string) (hosts []string) {
	for _, rr := range resolve(t, server, domain+".test.", dns.TypeMX) {
		hosts = append(hosts, rr.(*dns.MX).Mx)
	}
	slices.Sort(hosts)
	return hosts
}

// reloadSoon reloads while messages are under way.
func reloadSoon(t *testing.T, h *mailHost, _ string) {
	timer := time.AfterFunc(100*time.Millisecond, h.reload)
	t.Cleanup(func() { timer.Stop() })
}
