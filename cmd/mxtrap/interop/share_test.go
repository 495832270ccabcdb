//go:build interop && linux

package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestInteropShare has two servers share what they see through a Redis with TLS and a password. A bot that the first has sighted is in the DNSBL of
// the second, in its sets of nftables, and known to an rspamd that reads the list in the store.
func TestInteropShare(t *testing.T) {
	t.Parallel()
	dir, port := openFolder(t), freePort(t)
	output(t, "sh", "-ec", `cd "$0"
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca 2>/dev/null
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout redis.key -out redis.csr -subj /CN=redis 2>/dev/null
		printf "subjectAltName=IP:127.0.0.1" > ext
		openssl x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out redis.pem -days 2 -extfile ext 2>/dev/null
		printf "open sesame\n" > password; chmod 600 password`, dir)
	plain := freePort(t)
	background(t, "redis-server", "--port", plain, "--tls-port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--requirepass", "open sesame",
		"--tls-cert-file", dir+"/redis.pem", "--tls-key-file", dir+"/redis.key", "--tls-ca-cert-file", dir+"/ca.pem", "--tls-auth-clients", "no")
	serve := func(node, state string) *instance {
		return serveInstance(t, fmt.Sprintf("state = %q\ncontrol = %q\n[list]\nmode = \"list\"\nzone = \"bl.test\"\npolicy = \"127.0.0.1:%s\"\n[share]\nredis = \"rediss://127.0.0.1:%s\"\npassword = { file = \"%s/password\" }\nca = \"%s/ca.pem\"\nnode = %q\n",
			state, filepath.Join(openFolder(t), "control.sock"), freePort(t), port, dir, dir, node), map[string]string{"a.toml": "name = \"a.test\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\n"})
	}
	first, second := serve("first", sightedIn(t, "203.0.113.9", "2001:db8:0:7::1")), serve("second", openFolder(t))
	asks := func(m *instance, client string) string {
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion(client+".bl.test.", dns.TypeA), "127.0.0.1:"+m.port)
		if err != nil || len(reply.Answer) == 0 {
			return ""
		}
		return reply.Answer[0].(*dns.A).A.String()
	}
	for _, m := range []*instance{first, second} {
		eventually(t, "both list the bot", func() bool { return asks(m, "9.113.0.203") == "127.0.0.5" })
	}
	shown := output(t, buildOnce(t), "share", "--config", second.config())
	wantLines(t, "mxtrap share", shown, `^store\s+127.0.0.1:`+port+`, answers$`, `^judge\s+(first|second)$`, `^listed\s+2 clients$`, `^first\s+heard .*; sees visits$`, `^second\s+heard .*; sees visits; this server$`)
	if got := output(t, buildOnce(t), "list", "export", "plain", "--config", second.config()); got != "203.0.113.9\n2001:db8:0:7::/64\n" {
		t.Errorf("the second exports %q", got)
	}
	if metrics := output(t, "curl", "-s", "http://127.0.0.1:"+second.metricsPort+"/metrics"); !strings.Contains(metrics, "mxtrap_share_up 1") || !strings.Contains(metrics, `mxtrap_share_nodes{state="heard"} 2`) {
		t.Error(metrics)
	}
	t.Run("rspamd", func(t *testing.T) {
		for client, want := range map[string]bool{"203.0.113.9": true, "203.0.113.10": false, "2001:db8:0:7::77": true, "2001:db8:0:8::77": false} {
			if got := multimap(t, plain, client); strings.Contains(got, "MXTRAP_LISTED") != want {
				t.Errorf("%s: listed is to be %v\n%s", client, want, got)
			}
		}
	})
	t.Run("nftables", func(t *testing.T) {
		got := output(t, "unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", `
			"$0" list export nftables --follow --config "$1" &
			has() { nft list set inet mxtrap_list listed4 2>/dev/null | grep -q "$1"; }
			until has 203.0.113.9; do sleep 0.2; done
			nft flush ruleset
			until has 203.0.113.9; do sleep 0.5; done
			"$0" list pardon --config "$2" 203.0.113.9
			while has 203.0.113.9; do sleep 0.2; done
			echo pardoned
		`, buildOnce(t), second.config(), first.config())
		if !strings.Contains(got, "pardoned") {
			t.Error(got)
		}
	})
	for _, m := range []*instance{first, second} { // the first has pardoned it
		eventually(t, "nobody lists the bot", func() bool { return asks(m, "9.113.0.203") == "" })
	}
	if asks(second, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2") != "127.0.0.5" {
		t.Error("the other bot is gone too")
	}
}

// multimap are the symbols that rspamd finds for a message of a client, with the guide's map in the store.
func multimap(t *testing.T, redisPort, client string) string {
	t.Helper()
	return rspamdFinds(t, client, `lua = "/usr/share/rspamd/rules/rspamd.lua";
modules { path = "/usr/share/rspamd/plugins/multimap.lua"; }
redis { servers = "127.0.0.1:`+redisPort+`"; password = "open sesame"; }
multimap {
`+block(t, "DECOYS.md", "multimap.conf")+"}\n")
}
