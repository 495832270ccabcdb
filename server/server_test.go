package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
)

// running is a server with its files in a folder of the test.
type running struct {
	*Server
	t      *testing.T
	dir    string
	addr   string // of DNS
	http   string
	events chan Event
	hup    chan os.Signal
	log    *logBuffer
	stop   func()
}

// logBuffer is a log that a test reads while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

const serverFile = "[server]\nlisten = [\"127.0.0.1:0\"]\nmetrics = \"127.0.0.1:0\"\nworkers = 1\n"

// start serves files, given by name and text; a server file is added where there is none.
func start(t *testing.T, files map[string]string, change ...func(*Server)) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir(), events: make(chan Event, 100), hup: make(chan os.Signal), log: &logBuffer{}}
	if files["mxtrap.toml"] == "" {
		r.write("mxtrap.toml", serverFile)
	}
	for name, text := range files {
		r.write(name, text)
	}
	var report conf.Report
	c := ReadConfig(filepath.Join(r.dir, "mxtrap.toml"), &report)
	if c == nil {
		t.Fatal(report.Problems())
	}
	var err error
	r.Server, err = New(t.Context(), c, Options{Tempo: tempo, Version: "test", Commit: "none", Log: slog.New(slog.NewTextHandler(r.log, nil)), Notify: func(e Event) {
		if e == Ready && r.addr == "" { // while nothing of the server changes
			r.addr, r.http = append(r.listeners.Addresses(r.config.Listen), "none")[0], "http://"+r.listeners.HTTPAddress()
		}
		r.events <- e
	}})
	if err != nil {
		t.Fatal(err, err.(Problems)[:])
	}
	for _, f := range change {
		f(r.Server)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, r.hup) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	r.await(Ready)
	return r
}

func (r *running) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	os.MkdirAll(filepath.Dir(path), 0o755)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) await(want Event) {
	r.t.Helper()
	select {
	case e := <-r.events:
		if e != want {
			r.t.Fatalf("event %v, want %v", e, want)
		}
	case <-time.After(patience):
		r.t.Fatalf("no event %v\n%s", want, r.log)
	}
}

// reload sends a HUP and waits until it is done.
func (r *running) reload() {
	r.t.Helper()
	r.hup <- syscall.SIGHUP
	r.await(Reloading)
	r.await(Ready)
}

// ask returns the answer section, or the RCODE where that is empty.
func (r *running) ask(name string, qtype uint16) string {
	r.t.Helper()
	reply, err := dns.Exchange(new(dns.Msg).SetQuestion(name, qtype), r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, rr := range reply.Answer {
		out = append(out, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	if out == nil {
		return dns.RcodeToString[reply.Rcode]
	}
	return strings.Join(out, ", ")
}

func (r *running) get(path string) string {
	r.t.Helper()
	reply, err := http.Get(r.http + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer reply.Body.Close()
	body, _ := io.ReadAll(reply.Body)
	return fmt.Sprintf("%d %s", reply.StatusCode, body)
}

func (r *running) metric(series string) string {
	r.t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (.*)$`).FindStringSubmatch(r.get("/metrics"))
	if m == nil {
		return "absent"
	}
	return m[1]
}

func (r *running) want(what, got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// simpleZone is a zone whose host www has an address that ends in n.
func simpleZone(name string, n int) string {
	return fmt.Sprintf("name = %q\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\nwww = [\"A 192.0.2.%d\"]\n", name, n)
}

func TestReloadTakesInWhatHasChanged(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"zones/a.toml": simpleZone("a.test", 1), "zones/b.toml": simpleZone("b.test", 1)})
	r.want("a", r.ask("www.a.test.", dns.TypeA), "192.0.2.1")
	r.write("zones/a.toml", simpleZone("a.test", 2))
	r.write("zones/c.toml", simpleZone("c.test", 3))
	os.Remove(filepath.Join(r.dir, "zones/b.toml"))
	r.reload()
	r.want("a changed zone", r.ask("www.a.test.", dns.TypeA), "192.0.2.2")
	r.want("a zone whose file is gone", r.ask("www.b.test.", dns.TypeA), "REFUSED")
	r.want("a new zone", r.ask("www.c.test.", dns.TypeA), "192.0.2.3")
	r.want("zones", r.metric("mxtrap_zones"), "2")
	r.want("success", r.metric("mxtrap_config_last_reload_successful"), "1")
}

func TestABrokenZoneKeepsItsLastGoodVersion(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"zones/a.toml": simpleZone("a.test", 1), "zones/b.toml": simpleZone("b.test", 1)})
	r.write("zones/a.toml", "name = \"a.test\"\n[records]\n\"@\" = [\"NS")
	r.write("zones/b.toml", simpleZone("b.test", 2))
	r.write("zones/c.toml", simpleZone("c.test", 3)+"x = [\"A bad\"]\n")
	r.reload()
	r.want("the broken zone", r.ask("www.a.test.", dns.TypeA), "192.0.2.1")
	r.want("the other zone", r.ask("www.b.test.", dns.TypeA), "192.0.2.2")
	r.want("a broken zone that is new", r.ask("www.c.test.", dns.TypeA), "SERVFAIL")
	r.want("success", r.metric("mxtrap_config_last_reload_successful"), "0")
	r.want("failures", r.metric(`mxtrap_zone_load_failures_total{zone="a.test"}`), "1")
	r.want("other failures", r.metric(`mxtrap_zone_load_failures_total{zone="b.test"}`), "0")
	for _, line := range []string{"a.toml line=3 ", "serving its last good version", "c.toml line=6 key=records.x[0]"} {
		if !strings.Contains(r.log.String(), line) {
			t.Errorf("the log lacks %q:\n%s", line, r.log)
		}
	}
	r.write("zones/a.toml", simpleZone("a.test", 4))
	os.Remove(filepath.Join(r.dir, "zones/c.toml"))
	r.reload()
	r.want("the mended zone", r.ask("www.a.test.", dns.TypeA), "192.0.2.4")
	r.want("success", r.metric("mxtrap_config_last_reload_successful"), "1")
}

func TestABrokenServerFileChangesNothing(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no TOML":                  "[server",
		"an unknown key":           serverFile + "colour = \"red\"\n",
		"a pattern without a file": serverFile + "zones = [\"nothing/*.toml\"]\n",
		"an address that is taken": "", // filled in below
		"an address that is none":  "[server]\nlisten = [\"localhost:53\"]\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, map[string]string{"zones/a.toml": simpleZone("a.test", 1)})
			if text == "" {
				taken, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer taken.Close()
				text = fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:0\", %q]\nmetrics = \"127.0.0.1:0\"\n", taken.Addr())
			}
			r.write("mxtrap.toml", text)
			if name != "a pattern without a file" {
				r.write("zones/a.toml", simpleZone("a.test", 2))
			}
			r.reload()
			r.want("the zone", r.ask("www.a.test.", dns.TypeA), "192.0.2.1")
			r.want("success", r.metric("mxtrap_config_last_reload_successful"), "0")
			if !strings.Contains(r.log.String(), "level=ERROR") {
				t.Errorf("log:\n%s", r.log)
			}
		})
	}
}

func TestChangedAddressesAreApplied(t *testing.T) {
	r := start(t, map[string]string{"zones/a.toml": simpleZone("a.test", 1)})
	old, oldHTTP := r.addr, r.http
	port := freePort(t)
	r.write("mxtrap.toml", fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:%d\"]\nmetrics = \"127.0.0.1:%d\"\nnsid = \"new\"\n", port, freePort(t)))
	r.reload()
	r.addr, r.http = r.listeners.Addresses(r.config.Listen)[0], "http://"+r.listeners.HTTPAddress()
	r.want("the new address", r.ask("www.a.test.", dns.TypeA), "192.0.2.1")
	r.want("metrics", r.metric("mxtrap_zones"), "1")
	if _, err := net.Dial("tcp", old); err == nil {
		t.Error("the old DNS address still answers")
	}
	if _, err := http.Get(oldHTTP + "/live"); err == nil {
		t.Error("the old HTTP address still answers")
	}
	r.write("mxtrap.toml", fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:%d\"]\nmetrics = \"\"\n", port))
	r.reload()
	if r.listeners.HTTPAddress() != "off" {
		t.Error("metrics cannot be switched off")
	}
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestOneFileServesAName(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"zones/b.toml": simpleZone("a.test", 1)})
	r.write("zones/a.toml", simpleZone("a.test", 2))
	r.reload()
	r.want("the file that served the name before", r.ask("www.a.test.", dns.TypeA), "192.0.2.1")
	if !strings.Contains(r.log.String(), "is served by") {
		t.Errorf("log:\n%s", r.log)
	}
}

// TestAFaultOfOneZoneStaysItsOwn: at the start too, all others are served.
func TestAFaultOfOneZoneStaysItsOwn(t *testing.T) {
	trapZone := strings.Replace(exampleZone, "[trap]", "[trap]\nnames = \"mx{n}.child\"", 1)
	good := simpleZone("good.test", 1)
	for name, c := range map[string]struct {
		files      map[string]string
		log        string
		ask, want  string
		down, fail string
	}{
		"two files for one name":       {map[string]string{"zones/a.toml": simpleZone("a.test", 1), "zones/b.toml": simpleZone("A.test.", 2)}, "is served by", "www.a.test.", "192.0.2.1", "0", ""},
		"decoys in another zone":       {map[string]string{"zones/a.toml": trapZone, "zones/b.toml": simpleZone("child.example.com", 2)}, "lies in the zone child.example.com", "mail.example.com.", "SERVFAIL", "1", "example.com"},
		"a file without a name":        {map[string]string{"zones/b.toml": "x"}, "b.toml line=1", "www.b.test.", "REFUSED", "0", ""},
		"a file with a wrong record":   {map[string]string{"zones/b.toml": simpleZone("b.test", 1) + "x = [\"A bad\"]\n"}, "b.toml line=6", "www.b.test.", "SERVFAIL", "1", "b.test"},
		"a file that is cut short":     {map[string]string{"zones/b.toml": "name = \"b.test\"\n[records]\n\"@\" = [\"NS"}, "b.toml line=3", "www.b.test.", "SERVFAIL", "1", "b.test"},
		"a broken file of a good name": {map[string]string{"zones/b.toml": simpleZone("good.test", 2) + "x = [\"A bad\"]\n"}, "b.toml line=6", "www.good.test.", "192.0.2.1", "0", "good.test"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.files["zones/good.toml"] = good
			r := start(t, c.files)
			r.want("a good zone", r.ask("www.good.test.", dns.TypeA), "192.0.2.1")
			r.want("the zone at fault", r.ask(c.ask, dns.TypeA), c.want)
			r.want("zones down", r.metric("mxtrap_zones_down"), c.down)
			r.want("success", r.metric("mxtrap_config_last_reload_successful"), "0")
			if c.fail != "" && r.metric(`mxtrap_zone_load_failures_total{zone="`+c.fail+`"}`) == "0" {
				t.Error("the failure is not counted")
			}
			if log := r.log.String(); !strings.Contains(log, c.log) || c.down == "1" && !strings.Contains(log, `answering zones with SERVFAIL" zones=1`) {
				t.Errorf("log:\n%s", log)
			}
			reply, err := dns.Exchange(new(dns.Msg).SetQuestion(c.ask, dns.TypeA).SetEdns0(1232, false), r.addr)
			if c.want == "SERVFAIL" && (err != nil || len(reply.IsEdns0().Option) != 1 || reply.IsEdns0().Option[0].(*dns.EDNS0_EDE).InfoCode != dns.ExtendedErrorCodeNotReady) {
				t.Errorf("%v %v", reply, err)
			}
			if c.want != "SERVFAIL" || c.ask == "mail.example.com." {
				return
			}
			r.write("zones/b.toml", simpleZone("b.test", 3))
			r.reload()
			r.want("the zone when it is mended", r.ask(c.ask, dns.TypeA), "192.0.2.3")
			r.want("zones down", r.metric("mxtrap_zones_down"), "0")
		})
	}
}

func TestAStartWithoutAnyZoneFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no zone file":      {nil, "matches no file"},
		"broken files only": {map[string]string{"zones/a.toml": simpleZone("a.test", 1) + "x = [\"A bad\"]\n", "zones/b.toml": "x"}, "a.toml:6"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			os.Mkdir(filepath.Join(dir, "zones"), 0o755)
			for name, text := range c.files {
				os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
			}
			os.WriteFile(filepath.Join(dir, "mxtrap.toml"), []byte(serverFile), 0o644)
			config := ReadConfig(filepath.Join(dir, "mxtrap.toml"), &conf.Report{})
			_, err := New(t.Context(), config, Options{Log: slog.New(slog.DiscardHandler)})
			problems, ok := err.(Problems)
			if !ok || !strings.Contains(fmt.Sprint([]conf.Problem(problems)), c.want) {
				t.Errorf("%v", problems)
			}
		})
	}
}

func TestAnAddressThatIsNotThereYetIsTriedAgain(t *testing.T) {
	r := start(t, map[string]string{
		"mxtrap.toml":  strings.Replace(serverFile, `listen = ["127.0.0.1:0"]`, `listen = ["127.0.0.1:0", "192.0.2.77:53"]`, 1),
		"zones/a.toml": simpleZone("a.test", 1),
	})
	r.want("the address that is there", r.ask("www.a.test.", dns.TypeA), "192.0.2.1")
	if !strings.Contains(r.log.String(), "this host does not have a listen address yet") {
		t.Errorf("log:\n%s", r.log)
	}
}

// TestReloadUnderLoad reloads 50 times while clients ask over UDP and TCP: no query is lost, and every answer is wholly of one version.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	const reloads, records = 50, 20
	version := func(n int) string {
		var b strings.Builder
		b.WriteString("name = \"a.test\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\nall = [")
		for i := range records {
			fmt.Fprintf(&b, "\"A 10.0.%d.%d\", ", n, i)
		}
		b.WriteString("]\n")
		return b.String()
	}
	r := start(t, map[string]string{"zones/a.toml": version(0), "zones/b.toml": simpleZone("b.test", 1)})
	var stop atomic.Bool
	var asked, newest atomic.Int64
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			c := &dns.Client{Net: []string{"udp", "udp", "udp", "tcp"}[i], Timeout: patience}
			conn, err := c.Dial(r.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for !stop.Load() {
				least := newest.Load()
				reply, _, err := c.ExchangeWithConn(new(dns.Msg).SetQuestion("all.a.test.", dns.TypeA), conn)
				if err != nil {
					t.Errorf("lost: %v", err)
					return
				}
				asked.Add(1)
				if len(reply.Answer) != records {
					t.Errorf("%d records", len(reply.Answer))
					return
				}
				first := reply.Answer[0].(*dns.A).A.To4()[2]
				for _, rr := range reply.Answer {
					if rr.(*dns.A).A.To4()[2] != first {
						t.Errorf("an answer of two versions: %v", reply.Answer)
						return
					}
				}
				if int64(first) < least {
					t.Errorf("version %d after version %d was published", first, least)
					return
				}
			}
		})
	}
	for n := 1; n <= reloads; n++ {
		r.write("zones/a.toml", version(n))
		r.reload()
		newest.Store(int64(n))
	}
	stop.Store(true)
	clients.Wait()
	t.Logf("%d queries during %d reloads", asked.Load(), reloads)
	if asked.Load() < reloads {
		t.Error("too few queries to tell anything")
	}
}

func TestReadyLiveAndMetrics(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"zones/a.toml": exampleZone})
	r.want("/ready", r.get("/ready"), "200 ready\n")
	r.want("/live", r.get("/live"), "200 alive\n")
	r.ask("example.com.", dns.TypeMX)
	r.ask("mx2.example.com.", dns.TypeA)
	r.ask("mx2.example.com.", dns.TypeA)
	r.ask("mx3.example.com.", dns.TypeTXT)
	r.ask("nothing.example.com.", dns.TypeA)
	r.ask("example.net.", dns.TypeA)
	for series, want := range map[string]string{
		`mxtrap_queries_total{family="ipv4",transport="udp",type="A"}`:                  "4",
		`mxtrap_queries_total{family="ipv4",transport="udp",type="MX"}`:                 "1",
		`mxtrap_responses_total{rcode="NOERROR"}`:                                       "4",
		`mxtrap_responses_total{rcode="NXDOMAIN"}`:                                      "1",
		`mxtrap_responses_total{rcode="REFUSED"}`:                                       "1",
		`mxtrap_zone_queries_total{zone="example.com"}`:                                 "5",
		`mxtrap_trap_mx_lookups_total{zone="example.com"}`:                              "1",
		`mxtrap_trap_decoy_lookups_total{decoy="mx2",type="A",zone="example.com"}`:      "2",
		`mxtrap_trap_decoy_lookups_total{decoy="mx3",type="other",zone="example.com"}`:  "1",
		`mxtrap_trap_decoy_lookups_total{decoy="mx3",type="A",zone="example.com"}`:      "0",
		`mxtrap_build_info{commit="none",goversion="` + goVersion + `",version="test"}`: "1",
	} {
		r.want(series, r.metric(series), want)
	}
	// The duration is noted behind the response.
	for end := time.Now().Add(patience); r.metric("mxtrap_query_duration_seconds_count") != "6" && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	r.want("durations", r.metric("mxtrap_query_duration_seconds_count"), "6")
	r.write("mxtrap.toml", serverFile+"zone_metrics = false\n")
	r.reload()
	r.want("switched off", r.metric(`mxtrap_zone_queries_total{zone="example.com"}`), "absent")
}

func TestTCPAnswersPipelinedQueriesInOrder(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"zones/a.toml": exampleZone})
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const queries = 500
	var out []byte
	for i := range queries {
		m := new(dns.Msg).SetQuestion("example.com.", dns.TypeMX)
		m.Id = uint16(i)
		p, _ := m.Pack()
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(p))), p...)
	}
	go func() { // in pieces that end anywhere
		for len(out) > 0 {
			n := min(len(out), 777)
			conn.Write(out[:n])
			out = out[n:]
		}
	}()
	c := &dns.Conn{Conn: conn}
	conn.SetDeadline(time.Now().Add(patience))
	for i := range queries {
		m, err := c.ReadMsg()
		if err != nil || m.Id != uint16(i) || len(m.Answer) != 4 {
			t.Fatalf("query %d: %v %v", i, m, err)
		}
	}
}

func TestTCPConnectionsOfOneClientAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"zones/a.toml": exampleZone})
	query := tcpQueryFor("example.com.", dns.TypeMX)
	served := func(conn net.Conn) bool {
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write(query)
		_, err := (&dns.Conn{Conn: conn}).ReadMsg()
		return err == nil
	}
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range 64 + 3 {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		if got, want := served(conn), i < 64; got != want {
			t.Fatalf("connection %d: served %v, want %v", i, got, want)
		}
	}
	r.want("refused connections", r.metric(`mxtrap_drops_total{reason="tcp_client_connections"}`), "3")
	r.want("UDP goes on", r.ask("mail.example.com.", dns.TypeA), "192.0.2.25")
}

// TestSlowClientsHoldLittle: whoever does not take his answers, or does not finish his query, costs little memory and keeps nobody else
// waiting.
func TestSlowClientsHoldLittle(t *testing.T) {
	r := start(t, map[string]string{"zones/a.toml": exampleZone})
	query := tcpQueryFor("example.com.", dns.TypeMX)
	endless := bytes.Repeat(query, 1000)
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc + m.StackInuse)
	}
	r.ask("mail.example.com.", dns.TypeA)
	before := heap()
	const clients = 50
	var writing sync.WaitGroup
	for i := range clients {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.(*net.TCPConn).SetReadBuffer(4096)
		writing.Go(func() {
			if i%2 == 0 {
				conn.Write(query[:len(query)-1])
				return
			}
			for err := error(nil); err == nil; _, err = conn.Write(endless) { // until the server takes no more of them
				conn.SetWriteDeadline(time.Now().Add(time.Second / 2))
			}
		})
	}
	writing.Wait()
	if each := (heap() - before) / clients; each > 48<<10 {
		t.Errorf("%d octets for each slow client", each)
	}
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", r.addr)
	if err != nil {
		t.Skip("this system has no other address to ask from: ", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	conn.Write(query)
	if _, err := (&dns.Conn{Conn: conn}).ReadMsg(); err != nil {
		t.Error("another client gets no answer: ", err)
	}
}

func TestAnAnswerLongerThanABatchGoesOverTCPWhole(t *testing.T) {
	t.Parallel()
	const records = 250
	text := "name = \"example.com\"\n[records]\n\"@\" = [\"NS ns1.example.net.\"]\nbig = [\n"
	for i := range records {
		text += fmt.Sprintf("'TXT \"%d %s\"',\n", i, strings.Repeat("x", 230))
	}
	r := start(t, map[string]string{"zones/a.toml": text + "]\n"})
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	big, small := tcpQueryFor("big.example.com.", dns.TypeTXT), tcpQueryFor("example.com.", dns.TypeNS)
	conn.Write(bytes.Join([][]byte{small, big, small, big, big, small}, nil))
	c := &dns.Conn{Conn: conn}
	for i, want := range []int{1, records, 1, records, records, 1} {
		m, err := c.ReadMsg()
		if err != nil || len(m.Answer) != want || m.Truncated {
			t.Fatalf("answer %d: %v, want %d records", i, err, want)
		}
	}
}

func TestATCPConnectionThatSendsWhatIsNoQueryIsEnded(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"zones/a.toml": exampleZone})
	good := tcpQueryFor("example.com.", dns.TypeMX)
	response := bytes.Clone(good)
	response[4] |= 0x80
	for name, bad := range map[string][]byte{
		"an answer":                          response,
		"no octets at all":                   {0, 0},
		"half a header":                      {0, 6, 1, 2, 3, 4, 5, 6},
		"more octets than any query can use": append([]byte{0xff, 0xff}, make([]byte, 8192)...),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			c := &dns.Conn{Conn: conn}
			conn.Write(append(bytes.Clone(good), bad[:min(len(bad), 300)]...))
			if _, err := c.ReadMsg(); err != nil {
				t.Errorf("the query before it gets no answer: %v", err)
			}
			conn.Write(bad[min(len(bad), 300):])
			if n, err := conn.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d octets, %v: the connection is still open", n, err)
			}
		})
	}
}

// tcpQueryFor is a query behind its length.
func tcpQueryFor(name string, qtype uint16) []byte {
	p, err := new(dns.Msg).SetQuestion(name, qtype).Pack()
	if err != nil {
		panic(err)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...)
}

func TestStopAnswersWhatIsUnderWay(t *testing.T) {
	r := start(t, map[string]string{"zones/a.toml": exampleZone})
	conn, err := dns.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.WriteMsg(new(dns.Msg).SetQuestion("example.com.", dns.TypeMX))
	if _, err := conn.ReadMsg(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("an idle connection held the end up for %v", took)
	}
	if _, err := conn.ReadMsg(); err == nil {
		t.Error("the connection is still open")
	}
}

var goVersion = runtime.Version()

// TestAZoneThatIsServedStaysWhenOneBelowItComes: the new one is refused, at each further reload too.
func TestAZoneThatIsServedStaysWhenOneBelowItComes(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"zones/a.toml": exampleZone})
	before := r.ask("example.com.", dns.TypeMX)
	r.write("zones/b.toml", simpleZone("mx2.example.com", 9))
	for range 3 {
		r.reload()
		r.want("the trapped zone", r.ask("example.com.", dns.TypeMX), before)
		if got := r.ask("mx2.example.com.", dns.TypeA); got != "192.0.2.26" && !strings.HasPrefix(got, "192.0.2.") {
			t.Errorf("a decoy: %s", got)
		}
	}
	if !strings.Contains(r.log.String(), "the trap of the served zone example.com has the host mx2 there") {
		t.Errorf("log:\n%s", r.log)
	}
	r.want("success", r.metric("mxtrap_config_last_reload_successful"), "0")
	// Other names make room.
	r.write("zones/a.toml", strings.Replace(exampleZone, "[trap]", "[trap]\nnames = \"in{n}\"", 1))
	r.reload()
	r.want("the zone below", r.ask("www.mx2.example.com.", dns.TypeA), "192.0.2.9")
	// And a trap that wants a host there keeps its last good version.
	r.write("zones/a.toml", exampleZone)
	r.reload()
	r.want("the zone below", r.ask("www.mx2.example.com.", dns.TypeA), "192.0.2.9")
	if got := r.ask("example.com.", dns.TypeMX); !strings.Contains(got, "in2") {
		t.Errorf("the last good version: %s", got)
	}
}

// TestNoTwoZonesHaveOneNameWhateverFilesAreRenamed: such a set would be served, and /metrics fail for good.
func TestNoTwoZonesHaveOneNameWhateverFilesAreRenamed(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"zones/a.toml": simpleZone("a.test", 1), "zones/b.toml": simpleZone("b.test", 2), "zones/c.toml": simpleZone("c.test", 3)})
	r.write("zones/a.toml", simpleZone("b.test", 4))
	r.write("zones/c.toml", simpleZone("a.test", 5))
	r.reload()
	for range 2 {
		r.want("the zone whose file cannot have another name", r.ask("www.a.test.", dns.TypeA), "192.0.2.1")
		r.want("the name that its file keeps", r.ask("www.b.test.", dns.TypeA), "192.0.2.2")
		r.want("the zone whose file wants a name that is served", r.ask("www.c.test.", dns.TypeA), "192.0.2.3")
		r.want("zones", r.metric("mxtrap_zones"), "3")
		r.reload()
	}
	// Names that change hands at once are no conflict.
	r.write("zones/a.toml", simpleZone("b.test", 6))
	r.write("zones/b.toml", simpleZone("a.test", 7))
	r.write("zones/c.toml", simpleZone("c.test", 8))
	r.reload()
	r.want("the first", r.ask("www.b.test.", dns.TypeA), "192.0.2.6")
	r.want("the second", r.ask("www.a.test.", dns.TypeA), "192.0.2.7")
	r.want("success", r.metric("mxtrap_config_last_reload_successful"), "1")
}
