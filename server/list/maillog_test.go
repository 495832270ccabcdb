package list

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
		{"connect from mail.example.com[192.0.2.1]", ""},
		{"]: ", ""}, {"", ""},
	} {
		got := ""
		if a, name := visitOf(c.line); a.IsValid() {
			got = strings.TrimSpace(name + " " + a.String())
		}
		if got != c.want {
			t.Errorf("%s\ngot %q, want %q", c.line, got, c.want)
		}
	}
}

// TestWhoIsTurnedAwayForBeingListedHasNotVisited: else each bot would be pardoned by its first try.
func TestWhoIsTurnedAwayForBeingListedHasNotVisited(t *testing.T) {
	began := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"a visitor", []string{"h postfix/smtpd[1]: connect from a.test[192.0.2.1]"}, "[192.0.2.1]"},
		{"one whom smtpd turns away", []string{
			"h postfix/smtpd[1]: connect from a.test[192.0.2.1]",
			"h postfix/smtpd[1]: NOQUEUE: reject: RCPT from a.test[192.0.2.1]: 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using bl.a.test; went on to DATA; from=<x@y.test>",
		}, "[]"},
		{"one whom postscreen turns away", []string{
			"h postfix/postscreen[1]: CONNECT from [192.0.2.1]:4000 to [198.51.100.1]:25", "h postfix/dnsblog[1]: addr 192.0.2.1 listed by domain bl.a.test as 127.0.0.5",
		}, "[]"},
		{"one whom Exim turns away", []string{
			"2026-11-26 09:43:01 SMTP connection from [192.0.2.1]:40000 (TCP/IP connection count = 1)",
			"2026-11-26 09:43:01 H=(x) [192.0.2.1] F=<x@y.test> rejected RCPT <a@a.test>: 192.0.2.1 is in a black list at bl.a.test",
		}, "[]"},
		{"one beside another who is turned away", []string{
			"h postfix/smtpd[1]: connect from a.test[192.0.2.1]", "h postfix/smtpd[1]: connect from a.test[192.0.2.2]",
			"h postfix/smtpd[1]: NOQUEUE: reject: RCPT from a.test[192.0.2.2]: 554 Client host [192.0.2.2] blocked using bl.a.test",
		}, "[192.0.2.1]"},
		{"one whom another list turns away", []string{
			"h postfix/smtpd[1]: connect from a.test[192.0.2.1]", "h postfix/smtpd[1]: NOQUEUE: reject: RCPT from a.test[192.0.2.1]: 554 Client host [192.0.2.1] blocked using zen.test",
		}, "[192.0.2.1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := []netip.Addr{}
			v := &visits{zone: "bl.a.test", held: map[netip.Addr]visit{}, seen: func(a netip.Addr, _ string) { seen = append(seen, a) }}
			for _, line := range c.lines {
				v.take(line, began)
			}
			if v.pass(began.Add(heldFor - 1)); len(seen) > 0 {
				t.Error("a visit before it was known what becomes of it")
			}
			v.pass(began.Add(heldFor))
			if got := fmt.Sprint(seen); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
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

func TestAKeeperTakesVisitsFromALog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	k := NewKeeper(judge.Rules{Keep: time.Hour}, time.Now, nil, slog.New(slog.DiscardHandler))
	defer k.Close()
	ctx, stop := context.WithCancel(t.Context())
	wait := k.RunLog(ctx, path, "bl.a.test")
	stop()
	wait() // it ends, though there is no file
	if wait := k.RunLog(t.Context(), "", ""); wait == nil {
		t.Error("nothing to wait for")
	}
}

func FuzzVisit(f *testing.F) {
	f.Add("Nov 26 09:43:01 mail postfix/smtpd[1234]: connect from mail.example.com[192.0.2.1]")
	f.Add("2026-11-26 09:43:01 SMTP connection from [192.0.2.1]:40000 (TCP/IP connection count = 1)")
	f.Add("h postfix/smtpd[1]: NOQUEUE: Client host [192.0.2.2] blocked using bl.a.test")
	f.Fuzz(func(t *testing.T, line string) {
		v := &visits{zone: "bl.a.test", held: map[netip.Addr]visit{}, seen: func(a netip.Addr, _ string) {
			if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
				t.Errorf("%q: %v", line, a)
			}
		}}
		v.take(line, time.Unix(0, 0))
		v.pass(time.Unix(3600, 0))
	})
}
