package server

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/fake"
	"mxtrap/server/state"
)

// copied is a copy of a zone as it is kept.
func copied(t *testing.T, lines ...string) string {
	t.Helper()
	c := state.NewCopies(t.TempDir())
	prepared, err := c.Prepare("x", fake.Wired(lines...))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(prepared)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// startSecondary serves a zone of a primary.
func startSecondary(t *testing.T, p *fake.Primary) *running {
	t.Helper()
	return start(t, secondaryFiles(p.Address(), ""))
}

func secondaryFiles(primary, trap string) map[string]string {
	return map[string]string{
		"mxtrap.toml":  "[server]\nlisten = [\"127.0.0.1:0\"]\nmetrics = \"127.0.0.1:0\"\nworkers = 1\nstate = \"state\"\n[transfer]\nallow = [\"127.0.0.1\"]\n",
		"zones/z.toml": fmt.Sprintf("name = \"example.com\"\n[primary]\naddress = [%q]\n[trap]\n%s\n", primary, trap),
	}
}

// asked is the answer to a question, in short.
func (r *running) asked(name string, qtype uint16) string {
	reply, err := dns.Exchange(new(dns.Msg).SetQuestion(name, qtype), r.addr)
	if err != nil {
		return err.Error()
	}
	words := []string{dns.RcodeToString[reply.Rcode]}
	for _, rr := range reply.Answer {
		switch rr := rr.(type) {
		case *dns.SOA:
			words = append(words, fmt.Sprint(rr.Serial))
		case *dns.MX:
			words = append(words, fmt.Sprint(rr.Preference, " ", strings.TrimSuffix(rr.Mx, ".example.com.")))
		case *dns.TXT:
			words = append(words, rr.Txt[0])
		default:
			words = append(words, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
	}
	return strings.Join(words, " ")
}

// until waits for an answer.
func (r *running) until(t *testing.T, name string, qtype uint16, want string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = r.asked(name, qtype); got == want {
			return
		}
	}
	t.Fatalf("%s %s: got %s, want %s\n%s", name, dns.TypeToString[qtype], got, want, r.log)
}

// stays wants an answer all the time.
func (r *running) stays(t *testing.T, name string, qtype uint16, want string, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got := r.asked(name, qtype); got != want {
			t.Fatalf("%s %s: got %s, want %s\n%s", name, dns.TypeToString[qtype], got, want, r.log)
		}
	}
}

const trapped = "NOERROR 10 mail 20 mx1 30 mx2 40 mx3"

func TestASecondaryPutsItsTrapOnTopOfWhatThePrimaryHas(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	p.Plays(func(conn net.Conn, m *dns.Msg) { conn.Close() })
	r := startSecondary(t, p)
	r.until(t, "example.com.", dns.TypeMX, "SERVFAIL") // there is nothing yet
	p.Plays(fake.Sends(3, fake.ZoneLines(100, "first")...))
	r.until(t, "example.com.", dns.TypeMX, trapped)
	r.until(t, "mx3.example.com.", dns.TypeA, "NOERROR 192.0.2.25")
	r.until(t, "example.com.", dns.TypeSOA, "NOERROR 100")

	// The whole zone instead of differences, and a serial number that the primary chose.
	p.Plays(fake.Sends(100, fake.ZoneLines(105, "second")...))
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR second")
	r.until(t, "example.com.", dns.TypeSOA, "NOERROR 105")

	// Differences in two steps.
	p.Plays(fake.Sends(2, fake.SOALine(107), fake.SOALine(105), "example.com. 3600 IN TXT second", fake.SOALine(106), "example.com. 3600 IN TXT third",
		fake.SOALine(106), "example.com. 3600 IN TXT third", fake.SOALine(107), "example.com. 60 IN TXT fourth", fake.SOALine(107)))
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR fourth")
	r.until(t, "example.com.", dns.TypeSOA, "NOERROR 107")
	p.Plays(fake.Sends(1, fake.SOALine(107))) // nothing newer

	// A change of the trap makes a serial number of our own, and so do those that follow until the primary's is ahead again.
	r.write("zones/z.toml", secondaryFiles(p.Address(), "count = 3")["zones/z.toml"])
	r.hup <- nil
	r.until(t, "example.com.", dns.TypeMX, trapped+" 50 mx4")
	r.until(t, "example.com.", dns.TypeSOA, "NOERROR 108")
	p.Plays(fake.Sends(100, fake.ZoneLines(108, "fifth")...))
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR fifth")
	r.until(t, "example.com.", dns.TypeSOA, "NOERROR 109")
	p.Plays(fake.Sends(1, fake.SOALine(108)))

	// It goes on from its copy, with the same serial number, while the primary is away.
	files := map[string]string{}
	for _, name := range []string{"state/example.com.zone", "state/serials", "zones/z.toml", "mxtrap.toml"} {
		text, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	r.stop()
	p.Plays(func(conn net.Conn, m *dns.Msg) { conn.Close() })
	again := start(t, files)
	if got := again.asked("example.com.", dns.TypeSOA); got != "NOERROR 109" {
		t.Errorf("after a restart: %s", got)
	}
	if got := again.asked("example.com.", dns.TypeTXT); got != "NOERROR fifth" {
		t.Errorf("after a restart: %s", got)
	}
}

func TestASecondaryTransfersOnwardByDifferences(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	p.Plays(fake.Sends(100, fake.ZoneLines(1, "first")...))
	r := startSecondary(t, p)
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
	p.Plays(fake.Sends(100, fake.ZoneLines(2, "second")...))
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR second")
	records := r.transferred(t, new(dns.Msg).SetIxfr("example.com.", 1, ".", "."))
	if len(records) != 6 { // SOA, SOA, TXT, SOA, TXT, SOA
		t.Error(records)
	}
}

func TestANotifyHasThePrimaryLookedAtNow(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	lines := fake.TimedLines(1, "first", "86400 86400 604800")
	p.Plays(fake.Sends(100, lines...))
	r := startSecondary(t, p)
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
	p.Plays(fake.Sends(100, fake.ZoneLines(2, "second")...))
	r.stays(t, "example.com.", dns.TypeTXT, "NOERROR first", 3*second/2) // for the SOA record says so
	notify := func(zone string) string {
		reply, err := dns.Exchange(new(dns.Msg).SetNotify(zone), r.addr)
		if err != nil {
			t.Fatal(err)
		}
		return dns.RcodeToString[reply.Rcode]
	}
	if got := notify("example.com."); got != "NOERROR" {
		t.Error(got)
	}
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR second")
	if got := notify("example.net."); got != "NOTAUTH" {
		t.Error(got)
	}
}

func TestWhatAHostilePrimarySendsLeavesTheZoneAsItIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		play func(net.Conn, *dns.Msg)
		want string // in the log
	}{
		{"a stream without end", func(conn net.Conn, m *dns.Msg) {
			if m.Question[0].Qtype == dns.TypeIXFR { // by its differences first
				fake.Sends(1, fake.SOALine(9), fake.SOALine(1))(conn, m)
			} else {
				fake.Sends(1, fake.SOALine(9))(conn, m)
			}
			reply := new(dns.Msg).SetReply(m)
			for i := range 500 {
				reply.Answer = append(reply.Answer, fake.Record(fmt.Sprintf("h%d.example.com. 3600 IN TXT %s", i, strings.Repeat("x", 100))))
			}
			for fake.Send(conn, reply) == nil {
			}
		}, "octets"},
		{"a stream that is cut short", fake.Sends(100, fake.ZoneLines(9, "bad")[:5]...), "cut short"},
		{"a message that is cut short", func(conn net.Conn, m *dns.Msg) { conn.Write([]byte{0, 100, 1, 2, 3}) }, "cut short"},
		{"another serial number at the end", fake.Sends(100, append(fake.ZoneLines(9, "bad")[:8], fake.SOALine(8))...), "changed during the transfer"},
		{"an SOA record elsewhere", fake.Sends(100, fake.SOALine(9), strings.Replace(fake.SOALine(9), "example.com.", "sub.example.com.", 1), fake.SOALine(9)), "an SOA record at"},
		{"no SOA record first", fake.Sends(100, fake.ZoneLines(9, "bad")[1:]...), "does not begin with the SOA record"},
		{"more behind the end", fake.Sends(100, append(fake.ZoneLines(9, "bad"), "mail.example.com. 3600 IN A 192.0.2.66")...), "follow the last SOA"},
		{"an answer to something else", func(conn net.Conn, m *dns.Msg) {
			reply := new(dns.Msg).SetReply(m)
			reply.Id++
			fake.Send(conn, reply)
		}, "not an answer to what was asked"},
		{"octets that are no message", func(conn net.Conn, m *dns.Msg) { conn.Write(append([]byte{0, 40}, strings.Repeat("\xff", 40)...)) }, "error="},
		{"a refusal", func(conn net.Conn, m *dns.Msg) { fake.Send(conn, new(dns.Msg).SetRcode(m, dns.RcodeRefused)) }, "REFUSED"},
		{"differences to what is not there", func(conn net.Conn, m *dns.Msg) {
			if m.Question[0].Qtype == dns.TypeIXFR {
				fake.Sends(100, fake.SOALine(9), fake.SOALine(1), "no.example.com. 3600 IN A 192.0.2.1", fake.SOALine(9), fake.SOALine(9))(conn, m)
			} else {
				fake.Send(conn, new(dns.Msg).SetRcode(m, dns.RcodeRefused))
			}
		}, "REFUSED"},
		{"a zone that no trap can be built on", fake.Sends(100, append(append([]string{fake.SOALine(9)}, "example.com. 3600 IN MX 65535 last.example.com.", "last.example.com. 3600 IN A 192.0.2.1"), fake.ZoneLines(9, "bad")[1:]...)...), "cannot be served"},
		{"messages without records", func(conn net.Conn, m *dns.Msg) {
			for fake.Send(conn, new(dns.Msg).SetReply(m)) == nil {
			}
		}, "without records"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := fake.NewPrimary(t)
			p.Plays(fake.Sends(100, fake.ZoneLines(1, "good")...))
			r := startSecondary(t, p)
			r.until(t, "example.com.", dns.TypeTXT, "NOERROR good")
			p.Plays(c.play)
			for end := time.Now().Add(patience); !strings.Contains(r.log.String(), c.want); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("the log does not say %q:\n%s", c.want, r.log)
				}
			}
			if got := r.asked("example.com.", dns.TypeTXT) + " " + r.asked("example.com.", dns.TypeSOA); got != "NOERROR good NOERROR 1" {
				t.Error(got)
			}
			if got := r.asked("example.com.", dns.TypeMX); got != trapped {
				t.Error(got)
			}
			p.Plays(fake.Sends(100, fake.ZoneLines(10, "better")...))
			r.until(t, "example.com.", dns.TypeTXT, "NOERROR better")
		})
	}
}

func TestAZoneExpiresAndComesBack(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	p.Plays(fake.Sends(100, fake.TimedLines(1, "first", "1 1 3")...))
	r := startSecondary(t, p)
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
	p.Plays(func(conn net.Conn, m *dns.Msg) { io.WriteString(conn, "") })
	r.until(t, "example.com.", dns.TypeTXT, "SERVFAIL")
	reply, err := dns.Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeTXT).SetEdns0(1232, false), r.addr)
	if err != nil || len(reply.IsEdns0().Option) != 1 || reply.IsEdns0().Option[0].(*dns.EDNS0_EDE).InfoCode != dns.ExtendedErrorCodeNotReady {
		t.Errorf("%v\n%v", err, reply)
	}
	p.Plays(fake.Sends(100, fake.TimedLines(1, "first", "1 1 3")...))
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
}

// TestACatalogKeepsNobodyFromStarting: what another server lists is no fault of the operator's files.
func TestACatalogKeepsNobodyFromStarting(t *testing.T) {
	t.Parallel()
	for name, catalog := range map[string]string{
		"broken":                        "version.catalog.test. 0 TXT \"1\"\n",
		"a zone that has a file":        "version.catalog.test. 0 TXT \"2\"\na.zones.catalog.test. 0 PTR example.com.\n",
		"a zone that cannot be trapped": "version.catalog.test. 0 TXT \"2\"\na.zones.catalog.test. 0 PTR bad.test.\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := fake.NewPrimary(t)
			p.Plays(func(conn net.Conn, m *dns.Msg) { conn.Close() })
			primary := fmt.Sprintf("[primary]\naddress = [%q]\n", p.Address())
			r := start(t, map[string]string{
				"mxtrap.toml":             "[server]\nlisten = [\"127.0.0.1:0\"]\nmetrics = \"127.0.0.1:0\"\nworkers = 1\nstate = \"state\"\n",
				"zones/z.toml":            exampleZone,
				"zones/catalog.toml":      "name = \"catalog.test\"\n" + primary + "[catalog]\ntemplate = \"../member.toml\"\n",
				"member.toml":             primary + "[trap]\n",
				"state/catalog.test.zone": copied(t, append([]string{"catalog.test. 0 SOA invalid. invalid. 1 3600 600 86400 0", "catalog.test. 0 NS invalid."}, strings.Split(strings.TrimSpace(catalog), "\n")...)...),
				"state/bad.test.zone":     copied(t, "bad.test. 0 SOA invalid. invalid. 1 3600 600 86400 0", "bad.test. 0 NS invalid.", "bad.test. 0 MX 0 ."),
			})
			if got := r.asked("example.com.", dns.TypeMX); !strings.HasPrefix(got, "NOERROR 10 mail") {
				t.Error(got)
			}
		})
	}
}

func TestTheMembersOfACatalogStayWhenItBreaks(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	p.Plays(func(conn net.Conn, m *dns.Msg) { conn.Close() })
	primary := fmt.Sprintf("[primary]\naddress = [%q]\n", p.Address())
	catalog := func(version string, members ...string) string {
		lines := []string{"catalog.test. 0 SOA invalid. invalid. 1 3600 600 86400 0", "catalog.test. 0 NS invalid.", "version.catalog.test. 0 TXT " + version}
		for i, m := range members {
			lines = append(lines, fmt.Sprintf("m%d.zones.catalog.test. 0 PTR %s", i, m))
		}
		return copied(t, lines...)
	}
	r := start(t, map[string]string{
		"mxtrap.toml":             "[server]\nlisten = [\"127.0.0.1:0\"]\nmetrics = \"127.0.0.1:0\"\nworkers = 1\nstate = \"state\"\n",
		"zones/catalog.toml":      "name = \"catalog.test\"\n" + primary + "[catalog]\ntemplate = \"../member.toml\"\n",
		"member.toml":             primary + "[trap]\n",
		"state/catalog.test.zone": catalog("2", "example.com."),
		"state/example.com.zone":  copied(t, fake.ZoneLines(1, "x")[:8]...),
	})
	for _, c := range []struct{ text, want string }{
		{catalog("2", "example.com.", "example.net."), trapped},
		{catalog("1"), trapped}, // broken
		{catalog("2", "example.net."), "REFUSED"},
	} {
		r.write("state/catalog.test.zone", c.text)
		r.hup <- nil
		r.await(Reloading)
		r.await(Ready)
		if got := r.asked("example.com.", dns.TypeMX); got != c.want {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
	}
}

// catalogFiles are those of a server with a catalog that comes from a primary, and copies of it and of a member.
func catalogFiles(t *testing.T, p *fake.Primary, catalog string) map[string]string {
	from := fmt.Sprintf("[primary]\naddress = [%q]\n", p.Address())
	return map[string]string{
		"mxtrap.toml":             "[server]\nlisten = [\"127.0.0.1:0\"]\nmetrics = \"127.0.0.1:0\"\nworkers = 1\nstate = \"state\"\n",
		"zones/catalog.toml":      "name = \"catalog.test\"\n" + from + "[catalog]\ntemplate = \"../member.toml\"\n",
		"zones/own.toml":          simpleZone("own.test", 1),
		"member.toml":             from + "[trap]\n",
		"state/catalog.test.zone": catalog,
		"state/example.com.zone":  copied(t, fake.ZoneLines(1, "x")[:8]...),
	}
}

func catalogLines(serial int, version string, members ...string) []string {
	soa := fmt.Sprintf("catalog.test. 0 SOA invalid. invalid. %d 1 1 86400 0", serial)
	lines := []string{soa, "catalog.test. 0 NS invalid.", "version.catalog.test. 0 TXT " + version}
	for i, m := range members {
		lines = append(lines, fmt.Sprintf("m%d.zones.catalog.test. 0 PTR %s", i, m))
	}
	return lines
}

// TestABrokenCatalogLosesNoMember, nor does a restart behind it: the good copy stays the copy.
func TestABrokenCatalogLosesNoMember(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	broken := append(catalogLines(2, "9", "example.com."), catalogLines(2, "9")[0])
	p.Plays(func(conn net.Conn, m *dns.Msg) {
		if m.Question[0].Name == "catalog.test." {
			fake.Sends(100, broken...)(conn, m)
		}
	})
	files := catalogFiles(t, p, copied(t, catalogLines(1, "2", "example.com.")...))
	r := start(t, files)
	for end := time.Now().Add(patience); !strings.Contains(r.log.String(), "the new version of the catalog is broken"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(r.log)
		}
	}
	if got := r.asked("example.com.", dns.TypeMX); got != trapped {
		t.Errorf("a member: %s", got)
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "state/catalog.test.zone"))
	if err != nil || string(text) != files["state/catalog.test.zone"] {
		t.Errorf("the good copy is gone: %v", err)
	}
}

// TestATemplateThatIsNoFileHoldsNothingUp, nor does another path of it lose what is served.
func TestATemplateThatIsNoFileHoldsNothingUp(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	p.Plays(func(conn net.Conn, m *dns.Msg) { conn.Close() })
	r := start(t, catalogFiles(t, p, copied(t, catalogLines(1, "2", "example.com.")...)))
	catalog, _ := os.ReadFile(filepath.Join(r.dir, "zones/catalog.toml"))
	template := filepath.Join(r.dir, "member.toml")
	for name, spoil := range map[string]func(){
		"gone":         func() { os.Remove(template) },
		"a pipe":       func() { os.Remove(template); syscall.Mkfifo(template, 0o600) },
		"a device":     func() { os.Remove(template); os.Symlink("/dev/zero", template) },
		"another path": func() { r.write("zones/catalog.toml", strings.Replace(string(catalog), "member.toml", "none.toml", 1)) },
	} {
		spoil()
		r.reload()
		if got := r.asked("example.com.", dns.TypeMX); got != trapped {
			t.Errorf("%s: a member: %s", name, got)
		}
		if got := r.ask("www.own.test.", dns.TypeA); got != "192.0.2.1" {
			t.Errorf("%s: a zone beside: %s", name, got)
		}
	}
}

// TestDifferencesThatFailAreFollowedByTheWholeZone, however they fail.
func TestDifferencesThatFailAreFollowedByTheWholeZone(t *testing.T) {
	t.Parallel()
	for name, ixfr := range map[string]func(net.Conn, *dns.Msg){
		"closed": func(conn net.Conn, m *dns.Msg) { conn.Close() }, "cut short": fake.Sends(1, fake.SOALine(2)), "garbage": func(conn net.Conn, m *dns.Msg) { conn.Write([]byte{0, 3, 1, 2, 3}) },
	} {
		p := fake.NewPrimary(t)
		p.Plays(fake.Sends(100, fake.ZoneLines(1, "first")...))
		r := startSecondary(t, p)
		r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
		whole := fake.Sends(100, fake.ZoneLines(2, "second")...)
		p.Plays(func(conn net.Conn, m *dns.Msg) {
			if m.Question[0].Qtype == dns.TypeIXFR {
				ixfr(conn, m)
			} else {
				whole(conn, m)
			}
		})
		r.until(t, "example.com.", dns.TypeTXT, "NOERROR second")
		t.Log(name)
	}
}
