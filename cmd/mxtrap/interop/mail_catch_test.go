//go:build interop && linux

package interop

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mxtrap/server"
	"mxtrap/server/health"
	"mxtrap/zone/conf"
)

// greets is what a decoy says to who connects.
func greets(ip string) string {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(ip, sinkPort), time.Second)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return line
}

// catch puts mxtrap's own catch on the decoys. No honest message is lost, bounced, or taken for evidence, whatever becomes of the real hosts;
// a bot is found, and fail2ban finds it in the log.
func (h *mailHost) catch(t *testing.T, senders ...mta) {
	for _, sink := range h.sinks {
		sink.be(t, accepts)
	}
	for _, ip := range []string{decoyIP1, decoyIP2} {
		h.sinks[ip].be(t, refuses)
	}
	dir := t.TempDir()
	for _, s := range scenarios { // as they were written
		os.WriteFile(filepath.Join(h.dir, "zones", s.domain()+".toml"), []byte(s.zone()), 0o644)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	path := write(t, dir, "mxtrap.toml", fmt.Sprintf("[server]\nlisten = []\nmetrics = \"127.0.0.1:9155\"\nzones = [%q]\nstate = \"state\"\nresolver = [\"127.0.0.1\"]\n[catch]\nlisten = [\"decoys\"]\npause = \"100ms\"\n[list]\npolicy = \"127.0.0.1:10040\"\n", h.dir+"/zones/*.toml"))
	ctx, stop := context.WithCancel(context.Background())
	var report conf.Report
	config := server.ReadConfig(path, &report)
	if config == nil {
		t.Fatal(report.Problems())
	}
	s, err := server.New(ctx, config, server.Options{
		Log: slog.New(slog.NewTextHandler(log, nil)), Notify: func(server.Event) {},
		Health: health.Tempo{Every: 100 * time.Millisecond, Settle: 300 * time.Millisecond, Look: 20 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, make(chan os.Signal)) }()
	defer func() {
		stop()
		<-done
	}()
	says := func(code string) func(*testing.T, *mailHost, string) {
		return func(t *testing.T, _ *mailHost, _ string) {
			eventually(t, "the catch greets with "+code, func() bool { return strings.HasPrefix(greets(decoyIP1), code) })
		}
	}
	for _, name := range []string{
		"all up", "the primary refuses", "the primary drops packets", "the primary greets with 421", "every real host refuses", "every real host drops packets",
		"one real host", "three megabytes in 8 bits, every real host refuses", "an address in UTF-8, all up", "an address in UTF-8, decoys greet with 421",
		"warning: one real host that defers sends honest mail to decoys",
	} {
		for _, s := range scenarios {
			if s.name != name {
				continue
			}
			down := false
			manners := map[string]manner{decoyIP1: refuses, decoyIP2: refuses} // there the catch stands
			maps.Copy(manners, s.manners)
			for _, m := range s.manners {
				down = down || m != defers
			}
			manners[decoyIP1], manners[decoyIP2] = refuses, refuses
			s.manners, s.want, s.decoys = manners, "", "" // the catch dials the real hosts, too
			s.before = says(map[bool]string{false: "220", true: "421"}[down])
			for _, m := range senders {
				t.Run(m.name()+"/the catch, "+s.name, func(t *testing.T) {
					h.sinks[primaryIP].be(t, accepts)
					h.play(t, m, s)
				})
			}
		}
	}
	for _, sink := range h.sinks {
		if sink.ip != decoyIP1 && sink.ip != decoyIP2 {
			sink.be(t, accepts)
		}
	}
	says("220")(t, h, "")
	sessions := func(rung string) int { return strings.Count(readFile(t, log.Name()), " rung="+rung+" ") }
	if n := sessions("E4") + sessions("E2"); n != 0 {
		t.Errorf("%d honest sessions count as evidence\n%s", n, readFile(t, log.Name()))
	}
	deferring := sessions("E3")
	if deferring == 0 {
		t.Error("no honest sender of a host that defers came to the catch: the scenario shows nothing")
	}
	t.Logf("%d sessions of honest senders reached E3, all of them to the one real host that defers", deferring)
	for _, helo := range []string{"bot", "x level=INFO msg=catch client=192.0.2.66 port=1 rung=E4 "} {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientIP)}}).Dial("tcp", decoyIP2+":25")
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(conn)
		for in.Scan() && !strings.HasPrefix(in.Text(), "220 ") {
		}
		lines := []string{"HELO " + helo, "MAIL FROM:<a@offers.test>", "RCPT TO:<b@s0.test>", "QUIT"}
		if helo == "bot" {
			lines = append(lines[:3], "DATA", "QUIT")
		}
		for _, line := range lines {
			fmt.Fprintf(conn, "%s\r\n", line)
			in.Scan()
		}
		conn.Close()
	}
	eventually(t, "both sessions of the bots are told", func() bool { return strings.Count(readFile(t, log.Name()), "msg=catch client="+clientIP+" port=") == 2 })
	found := output(t, "fail2ban-regex", "--print-all-matched", log.Name(), "../../../configs/fail2ban/mxtrap.conf")
	if !regexp.MustCompile(`, 1 matched, `).MatchString(found) || !strings.Contains(found, "client="+clientIP) {
		t.Errorf("fail2ban finds\n%s", found)
	}
	shows := func() string { return output(t, binary, "list", "show", "--config", path, clientIP) }
	eventually(t, "what the bots did is kept", func() bool { return strings.Contains(shows(), "went on to DATA") })
	postfix := newPostfix(t, "2530", "", "smtpd_relay_restrictions =\nsmtpd_client_restrictions = check_policy_service { inet:127.0.0.1:10040, timeout=5s, default_action=DUNNO }\nsmtpd_recipient_restrictions = reject\n", "")
	offer := func() string {
		t.Helper()
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientIP)}}).Dial("tcp", "127.0.0.1:"+postfix.port())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		in := bufio.NewScanner(conn)
		in.Scan()
		for _, line := range []string{"HELO a.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<b@s0.test>"} {
			fmt.Fprintf(conn, "%s\r\n", line)
			in.Scan()
		}
		return in.Text()
	}
	takes := offer()
	eventually(t, "the visit to a real host is kept", func() bool { return strings.Contains(shows(), "came to a real host") })
	stop()
	<-done
	done <- nil
	began := time.Now()
	if without := offer(); without != takes || time.Since(began) > 10*time.Second {
		t.Errorf("without mxtrap Postfix says %q after %v, with it %q", without, time.Since(began), takes)
	}
}
