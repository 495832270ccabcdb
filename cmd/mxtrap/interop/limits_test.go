//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestInteropKdigAndDigTakeTheCookie: kdig asks once more with the server cookie that it got; so does dig, and says that it is good.
func TestInteropKdigAndDigTakeTheCookie(t *testing.T) {
	m := serveInstance(t, "[cookies]\nsecrets = [\"e5e973e5a6b2a43f48e7dc849e37bfcf\"]\n", map[string]string{"a.toml": interopZone})
	wantLines(t, "dig", output(t, "dig", "@127.0.0.1", "-p", m.port, "+cookie", "example.com", "MX"), `COOKIE: [0-9a-f]{16}01000000[0-9a-f]{24} \(good\)`)
	wantLines(t, "kdig", output(t, "kdig", "@127.0.0.1", "-p", m.port, "+cookie", "example.com", "MX"), `COOKIE: [0-9A-Fa-f]{16} [0-9A-Fa-f]{32}|COOKIE: [0-9A-Fa-f]{48}`)
	// Another server of the fleet, with the same secret, takes it.
	cookie := regexp.MustCompile(`COOKIE: ([0-9a-f]{48})`).FindStringSubmatch(output(t, "dig", "@127.0.0.1", "-p", m.port, "+cookie", "example.com", "MX"))
	other := serveInstance(t, "[cookies]\nsecrets = [\"e5e973e5a6b2a43f48e7dc849e37bfcf\"]\n", map[string]string{"a.toml": interopZone})
	wantLines(t, "dig", output(t, "dig", "@127.0.0.1", "-p", other.port, "+cookie="+cookie[1], "example.com", "MX"), `COOKIE: `+cookie[1])
}

// TestInteropDnsperfIsLimited: of one question asked as fast as can be, a second gets the answers that the limit allows, every second
// of the rest slips, and all others are counted as dropped.
func TestInteropDnsperfIsLimited(t *testing.T) {
	m := serveInstance(t, "[rate_limit]\nresponses = 100\nexempt = []\n", map[string]string{"a.toml": interopZone})
	queries := filepath.Join(t.TempDir(), "queries")
	write(t, filepath.Dir(queries), "queries", "example.com MX\n")
	said, err := exec.Command("dnsperf", "-s", "127.0.0.1", "-p", m.port, "-d", queries, "-n", "2000", "-q", "2000", "-c", "1", "-t", "1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	number := func(pattern string) float64 {
		found := regexp.MustCompile(pattern + `:\s+(\d+)`).FindSubmatch(said)
		if found == nil {
			t.Fatalf("%s", said)
		}
		n, _ := strconv.Atoi(string(found[1]))
		return float64(n)
	}
	dropped, slipped := m.metric(t, `mxtrap_drops_total{reason="rate_limit"}`), m.metric(t, "mxtrap_rate_limit_slips_total")
	if lost := number("Queries lost"); lost != dropped {
		t.Errorf("dnsperf lost %v, mxtrap dropped %v", lost, dropped)
	}
	if dropped < 500 || dropped-slipped > 2 || slipped-dropped > 2 {
		t.Errorf("%v dropped, %v slipped", dropped, slipped)
	}
	if full := 2000 - dropped - slipped; full < 100 || full > 900 {
		t.Errorf("%v full answers", full)
	}
}

// TestInteropDnstapIsReadByOthers: fstrm_capture takes the stream at a socket, and dnstap-ldns tells what is in it.
func TestInteropDnstapIsReadByOthers(t *testing.T) {
	dir := openFolder(t)
	socket, file := filepath.Join(dir, "socket"), filepath.Join(dir, "captured")
	capture := background(t, "fstrm_capture", "-t", "protobuf:dnstap.Dnstap", "-u", socket, "-w", file)
	m := serveInstance(t, "[dnstap]\nsocket = \""+socket+"\"\n", map[string]string{"a.toml": interopZone})
	output(t, "dig", "@127.0.0.1", "-p", m.port, "example.com", "MX")
	output(t, "dig", "@127.0.0.1", "-p", m.port, "+tcp", "mx3.example.com", "A")
	m.cmd.Process.Signal(os.Interrupt)
	m.cmd.Wait()
	capture.cmd.Process.Signal(os.Interrupt)
	capture.cmd.Wait()
	wantLines(t, "dnstap-ldns", output(t, "dnstap-ldns", "-r", file), `AQ.* UDP .*"example\.com\." IN MX`, `AR.* UDP .*"example\.com\." IN MX`, `AQ.* TCP .*"mx3\.example\.com\." IN A`)
	wantLines(t, "dnstap-ldns", output(t, "dnstap-ldns", "-y", "-r", file), `40 mx3\.example\.com\.`, `type: AUTH_RESPONSE`, `identity: "interop"`)
}
