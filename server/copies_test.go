package server

import (
	"bytes"
	"fmt"
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
	"mxtrap/zone/rr"
)

// oddities are records that have no text, or one that libraries read otherwise, by type and data.
var oddities = []rr.Record{
	{Type: dns.TypeNULL, Data: []byte("x\ninjected.example.com. 60 IN A 192.0.2.66\n$GENERATE 1-3 gen$.example.com. A 192.0.2.$\n$ORIGIN z.\n")},
	{Type: dns.TypeIPSECKEY, Data: []byte{10, 1, 2, 192, 0, 2, 38, 1, 2, 3}},
	{Type: dns.TypeAMTRELAY, Data: []byte{10, 0x81, 192, 0, 2, 1}},
	{Type: dns.TypeAPL, Data: []byte{0, 1, 24, 4, 192, 0, 2, 1, 0, 1, 8, 0x81, 10}},
	{Type: dns.TypeHINFO, Data: []byte{0, 0}},
	{Type: dns.TypeISDN, Data: []byte("\x04\"\\;\x00")},
	{Type: dns.TypeTXT, Data: []byte("\x05\x00\n\"\\\xff\x00")},
	{Type: 65280, Data: []byte{}},
	{Type: dns.TypeNAPTR, Data: []byte("\x00\x01\x00\x02\x01U\x00\x00\x04Mail\x00")},
}

// rawTransfer is the zone by AXFR, without the DNS library between.
func (r *running) rawTransfer(t *testing.T) (records []rr.Record) {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request, _ := new(dns.Msg).SetAxfr("example.com.").Pack()
	conn.Write(fake.Framed(request))
	if records, err = fake.ReadZone(conn); err != nil {
		t.Fatal(err)
	}
	return records
}

func TestWhatASecondaryPassesOnIsWhatThePrimaryHasOctetForOctet(t *testing.T) {
	t.Parallel()
	odd := fake.Wired(fake.ZoneLines(1, "first")[:8]...)
	for i, r := range oddities {
		r.Owner, r.TTL = fmt.Sprintf("\x03o%02d\x07example\x03com\x00", i), 60
		odd = append(odd, r)
	}
	p := fake.NewPrimary(t)
	p.Plays(func(conn net.Conn, m *dns.Msg) {
		sent := append([]rr.Record{}, odd...)
		// What is not of the zone is passed over, and a TTL beyond the largest is 0 (RFC 2181 8).
		sent = append(sent, rr.Record{Owner: "\x03ns1\x05other\x07example\x00", Type: dns.TypeA, TTL: 60, Data: []byte{192, 0, 2, 9}},
			rr.Record{Owner: "\x03big\x07example\x03com\x00", Type: dns.TypeA, TTL: 1 << 31, Data: []byte{192, 0, 2, 9}}, odd[0])
		conn.Write(fake.Framed(fake.Packed(m, sent)))
	})
	r := startSecondary(t, p)
	r.until(t, "example.com.", dns.TypeMX, trapped)
	files := map[string]string{}
	for range 2 {
		have := map[string]rr.Record{}
		for _, one := range r.rawTransfer(t) {
			have[one.Owner+fmt.Sprint(one.Type)] = one
			if bytes.Contains([]byte(one.Owner), []byte("injected")) || strings.HasSuffix(one.Owner, "other\x07example\x00") {
				t.Errorf("%v came in", one)
			}
		}
		for _, want := range odd[8:] {
			if got := have[want.Owner+fmt.Sprint(want.Type)]; !bytes.Equal(got.Data, want.Data) || got.TTL != 60 {
				t.Errorf("TYPE%d: got %x with the TTL %d, want %x", want.Type, got.Data, got.TTL, want.Data)
			}
		}
		if big, ok := have["\x03big\x07example\x03com\x00"+"1"]; !ok || big.TTL != 0 {
			t.Errorf("a TTL beyond the largest: %v", big)
		}
		if !strings.Contains(r.log.String(), "not of the zone") && len(files) == 0 {
			t.Errorf("the log does not tell of the stray record:\n%s", r.log)
		}
		// And so it is after a restart, from the copy.
		if len(files) == 0 {
			for _, name := range []string{"state/example.com.zone", "state/serials", "zones/z.toml", "mxtrap.toml"} {
				text, err := os.ReadFile(filepath.Join(r.dir, name))
				if err != nil {
					t.Fatal(err)
				}
				files[name] = string(text)
			}
			r.stop()
			p.Plays(func(conn net.Conn, m *dns.Msg) { conn.Close() })
			r = start(t, files)
		}
	}
}

func TestADamagedCopyIsFetchedAgain(t *testing.T) {
	t.Parallel()
	whole := copied(t, fake.ZoneLines(1, "first")[:8]...)
	otherLines := fake.ZoneLines(1, "other")
	for i := range otherLines {
		otherLines[i] = strings.ReplaceAll(otherLines[i], "example.com", "example.net")
	}
	for name, text := range map[string]string{
		"empty": "", "random": strings.Repeat("\x93\x07\xff", 300), "of earlier days": strings.Join(fake.ZoneLines(1, "old")[:8], "\n"), "cut": whole[:len(whole)-40], "changed": strings.Replace(whole, "first", "wrong", 1), "a head alone": "mxtrap copy 1\n",
		"of another zone": copied(t, otherLines...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fake.NewPrimary(t)
			p.Plays(func(conn net.Conn, m *dns.Msg) { conn.Close() })
			files := secondaryFiles(p.Address(), "")
			files["state/example.com.zone"], files["zones/other.toml"] = text, strings.ReplaceAll(exampleZone, "example.com", "example.org")
			r := start(t, files)
			if got := r.asked("example.com.", dns.TypeTXT); got != "SERVFAIL" {
				t.Errorf("before it is fetched: %s", got)
			}
			if got := r.asked("example.org.", dns.TypeSOA); !strings.HasPrefix(got, "NOERROR") {
				t.Errorf("another zone: %s", got)
			}
			p.Plays(fake.Sends(100, fake.ZoneLines(2, "second")...))
			r.until(t, "example.com.", dns.TypeTXT, "NOERROR second")
		})
	}
}

func TestWhatCannotBeWrittenIsServedFromMemory(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]string{"a folder that cannot be made": "mxtrap.toml/state", "no folder at all": ""} {
		t.Run(name, func(t *testing.T) {
			p := fake.NewPrimary(t)
			p.Plays(fake.Sends(100, fake.ZoneLines(1, "first")...))
			files := secondaryFiles(p.Address(), "")
			files["mxtrap.toml"] = strings.Replace(files["mxtrap.toml"], `state = "state"`, fmt.Sprintf("state = %q", state), 1)
			r := start(t, files)
			r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
			p.Plays(fake.Sends(100, fake.ZoneLines(2, "second")...))
			r.until(t, "example.com.", dns.TypeTXT, "NOERROR second")
			p.Plays(fake.Sends(2, fake.SOALine(3), fake.SOALine(2), "example.com. 3600 IN TXT second", fake.SOALine(3), "example.com. 3600 IN TXT third", fake.SOALine(3)))
			r.until(t, "example.com.", dns.TypeTXT, "NOERROR third")
			r.reload()
			if got := r.asked("example.com.", dns.TypeTXT); got != "NOERROR third" {
				t.Errorf("after a reload: %s", got)
			}
			if log := r.log.String(); !strings.Contains(log, "served from memory") || state != "" && !strings.Contains(log, "mxtrap.toml/state") || strings.Contains(log, "cannot transfer a zone from its primary") {
				t.Errorf("the log does not blame the folder:\n%s", log)
			}
		})
	}
}

func TestACopyFromTheFutureIsLookedAtNow(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	p.Plays(fake.Sends(100, fake.ZoneLines(2, "second")...))
	dir := t.TempDir()
	c := state.NewCopies(dir)
	long := fake.TimedLines(1, "first", "86400 86400 604800")[:8]
	prepared, err := c.Prepare("example.com", fake.Wired(long...))
	if err := c.Commit("example.com", nil, prepared, err); err != nil {
		t.Fatal(err)
	}
	ahead := time.Now().Add(24 * time.Hour)
	os.Chtimes(c.File("example.com"), ahead, ahead)
	files := secondaryFiles(p.Address(), "")
	files["mxtrap.toml"] = strings.Replace(files["mxtrap.toml"], `state = "state"`, fmt.Sprintf("state = %q", dir), 1)
	r := start(t, files)
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR second")
}

func TestAPrimaryWithoutDifferencesHasNothingNewer(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	p.Plays(fake.Sends(100, fake.TimedLines(1, "first", "1 1 5")...)) // to each request the whole zone, as RFC 1995 4 lets it
	r := startSecondary(t, p)
	r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
	r.stays(t, "example.com.", dns.TypeTXT, "NOERROR first", 7*second)
}

// TestACopyThatIsLostTakesNothingOutOfService: a reload finds it gone or damaged, serves on, and has the whole zone fetched.
func TestACopyThatIsLostTakesNothingOutOfService(t *testing.T) {
	for name, spoil := range map[string]func(path string){
		"gone": func(path string) { os.Remove(path) }, "cut": func(path string) { os.Truncate(path, 100) }, "a folder": func(path string) { os.Remove(path); os.Mkdir(path, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fake.NewPrimary(t)
			long := fake.TimedLines(1, "first", "86400 86400 604800")
			p.Plays(fake.Sends(100, long...))
			r := startSecondary(t, p)
			r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
			p.Plays(func(conn net.Conn, m *dns.Msg) { conn.Close() })
			path := filepath.Join(r.dir, "state/example.com.zone")
			spoil(path)
			for range 2 {
				r.reload()
				if got := r.asked("example.com.", dns.TypeTXT); got != "NOERROR first" {
					t.Fatalf("after a reload: %s\n%s", got, r.log)
				}
			}
			if name == "a folder" {
				os.Remove(path)
			}
			p.Plays(fake.Sends(100, fake.ZoneLines(1, "again")...)) // whole, for the copy is lost, though the serial number is the same
			r.reload()
			r.until(t, "example.com.", dns.TypeTXT, "NOERROR again")
			if info, err := os.Stat(path); err != nil || info.Size() < 200 {
				t.Errorf("the copy is not there again: %v", err)
			}
		})
	}
}

// TestAnExpiryOfNothingEndsNoProcess: the SOA record of a primary may say what it likes.
func TestAnExpiryOfNothingEndsNoProcess(t *testing.T) {
	t.Parallel()
	for _, times := range []string{"0 0 0", "0 3600 0", "4294967295 4294967295 4294967295", "1 0 0"} {
		p := fake.NewPrimary(t)
		lines := fake.TimedLines(1, "first", times)
		p.Plays(fake.Sends(100, lines...))
		r := startSecondary(t, p)
		r.until(t, "example.com.", dns.TypeTXT, "NOERROR first")
		r.stop()
	}
}

func TestAPipeInThePlaceOfACopyHoldsNothingUp(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	p.Plays(fake.Sends(100, fake.ZoneLines(1, "first")...))
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "example.com.zone"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := secondaryFiles(p.Address(), "")
	files["mxtrap.toml"] = strings.Replace(files["mxtrap.toml"], `state = "state"`, fmt.Sprintf("state = %q", dir), 1)
	start(t, files).until(t, "example.com.", dns.TypeTXT, "NOERROR first")
}

// TestTheRootIsAZoneLikeOthers, by its name and by NOTIFY.
func TestTheRootIsAZoneLikeOthers(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	root := func(serial uint32, text string) []string {
		soa := fmt.Sprintf(". 3600 IN SOA ns. root. %d 86400 86400 604800 300", serial)
		return []string{soa, ". 3600 IN NS ns.", "ns. 3600 IN A 192.0.2.53", "t. 3600 IN TXT " + text, soa}
	}
	p.Plays(fake.Sends(100, root(1, "first")...))
	files := secondaryFiles(p.Address(), "")
	files["zones/z.toml"] = fmt.Sprintf("name = \".\"\n[primary]\naddress = [%q]\n", p.Address())
	r := start(t, files)
	r.until(t, "t.", dns.TypeTXT, "NOERROR first")
	p.Plays(fake.Sends(100, root(2, "second")...))
	if reply, err := dns.Exchange(new(dns.Msg).SetNotify("."), r.addr); err != nil || reply.Rcode != dns.RcodeSuccess {
		t.Error(reply, err)
	}
	r.until(t, "t.", dns.TypeTXT, "NOERROR second")
}
