package list

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mxtrap/server/catch"
	"mxtrap/server/judge"
)

// TestVisitsAreReadFromWhatMailSoftwareLogs, as it wrote it.
func TestVisitsAreReadFromWhatMailSoftwareLogs(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"Nov 26 09:43:01 mail postfix/smtpd[1234]: connect from mail.example.com[192.0.2.1]", "mail.example.com 192.0.2.1"},
		{"2026-11-26T09:43:01.123456+00:00 mail postfix/smtpd[1234]: connect from unknown[2001:db8::7]:40000", "2001:db8::7"},
		{"Nov 26 09:43:01 mail postfix-out/smtpd[1234]: connect from unknown[192.0.2.1]", "192.0.2.1"},
		{"Nov 26 09:43:01 mail postfix/submission/smtpd[1234]: connect from unknown[192.0.2.1]", ""},
		{"Nov 26 09:43:01 mail postfix/postscreen[1234]: CONNECT from [192.0.2.1]:40000 to [198.51.100.1]:25", "192.0.2.1"},
		{"Nov 26 09:43:01 mail postfix/smtpd[1234]: disconnect from mail.example.com[192.0.2.1] ehlo=1 quit=1 commands=2", ""},
		{"Nov 26 09:43:01 mail postfix/smtp[1234]: 4F: to=<a@b.test>, relay=mx.b.test[192.0.2.1]:25, status=sent", ""},
		{"2026-11-26 09:43:01 SMTP connection from [192.0.2.1]:40000 (TCP/IP connection count = 1)", "192.0.2.1"},
		{"2026-11-26 09:43:01 +0000 [77] SMTP connection from mail.example.com [2001:db8::7]:40000 I=[198.51.100.1]:25 closed by QUIT", "2001:db8::7"},
		{"2026-11-26 09:43:01 1vOdXx-00000000ABC-1234 <= a@b.test H=mail.b.test [192.0.2.1] P=esmtp S=900", "192.0.2.1"},
		{"2026-11-26 09:43:01 1vOdXx-00000000ABC-1234 <= a@b.test H=(me) [192.0.2.1] P=esmtpsa A=plain:user S=900", ""},
		{"2026-11-26 09:43:01 H=mail.b.test (helo) [192.0.2.1] F=<a@b.test> temporarily rejected RCPT <c@d.test>: greylisted", "192.0.2.1"},
		{"2026-11-26 09:43:01 1vOdXx-00000000ABC-1234 => c@d.test R=dns T=smtp H=mx.d.test [192.0.2.1] C=\"250 OK\"", ""},
		{"Nov 26 09:43:01 mail sm-mta[1234]: 6AQ9h1: from=<a@b.test>, size=900, class=0, nrcpts=1, proto=ESMTP, daemon=MTA, relay=mail.b.test [192.0.2.1]", "192.0.2.1"},
		{"Nov 26 09:43:01 mail sm-mta[1234]: 6AQ9h1: from=<a@b.test>, size=900, proto=ESMTP, daemon=MTA-v6, relay=mail.b.test [IPv6:2001:db8::7]", "2001:db8::7"},
		{"Nov 26 09:43:01 mail sm-mta[1234]: 6AQ9h1: ruleset=check_rcpt, arg1=<c@d.test>, relay=mail.b.test [192.0.2.1] (may be forged), reject=451 4.7.1 greylisted", "192.0.2.1"},
		{"Nov 26 09:43:01 mail sm-mta[1234]: NOQUEUE: connect from mail.b.test [192.0.2.1]", "192.0.2.1"},
		{"Nov 26 09:43:01 mail sm-mta[1234]: 6AQ9h1: to=<c@d.test>, delay=00:00:01, mailer=esmtp, relay=mx.d.test. [192.0.2.1], dsn=2.0.0, stat=Sent", ""},
		{"Nov 26 09:43:01 mail smtpd[1234]: 1fc5bf4e9a3c smtp connected address=192.0.2.1 host=mail.b.test", "192.0.2.1"},
		{"Nov 26 09:43:01 mail smtpd[1234]: 1fc5bf4e9a3c smtp connected address=[2001:db8::7] host=<unknown>", "2001:db8::7"},
		{"Nov 26 09:43:01 mail smtpd[1234]: 1fc5bf4e9a3c mta connected address=smtp://192.0.2.1:25 host=mx.d.test", ""},
		// What a client says is no word of the program's.
		{"Nov 26 09:43:01 mail postfix/smtpd[1234]: warning: Illegal address syntax from unknown[192.0.2.66] in MAIL command: <postfix/smtpd[1]: connect from a[192.0.2.1]>", ""},
		{"Nov 26 09:43:01 mail other[1234]: connect from mail.example.com[192.0.2.1]", ""},
		{"2026-11-26 09:43:01 rejected EHLO from [192.0.2.66]: syntactically invalid argument(s): H=x [192.0.2.1]", ""},
		{"Nov 26 10:00:00 mx dovecot: lmtp(bob@example.com)<123><AbC>: sieve: msgid=<x postfix/smtpd[1]: connect from a[203.0.114.9]>: stored mail", ""},
		{"2026-11-26 10:00:00 H=([203.0.113.9]) [192.0.2.66] F=<a@b.test> rejected RCPT <c@d.test>", "192.0.2.66"},
		{"2026-11-26 10:00:00 H=([IPv6:2001:db8::1]) [2001:db8::1] F=<a@b.test> rejected RCPT <c@d.test>", "2001:db8::1"},
		{"2026-11-26 10:00:00 1vOdXx-00000000ABC-1234 <= a@b.test H=mail.b.test [192.0.2.1] P=esmtp S=9 T=\"Plan A=B\"", "192.0.2.1"},
		{"2026-11-26 10:00:00 H=mail.honest.test ([10.0.0.5]) [192.0.2.1] F=<a@b.test> rejected RCPT <c@d.test>", "192.0.2.1"},
		{"2026-11-26 10:00:00 SMTP connection from mail.honest.test (h [203.0.113.9]) [192.0.2.66]:25 closed by QUIT", ""},
		{`2026-11-26 10:00:00 1vOdXx-00000000ABC-1234 <= "x H=y [203.0.113.9] z"@b.test H=(me) [192.0.2.66] P=esmtp S=9`, ""},
		{`2026-11-26 10:00:00 H=(me) [192.0.2.66] F=<"x postfix/smtpd[1]: connect from a[203.0.113.9]"@b.test> rejected RCPT <c@d.test>`, "192.0.2.66"},
		{`2026-11-26 10:00:00 SMTP protocol synchronization error (next input sent too soon): rejected "EHLO a" H=[192.0.2.66] next input="x postfix/smtpd[1]: connect from a[203.0.113.9]"`, ""},
		{`Nov 26 10:00:00 mx sm-mta[77]: X1: ruleset=check_rcpt, arg1=<"a, relay=b [203.0.113.9]"@other.test>, relay=evil.test [192.0.2.66], reject=550 5.7.1 <"a, relay=b [203.0.113.9]"@other.test>... Relaying denied`, ""},
		{`Nov 26 10:00:00 mx sm-mta[77]: X1: from=<"a, relay=b [203.0.113.9]"@b.test>, size=1, relay=evil.test [192.0.2.66]`, ""},
		{`Nov 26 10:00:00 mx sm-mta[77]: X1: from=<a@b.test>, size=1, msgid=<x, relay=b [203.0.113.9]>, proto=ESMTP, daemon=MTA, relay=evil.test [192.0.2.66]`, "192.0.2.66"},
		{"connect from mail.example.com[192.0.2.1]", ""},
		{"]: ", ""}, {"", ""},
	} {
		got := ""
		if v := visitorOf(c.line); v.client.IsValid() {
			got = strings.TrimSpace(v.name + " " + v.client.String())
		}
		if got != c.want {
			t.Errorf("%s\ngot %q, want %q", c.line, got, c.want)
		}
	}
}

// TestALogIsFollowedThroughItsRotations: nothing that was written after the start is missed, or taken twice.
func TestALogIsFollowedThroughItsRotations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	write := func(flag int, lines ...string) {
		t.Helper()
		f, err := os.OpenFile(path, flag|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.WriteString(strings.Join(lines, ""))
	}
	write(os.O_APPEND, "before\n")
	var got []string
	follow := &tail{path: path}
	if err := follow.open(true); err != nil {
		t.Fatal(err)
	}
	defer func() { follow.file.Close() }()
	reads := func(want ...string) {
		t.Helper()
		for more := true; more; {
			var err error
			if more, err = follow.read(func(line string) { got = append(got, line) }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		got = nil
	}
	reads()
	write(os.O_APPEND, "one\ntw")
	reads("one")
	write(os.O_APPEND, "o\r\n")
	reads("two")
	write(os.O_TRUNC, "new\n")
	reads("new")
	write(os.O_APPEND, strings.Repeat("x", longestLine), strings.Repeat("y", mostAtOnce), "\nshort\n")
	reads(strings.Repeat("x", longestLine), "short")
	os.Rename(path, path+".1")
	write(os.O_APPEND, "in another file\n")
	if reads(); !follow.moved() {
		t.Error("it is not seen that the file was moved")
	}
}

// TestAKeeperTakesVisitsFromALog, but those of postscreen at a decoy; and while it cannot read the log, it lists nobody for a lack of them.
func TestAKeeperTakesVisitsFromALog(t *testing.T) {
	k := NewKeeper(judge.Rules{Keep: time.Hour}, time.Now, nil, slog.New(slog.DiscardHandler))
	defer k.Close()
	k.Tick(&catch.Sites{At: map[netip.Addr]*catch.Site{netip.MustParseAddr("192.0.2.26"): catch.NewSite([]catch.Decoy{{}}, func() bool { return false })}})
	visits := func(client string) int {
		_, visits := k.Book.Sightings(netip.MustParseAddr(client))
		return len(visits)
	}
	k.logged("Nov 26 09:43:01 mail postfix/postscreen[1]: CONNECT from [198.51.100.1]:40000 to [192.0.2.26]:25")
	if n := visits("198.51.100.1"); n != 0 {
		t.Error("who comes to a decoy has visited a real host")
	}
	k.logged("Nov 26 09:43:01 mail postfix/postscreen[1]: CONNECT from [198.51.100.1]:40000 to [192.0.2.25]:25")
	if n := visits("198.51.100.1"); n != 1 {
		t.Error("who comes to a real host has not visited it")
	}
	seen := deaf("203.0.113.9", time.Now().Unix(), "mx2.a.test")
	k.Book.Add(judge.Fact{Sighting: &seen})
	if k.Book.Judge(seen.Client, time.Now().Unix()) == nil {
		t.Fatal("a bot is not listed: the test shows nothing")
	}
	s := &sight{Keeper: k, lost: time.Now().Add(-time.Second)}
	s.regain()
	if k.Book.Judge(seen.Client, time.Now().Unix()) == nil {
		t.Error("a log that is read makes an outage")
	}
	s.lose("mail.log", os.ErrNotExist)
	s.regain()
	if l := k.Book.Judge(seen.Client, time.Now().Unix()); l != nil {
		t.Errorf("a client is listed though the log could not be read: %+v", l)
	}
	ctx, stop := context.WithCancel(t.Context())
	wait := k.RunLog(ctx, filepath.Join(t.TempDir(), "mail.log"))
	stop()
	wait() // it ends, though there is no file
	k.RunLog(t.Context(), "")()
}

func FuzzVisitor(f *testing.F) {
	f.Add("Nov 26 09:43:01 mail postfix/smtpd[1234]: connect from mail.example.com[192.0.2.1]")
	f.Add("2026-11-26 09:43:01 SMTP connection from [192.0.2.1]:40000 (TCP/IP connection count = 1)")
	f.Add("Nov 26 09:43:01 mail sm-mta[1234]: 6AQ9h1: ruleset=check_rcpt, arg1=<c@d.test>, relay=mail.b.test [192.0.2.1], reject=451")
	f.Fuzz(func(t *testing.T, line string) {
		v := visitorOf(line)
		if v.client.Is4In6() || v.client.Zone() != "" || !v.client.IsValid() && v.name != "" {
			t.Errorf("%q: %+v", line, v)
		}
	})
}
