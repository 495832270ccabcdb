//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The interop tests run the binary against real peers: resolvers, clients and tools of Debian's packages. All traffic stays on
// loopback.

const interopZone = `
name = "example.com"
[soa]
serial = 7
[records]
"@"      = ["NS ns1", "MX 10 mail", "MX 20 bob.fallback.host.", 'TXT "v=spf1 mx -all"']
ns1      = ["A 192.0.2.53"]
mail     = ["A 192.0.2.25", "AAAA 2001:db8::25"]
www      = ["CNAME mail"]
"*.wild" = ["A 192.0.2.80"]
old      = ["DNAME new.example.net."]
sub      = ["NS ns.sub"]
"ns.sub" = ["A 192.0.2.60"]
"_25._tcp.mail" = ["TLSA 3 1 1 ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB"]
raw      = ['TYPE65280 \# 4 0A000001']
[trap]
cover     = true
addresses = ["192.0.2.26", "192.0.2.32/28", "2001:db8:25::/64"]
[trap.covers]
"bob.fallback.host" = ["198.51.100.7"]
`

// program is a process of the test.
type program struct {
	cmd *exec.Cmd
	out *buffer
}

// buffer is what a process says, read while it runs.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

func background(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(name, args...), out: &buffer{}}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.run(t)
	return p
}

// run starts a program, and ends it with the test.
func (p *program) run(t *testing.T) {
	t.Helper()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Signal(os.Interrupt)
		p.cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", p.cmd.Path, p.out)
		}
	})
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// nextPort is where freePort looks on: below the ports that the kernel gives to clients, and no port twice.
var nextPort atomic.Int32

func init() { nextPort.Store(10_000 + rand.Int32N(10_000)) }

func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		defer l.Close()
		if u, err := net.ListenPacket("udp", address); err == nil {
			u.Close()
			_, port, _ := net.SplitHostPort(address)
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

var binary string

func buildOnce(t *testing.T) string {
	t.Helper()
	if binary == "" {
		dir, err := os.MkdirTemp("", "mxtrap-interop-")
		if err != nil {
			t.Fatal(err)
		}
		binary = filepath.Join(dir, "mxtrap")
		output(t, "go", "build", "-o", binary, "mxtrap/cmd/mxtrap")
	}
	return binary
}

// instance is a running mxtrap.
type instance struct {
	*program
	dir, port, metricsPort string
}

// config is the instance's server file.
func (m *instance) config() string { return filepath.Join(m.dir, "mxtrap.toml") }

// startInstance writes a server file and zones/, and runs mxtrap with them.
func startInstance(t *testing.T, m *instance, server string, zones map[string]string) {
	t.Helper()
	m.dir = t.TempDir()
	os.Mkdir(filepath.Join(m.dir, "zones"), 0o755)
	for name, text := range zones {
		os.WriteFile(filepath.Join(m.dir, "zones", name), []byte(text), 0o644)
	}
	os.WriteFile(m.config(), []byte(server), 0o644)
	m.program = background(t, buildOnce(t), "serve", "--config", m.config())
	eventually(t, "mxtrap serves", func() bool { return strings.Contains(m.out.String(), "msg=serving") }) // not health: some have no zone yet
}

// serveInstance runs mxtrap on loopback with these files in zones/.
func serveInstance(t *testing.T, extra string, zones map[string]string) *instance {
	t.Helper()
	m := &instance{port: freePort(t), metricsPort: freePort(t)}
	startInstance(t, m, fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:%s\"]\nmetrics = \"127.0.0.1:%s\"\nnsid = \"interop\"\n%s", m.port, m.metricsPort, extra), zones)
	return m
}

// serveZones is serveInstance for who wants its folder and ports alone.
func serveZones(t *testing.T, extra string, zones map[string]string) (dir, port, metricsPort string) {
	t.Helper()
	m := serveInstance(t, extra, zones)
	return m.dir, m.port, m.metricsPort
}

func wantLines(t *testing.T, what, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(`(?m)` + p).MatchString(text) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

var mxAnswer = []string{`^example\.com\.\s+3600\s+IN\s+MX\s+10 mail\.example\.com\.`, `MX\s+20 mx1\.example\.com\.`, `MX\s+30 mx2\.example\.com\.`, `MX\s+40 mx3\.example\.com\.`}

func TestInteropDigKdigAndDrillReadTheAnswers(t *testing.T) {
	_, port, _ := serveZones(t, "", map[string]string{"a.toml": interopZone})
	for _, tcp := range []bool{false, true} {
		digArgs, drillArgs := []string{"@127.0.0.1", "-p", port, "+norec", "+nsid"}, []string{"-p", port}
		if tcp {
			digArgs, drillArgs = append(digArgs, "+tcp"), append(drillArgs, "-t")
		}
		for _, tool := range []string{"dig", "kdig"} {
			out := output(t, tool, append(digArgs, "example.com", "MX")...)
			wantLines(t, tool, out, append(mxAnswer, `NOERROR`, `(?i)flags: qr aa`, `NSID.*interop`)...)
			if strings.Contains(strings.ToLower(out), "warning") || strings.Contains(out, "malformed") {
				t.Errorf("%s warns:\n%s", tool, out)
			}
			wantLines(t, tool, output(t, tool, append(digArgs, "mx2.example.com", "A")...), `A\s+192\.0\.2\.26$`)
			wantLines(t, tool, output(t, tool, append(digArgs, "mx3.example.com", "AAAA")...), `AAAA\s+2001:db8:25:`)
			wantLines(t, tool, output(t, tool, append(digArgs, "no.example.com", "A")...), `NXDOMAIN`, `SOA\s+ns1\.example\.com\.`)
			wantLines(t, tool, output(t, tool, append(digArgs, "x.sub.example.com", "A")...), `NS\s+ns\.sub\.example\.com\.`, `ns\.sub\.example\.com\.\s+3600\s+IN\s+A\s+192\.0\.2\.60`)
			wantLines(t, tool, output(t, tool, append(digArgs, "a.old.example.com", "A")...), `DNAME\s+new\.example\.net\.`, `a\.old\.example\.com\.\s+3600\s+IN\s+CNAME\s+a\.new\.example\.net\.`)
			wantLines(t, tool, output(t, tool, append(digArgs, "version.bind", "TXT", "CH")...), `"mxtrap `)
		}
		wantLines(t, "drill", output(t, "drill", append(drillArgs, "example.com", "@127.0.0.1", "MX")...), append(mxAnswer, "rcode: NOERROR", "flags: qr aa")...)
		wantLines(t, "drill", output(t, "drill", append(drillArgs, "www.example.com", "@127.0.0.1", "A")...), `CNAME\s+mail`, `192\.0\.2\.25`)
	}
	wantLines(t, "dig +edns=1", output(t, "dig", "@127.0.0.1", "-p", port, "+edns=1", "+noednsneg", "example.com", "MX"), `BADVERS`)
	wantLines(t, "dig +keepopen", output(t, "dig", "@127.0.0.1", "-p", port, "+tcp", "+keepopen", "example.com", "MX", "mail.example.com", "A"), `192\.0\.2\.25`)
}

// TestShowLoadsElsewhere: what show prints is a zone to named-checkzone, and to mxtrap, which gives the same answers from it.
func TestInteropShowLoadsElsewhere(t *testing.T) {
	dir, port, _ := serveZones(t, "", map[string]string{"a.toml": interopZone})
	shown := output(t, binary, "show", "--config", filepath.Join(dir, "mxtrap.toml"), "example.com")
	file := filepath.Join(dir, "example.com.zone")
	os.WriteFile(file, []byte(shown), 0o644)
	wantLines(t, "named-checkzone", output(t, "named-checkzone", "-i", "local", "example.com", file), `loaded serial 7`, `^OK$`)

	_, second, _ := serveZones(t, "", map[string]string{"b.toml": "name = \"example.com\"\nfile = \"example.com.zone\"\n", "example.com.zone": shown})
	asked := 0
	parser := dns.NewZoneParser(strings.NewReader(shown), "", "")
	names := []string{"no.example.com.", "x.wild.example.com.", "a.b.sub.example.com.", "x.old.example.com.", "x.mx2.example.com."}
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		names = append(names, rr.Header().Name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeNS, dns.TypeSOA, dns.TypeTXT, dns.TypeCNAME, dns.TypeDS, dns.TypeTLSA, 65280, dns.TypeANY} {
			m := new(dns.Msg).SetQuestion(name, typ)
			one, err1 := dns.Exchange(m, "127.0.0.1:"+port)
			two, err2 := dns.Exchange(m, "127.0.0.1:"+second)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			if one.String() != two.String() {
				t.Errorf("%s %s:\n%v\n%v", name, dns.Type(typ), one, two)
			}
			asked++
		}
	}
	t.Logf("%d questions", asked)
}

// TestUnboundResolvesTheTrap: a resolver finds every exchange and its addresses.
func TestInteropUnboundResolvesTheTrap(t *testing.T) {
	_, port, _ := serveZones(t, "", map[string]string{"a.toml": interopZone})
	resolver := startUnbound(t, fmt.Sprintf("stub-zone:\n name: example.com\n stub-addr: 127.0.0.1@%s\n", port), "")
	mx := resolve(t, resolver, "example.com.", dns.TypeMX)
	if len(mx) != 4 {
		t.Fatal(mx)
	}
	for _, rr := range mx {
		host := rr.(*dns.MX).Mx
		if a := resolve(t, resolver, host, dns.TypeA); len(a) != 1 {
			t.Errorf("%s A: %v", host, a)
		}
	}
	if rrs := resolve(t, resolver, "x.wild.example.com.", dns.TypeA); len(rrs) != 1 {
		t.Error(rrs)
	}
	if rrs := resolve(t, resolver, "www.example.com.", dns.TypeA); len(rrs) != 2 {
		t.Error(rrs)
	}
}

// TestACoverIsLookedUpThroughUnbound: the fallback's addresses come from a real resolver.
func TestInteropACoverIsLookedUpThroughUnbound(t *testing.T) {
	resolver := startUnbound(t, "", " local-zone: \"fallback.host.\" static\n local-data: \"bob.fallback.host. 60 A 198.51.100.99\"\n")
	zone := strings.Split(interopZone, "[trap.covers]")[0]
	_, port, _ := serveZones(t, "resolver = [\""+resolver+"\"]\n", map[string]string{"a.toml": zone})
	eventually(t, "the cover has its address", func() bool {
		return strings.Contains(output(t, "dig", "@127.0.0.1", "-p", port, "+short", "mx1.example.com", "A"), "198.51.100.99")
	})
	wantLines(t, "dig", output(t, "dig", "@127.0.0.1", "-p", port, "example.com", "MX"), mxAnswer...)
}

func startUnbound(t *testing.T, clauses, server string) string {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	config := filepath.Join(dir, "unbound.conf")
	os.WriteFile(config, []byte(fmt.Sprintf(`server:
 interface: 127.0.0.1@%s
 do-not-query-localhost: no
 username: ""
 chroot: ""
 directory: %q
 pidfile: ""
 use-syslog: no
 module-config: "iterator"
 harden-glue: yes
 qname-minimisation: yes
%sremote-control:
 control-enable: no
%s`, port, dir, server, clauses)), 0o644)
	background(t, "unbound", "-d", "-c", config)
	addr := "127.0.0.1:" + port
	eventually(t, "unbound answers", func() bool {
		_, err := dns.Exchange(new(dns.Msg).SetQuestion("localhost.", dns.TypeA), addr)
		return err == nil
	})
	return addr
}

func resolve(t *testing.T, resolver, name string, typ uint16) []dns.RR {
	t.Helper()
	reply, _, err := (&dns.Client{Timeout: 10 * time.Second}).Exchange(new(dns.Msg).SetQuestion(name, typ), resolver)
	if err != nil || reply.Rcode != dns.RcodeSuccess {
		t.Fatalf("%s %s: %v %v", name, dns.Type(typ), err, reply)
	}
	return reply.Answer
}

// TestPrometheusScrapesAndEveryExpressionRuns: a real Prometheus scrapes mxtrap; the metrics pass promtool's linter; and every
// expression of the dashboard and of the alert rules is one that it answers.
func TestInteropPrometheusScrapesAndEveryExpressionRuns(t *testing.T) {
	caught := "name = \"caught.test\"\n[records]\n\"@\" = [\"NS ns1\", \"MX 10 mail\"]\nns1 = [\"A 127.0.0.53\"]\nmail = [\"A 127.0.0.199\"]\n[trap]\naddresses = [\"127.0.0.26\"]\n"
	primary := serveInstance(t, "[transfer]\nallow = [\"127.0.0.1\"]\n", map[string]string{"c.toml": "name = \"copied.test\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\n"})
	_, port, metricsPort := serveZones(t, "[dnssec]\ndefault = true\nsecret = \"zones/secret\"\n[catch]\nlisten = [\"decoys:"+freePort(t)+"\"]\n",
		map[string]string{"a.toml": interopZone, "b.toml": caught, "c.toml": "name = \"copied.test\"\n[primary]\naddress = [\"127.0.0.1:" + primary.port + "\"]\n", "secret": strings.Repeat("s", 32)})
	lint := exec.Command("promtool", "check", "metrics")
	reply, err := http.Get("http://127.0.0.1:" + metricsPort + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	lint.Stdin = reply.Body
	if out, err := lint.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	reply.Body.Close()

	dir, prometheusPort := t.TempDir(), freePort(t)
	rules, _ := filepath.Abs("../../../configs/prometheus/rules.yml")
	config := filepath.Join(dir, "prometheus.yml")
	os.WriteFile(config, []byte(fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs: [{job_name: mxtrap, static_configs: [{targets: [\"127.0.0.1:%s\"]}]}]\n", rules, metricsPort)), 0o644)
	background(t, "prometheus", "--config.file="+config, "--storage.tsdb.path="+dir+"/data", "--web.listen-address=127.0.0.1:"+prometheusPort)
	query := func(expr string) (status string, results int) {
		reply, err := http.Get("http://127.0.0.1:" + prometheusPort + "/api/v1/query?query=" + url.QueryEscape(expr))
		if err != nil {
			return err.Error(), 0
		}
		defer reply.Body.Close()
		body, _ := io.ReadAll(reply.Body)
		var answer struct {
			Status, Error string
			Data          struct{ Result []any }
		}
		json.Unmarshal(body, &answer)
		return strings.TrimSpace(answer.Status + " " + answer.Error), len(answer.Data.Result)
	}
	traffic := func() {
		for _, q := range []string{"example.com MX", "mx2.example.com A", "mx3.example.com AAAA", "no.example.com A", "other.test A"} {
			name, typ, _ := strings.Cut(q, " ")
			dns.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.StringToType[typ]), "127.0.0.1:"+port)
		}
	}
	eventually(t, "Prometheus has rates of queries", func() bool {
		traffic()
		_, n := query(`rate(mxtrap_trap_decoy_lookups_total{decoy="mx2",type="A"}[5m]) > 0`)
		return n > 0
	})
	eventually(t, "Prometheus has run the rules", func() bool {
		reply, err := http.Get("http://127.0.0.1:" + prometheusPort + "/api/v1/rules")
		if err != nil {
			return false
		}
		defer reply.Body.Close()
		body, _ := io.ReadAll(reply.Body)
		return strings.Count(string(body), `"health":"ok"`) >= 8
	})
	for _, e := range dashboardExpressions(t) {
		status, results := query(strings.NewReplacer("$instance", ".*").Replace(e))
		if status != "success" || results == 0 {
			t.Errorf("dashboard: %s: %s, %d results", e, status, results)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\s+expr: (.*)$`).FindAllStringSubmatch(readFile(t, rules), -1) {
		if status, _ := query(m[1]); status != "success" {
			t.Errorf("rule: %s: %s", m[1], status)
		}
	}
}

// dashboardExpressions are the expressions of every panel.
func dashboardExpressions(t *testing.T) (out []string) {
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, "../../../configs/grafana/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			out = append(out, target.Expr)
		}
	}
	if len(out) < 10 {
		t.Fatalf("only %d expressions", len(out))
	}
	return out
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// said is what a program said, whatever its exit code.
func said(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, _ := exec.Command(name, args...).CombinedOutput()
	return string(out)
}

// timeAfter is a time of a file that everybody takes for a later one.
func timeAfter() time.Time { return time.Now().Add(2 * time.Second) }
