package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestThePageIsShownOnLoopbackOrWhereItIsWanted(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"zones/z.toml": exampleZone})
	ask := func(host, path string) (int, string) {
		q, _ := http.NewRequest("GET", r.http+path, nil)
		if host != "" {
			q.Host = host
		}
		reply, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		var body strings.Builder
		_ = reply.Write(&body)
		return reply.StatusCode, body.String()
	}
	r.ask("mx2.example.com.", dns.TypeA)
	for _, c := range []struct {
		host, path, want string
		status           int
	}{
		{"", "/", "<h1>1 zone</h1>", 200}, {"localhost:9153", "/", "<h1>1 zone</h1>", 200}, {"[::1]:9153", "/", "<h1>1 zone</h1>", 200}, {"127.0.0.1", "/", "<h1>1 zone</h1>", 200},
		{"evil.test", "/", "server.page = true", 421}, {"evil.test:9153", "/client?address=192.0.2.1", "server.page = true", 421}, {"evil.test", "/metrics", "mxtrap_zones 1", 200},
		{"", "/zone?zone=example.com", "mx2.example.com", 200}, {"", "/zone?zone=example.com", "1 look-up", 200}, {"", "/zone?zone=none.test", "no such zone", 404}, {"", "/client?address=192.0.2.1", "Not listed.", 200},
	} {
		if status, body := ask(c.host, c.path); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s of %q: %d\n%s", c.path, c.host, status, body)
		}
	}
	r.write("mxtrap.toml", serverFile+"page = false\n")
	r.reload()
	if status, _ := ask("", "/"); status != 404 {
		t.Error("switched off:", status)
	}
	r.write("mxtrap.toml", serverFile+"page = true\n")
	r.reload()
	if status, _ := ask("dns.example.com", "/"); status != 200 {
		t.Error("behind a proxy:", status)
	}
}
