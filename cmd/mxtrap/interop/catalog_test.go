//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// memberZone is a zone with a trap.
func memberZone(name string) string {
	return strings.Replace(interopZone, `name = "example.com"`, fmt.Sprintf("name = %q", name), 1)
}

// serves waits until a server answers for a zone, or no longer does.
func serves(t *testing.T, port, zone string, want bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is served: %v", zone, want), func() bool {
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion(zone+".", dns.TypeMX), "127.0.0.1:"+port)
		return err == nil && (reply.Rcode == dns.RcodeSuccess && len(reply.Answer) == 4) == want && (reply.Rcode == dns.RcodeRefused) == !want
	})
}

// TestInteropCatalogIsConsumedByOthers: who takes our catalog serves all zones that are in it, and follows when they change.
func TestInteropCatalogIsConsumedByOthers(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, dir, port, primary string){"Knot": startKnotCatalog, "BIND": startBINDCatalog} {
		t.Run(name, func(t *testing.T) {
			port, dir := freePort(t), openFolder(t)
			m := serveInstance(t, fmt.Sprintf("[catalog]\nproduce = \"catalog.test\"\n[keys]\nns2 = \"hmac-sha256 %s\"\n[transfer]\nallow = [\"key ns2\"]\nnotify = [\"127.0.0.1:%s key ns2\"]\n", transferSecret, port),
				map[string]string{"a.toml": memberZone("example.com"), "b.toml": memberZone("example.org")})
			start(t, dir, port, m.port)
			serves(t, port, "example.com", true)
			serves(t, port, "example.org", true)
			os.Remove(filepath.Join(m.dir, "zones/b.toml"))
			write(t, m.dir, "zones/c.toml", memberZone("example.net"))
			m.reload()
			serves(t, port, "example.net", true)
			serves(t, port, "example.org", false)
			serves(t, port, "example.com", true)
			// Nobody else sees which zones there are.
			wantLines(t, "dig", said(t, "dig", "@127.0.0.1", "-p", m.port, "version.catalog.test", "TXT"), `REFUSED`, `EDE: 18`)
			wantLines(t, "dig", said(t, "dig", "@127.0.0.1", "-p", m.port, "version.catalog.test", "TXT", "-y", "hmac-sha256:ns2:"+transferSecret), `"2"`)
		})
	}
}

func startKnotCatalog(t *testing.T, dir, port, primary string) {
	background(t, "knotd", "-c", write(t, dir, "knot.conf", knotHead(dir, port, primary, "hmac-sha256", "notify")+fmt.Sprintf(`
template:
  - id: member
    storage: %[1]s
    master: mxtrap
    acl: mxtrap
zone:
  - domain: catalog.test
    storage: %[1]s
    master: mxtrap
    acl: mxtrap
    catalog-role: interpret
    catalog-template: member
`, dir)))
}

func startBINDCatalog(t *testing.T, dir, port, primary string) {
	options := fmt.Sprintf("  allow-notify { key \"ns2\"; };\n  catalog-zones { zone \"catalog.test\" default-masters { 127.0.0.1 port %s key \"ns2\"; } zone-directory %q min-update-interval 1; };\n", primary, dir)
	background(t, "named", "-g", "-c", write(t, dir, "named.conf", bindHead(dir, port, "hmac-sha256", options)+fmt.Sprintf(`
zone "catalog.test" {
  type secondary;
  file "catalog.zone";
  primaries { 127.0.0.1 port %s key "ns2"; };
};
`, primary)))
}

// TestInteropCatalogOfOthersIsConsumed: the zones that another server lists get the trap of a template.
func TestInteropCatalogOfOthersIsConsumed(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, dir, port, secondary string) (change func()){"Knot": startKnotProducer, "BIND": startBINDProducer} {
		t.Run(name, func(t *testing.T) {
			port, dir := freePort(t), openFolder(t)
			for _, zone := range []string{"example.com", "example.org", "example.net"} {
				text := strings.ReplaceAll(plainZone(1, "x"), "example.com", zone)
				write(t, dir, zone+".zone", text[:strings.Index(text, "h0 A")])
			}
			primary := fmt.Sprintf("[primary]\naddress = [\"127.0.0.1:%s\"]\ntsig = \"ns2\"\n", port)
			m := serveInstance(t, fmt.Sprintf("state = \"state\"\n[keys]\nns2 = \"hmac-sha256 %s\"\n", transferSecret), map[string]string{
				"catalog.toml":   "name = \"catalog.test\"\n" + primary + "[catalog]\ntemplate = \"../member.toml\"\n",
				"../member.toml": primary + "[trap]\n",
			})
			change := start(t, dir, port, m.port)
			serves(t, m.port, "example.com", true)
			serves(t, m.port, "example.org", true)
			serves(t, m.port, "example.net", false)
			change()
			serves(t, m.port, "example.net", true)
			serves(t, m.port, "example.org", false)
			wantLines(t, "check", output(t, binary, "check", "--config", m.config()), `ok: 3 zones, 4 decoys`)
		})
	}
}

func startKnotProducer(t *testing.T, dir, port, secondary string) (change func()) {
	config := func(zones ...string) {
		text := knotHead(dir, port, secondary, "hmac-sha256", "transfer") + fmt.Sprintf(`
template:
  - id: default
    storage: %[1]s
    acl: mxtrap
    notify: mxtrap
  - id: member
    storage: %[1]s
    acl: mxtrap
    notify: mxtrap
    catalog-role: member
    catalog-zone: catalog.test
zone:
  - domain: catalog.test
    catalog-role: generate
`, dir)
		for _, zone := range zones {
			text += fmt.Sprintf("  - domain: %s\n    template: member\n    file: %s.zone\n", zone, zone)
		}
		write(t, dir, "knot.conf", text)
	}
	config("example.com", "example.org")
	p := background(t, "knotd", "-c", filepath.Join(dir, "knot.conf"))
	return func() {
		config("example.com", "example.net")
		hangUp(t, dir, p)
	}
}

func startBINDProducer(t *testing.T, dir, port, secondary string) (change func()) {
	catalog := func(serial int, zones ...string) {
		text := fmt.Sprintf("@ 3600 SOA invalid. invalid. %d 3600 600 86400 0\n@ 3600 NS invalid.\nversion 3600 TXT \"2\"\n", serial)
		for i, zone := range zones {
			text += fmt.Sprintf("id%d.zones 3600 PTR %s.\n", i, zone)
		}
		write(t, dir, "catalog.test.zone", text)
		os.Chtimes(filepath.Join(dir, "catalog.test.zone"), timeAfter(), timeAfter())
	}
	catalog(1, "example.com", "example.org")
	options := fmt.Sprintf("  notify explicit;\n  also-notify { 127.0.0.1 port %s key \"ns2\"; };\n  allow-transfer { key \"ns2\"; };\n", secondary)
	text := bindHead(dir, port, "hmac-sha256", options)
	for _, zone := range []string{"catalog.test", "example.com", "example.org", "example.net"} {
		text += fmt.Sprintf("zone %q { type primary; file \"%s.zone\"; };\n", zone, zone)
	}
	p := background(t, "named", "-g", "-c", write(t, dir, "named.conf", text))
	return func() {
		catalog(2, "example.com", "example.net")
		hangUp(t, dir, p)
	}
}
