package server

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestWhoHasACookieIsNotLimited(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"mxtrap.toml": serverFile + "[rate_limit]\nresponses = 3\nslip = 0\nexempt = []\n", "zones/z.toml": exampleZone})
	conn, err := net.Dial("udp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := &dns.Conn{Conn: conn}
	ask := func(cookie string, wait time.Duration) *dns.Msg {
		m := new(dns.Msg).SetQuestion("example.com.", dns.TypeMX).SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
		client.SetDeadline(time.Now().Add(wait))
		client.WriteMsg(m)
		reply, err := client.ReadMsg()
		if err != nil {
			return nil
		}
		return reply
	}
	first := ask("0102030405060708", patience)
	if first == nil {
		t.Fatal("no answer")
	}
	cookie := first.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie
	if len(cookie) != 48 || !strings.HasPrefix(cookie, "0102030405060708") {
		t.Fatal(cookie)
	}
	for range 50 {
		if ask(cookie, patience) == nil {
			t.Fatal("limited")
		}
	}
	limited := 0
	for range 10 {
		if ask("0102030405060708", 50*time.Millisecond) == nil {
			limited++
		}
	}
	if limited < 5 {
		t.Errorf("%d of 10 limited without a server cookie", limited)
	}
	if reply := ask("010203", patience); reply != nil && reply.Rcode != dns.RcodeFormatError {
		t.Error(reply)
	}
}
