package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/fake"
	"mxtrap/server/health"
	"mxtrap/server/judge"
	"mxtrap/server/list"
)

// mailPort is a port that is free at some addresses of loopback.
func mailPort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// asBot connects from an address that can be listed.
var asBot = &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}}

// visit is what a decoy says to a bot.
func visit(t *testing.T, addr string, lines ...string) string {
	t.Helper()
	conn, err := asBot.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	said, err := in.ReadString('\n')
	for _, line := range lines {
		if err != nil || !strings.HasPrefix(said, "2") {
			break
		}
		fmt.Fprintf(conn, "%s\r\n", line)
		said, err = in.ReadString('\n')
	}
	if err != nil && err != io.EOF {
		t.Error(err)
	}
	return strings.TrimSpace(said)
}

const trappedMail = `name = "a.test"
[records]
"@" = ["NS ns1", "MX 10 mail", "MX 20 bob"]
ns1 = ["A 192.0.2.53"]
mail = ["A 127.0.0.10"]
bob = ["A 127.0.0.11"]
[trap]
count = %d
addresses = ["127.0.0.26", "127.0.0.27"]
`

// TestTheCatchGreetsWhileAllRealExchangesAreWell, listens at the decoys' own addresses, and follows the zones.
func TestTheCatchGreetsWhileAllRealExchangesAreWell(t *testing.T) {
	t.Parallel()
	port := mailPort(t)
	at := func(host int) string { return fmt.Sprintf("127.0.0.%d:%d", host, port) }
	fake.MailHost(t, at(10), fake.Well...)
	_, bob := fake.MailHost(t, at(11), fake.Well...)
	r := start(t, map[string]string{
		"mxtrap.toml":  strings.Replace(serverFile, "listen = [\"127.0.0.1:0\"]", "listen = []", 1) + fmt.Sprintf("[catch]\nlisten = [\"decoys:%d\"]\npause = \"0s\"\n", port),
		"zones/a.toml": fmt.Sprintf(trappedMail, 1),
		"zones/b.toml": "name = \"b.test\"\n[records]\n\"@\" = [\"NS ns.a.test.\", \"MX 10 mail\", \"TXT x\"]\nmail = [\"A 127.0.0.28\"]\n",
		"zones/c.toml": "name = \"c.test\"\n[records]\n\"@\" = [\"NS ns.a.test.\", \"A 127.0.0.29\"]\n",
	}, func(s *Server) {
		s.MailPort = port
		s.Health = health.Tempo{Every: 100 * time.Millisecond, Settle: 200 * time.Millisecond, Look: 20 * time.Millisecond}
		s.catcher = s.newCatcher()
		s.zonesChanged()
	})
	bot := []string{"HELO bot", "MAIL FROM:<a@b.test>", "RCPT TO:<postmaster2@a.test>"}
	says := func(addr, want string) {
		t.Helper()
		said := ""
		for range 200 {
			if said = visit(t, addr, bot...); strings.Contains(said, want) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("%s says %q, want %q\n%s", addr, said, want, r.log)
	}
	r.want("where DNS is served", r.addr, "none")
	says(at(26), "421")
	says(at(26), "451")
	r.want("an exchange", r.metric(`mxtrap_real_exchange_up{exchange="bob.a.test",zone="a.test"}`), "1")
	says(at(27), "refused")
	r.write("zones/a.toml", fmt.Sprintf(trappedMail, 2))
	r.reload()
	says(at(27), "451")
	r.write("zones/a.toml", strings.Replace(fmt.Sprintf(trappedMail, 4), "\"127.0.0.27\"", "\"127.0.0.27\", \"127.0.0.28\", \"127.0.0.29\"", 1))
	r.reload()
	says(at(27), "451")
	time.Sleep(100 * time.Millisecond)
	says(at(28), "refused") // there b.test takes its mail
	says(at(29), "refused") // and c.test, which has no MX records
	bob()
	says(at(26), "421")
	r.want("an exchange that is down", r.metric(`mxtrap_real_exchange_up{exchange="bob.a.test",zone="a.test"}`), "0")
	if n := r.metric(`mxtrap_catch_sessions_total{rung="E3",zone="a.test"}`); n == "" || n == "0" {
		t.Errorf("sessions: %q", n)
	}
	r.write("mxtrap.toml", serverFile)
	r.reload()
	says(at(26), "refused")
	r.stop()
	if log := r.log.String(); !strings.Contains(log, "msg=catch client=127.0.0.66") || !strings.Contains(log, "a real exchange is not well") {
		t.Error(log)
	}
}

// TestTheCatchTellsTheAgeOfAList: a bot comes to the address that a decoy had in an earlier epoch, and to one that no decoy has had.
func TestTheCatchTellsTheAgeOfAList(t *testing.T) {
	t.Parallel()
	port := mailPort(t)
	at := func(host netip.Addr) string { return netip.AddrPortFrom(host, port).String() }
	fake.MailHost(t, at(netip.MustParseAddr("127.0.0.10")), fake.Well...)
	fake.MailHost(t, at(netip.MustParseAddr("127.0.0.11")), fake.Well...)
	pool := strings.Replace(fmt.Sprintf(trappedMail, 1), `"127.0.0.26", "127.0.0.27"`, `"127.0.9.0/27", "127.0.0.11"`, 1)
	r := start(t, map[string]string{
		"mxtrap.toml":         serverFile + fmt.Sprintf("[catch]\nlisten = [\"decoys:%d\"]\npause = \"0s\"\n", port),
		"zones/a.toml":        pool + "rotate = \"2d\"\nsecret_file = \"rotate.secret\"\n",
		"zones/rotate.secret": strings.Repeat("x", 32),
	}, func(s *Server) {
		s.MailPort = port
		s.Health = health.Tempo{Every: 100 * time.Millisecond, Settle: 200 * time.Millisecond, Look: 20 * time.Millisecond}
		s.catcher = s.newCatcher()
		s.zonesChanged()
	})
	turns, now := r.state.Current.Load().Zones.Named("a.test").Rotation(), time.Now().Unix()
	var old, free netip.Addr
	for _, a := range turns.Pools()[0].Each {
		switch h, ok := turns.Had("a.test", a, now); {
		case !ok:
			free = a
		case h.Ago > 0 && h.Ago < 8*86400:
			old = a
			if strings.HasSuffix(h.Host, ".a.test") && strings.HasPrefix(h.Host, "mx-") {
				continue
			}
			t.Errorf("%s was of %q", a, h.Host)
		}
	}
	says := func(a netip.Addr, want string) {
		t.Helper()
		said := ""
		for range 200 {
			if said = visit(t, at(a), "HELO bot", "MAIL FROM:<a@b.test>", "RCPT TO:<x@a.test>"); strings.HasPrefix(said, want) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("%s says %q, want %q\n%s", a, said, want, r.log)
	}
	says(old, "451")
	if n := r.metric(`mxtrap_catch_list_age_seconds_bucket{le="3600"}`); n != "0" {
		t.Errorf("%s lists are younger than an hour", n)
	}
	for range 100 {
		if n := r.metric(`mxtrap_catch_list_age_seconds_count`); n != "0" {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	r.want("lists of known age", r.metric(`mxtrap_catch_list_age_seconds_bucket{le="1.2096e+06"}`), "1")
	if free.IsValid() {
		says(free, "451")
		time.Sleep(100 * time.Millisecond)
		r.want("an address that no decoy has had tells nothing", r.metric(`mxtrap_catch_list_age_seconds_count`), "1")
	}
	if !strings.Contains(r.log.String(), "list_age=") || strings.Contains(r.log.String(), "rung=E3 decoy=\"\"") {
		t.Error(r.log)
	}
}

// TestABotIsKeptInMindAndPardoned: what it did outlives the server, a visit to a real host pardons it, and so does the operator.
func TestABotIsKeptInMindAndPardoned(t *testing.T) {
	t.Parallel()
	resolver, err := net.ListenPacket("udp", "127.0.0.1:0") // knows nobody
	if err != nil {
		t.Fatal(err)
	}
	nobody := &dns.Server{PacketConn: resolver, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		w.WriteMsg(new(dns.Msg).SetRcode(query, dns.RcodeNameError))
	})}
	go nobody.ActivateAndServe()
	defer nobody.Shutdown()
	port := mailPort(t)
	at := func(host int) string { return fmt.Sprintf("127.0.0.%d:%d", host, port) }
	fake.MailHost(t, at(10), fake.Well...)
	fake.MailHost(t, at(11), fake.Well...)
	r := start(t, map[string]string{
		"mxtrap.toml":  serverFile + fmt.Sprintf("state = \"state\"\nresolver = [%q]\n[catch]\nlisten = [\"decoys:%d\"]\npause = \"0s\"\n[list]\npolicy = \"unix:policy\"\n", resolver.LocalAddr(), port),
		"zones/a.toml": fmt.Sprintf(trappedMail, 1),
	}, func(s *Server) {
		s.MailPort = port
		s.Health = health.Tempo{Every: 100 * time.Millisecond, Settle: 200 * time.Millisecond, Look: 20 * time.Millisecond}
		s.catcher = s.newCatcher()
		s.zonesChanged()
	})
	bot := netip.MustParseAddr("127.0.0.66")
	listed := func(when string, want judge.Grade) {
		t.Helper()
		var got judge.Grade
		for range 100 {
			book, err := r.config.OpenBook()
			if err != nil {
				t.Fatal(err)
			}
			got = 0
			if l := book.Judge(bot, time.Now().Unix()); l != nil {
				got = l.Grade
			}
			if got == want {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("%s: %d, want %d\n%s", when, got, want, r.log)
	}
	comes := func() {
		t.Helper()
		for range 200 {
			if said := visit(t, at(26), "HELO bot", "MAIL FROM:<a@b.test>", "RCPT TO:<x@a.test>"); strings.HasPrefix(said, "451") {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		for range 200 { // beside other tests a real exchange may look unwell at any moment
			conn, err := asBot.Dial("tcp", at(26))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(conn, "HELO bot\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@a.test>\r\nDATA\r\nQUIT\r\n")
			said, _ := io.ReadAll(conn)
			conn.Close()
			if strings.Contains(string(said), "451") {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatal("the catch never took the bot's session")
	}
	listed("at the start", 0)
	comes()
	listed("after a visit of the bot", judge.Deaf)
	postfix, err := net.Dial("unix", filepath.Join(r.dir, "policy"))
	if err != nil {
		t.Fatal(err)
	}
	defer postfix.Close()
	fmt.Fprint(postfix, "request=smtpd_access_policy\nclient_address=127.0.0.66\n\n")
	postfix.SetReadDeadline(time.Now().Add(patience))
	if line, err := bufio.NewReader(postfix).ReadString('\n'); line != "action=DUNNO\n" {
		t.Fatalf("%q, %v", line, err)
	}
	listed("after it came to a real host", 0)
	if err := r.config.Pardon(judge.Narrow(bot)); err != nil {
		t.Fatal(err)
	}
	r.reload()
	if l := r.keeper.Book.Judge(bot, time.Now().Unix()); l != nil {
		t.Errorf("pardoned: %+v", l)
	}
	r.stop()
	if info, err := os.Stat(filepath.Join(r.dir, "state", list.FactsFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "state", "catch.key")); err != nil {
		t.Error(err)
	}
}
