package resolve

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/fake"
)

func TestForWhomDNSSpeaks(t *testing.T) {
	records := map[string][]string{
		"9.113.0.203.in-addr.arpa. PTR":  {"mail.honest.test."},
		"mail.honest.test. A":            {"203.0.113.9"},
		"honest.test. TXT":               {"\"v=spf1 ip4:203.0.113.9 -all\""},
		"other.test. TXT":                {"\"v=spf1 -all\""},
		"10.113.0.203.in-addr.arpa. PTR": {"mail.honest.test."},
		"11.113.0.203.in-addr.arpa. PTR": {"gone.test."},
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	resolver := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		q := query.Question[0]
		what := q.Name + " " + dns.TypeToString[q.Qtype]
		reply := new(dns.Msg).SetReply(query)
		if reply.Rcode = dns.RcodeNameError; q.Name == "12.113.0.203.in-addr.arpa." {
			reply.Rcode = dns.RcodeServerFailure
		}
		for _, data := range records[what] {
			reply.Rcode, reply.Answer = dns.RcodeSuccess, append(reply.Answer, fake.Record(q.Name+" 60 IN "+dns.TypeToString[q.Qtype]+" "+data))
		}
		w.WriteMsg(reply)
	})}
	go resolver.ActivateAndServe()
	defer resolver.Shutdown()
	server := conn.LocalAddr().String()
	for _, c := range []struct {
		client, domain string
		want           string
	}{
		{"203.0.113.9", "honest.test", "true <nil>"}, {"203.0.113.9", "other.test", "false <nil>"}, {"203.0.113.9", "none.test", "false <nil>"}, {"203.0.113.9", "", "false <nil>"},
		{"203.0.113.10", "honest.test", "false <nil>"}, {"203.0.113.11", "honest.test", "false <nil>"}, {"203.0.113.13", "honest.test", "false <nil>"},
		{"203.0.113.12", "honest.test", "not known"}, // the name server fails
	} {
		name, vouches, err := Vouches(t.Context(), []string{server}, netip.MustParseAddr(c.client), "helo.test", c.domain)
		got := fmt.Sprint(vouches, " ", err)
		if err != nil && !vouches {
			got = "not known"
		}
		if got != c.want {
			t.Errorf("%s for %s: %v, want %v", c.client, c.domain, got, c.want)
		}
		if confirmed := c.client == "203.0.113.9"; confirmed != (name == "mail.honest.test") {
			t.Errorf("%s: its name is %q", c.client, name)
		}
	}
	if _, _, err := Vouches(t.Context(), []string{"127.0.0.1:1"}, netip.MustParseAddr("203.0.113.9"), "helo.test", "honest.test"); err == nil {
		t.Error("without a resolver something is known")
	}
}

// TestALookUpEndsWithItsContext, though the resolver says nothing.
func TestALookUpEndsWithItsContext(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	Vouches(ctx, []string{silent.LocalAddr().String()}, netip.MustParseAddr("203.0.113.9"), "helo.test", "honest.test")
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
}
