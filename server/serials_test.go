package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const transferring = "[transfer]\nallow = [\"127.0.0.1\"]\n"

// writtenSerial is a zone with a serial number that the operator wrote.
func writtenSerial(serial int, mail string, count int) string {
	return fmt.Sprintf("name = \"example.com\"\n[soa]\nserial = %d\n[records]\n\"@\" = [\"NS ns1\", \"MX 10 mail\"]\nns1 = [\"A 192.0.2.53\"]\nmail = [\"A %s\"]\n[trap]\ncount = %d\n", serial, mail, count)
}

// TestASecondaryNeverMissesAChange is the story of an operator who forgets the serial number, and of a trap that changes.
func TestASecondaryNeverMissesAChange(t *testing.T) {
	t.Parallel()
	server := strings.Replace(serverFile, "workers", "state = \"state\"\nworkers", 1) + transferring
	r := start(t, map[string]string{"mxtrap.toml": server, "zones/z.toml": writtenSerial(7, "192.0.2.25", 2)})
	have := map[string]bool{} // what a secondary has, by IXFR alone
	serial := uint32(0)
	catchUp := func(wantSerial uint32) {
		t.Helper()
		records := r.transferred(t, new(dns.Msg).SetIxfr("example.com.", serial, ".", "."))
		last := records[0].(*dns.SOA).Serial
		if last != wantSerial {
			t.Fatalf("serial %d, want %d\n%s", last, wantSerial, r.log)
		}
		if len(records) > 1 {
			if _, byDifferences := records[1].(*dns.SOA); !byDifferences {
				have = map[string]bool{}
			}
			adding := true
			for _, rr := range records[1 : len(records)-1] {
				switch _, soa := rr.(*dns.SOA); {
				case soa:
					adding = !adding
				case adding:
					have[rr.String()] = true
				default:
					delete(have, rr.String())
				}
			}
		}
		serial = last
		whole := map[string]bool{}
		for _, rr := range r.transferred(t, new(dns.Msg).SetAxfr("example.com.")) {
			if rr.Header().Rrtype != dns.TypeSOA {
				whole[rr.String()] = true
			}
		}
		if fmt.Sprint(have) != fmt.Sprint(whole) {
			t.Fatalf("the secondary has\n%v\nthe zone is\n%v", have, whole)
		}
	}
	catchUp(7)
	r.write("zones/z.toml", writtenSerial(7, "192.0.2.26", 2)) // the serial number is forgotten
	r.reload()
	catchUp(8)
	r.write("zones/z.toml", writtenSerial(7, "192.0.2.26", 3)) // the trap changes
	r.reload()
	catchUp(9)
	r.write("zones/z.toml", writtenSerial(8, "192.0.2.27", 3)) // now it is raised, and is behind
	r.reload()
	catchUp(10)
	for _, want := range []string{"serial 7 → 8: content changed (files)", "serial 8 → 9: content changed (trap)"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, r.log)
		}
	}
	// A restart goes on, and tells of what changed meanwhile.
	r.stop()
	book, _ := os.ReadFile(filepath.Join(r.dir, "state/serials"))
	r = start(t, map[string]string{"mxtrap.toml": server, "zones/z.toml": writtenSerial(8, "192.0.2.28", 3), "state/serials": string(book)})
	serial = 0
	catchUp(11)
	r.write("zones/z.toml", writtenSerial(5, "192.0.2.28", 3)) // it goes back
	r.reload()
	catchUp(12)
	if !strings.Contains(r.log.String(), "goes back") {
		t.Errorf("nobody is told:\n%s", r.log)
	}
	r.write("zones/z.toml", writtenSerial(20, "192.0.2.28", 3))
	r.reload()
	catchUp(20)
}

// TestAFileOfLongAgoIsWarnedOf: its time is no serial number that grows from others.
func TestAFileOfLongAgoIsWarnedOf(t *testing.T) {
	r := start(t, map[string]string{"zones/z.toml": exampleZone})
	old := time.Unix(1_000_000, 0)
	os.Chtimes(filepath.Join(r.dir, "zones/z.toml"), old, old)
	r.reload()
	for _, want := range []string{"is before 2020", "the serial number of a zone goes back"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, r.log)
		}
	}
}
