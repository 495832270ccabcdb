package server

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/answer"
	"mxtrap/server/fake"
	"mxtrap/zone"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
)

var hostileTime = flag.Duration("hostile", time.Second, "how long partners are hostile in TestPartnersDrawnAtRandomDoNoHarm")

// hostileMemory is what the process may have in its heap while partners are hostile: what comes in at a time, with its names whole, twice,
// for it is served too.
const hostileMemory = 2 * (256<<20 + 256*256<<10 + arrivedOctets) // what comes in together, and each of 256 looks by itself

// hostile is a partner that draws what it does at random. What it sends is remembered, for nothing else may be served.
type hostile struct {
	seed atomic.Uint64
	mu   sync.Mutex
	sent map[string]bool // identities of records
	acts map[string]int  // how often it did what
	seen int             // records that were served, and looked at
}

func (h *hostile) random() *rand.Rand { return rand.New(rand.NewPCG(h.seed.Add(1), 7)) }

func (h *hostile) did(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acts[what]++
}

// remember notes the records of a message, as far as it can be read.
func (h *hostile) remember(packet []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := answer.HeaderSize
	for range binary.BigEndian.Uint16(packet[4:]) {
		if at = answer.SkipName(packet, at) + 4; at < answer.HeaderSize+4 {
			return
		}
	}
	for at < len(packet) {
		r, _, next, err := rr.Unpack(packet, at)
		if err != nil {
			return
		}
		h.sent[identityOf(r)] = true
		at = next
	}
}

// identityOf is a record's identity, that of an SOA record without its serial number, which is the server's own.
func identityOf(r rr.Record) string {
	if r.Type == dns.TypeSOA && len(r.Data) >= 20 {
		r.Data = slices.Clone(r.Data)
		clear(r.Data[len(r.Data)-20 : len(r.Data)-16])
	}
	return r.Identity()
}

// zoneOf is a zone of a name, good but for its strange records.
func (h *hostile) zoneOf(random *rand.Rand, apex string, serial uint32) (records []rr.Record) {
	name := func(labels ...string) string {
		text := ""
		for _, l := range labels {
			text += string(rune(len(l))) + l
		}
		return text + apex
	}
	soa := binary.BigEndian.AppendUint32([]byte(name("ns")+name("h")), serial)
	for _, most := range []uint32{3, 2, 4, 300} {
		n := random.Uint32N(most)
		if random.IntN(20) == 0 {
			n = []uint32{0, 1 << 31, 1<<32 - 1}[random.IntN(3)]
		}
		soa = binary.BigEndian.AppendUint32(soa, n)
	}
	first := rr.Record{Owner: apex, Type: dns.TypeSOA, TTL: 300, Data: soa}
	records = append(records, first,
		rr.Record{Owner: apex, Type: dns.TypeNS, TTL: 300, Data: []byte(name("ns"))},
		rr.Record{Owner: apex, Type: dns.TypeMX, TTL: 300, Data: []byte("\x00\x0a" + name("mail"))},
		rr.Record{Owner: name("mail"), Type: dns.TypeA, TTL: 300, Data: []byte{192, 0, 2, byte(random.IntN(256))}},
	)
	for range random.IntN(40) {
		data := make([]byte, random.IntN(40))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		typ := []uint16{dns.TypeA, dns.TypeTXT, dns.TypeMX, dns.TypeCNAME, dns.TypeNS, dns.TypeDNAME, dns.TypeNULL, dns.TypePTR, 65280, uint16(random.IntN(300))}[random.IntN(10)]
		switch typ {
		case dns.TypeA:
			data = append(data, 1, 2, 3, 4)[:4]
		case dns.TypeMX:
			data = []byte(string([]byte{byte(random.IntN(256)), byte(random.IntN(256))}) + name(fmt.Sprintf("h%d", random.IntN(9))))
		case dns.TypeCNAME, dns.TypeNS, dns.TypeDNAME, dns.TypePTR:
			data = []byte(name(fmt.Sprintf("h%d", random.IntN(9))))
		}
		owner := name(fmt.Sprintf("h%d", random.IntN(9)))
		if random.IntN(4) == 0 {
			owner = name("mx1")
		}
		records = append(records, rr.Record{Owner: owner, Type: typ, TTL: random.Uint32(), Data: data})
	}
	return append(records, first)
}

// messages packs records into the messages of an answer.
func messages(random *rand.Rand, m *dns.Msg, records []rr.Record) (packets [][]byte) {
	for len(records) > 0 {
		n := 1 + random.IntN(min(len(records), 100))
		packets = append(packets, fake.Packed(m, records[:n]))
		records = records[n:]
	}
	return packets
}

// play answers a request for a zone.
func (h *hostile) play(conn net.Conn, m *dns.Msg) {
	random := h.random()
	apex, err := zone.WireName(strings.ToLower(m.Question[0].Name))
	if err != nil {
		return
	}
	serial := uint32(time.Now().Unix()) + random.Uint32N(5) - 2
	records := h.zoneOf(random, apex, serial)
	packets := messages(random, m, records)
	write := func(packets ...[]byte) bool {
		for _, p := range packets {
			h.remember(p)
			if _, err := conn.Write(fake.Framed(p)); err != nil {
				return false
			}
		}
		return true
	}
	switch act := random.IntN(16); act {
	default:
		h.did("good")
		write(packets...)
	case 3:
		h.did("cut")
		write(packets[:random.IntN(len(packets))]...)
	case 4:
		h.did("flipped")
		p := packets[random.IntN(len(packets))]
		for range 1 + random.IntN(4) {
			p[random.IntN(len(p))] ^= 1 << random.IntN(8)
		}
		write(packets...)
	case 5:
		h.did("garbage")
		junk := make([]byte, 12+random.IntN(2000))
		for i := range junk {
			junk[i] = byte(random.Uint32())
		}
		conn.Write(junk)
	case 6:
		h.did("drips")
		for range 100 {
			if !write(fake.Packed(m, records[:1])) {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	case 7:
		h.did("silent")
		conn.SetReadDeadline(time.Now().Add(time.Duration(random.IntN(2000)) * time.Millisecond))
		io.Copy(io.Discard, conn)
	case 8:
		h.did("endless")
		for end := time.Now().Add(time.Second); time.Now().Before(end) && write(packets[0]); {
		}
	case 9:
		h.did("bomb")
		packet, at := fake.Bomb(m, apex)
		h.remember(packet[:at+300])
		write(fake.Packed(m, records[:1]))
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
			if _, err := conn.Write(fake.Framed(packet)); err != nil {
				return
			}
		}
	case 10:
		h.did("differences")
		var all []rr.Record
		for range 1 + random.IntN(4) {
			old, now := h.zoneOf(random, apex, serial-random.Uint32N(4)), h.zoneOf(random, apex, serial)
			all = append(all, old[0], old[1+random.IntN(3)], now[0], now[1+random.IntN(3)])
		}
		write(messages(random, m, slices.Concat(records[:1], all, records[:1]))...)
	case 11:
		h.did("refuses")
		fake.Send(conn, new(dns.Msg).SetRcode(m, random.IntN(24)))
	case 12:
		h.did("wide")
		for i := range 3000 {
			records = slices.Insert(records, 1, rr.Record{Owner: apex, Type: dns.TypeMX, TTL: 1, Data: []byte(fmt.Sprintf("%c%c\x06h%05d%s", rune(i>>8&0x7f), rune(i&0x7f), i, apex))})
		}
		write(messages(random, m, records)...)
	}
}

// catalog answers with a catalog that lists what it likes.
func (h *hostile) catalog(conn net.Conn, m *dns.Msg) {
	random := h.random()
	soa := fake.Record(fmt.Sprintf("%s 0 SOA invalid. invalid. %d 1 1 3 0", m.Question[0].Name, uint32(time.Now().UnixNano()/1e8)))
	reply := new(dns.Msg).SetReply(m)
	reply.Answer = append(reply.Answer, soa, fake.Record("version."+m.Question[0].Name+" 0 TXT \""+[]string{"2", "2", "2", "2", "1"}[random.IntN(5)]+"\""))
	for i := range random.IntN(60) {
		member := []string{"good.test.", "local.test.", "mx1.local.test.", "mx2.local.test.", "a.mx2.local.test.", ".", "com.", "mortal.test.", fmt.Sprintf("m%d.test.", random.IntN(80))}[random.IntN(9)]
		reply.Answer = append(reply.Answer, fake.Record(fmt.Sprintf("u%d.zones.%s 0 PTR %s", i, m.Question[0].Name, member)))
	}
	reply.Answer = append(reply.Answer, soa)
	packet, _ := reply.Pack()
	if random.IntN(10) == 0 {
		packet[random.IntN(len(packet))] ^= 1 << random.IntN(8)
	}
	h.remember(packet)
	conn.Write(fake.Framed(packet))
}

// resolve answers a look-up.
func (h *hostile) resolve(w dns.ResponseWriter, q *dns.Msg) {
	random := h.random()
	m := new(dns.Msg).SetReply(q)
	name := q.Question[0].Name
	for range []int{0, 1, 1, 2, 40, 500}[random.IntN(6)] {
		owner := []string{name, name, name, "other.test."}[random.IntN(4)]
		switch random.IntN(4) {
		case 0:
			m.Answer = append(m.Answer, fake.Record(fmt.Sprintf("%s %d CNAME %s", owner, random.IntN(9), []string{name, "a.test.", "b.test."}[random.IntN(3)])))
		case 1:
			m.Answer = append(m.Answer, fake.Record(fmt.Sprintf("%s %d AAAA %s", owner, random.IntN(9), []string{"2001:db8::7", "::1", "::ffff:127.0.0.1", "fe80::1"}[random.IntN(4)])))
		default:
			m.Answer = append(m.Answer, fake.Record(fmt.Sprintf("%s %d A %s", owner, random.IntN(9), []string{"198.51.100.7", "198.51.100.8", "127.0.0.1", "10.0.0.1"}[random.IntN(4)])))
		}
	}
	switch random.IntN(8) {
	case 0:
		m.Rcode = random.IntN(12)
	case 1:
		m.Id++
	case 2:
		m.Truncated = true
	case 3:
		m.Question[0].Name = "other.test."
	case 4:
		return
	}
	w.WriteMsg(m)
}

// TestPartnersDrawnAtRandomDoNoHarm: primaries, a catalog and a resolver do what they like, NOTIFYs come all the time, files are reloaded.
// All that is not theirs is answered, refreshed and expired in time, memory is bounded, and of theirs nothing is served that they did not
// send, or that the trap did not make.
func TestPartnersDrawnAtRandomDoNoHarm(t *testing.T) {
	t.Parallel()
	h := &hostile{sent: map[string]bool{}, acts: map[string]int{}}
	h.seed.Store(uint64(time.Now().UnixNano()))
	t.Logf("seed %d", h.seed.Load())
	began := time.Now()

	honest := fake.NewPrimary(t) // each second another version
	plays := func(conn net.Conn, m *dns.Msg) {
		serial := 1 + uint32(time.Since(began)/time.Second)
		name := strings.TrimSuffix(m.Question[0].Name, ".")
		lines := fake.TimedLines(serial, fmt.Sprint(serial), "1 1 3")
		for i := range lines {
			lines[i] = strings.ReplaceAll(lines[i], "example.com", name)
		}
		fake.Sends(100, lines...)(conn, m)
	}
	honest.Plays(plays)
	mortal := fake.NewPrimary(t) // is heard for ten seconds, and then for five is not
	alive := func(at time.Time) bool { return at.Sub(began)%(15*time.Second) < 10*time.Second }
	mortal.Plays(func(conn net.Conn, m *dns.Msg) {
		if alive(time.Now()) {
			plays(conn, m)
		}
	})
	files := map[string]string{
		"zones/local.toml":  "name = \"local.test\"\n[records]\n\"@\" = [\"NS ns\", \"MX 10 mail\", \"MX 20 mx.other.test.\"]\nns = [\"A 192.0.2.53\"]\nmail = [\"A 192.0.2.25\"]\n[trap]\ncover = true\n",
		"zones/good.toml":   fmt.Sprintf("name = \"good.test\"\n[primary]\naddress = [%q]\n", honest.Address()),
		"zones/mortal.toml": fmt.Sprintf("name = \"mortal.test\"\n[primary]\naddress = [%q]\n", mortal.Address()),
		"member.toml":       fmt.Sprintf("[primary]\naddress = [%q]\n[trap]\n", honest.Address()),
	}
	const partners = 6
	for i := range partners {
		p := fake.NewPrimary(t)
		p.Plays(h.play)
		for j := range 3 {
			files[fmt.Sprintf("zones/bad%d-%d.toml", i, j)] = fmt.Sprintf("name = \"bad%d-%d.test\"\n[primary]\naddress = [%q]\n[trap]\n", i, j, p.Address())
		}
	}
	cataloger := fake.NewPrimary(t)
	cataloger.Plays(h.catalog)
	files["zones/catalog.toml"] = fmt.Sprintf("name = \"catalog.test\"\n[primary]\naddress = [%q]\n[catalog]\ntemplate = \"../member.toml\"\nmost = 100\n", cataloger.Address())
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	resolver := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(h.resolve)}
	go resolver.ActivateAndServe()
	t.Cleanup(func() { resolver.Shutdown() })
	files["mxtrap.toml"] = serverFile + fmt.Sprintf("state = \"state\"\nresolver = [%q]\n[transfer]\nallow = [\"127.0.0.1\"]\n", conn.LocalAddr())
	r := start(t, files, func(s *Server) {
		s.resolver.FirstRetry, s.resolver.LeastWait = 10*time.Millisecond, 10*time.Millisecond
	})

	random := h.random()
	var latest time.Duration
	heard := map[string]time.Time{"good.test.": began, "mortal.test.": began}
	for end := began.Add(*hostileTime); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got := r.asked("local.test.", dns.TypeMX); !strings.HasPrefix(got, "NOERROR") {
			t.Fatalf("the local zone: %s", got)
		}
		for name := range heard {
			got := r.asked(name, dns.TypeTXT)
			var serial int
			fmt.Sscanf(got, "NOERROR %d", &serial)
			now := time.Now()
			if at := began.Add(time.Duration(serial) * time.Second); serial > 0 && at.After(heard[name]) {
				heard[name] = at
			}
			late := now.Sub(heard[name])
			if name == "good.test." {
				latest = max(latest, late)
			}
			switch {
			case name == "good.test." && late > 20*time.Second:
				t.Fatalf("%s was not refreshed for %v: %s\n%s", name, late, got, r.log)
			case serial > 0 && late > 20*time.Second:
				t.Fatalf("%s has not expired after %v", name, late)
			}
		}
		m := new(dns.Msg).SetNotify(fmt.Sprintf("bad%d-%d.test.", random.IntN(partners), random.IntN(3)))
		if packet, err := m.Pack(); err == nil {
			if c, err := net.Dial("udp", r.addr); err == nil {
				c.Write(packet)
				c.Close()
			}
		}
		if random.IntN(100) == 0 {
			r.reload()
		}
		if random.IntN(200) == 0 {
			state, _ := filepath.Glob(filepath.Join(r.dir, "state/*"))
			if len(state) > 0 {
				os.Truncate(state[random.IntN(len(state))], int64(random.IntN(300)))
			}
		}
		h.check(t, r, fmt.Sprintf("bad%d-%d.test.", random.IntN(partners), random.IntN(3)))
		var mem runtime.MemStats
		if runtime.ReadMemStats(&mem); mem.HeapAlloc > hostileMemory {
			t.Fatalf("%d MiB of memory", mem.HeapAlloc>>20)
		}
	}
	h.mu.Lock()
	t.Logf("%d records sent, %d seen; a good zone was up to %v behind; %v", len(h.sent), h.seen, latest, h.acts)
	h.mu.Unlock()
	r.stop()
	// What was left behind is good for a start.
	again, err := New(t.Context(), r.config, r.Options)
	if err != nil {
		t.Fatal(err)
	}
	if again.files.Get(filepath.Join(r.dir, "zones/local.toml")) == nil {
		t.Error("the local zone is not served after a start")
	}
}

// check has a hostile partner's zone transferred, and looks at each record of it.
func (h *hostile) check(t *testing.T, r *running, name string) {
	t.Helper()
	transfer := &dns.Transfer{ReadTimeout: patience}
	envelopes, err := transfer.In(new(dns.Msg).SetAxfr(name), r.addr)
	if err != nil {
		t.Fatal(err)
	}
	for e := range envelopes {
		if e.Error != nil {
			continue // it is down
		}
		for _, one := range e.RR {
			packet := make([]byte, 70000)
			n, err := dns.PackRR(one, packet, 0, nil, false)
			if err != nil {
				continue // the library cannot write all that it reads
			}
			record, _, _, err := rr.Unpack(packet[:n], 0)
			if err != nil {
				t.Fatal(err)
			}
			owner := []byte(record.Owner)
			dname.Lower(owner) // strings.ToLower changes octets that are no letters
			record.Owner = string(owner)
			h.mu.Lock()
			sent := h.sent[identityOf(record)]
			h.seen++
			h.mu.Unlock()
			mx, _ := one.(*dns.MX)
			trap := strings.HasPrefix(one.Header().Name, "mx") || mx != nil && strings.HasPrefix(mx.Mx, "mx")
			if !sent && !trap {
				t.Fatalf("served, and never sent: %s", one)
			}
		}
	}
}
