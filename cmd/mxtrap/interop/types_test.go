//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInteropAllTypes: a zone with every type goes to BIND by AXFR and from there to a second mxtrap, and stays the same octet for octet;
// and what show prints is the same zone to named-compilezone.
func TestInteropAllTypes(t *testing.T) {
	types := readFile(t, "../../../zone/rr/testdata/types.zone")
	m := &instance{port: freePort(t), metricsPort: freePort(t)}
	bind, second := freePort(t), &instance{port: freePort(t), metricsPort: freePort(t)}
	head := func(m *instance) string {
		return fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:%s\"]\nmetrics = \"127.0.0.1:%s\"\nstate = \"state\"\n[keys]\nns2 = \"hmac-sha256 %s\"\n[transfer]\nallow = [\"127.0.0.1\", \"key ns2\"]\n", m.port, m.metricsPort, transferSecret)
	}
	startInstance(t, m, head(m)+fmt.Sprintf("notify = [\"127.0.0.1:%s key ns2\"]\n", bind), map[string]string{"z.toml": "name = \"example.com\"\nfile = \"types.zone\"\n", "types.zone": types})
	startBIND(t, openFolder(t), bind, m.port, "hmac-sha256")
	want := octets(t, m.port)
	eventually(t, "BIND has the zone", func() bool { return len(said(t, "dig", "@127.0.0.1", "-p", bind, "example.com", "SOA", "+short")) > 5 })
	startInstance(t, second, head(second), map[string]string{"z.toml": fmt.Sprintf("name = \"example.com\"\n[primary]\naddress = [\"127.0.0.1:%s\"]\ntsig = \"ns2\"\n", bind)})
	eventually(t, "the second mxtrap has the zone", func() bool {
		return len(said(t, "dig", "@127.0.0.1", "-p", second.port, "example.com", "SOA", "+short")) > 5
	})
	for name, port := range map[string]string{"BIND": bind, "the second mxtrap": second.port} {
		if got := octets(t, port, "-y", "hmac-sha256:ns2:"+transferSecret); got != want {
			t.Errorf("%s has\n%s\nwant\n%s", name, got, want)
		}
	}

	dir := t.TempDir()
	file := filepath.Join(dir, "shown")
	os.WriteFile(file, []byte(output(t, buildOnce(t), "show", "--config", m.config(), "example.com")), 0o644)
	written := filepath.Join(dir, "written")
	os.WriteFile(written, []byte(types), 0o644)
	compiled := func(file string) string {
		return output(t, "named-compilezone", "-q", "-i", "none", "-k", "ignore", "-s", "full", "-o", "-", "example.com", file)
	}
	known := compiled(file)
	for line := range strings.Lines(types) {
		// BIND 9.18 does not know these by name: what show prints it reads all the same.
		if f := strings.Fields(line); len(f) > 2 && slices.Contains([]string{"SINK", "UINFO", "UID", "GID"}, f[1]) || strings.Contains(line, "\t\"10\" mail") {
			types = strings.Replace(types, line, "", 1)
		}
	}
	os.WriteFile(written, []byte(types), 0o644)
	for line := range strings.Lines(compiled(written)) {
		if !strings.Contains(known, line) {
			t.Errorf("what show prints lacks %s", line)
		}
	}
	if n := strings.Count(known, "\n"); n < 100 {
		t.Errorf("%d records", n)
	}
}

// octets are all records of a transfer with their data in hexadecimal digits, in order.
func octets(t *testing.T, port string, more ...string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(said(t, "dig", append([]string{"@127.0.0.1", "-p", port, "example.com", "AXFR", "+unknownformat", "+onesoa"}, more...)...)) {
		if strings.TrimSpace(line) != "" && line[0] != ';' && !strings.Contains(line, "TYPE250") { // a signature
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	slices.Sort(lines)
	if len(lines) < 100 {
		t.Fatalf("%d records of port %s", len(lines), port)
	}
	return strings.Join(slices.Compact(lines), "\n")
}
