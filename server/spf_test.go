package server

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"blitiri.com.ar/go/spf"
)

// TestSPFPassesWithDecoys asks an SPF library what becomes of a domain's own mail, and with more exchanges than check lets decoys make.
func TestSPFPassesWithDecoys(t *testing.T) {
	t.Parallel()
	zone := func(name string, real int, trap string) string {
		exchanges := ""
		hosts := ""
		for i := range real {
			exchanges += fmt.Sprintf("\"MX %d m%d\", ", 10*(i+1), i)
			hosts += fmt.Sprintf("m%d = [\"A 192.0.2.%d\"]\n", i, i+1)
		}
		return fmt.Sprintf("name = %q\n[records]\n\"@\" = [\"NS ns1\", %s'TXT \"v=spf1 mx -all\"']\nns1 = [\"A 192.0.2.53\"]\n%s%s", name, exchanges, hosts, trap)
	}
	r := start(t, map[string]string{
		"zones/ten.toml":    zone("ten.example", 2, "[trap]\ncount = 8\naddresses = [\"192.0.2.128/28\"]\n"),
		"zones/eleven.toml": zone("eleven.example", 11, ""),
	})
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, r.addr)
	}}
	for _, c := range []struct {
		ip, domain string
		want       spf.Result
	}{
		{"192.0.2.1", "ten.example", spf.Pass}, {"192.0.2.2", "ten.example", spf.Pass}, {"192.0.2.129", "ten.example", spf.Pass}, {"192.0.2.99", "ten.example", spf.Fail},
		{"192.0.2.99", "eleven.example", spf.PermError},
	} {
		got, err := spf.CheckHostWithSender(net.ParseIP(c.ip), "mail."+c.domain, "a@"+c.domain, spf.WithResolver(resolver))
		if got != c.want {
			t.Errorf("%s for %s: %s, want %s: %v", c.ip, c.domain, got, c.want, err)
		}
	}
	r.write("zones/ten.toml", zone("ten.example", 3, "[trap]\ncount = 8\naddresses = [\"192.0.2.128/28\"]\n"))
	r.reload()
	if !strings.Contains(r.log.String(), "set count = 7 or less") {
		t.Errorf("eleven exchanges are taken:\n%s", r.log)
	}
}
