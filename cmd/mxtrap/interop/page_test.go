//go:build interop && linux

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/miekg/dns"
)

// TestInteropPage opens the page in Chromium, light and dark, with script and without, and has axe look at it. PAGE is the folder of the modules that
// this needs, which .ci/run fills; screenshots are written there.
func TestInteropPage(t *testing.T) {
	folder := os.Getenv("PAGE")
	if folder == "" {
		t.Fatal("PAGE is not set; .ci/run sets it")
	}
	m := serveInstance(t, fmt.Sprintf("state = %q\n[list]\nmode = \"list\"\n", sightedIn(t, "203.0.113.9", "2001:db8:0:7::1")), map[string]string{"a.toml": interopZone})
	for _, q := range []string{"mx2.example.com.", "mx3.example.com."} {
		dns.Exchange(new(dns.Msg).SetQuestion(q, dns.TypeA), "127.0.0.1:"+m.port)
	}
	page := "http://127.0.0.1:" + m.metricsPort
	out, err := exec.Command("node", "../../../.ci/page.mjs", folder, page+"/", page+"/zone?zone=example.com", page+"/client?address=203.0.113.9", page+"/?zone=nothing").CombinedOutput()
	if t.Log(string(out)); err != nil {
		t.Error(err)
	}
}
