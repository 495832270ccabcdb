//go:build interop && linux

package interop

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// versions is a primary whose zone changes with each request, so that there is a transfer under way all the time.
func versions(t *testing.T, now *atomic.Uint32) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		zone := make(chan *dns.Envelope)
		go func() {
			defer close(zone)
			serial := now.Add(1)
			text := strings.ReplaceAll(plainZone(serial, fmt.Sprint("version ", serial)), "3600 3600 1209600", "1 1 1209600")
			parser := dns.NewZoneParser(strings.NewReader(text), "", "")
			soa, _ := parser.Next()
			records := []dns.RR{soa}
			for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
				if records = append(records, rr); len(records) == 500 {
					zone <- &dns.Envelope{RR: records}
					records = nil
				}
			}
			zone <- &dns.Envelope{RR: append(records, soa)}
		}()
		if new(dns.Transfer).Out(w, m, zone) != nil {
			for range zone {
			}
		}
		w.Close()
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// TestInteropNothingIsLostByAKill kills mxtrap while it transfers, reloads and writes. Whenever it starts again every zone is served at
// once, whole, and in no earlier version than before.
func TestInteropNothingIsLostByAKill(t *testing.T) {
	kills := envOr(t, "KILLS", strconv.Atoi, 15)
	var now atomic.Uint32
	port := versions(t, &now)
	m := serveInstance(t, "state = \"state\"\n", map[string]string{
		"secondary.toml": fmt.Sprintf("name = \"example.com\"\n[primary]\naddress = [\"127.0.0.1:%s\"]\n[trap]\n", port),
		"file.toml":      loadZone(1, 1),
	})
	ask := func(name string, qtype uint16) *dns.Msg {
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion(name, qtype), "127.0.0.1:"+m.port)
		if err != nil {
			return new(dns.Msg)
		}
		return reply
	}
	serialOf := func(zone string) uint32 {
		if reply := ask(zone, dns.TypeSOA); len(reply.Answer) == 1 {
			return reply.Answer[0].(*dns.SOA).Serial
		}
		return 0
	}
	eventually(t, "the zone is there", func() bool { return serialOf("example.com.") > 0 })
	version, seen := 1, uint32(0)
	for kill := range kills {
		for range rand.IntN(4) {
			version++
			text := loadZone(1, version)
			os.WriteFile(m.dir+"/file.new", []byte(text), 0o644)
			os.Rename(m.dir+"/file.new", m.dir+"/zones/file.toml")
			m.reload()
			// A NOTIFY has the next version come at once.
			notify, _ := new(dns.Msg).SetNotify("example.com.").Pack()
			if conn, err := net.Dial("udp", "127.0.0.1:"+m.port); err == nil {
				conn.Write(notify)
				conn.Close()
			}
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		}
		if s := serialOf("example.com."); s > seen {
			seen = s
		}
		m.cmd.Process.Signal(syscall.SIGKILL)
		m.cmd.Wait()
		m.program = background(t, binary, "serve", "--config", m.config())
		eventually(t, "mxtrap is ready", func() bool { return exec.Command(binary, "health", "--config", m.config()).Run() == nil })
		serial := serialOf("example.com.")
		if serial < seen {
			t.Fatalf("kill %d: serial %d after %d", kill, serial, seen)
		}
		seen = serial
		if mx, last := ask("example.com.", dns.TypeMX), ask("h2999.example.com.", dns.TypeA); len(mx.Answer) != 4 || len(last.Answer) != 1 {
			t.Fatalf("kill %d: the zone is not whole: %v\n%v", kill, mx, last)
		}
		if got := serialOf("d1.example."); got != uint32(version) {
			t.Fatalf("kill %d: version %d of the file's zone, want %d", kill, got, version)
		}
	}
	t.Logf("%d kills, %d versions of the secondary zone, %d of the file's", kills, now.Load(), version)
}
