//go:build interop && linux

package interop

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// What takes long to prove is shown in small by the gate, and in whole by hand:
//
//	SOAK=10m RELOAD_ZONES=100000 MUTANTS=1000000 go test -tags interop -run InteropLoad -timeout 30m -v ./cmd/mxtrap

// loadZone is a mail domain; version tells one text of it from another.
func loadZone(i, version int) string {
	return fmt.Sprintf(`name = "d%d.example"
[soa]
mname = "ns1"
serial = %d
[records]
"@" = ["NS ns1", "NS ns2", "MX 10 mail", "MX 20 mx1", 'TXT "v=spf1 mx -all"']
_dmarc = ['TXT "v=DMARC1; p=reject"']
ns1 = ["A 192.0.2.53"]
ns2 = ["A 198.51.100.53"]
www = ["A 203.0.113.7"]
mail = ["A 192.0.2.25", "AAAA 2001:db8::25"]
mx1 = ["A 198.51.100.7"]
[trap]
addresses = ["192.0.2.26", "192.0.2.27"]
`, i, version)
}

func loadZones(n int) map[string]string {
	zones := map[string]string{}
	for i := range n {
		zones[fmt.Sprintf("%d.toml", i)] = loadZone(i, 1)
	}
	return zones
}

// loadQuery is a question that such zones get.
func loadQuery(zones int) (name, qtype string) {
	zone := fmt.Sprintf("d%d.example", rand.IntN(zones))
	q := [][2]string{{"", "MX"}, {"mail.", "A"}, {"mx2.", "A"}, {"mx3.", "AAAA"}, {"", "TXT"}, {"nothing.", "A"}}[rand.IntN(6)]
	return q[0] + zone, q[1]
}

// change writes a new version of a zone, in one step.
func (m *instance) change(t *testing.T, zone, version int) {
	path := filepath.Join(m.dir, "zones", fmt.Sprintf("%d.toml", zone))
	if err := os.WriteFile(path+".new", []byte(loadZone(zone, version)), 0o644); err != nil {
		t.Fatal(err)
	}
	os.Rename(path+".new", path)
}

func (m *instance) reload() { m.cmd.Process.Signal(syscall.SIGHUP) }

func (m *instance) metrics(t *testing.T) []byte {
	t.Helper()
	reply, err := http.Get("http://127.0.0.1:" + m.metricsPort + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, _ := io.ReadAll(reply.Body)
	return body
}

func (m *instance) metric(t *testing.T, series string) float64 {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindSubmatch(m.metrics(t))
	if found == nil {
		t.Fatalf("no %s", series)
	}
	v, _ := strconv.ParseFloat(string(found[1]), 64)
	return v
}

// sum is that of all series that begin so.
func (m *instance) sum(t *testing.T, begin string) (sum float64) {
	t.Helper()
	for _, found := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(begin)+`.* (\S+)$`).FindAllSubmatch(m.metrics(t), -1) {
		v, _ := strconv.ParseFloat(string(found[1]), 64)
		sum += v
	}
	return sum
}

// resident is the memory that the process has now, in MB.
func (m *instance) resident(t *testing.T) float64 {
	t.Helper()
	return m.metric(t, "process_resident_memory_bytes") / 1e6
}

// envOr is what the environment wants, or the default.
func envOr[T any](t *testing.T, key string, parse func(string) (T, error), or T) T {
	text := os.Getenv(key)
	if text == "" {
		return or
	}
	v, err := parse(text)
	if err != nil {
		t.Fatal(key, err)
	}
	return v
}

// TestInteropLoadSoak asks as fast as dnsperf can while a zone changes every second: no query is lost but those that the kernel had no
// room for, every reload is taken in, and memory stays what it was.
func TestInteropLoadSoak(t *testing.T) {
	const zones = 1000
	soak := envOr(t, "SOAK", time.ParseDuration, 6*time.Second)
	m := serveInstance(t, "", loadZones(zones))
	queries := filepath.Join(t.TempDir(), "queries")
	var text strings.Builder
	for range 100_000 {
		name, qtype := loadQuery(zones)
		fmt.Fprintln(&text, name, qtype)
	}
	os.WriteFile(queries, []byte(text.String()), 0o644)
	droppedBefore := receiveBufferErrors(t)
	load := exec.Command("dnsperf", "-s", "127.0.0.1", "-p", m.port, "-d", queries, "-l", fmt.Sprint(int(soak.Seconds())), "-q", "200", "-c", "8", "-e")
	said := &buffer{}
	load.Stdout, load.Stderr = said, said
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	var memory []float64
	version := 1
	for end := time.Now().Add(soak - time.Second); time.Now().Before(end); {
		version++
		m.change(t, version%zones, version)
		m.reload()
		time.Sleep(time.Second)
		memory = append(memory, m.resident(t))
	}
	load.Wait()
	m.want(t, version%zones, version)
	number := func(pattern string) int {
		found := regexp.MustCompile(pattern + `:\s+(\d+)`).FindStringSubmatch(said.String())
		if found == nil {
			t.Fatal(said)
		}
		n, _ := strconv.Atoi(found[1])
		return n
	}
	lost, dropped := number("Queries lost"), receiveBufferErrors(t)-droppedBefore
	if lost > dropped {
		t.Errorf("%d queries lost, but the kernel dropped %d packets", lost, dropped)
	}
	if counted := m.metric(t, `mxtrap_drops_total{reason="socket_buffer"}`); counted > float64(dropped) {
		t.Errorf("mxtrap counts %v packets dropped, the kernel %d", counted, dropped)
	}
	if strings.Contains(m.out.String(), "level=ERROR") {
		t.Error(m.out)
	}
	first, last := slices.Max(memory[:len(memory)/2+1]), slices.Max(memory[len(memory)/2:])
	if last > 1.25*first {
		t.Errorf("memory grew from %.1f to %.1f MB", first, last)
	}
	t.Logf("%v: %d queries, %d lost, %d dropped by the kernel, %d reloads; at most %.1f MB in the first half, %.1f in the second",
		soak, number("Queries completed"), lost, dropped, version-1, first, last)
}

// want waits until a zone is served in a version.
func (m *instance) want(t *testing.T, zone, version int) {
	t.Helper()
	eventually(t, fmt.Sprintf("version %d is served", version), func() bool {
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion(fmt.Sprintf("d%d.example.", zone), dns.TypeSOA), "127.0.0.1:"+m.port)
		return err == nil && len(reply.Answer) == 1 && reply.Answer[0].(*dns.SOA).Serial == uint32(version)
	})
}

// receiveBufferErrors is how many UDP packets this host has dropped because a socket was full.
func receiveBufferErrors(t *testing.T) int {
	for _, line := range strings.Split(readFile(t, "/proc/net/snmp"), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 5 && fields[0] == "Udp:" && fields[5] != "RcvbufErrors" {
			n, _ := strconv.Atoi(fields[5])
			return n
		}
	}
	t.Fatal("no RcvbufErrors")
	return 0
}

// TestInteropLoadReload measures how long answers take while one file of many is taken in.
func TestInteropLoadReload(t *testing.T) {
	zones := envOr(t, "RELOAD_ZONES", strconv.Atoi, 2000)
	const rate = 10_000
	m := serveInstance(t, "zone_metrics = false\n", loadZones(zones))
	unix.Sync()                 // so that the kernel does not write the files out while it is measured
	time.Sleep(3 * time.Second) // until the files are old enough to be known by their times
	calm, lost := m.pace(t, zones, rate, func() { time.Sleep(2 * time.Second) })
	version := 1
	busy, lostBusy := m.pace(t, zones, rate, func() {
		for range 10 {
			version++
			m.change(t, 7, version)
			m.reload()
			eventually(t, "the reload ends", func() bool { return strings.Count(m.out.String(), "msg=reloaded") == version-1 })
		}
	})
	m.want(t, 7, version)
	if lost+lostBusy > 0 {
		t.Errorf("%d answers lost, and %d during reloads", lost, lostBusy)
	}
	took := regexp.MustCompile(`msg=reloaded .* took=(\S+)`).FindAllStringSubmatch(m.out.String(), -1)
	var times []string
	for _, f := range took {
		times = append(times, f[1])
	}
	if len(times) != version-1 {
		t.Errorf("%d reloads, want %d", len(times), version-1)
	}
	for name, l := range map[string][]time.Duration{"calm": calm, "during reloads": busy} {
		t.Logf("%-14s %7d answers: median %v, p99 %v, p99.9 %v, longest %v", name, len(l), l[len(l)/2], l[len(l)*99/100], l[len(l)*999/1000], l[len(l)-1])
	}
	t.Logf("%d zones, one changed: reloads took %v", zones, times)
}

// pace asks at a rate while something is done, and returns how long the answers took, in order.
func (m *instance) pace(t *testing.T, zones, rate int, while func()) (took []time.Duration, lost int) {
	t.Helper()
	conn := m.dial(t)
	questions := make([][]byte, 1<<15) // made before: what is measured is the server's garbage collection, not the one here
	for i := range questions {
		name, qtype := loadQuery(zones)
		questions[i], _ = new(dns.Msg).SetQuestion(name+".", dns.StringToType[qtype]).Pack()
	}
	took = make([]time.Duration, 0, 1<<18)
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var sent [1 << 16]atomic.Int64
	began := time.Now()
	var working sync.WaitGroup
	working.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			now := time.Since(began)
			if n > 2 {
				took = append(took, now-time.Duration(sent[uint16(buf[0])<<8|uint16(buf[1])].Load()))
			}
		}
	})
	stop := make(chan struct{})
	asked := 0
	working.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for due := int(time.Since(began).Seconds() * float64(rate)); asked < due; asked++ {
				packet := questions[asked%len(questions)]
				packet[0], packet[1] = byte(asked>>8), byte(asked)
				sent[uint16(asked)].Store(int64(time.Since(began)))
				conn.Write(packet)
			}
			unix.Nanosleep(&unix.Timespec{Nsec: 50_000}, nil)
		}
	})
	while()
	close(stop)
	conn.SetReadDeadline(time.Now().Add(time.Second))
	working.Wait()
	slices.SortFunc(took, cmp.Compare)
	return took, asked - len(took)
}

func (m *instance) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", "127.0.0.1:"+m.port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.(*net.UDPConn).SetReadBuffer(4 << 20)
	return conn
}

// TestInteropLoadMutants sends packets that were queries once: the server lives, and they cost it no more than good ones.
func TestInteropLoadMutants(t *testing.T) {
	const zones, burst = 100, 64
	packets := envOr(t, "MUTANTS", strconv.Atoi, 100_000)
	m := serveInstance(t, "", loadZones(zones))
	conn := m.dial(t)
	go io.Copy(io.Discard, conn)
	received := func() float64 { // or dropped by the kernel before that
		return m.metric(t, `mxtrap_query_duration_seconds_count`) + m.metric(t, `mxtrap_drops_total{reason="socket_buffer"}`)
	}
	send := func(what string, mutate func([]byte) []byte) (cost time.Duration) {
		pool := make([][]byte, 10_000)
		for i := range pool {
			name, qtype := loadQuery(zones)
			q := new(dns.Msg).SetQuestion(name+".", dns.StringToType[qtype]).SetEdns0(1232, false)
			packet, _ := q.Pack()
			pool[i] = mutate(packet)
		}
		before, cpu := received(), m.cpu(t)
		for i := range packets {
			conn.Write(pool[i%len(pool)])
			if i%burst == 0 {
				unix.Nanosleep(&unix.Timespec{Nsec: 100_000}, nil) // the server keeps up, so that it receives all of them
			}
		}
		eventually(t, "the server has received them", func() bool { return received()-before >= float64(packets)*0.99 })
		cost = (m.cpu(t) - cpu) / time.Duration(packets)
		t.Logf("%d %s packets: %v of CPU each", packets, what, cost)
		return cost
	}
	send("warming", func(p []byte) []byte { return p })
	good := send("good", func(p []byte) []byte { return p })
	mutated := send("mutated", mutate)
	t.Logf("a mutated packet costs %.2f of a good one", float64(mutated)/float64(good))
	m.want(t, 7, 1)
}

// mutate changes a few octets of a packet, or how many there are.
func mutate(p []byte) []byte {
	for range 1 + rand.IntN(4) {
		switch at := rand.IntN(len(p)); rand.IntN(6) {
		case 0:
			p[at] ^= 1 << rand.IntN(8)
		case 1:
			p[at] = byte(rand.Uint32())
		case 2:
			p[at] = []byte{0, 1, 63, 64, 0xc0, 0xff}[rand.IntN(6)]
		case 3:
			p = p[:max(at, 1)]
		case 4:
			p = append(p, make([]byte, rand.IntN(64))...)
		case 5:
			p = slices.Insert(p, at, byte(rand.Uint32()))
		}
	}
	return p
}

// cpu is the processor time that the process has had.
func (m *instance) cpu(t *testing.T) (cpu time.Duration) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", m.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		t.Fatal(err, "no schedstat")
	}
	for _, task := range tasks {
		if text, err := os.ReadFile(task); err == nil {
			n, _, _ := strings.Cut(string(text), " ")
			nanos, _ := strconv.ParseInt(n, 10, 64)
			cpu += time.Duration(nanos)
		}
	}
	return cpu
}
