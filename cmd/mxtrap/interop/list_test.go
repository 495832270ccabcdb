//go:build interop && linux

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/judge"
)

// TestInteropList has the programs that a list is exported for take it: each keeps out whom it lists, and nobody else.
func TestInteropList(t *testing.T) {
	dir := openFolder(t)
	now := time.Now()
	entries := []judge.Entry{
		{Client: netip.MustParsePrefix("203.0.113.9/32"), Listing: judge.Listing{Grade: judge.Deaf, End: now.Unix() + 600}},
		{Client: netip.MustParsePrefix("2001:db8:0:7::/64"), Listing: judge.Listing{Grade: judge.Passed2, End: now.Unix() + 600}},
	}
	files := map[string]string{}
	for _, x := range judge.Exports {
		files[x.Name] = write(t, dir, x.Name, x.Print(entries, now))
		write(t, dir, x.Name+"-empty", x.Print(nil, now))
	}
	t.Run("nftables", func(t *testing.T) {
		load := "nft -f " + files["nftables"]
		script := load + ` && nft add chain inet mxtrap_list input '{ type filter hook input priority 0; }' && nft add rule inet mxtrap_list input tcp dport 25 ip saddr @listed4 drop &&
			nft add rule inet mxtrap_list input tcp dport 25 ip6 saddr @listed6 drop && ` + load + " && nft list table inet mxtrap_list"
		got := output(t, "unshare", "--net", "sh", "-c", script)
		if strings.Count(got, "timeout 10m expires") != 2 || !strings.Contains(got, "203.0.113.9 ") || !strings.Contains(got, "2001:db8:0:7::/64 ") || strings.Count(got, "drop") != 2 {
			t.Error(got)
		}
		if out, err := exec.Command("unshare", "--net", "sh", "-c", "nft -f "+files["nftables"]+" && nft -f "+files["nftables"]+"-empty && nft get element inet mxtrap_list listed4 '{ 203.0.113.9 }'").CombinedOutput(); err == nil {
			t.Errorf("what is listed no more is still there: %s", out)
		}
	})
	t.Run("nftables, followed", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		write(t, dir, "a.toml", "name = \"a.test\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\n")
		config := write(t, dir, "mxtrap.toml", fmt.Sprintf("[server]\nzones = [\"a.toml\"]\nstate = %q\n[list]\nmode = \"list\"\n", sightedIn(t, "203.0.113.9", "198.51.100.9")))
		got := output(t, "unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", `
			"$0" list export nftables --follow --config "$1" &
			has() { nft list set inet mxtrap_list listed4 2>/dev/null | grep -q "$1"; }
			until has 203.0.113.9 && has 198.51.100.9; do sleep 0.2; done
			"$0" list pardon --config "$1" 203.0.113.9
			while has 203.0.113.9; do sleep 0.2; done
			has 198.51.100.9 && echo the other is still there
		`, buildOnce(t), config)
		if !strings.Contains(got, "the other is still there") {
			t.Error(got)
		}
	})
	t.Run("postscreen", func(t *testing.T) {
		for client, want := range map[string]string{"203.0.113.9": "reject", "203.0.113.10": "", "2001:db8:0:7::1": "reject", "2001:db8:0:8::1": ""} {
			out, _ := exec.Command("postmap", "-q", client, "cidr:"+files["postscreen"]).Output()
			if got := strings.TrimSpace(string(out)); got != want {
				t.Errorf("%s: %q, want %q", client, got, want)
			}
		}
	})
	t.Run("rbldnsd", func(t *testing.T) {
		port := freePort(t)
		os.Chmod(filepath.Dir(files["rbldnsd"]), 0o755)
		background(t, "rbldnsd", "-u", "nobody", "-n", "-b", "127.0.0.1/"+port, "-w", dir, "bl.test:combined:rbldnsd")
		for client, want := range map[string]string{
			"127.0.0.2": "127.0.0.2", "127.0.0.1": "", "203.0.113.9": "127.0.0.5", "203.0.113.10": "", "2001:db8:0:7::1": "127.0.0.6", "2001:db8:0:8::1": "", "::ffff:7f00:2": "127.0.0.2",
		} {
			reverse, _ := dns.ReverseAddr(client)
			if strings.HasPrefix(client, "::ffff:") { // the library takes it for IPv4
				reverse = "2.0.0.0.0.0.f.7.f.f.f.f." + strings.Repeat("0.", 20) + "ip6.arpa."
			}
			name := strings.TrimSuffix(strings.TrimSuffix(reverse, "in-addr.arpa."), "ip6.arpa.") + "bl.test."
			var reply *dns.Msg
			eventually(t, "rbldnsd answers", func() (ok bool) {
				var err error
				reply, err = dns.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), "127.0.0.1:"+port)
				return err == nil && reply.Rcode != dns.RcodeRefused && reply.Rcode != dns.RcodeServerFailure
			})
			got := ""
			for _, rr := range reply.Answer {
				got = rr.(*dns.A).A.String()
			}
			if got != want {
				t.Errorf("%s: %q, want %q", client, got, want)
			}
		}
	})
}
