package server

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/fake"
)

// TestASecondaryThatIsDeadKeepsNoOtherWaiting: each has a queue of its own.
func TestASecondaryThatIsDeadKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	const zones = 200
	dead, err := net.ListenPacket("udp", "127.0.0.1:0") // takes all, and answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	live, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	files := map[string]string{"mxtrap.toml": serverFile + fmt.Sprintf("[transfer]\nnotify = [%q, %q]\n", dead.LocalAddr(), live.LocalAddr())}
	for i := range zones {
		files[fmt.Sprintf("zones/z%d.toml", i)] = fmt.Sprintf("name = \"z%d.test\"\n[records]\n\"@\" = [\"NS ns.example.net.\"]\n", i)
	}
	start(t, files)
	told := map[string]bool{}
	buf := make([]byte, 1500)
	live.SetReadDeadline(time.Now().Add(patience))
	for len(told) < zones {
		n, from, err := live.ReadFrom(buf)
		if err != nil {
			t.Fatalf("%d of %d zones told: %v", len(told), zones, err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		told[m.Question[0].Name] = true
		reply, _ := new(dns.Msg).SetReply(m).Pack()
		live.WriteTo(reply, from)
	}
}

// TestAPrimaryThatIsSilentKeepsNoOtherWaiting: it has few looks at a time, and who is notified goes first.
func TestAPrimaryThatIsSilentKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	p := fake.NewPrimary(t)
	p.Plays(fake.Sends(100, fake.ZoneLines(1, "first")...))
	files := secondaryFiles(p.Address(), "")
	for i := range 100 {
		files[fmt.Sprintf("zones/s%d.toml", i)] = fmt.Sprintf("name = \"s%d.test\"\n[primary]\naddress = [%q]\n", i, silent.Addr())
	}
	r := start(t, files)
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
	p.Plays(fake.Sends(100, fake.ZoneLines(2, "second")...))
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR second")
}

// TestNotifiesDoNotHurryAPrimary: however many come, it is left alone for a second.
func TestNotifiesDoNotHurryAPrimary(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	var looks atomic.Int64
	answer := fake.Sends(100, fake.ZoneLines(1, "first")...)
	p.Plays(func(conn net.Conn, m *dns.Msg) { looks.Add(1); answer(conn, m) })
	r := startSecondary(t, p)
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
	before := looks.Load()
	for end := time.Now().Add(3 * second); time.Now().Before(end); {
		if _, err := dns.Exchange(new(dns.Msg).SetNotify("example.com."), r.addr); err != nil {
			t.Fatal(err)
		}
	}
	if n := looks.Load() - before; n > 5 {
		t.Errorf("%d looks in three seconds", n)
	}
}

func TestARefusedNotifyIsToldAFewTimesAMinuteAndCounted(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	p.Plays(fake.Sends(100, fake.ZoneLines(1, "first")...))
	r := startSecondary(t, p)
	for range 50 {
		if _, err := dns.Exchange(new(dns.Msg).SetNotify("example.net."), r.addr); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(r.log.String(), "refused a NOTIFY"); n < 1 || n > 10 {
		t.Errorf("told %d times", n)
	}
	if !strings.Contains(r.get("/metrics"), `mxtrap_notifies_total{outcome="refused"} 50`) {
		t.Error("not counted")
	}
}

func TestAnExpiryIsToldOnceAndAZoneThatIsDownHasNoSerial(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	lines := fake.TimedLines(1, "first", "1 1 4")
	p.Plays(fake.Sends(100, lines...))
	r := startSecondary(t, p)
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
	if !strings.Contains(r.get("/metrics"), `mxtrap_zone_serial{zone="example.com"} 1`) {
		t.Error("no serial number while it is served")
	}
	p.Plays(func(conn net.Conn, m *dns.Msg) { conn.Close() })
	r.until(t, "example.com.", dns.TypeTXT, "SERVFAIL")
	r.stays(t, "example.com.", dns.TypeTXT, "SERVFAIL", 5*second/2)
	r.reload()
	if n := strings.Count(r.log.String(), "has expired"); n != 1 {
		t.Errorf("told %d times:\n%s", n, r.log)
	}
	m := r.get("/metrics")
	if strings.Contains(m, `mxtrap_zone_serial{zone="example.com"}`) || !strings.Contains(m, `mxtrap_refreshes_total{outcome="expired",zone="example.com"} 1`) {
		t.Error("a serial number while it is down, or counted otherwise than once")
	}
}

// TestARefusedNotifyOfOursIsToldByItsCode: a server that does not know the key says NOTAUTH, which is an answer.
func TestARefusedNotifyOfOursIsToldByItsCode(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := start(t, map[string]string{
		"mxtrap.toml":  serverFile + fmt.Sprintf("[keys]\nns2 = \"hmac-sha256 %s\"\n[transfer]\nnotify = [\"%s key ns2\"]\n", fake.Secret, conn.LocalAddr()),
		"zones/z.toml": version(1),
	})
	buf := make([]byte, 1500)
	conn.SetReadDeadline(time.Now().Add(patience))
	n, from, err := conn.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(buf[:n]); err != nil || m.IsTsig() == nil {
		t.Fatal(m, err)
	}
	m.IsTsig().Error, m.IsTsig().MAC, m.IsTsig().MACSize = dns.RcodeBadKey, "", 0 // no key is known here
	refusal := new(dns.Msg).SetRcode(m, dns.RcodeNotAuth)
	refusal.Extra = m.Extra
	reply, _ := refusal.Pack()
	conn.WriteTo(reply, from)
	for end := time.Now().Add(patience); !strings.Contains(r.log.String(), "rcode=NOTAUTH"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(r.log)
		}
	}
	if strings.Contains(r.log.String(), "bad authentication") {
		t.Error(r.log)
	}
}

// TestAServerEndsWhileOthersAreSilent: it waits for no primary, no secondary and no resolver.
func TestAServerEndsWhileOthersAreSilent(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	conn, err := net.ListenPacket("udp", silent.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := start(t, map[string]string{
		"mxtrap.toml":     serverFile + fmt.Sprintf("resolver = [%q]\n[transfer]\nnotify = [%q]\n", silent.Addr(), silent.Addr()),
		"zones/a.toml":    strings.Split(exampleZone, "[trap.covers]")[0],
		"zones/from.toml": fmt.Sprintf("name = \"from.test\"\n[primary]\naddress = [%q]\n", silent.Addr()),
	})
	asked := map[string]bool{} // by a look-up, a NOTIFY
	for buf := make([]byte, 1500); len(asked) < 2; {
		conn.SetReadDeadline(time.Now().Add(patience))
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		asked[dns.OpcodeToString[m.Opcode]] = true
	}
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > time.Second {
		t.Errorf("the end took %v", took)
	}
}

// TestAServerEndsWhileClientsDoNotRead: neither those of TCP, nor that of a tap.
func TestAServerEndsWhileClientsDoNotRead(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	tap, err := net.Listen("unix", socket) // takes connections, and reads nothing
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	r := start(t, map[string]string{"mxtrap.toml": serverFile + fmt.Sprintf("[dnstap]\nsocket = %q\n", socket), "zones/a.toml": exampleZone})
	endless := bytes.Repeat(tcpQueryFor("example.com.", dns.TypeMX), 1000)
	for range 3 {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.(*net.TCPConn).SetReadBuffer(4096)
		for err := error(nil); err == nil; _, err = conn.Write(endless) { // until the server takes no more of them
			conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		}
	}
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 4*time.Second { // it is below one, but on a busy machine; and was ten
		t.Errorf("the end took %v", took)
	}
}
