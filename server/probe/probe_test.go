package probe

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/zone/mail"
)

// decoyAt is a domain with one decoy, at an address of this host.
func decoyAt(ip string) *mail.Domain {
	return &mail.Domain{Owner: "example.com", Exchanges: []mail.Exchange{
		{Host: "mail.example.com", Preference: 10, Role: mail.Primary, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.2")}},
		{Host: "mx2.example.com", Preference: 20, Role: mail.Decoy, Addresses: []netip.Addr{netip.MustParseAddr(ip)}},
	}}
}

// TestADecoyMustTellSendersToTryAgain connects to decoys that say, line by line, what each case has.
func TestADecoyMustTellSendersToTryAgain(t *testing.T) {
	for name, c := range map[string]struct {
		says []string
		want string // beginning of what is found; "": nothing
	}{
		"421 at once":                   {[]string{"421 not now"}, ""},
		"451 to each recipient":         {[]string{"220 hello", "250-hello\r\n250 SIZE 1", "250 ok", "451 later"}, ""},
		"554 at once":                   {[]string{"554 go away"}, "hazard: it answers 554"},
		"550 to each recipient":         {[]string{"220 hello", "250 hello", "250 ok", "550 nobody"}, "hazard: it answers 550"},
		"an open decoy":                 {[]string{"220 hello", "250 hello", "250 ok", "250 yes"}, "hazard: it answers 250 to a recipient"},
		"a connection that is cut":      {nil, "advice: nobody answers"},
		"a host that speaks no SMTP":    {[]string{"hello"}, "advice: nobody answers"},
		"one that has to think of EHLO": {[]string{"220 hello", "502 what?"}, "hazard: it answers 502"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				in := bufio.NewReader(conn)
				for _, line := range c.says {
					fmt.Fprintf(conn, "%s\r\n", line)
					in.ReadString('\n')
				}
			}()
			got := ""
			for _, f := range UnfitDecoys(context.Background(), fmt.Sprint(l.Addr().(*net.TCPAddr).Port), decoyAt("127.0.0.1")) {
				got += string(f.Severity) + ": " + f.Sees
			}
			if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestADecoyWithoutPTRIsFound(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	resolver := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		if q.Question[0].Name == "26.2.0.192.in-addr.arpa." {
			m.Rcode = dns.RcodeSuccess
			m.Answer = []dns.RR{&dns.PTR{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypePTR, Class: dns.ClassINET}, Ptr: "mx2.example.com."}}
		}
		w.WriteMsg(m)
	})}
	go resolver.ActivateAndServe()
	defer resolver.Shutdown()
	for ip, want := range map[string]int{"192.0.2.26": 0, "192.0.2.27": 1, "2001:db8::27": 1} {
		found := MissingPTR(context.Background(), []string{conn.LocalAddr().String()}, decoyAt(ip))
		if len(found) != want || want > 0 && found[0].Severity != mail.Weakness {
			t.Errorf("%s: %v, want %d findings", ip, found, want)
		}
	}
}
