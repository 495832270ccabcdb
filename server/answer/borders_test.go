package answer

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/server/fake"
	"mxtrap/server/peer"
	"mxtrap/server/tap"
	"mxtrap/zone"
)

// exported are the samples of a metric as Prometheus sees them.
func exported(t *testing.T, m *metrics.Metrics, name string) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text, _ := io.ReadAll(w.Body)
	var out []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, name) && !strings.HasSuffix(line, " 0\n") {
			out = append(out, strings.TrimSpace(strings.TrimPrefix(line, name)))
		}
	}
	return strings.Join(out, ", ")
}

// counting is a responder whose counters are exported.
func counting(t *testing.T) (*Responder, *metrics.Metrics) {
	r, m := responderFor(t, exampleZone), metrics.New(1, "", "")
	return NewResponder(r.state, m.Worker(0)), m
}

func TestEveryQueryIsCountedForItsZoneAndItsDecoy(t *testing.T) {
	r, m := counting(t)
	snap := *r.state.Current.Load()
	z := snap.Zones.Zones()[0]
	show := metrics.Zone{Name: z.Name(), Serial: 1, Queries: m.Reserve("zone", metrics.ZoneCounters), Covers: []string{"mx1"}, Decoys: []string{"mx2", "mx3"}}
	show.Hosts = m.Reserve("hosts", 3*metrics.HostCounters)
	snap.Counts = []ZoneCounts{{Zone: show.Queries, Hosts: show.Hosts}}
	r.state.Current.Store(&snap)
	m.Show(1, []metrics.Zone{show}, true)
	for _, q := range []struct {
		name  string
		qtype uint16
	}{{"example.com.", dns.TypeMX}, {"example.com.", dns.TypeNS}, {"mx1.example.com.", dns.TypeA}, {"mx2.example.com.", dns.TypeA}, {"mx3.example.com.", dns.TypeAAAA}, {"mx3.example.com.", dns.TypeAAAA}, {"none.example.com.", dns.TypeA}, {"other.test.", dns.TypeA}} {
		r.Respond(packQuery(q.name, q.qtype), make([]byte, 0, 2000), Client{})
	}
	for name, want := range map[string]string{
		"mxtrap_zone_queries_total": `{zone="example.com"} 7`, "mxtrap_trap_mx_lookups_total": `{zone="example.com"} 1`,
		"mxtrap_trap_decoy_lookups_total": `{decoy="mx2",type="A",zone="example.com"} 1, {decoy="mx3",type="AAAA",zone="example.com"} 2`,
	} {
		if got := exported(t, m, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestWhatIsNotAnsweredIsCountedByItsReason(t *testing.T) {
	r, m := counting(t)
	header := append(packQuery("example.com.", dns.TypeMX)[:HeaderSize:HeaderSize], 0)
	for _, packet := range [][]byte{nil, header[:HeaderSize-1]} {
		if r.Respond(packet, nil, Client{}) != nil {
			t.Errorf("%x is answered", packet)
		}
	}
	header[2] |= 0x80
	if r.Respond(header[:HeaderSize], nil, Client{}) != nil {
		t.Error("a response is answered")
	}
	if got, want := exported(t, m, "mxtrap_drops_total"), `{reason="malformed"} 2, {reason="response"} 1`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestOneResponseInSoManySlips(t *testing.T) {
	for slip, want := range map[int64]int{0: 0, 1: 9, 2: 4, 3: 3, 4: 2} {
		limit := defaultRateLimit
		limit.responses, limit.slip = 1, slip
		_, ask := asks(t, limit)
		slipped := 0
		for i := range 10 {
			if m := ask("192.0.2.1", "example.com.", dns.TypeMX); m != nil && i > 0 {
				slipped++
			}
		}
		if slipped != want {
			t.Errorf("one in %d: %d of 9", slip, slipped)
		}
	}
}

func TestAnIPv6PrefixMakesAClient(t *testing.T) {
	for bits, limited := range map[int64]string{64: "192.0.2.9 ", 63: "2001:db8:0:101::1 192.0.2.9 ", 56: "2001:db8:0:101::1 2001:db8:0:103::1 2001:db8:0:1ff::1 192.0.2.9 ", 48: "2001:db8:0:101::1 2001:db8:0:103::1 2001:db8:0:1ff::1 2001:db8:0:200::1 192.0.2.9 "} {
		limit := defaultRateLimit
		limit.responses, limit.slip, limit.ipv6 = 1, 0, bits
		_, ask := asks(t, limit)
		got := ""
		for _, from := range []string{"2001:db8:0:100::1", "2001:db8:0:101::1", "2001:db8:0:103::1", "2001:db8:0:1ff::1", "2001:db8:0:200::1", "2001:db9::1", "192.0.2.1", "192.0.2.9"} {
			if ask(from, "example.com.", dns.TypeMX) == nil {
				got += from + " "
			}
		}
		if got != limited {
			t.Errorf("/%d: limited are %s, want %s", bits, got, limited)
		}
	}
}

func TestLengthsOfACookie(t *testing.T) {
	for n := range 50 {
		var c cookie
		if got, want := c.parse(make([]byte, n)), n == 8 || 16 <= n && n <= 40; got != want || c.known != (n == 24) {
			t.Errorf("%d octets: %v, known %v", n, got, c.known)
		}
	}
}

func TestWhatTheServerTellsOfItself(t *testing.T) {
	r := responderFor(t, exampleZone)
	for question, want := range map[string]string{
		"version.bind. TXT": "mxtrap test", "VERSION.server. TXT": "mxtrap test", "id.server. TXT": "ns-test", "hostname.bind. ANY": "ns-test", "version.bind. A": "REFUSED", "other.bind. TXT": "REFUSED", "id.bind. TXT": "REFUSED",
	} {
		words := strings.Fields(question)
		m := new(dns.Msg).SetQuestion(words[0], dns.StringToType[words[1]])
		m.Question[0].Qclass = dns.ClassCHAOS
		reply, got := respondTo(t, r, m, Client{}), ""
		if len(reply.Answer) > 0 {
			got = reply.Answer[0].(*dns.TXT).Txt[0]
		} else {
			got = dns.RcodeToString[reply.Rcode]
		}
		if got != want || reply.Authoritative != (len(reply.Answer) > 0) {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
}

func TestANotifyIsOfAZoneOfTheInternetAndItsSOA(t *testing.T) {
	r := responderFor(t, exampleZone)
	snap := *r.state.Current.Load()
	judged := ""
	snap.Notify = func(zone string, from netip.Addr, by *peer.Key) int { judged = zone; return dns.RcodeSuccess }
	r.state.Current.Store(&snap)
	for _, c := range []struct {
		class, qtype uint16
		want         int
	}{{dns.ClassINET, dns.TypeSOA, dns.RcodeSuccess}, {dns.ClassCHAOS, dns.TypeSOA, dns.RcodeNotImplemented}, {dns.ClassINET, dns.TypeA, dns.RcodeNotImplemented}} {
		m := new(dns.Msg).SetNotify("Sub.Example.COM.")
		m.Question[0].Qclass, m.Question[0].Qtype = c.class, c.qtype
		judged = ""
		if reply := respondTo(t, r, m, Client{}); reply.Rcode != c.want || (judged == "sub.example.com") != (c.want == dns.RcodeSuccess) {
			t.Errorf("class %d, type %d: %s, judged %q", c.class, c.qtype, dns.RcodeToString[reply.Rcode], judged)
		}
	}
}

// TestASignedResponseFitsHoweverLargeItIs: with a signature, an OPT record and their options it has 1232 octets at most.
func TestASignedResponseFitsHoweverLargeItIs(t *testing.T) {
	text := exampleZone
	records, rest, _ := strings.Cut(text, "[trap]")
	for n := 900; n < 1260; n += 3 {
		records += fmt.Sprintf("t%d = ['TXT", n)
		for left := n; left > 0; left -= 200 {
			records += fmt.Sprintf(" \"%s\"", strings.Repeat("x", min(left, 200)))
		}
		records += "']\n"
	}
	r := responderFor(t, records+"[trap]"+rest)
	k, _ := peer.ParseKey("known", "hmac-sha256 "+fake.Secret)
	snap := *r.state.Current.Load()
	snap.Access = &peer.Access{Keys: map[string]*peer.Key{k.Name: k}}
	r.state.Current.Store(&snap)
	cut := 0
	for n := 900; n < 1260; n += 3 {
		m := new(dns.Msg).SetQuestion(fmt.Sprintf("t%d.example.com.", n), dns.TypeTXT).SetEdns0(4096, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}}
		m.SetTsig("known.", dns.HmacSHA256, peer.Fudge, time.Now().Unix())
		packet, mac, err := dns.TsigGenerate(m, fake.Secret, "", false)
		if err != nil {
			t.Fatal(err)
		}
		out := bytes.Clone(r.Respond(packet, make([]byte, 0, 4096), Client{Transport: metrics.UDP, Addr: netip.MustParseAddr("192.0.2.1")}))
		reply := new(dns.Msg)
		if err := reply.Unpack(out); err != nil || len(out) > zone.MaxUDP || dns.TsigVerify(out, fake.Secret, mac, false) != nil {
			t.Fatalf("%d octets of text: %d octets, %v", n, len(out), err)
		}
		if reply.Truncated {
			cut++
		} else if cut > 0 {
			t.Errorf("%d octets fit, and fewer did not", n)
		}
		if room := zone.MaxUDP - len(out); reply.Truncated && n < 980 {
			t.Errorf("%d octets are cut, with room for %d", n, room)
		}
	}
	if cut == 0 {
		t.Error("none was too large")
	}
}

type lost int

func (l *lost) Inc() { *l++ }

// TestTheTapGetsOneQueryInSoMany: what has no place in it is lost.
func TestTheTapGetsOneQueryInSoMany(t *testing.T) {
	const places, sample, more = 1024, 3, 5
	var n lost
	r := responderFor(t, exampleZone)
	r.state.Current.Store(r.state.Current.Load().WithTap(TapDnstap, tap.New(sample, n.Inc)))
	packet := packQuery("example.com.", dns.TypeMX)
	for i := range sample * (places + more) {
		if r.Respond(packet, make([]byte, 0, 2000), Client{}) == nil {
			t.Fatal("no answer")
		}
		if i%2 == 0 && r.Respond(nil, nil, Client{}) != nil { // is not copied
			t.Fatal(i)
		}
	}
	if n != more {
		t.Errorf("%d are lost, want %d", n, more)
	}
}

func TestNamesAreSkippedOverOrAreNone(t *testing.T) {
	for packet, want := range map[string]int{
		"\x00": 1, "\x01a\x00": 3, "\x01a": -1, "\x02a": -1, "": -1, "\xc0\x00": 2, "\x01a\xc0\x00": 4, "\x40a\x00": -1, "\x80": -1, "\x3f" + strings.Repeat("a", 63) + "\x00": 65,
	} {
		if got := SkipName([]byte(packet), 0); got != want {
			t.Errorf("%q: %d, want %d", packet, got, want)
		}
	}
}

func TestWhatAsksForATransfer(t *testing.T) {
	ask := func(qtype uint16, change func(m *dns.Msg)) []byte {
		m := new(dns.Msg).SetQuestion("example.com.", qtype)
		change(m)
		packet, _ := m.Pack()
		return packet
	}
	same := func(*dns.Msg) {}
	whole := ask(dns.TypeAXFR, same)
	for name, c := range map[string]struct {
		packet []byte
		want   bool
	}{
		"AXFR": {whole, true}, "IXFR": {ask(dns.TypeIXFR, same), true}, "MX": {ask(dns.TypeMX, same), false}, "a NOTIFY": {ask(dns.TypeAXFR, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), false},
		"a response": {ask(dns.TypeAXFR, func(m *dns.Msg) { m.Response = true }), false}, "two questions": {ask(dns.TypeAXFR, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), false},
		"no question": {ask(dns.TypeAXFR, func(m *dns.Msg) { m.Question = nil }), false}, "cut in the name": {whole[:HeaderSize+3], false}, "cut in the type": {whole[:len(whole)-3], false}, "cut in the class": {whole[:len(whole)-1], false},
		"cut in the header": {whole[:HeaderSize-1], false}, "a header alone": {whole[:HeaderSize], false}, "nothing": {nil, false}, "with RD": {ask(dns.TypeAXFR, func(m *dns.Msg) { m.RecursionDesired = true }), true},
	} {
		if got := AsksTransfer(c.packet); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAQuestionThatIsCutShortHasNoRecordsBehindIt(t *testing.T) {
	for _, name := range []string{"\x03mx1", "\x40", "\xc0", "\x00", "\x00\x00\x0f\x00"} {
		for _, header := range []string{
			"\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", "\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01", "\x00\x01\x00\x00\x00\x02\x00\x01\x00\x00\x00\x00",
		} {
			var q Query
			if q.Parse([]byte(header + name)); q.Verdict != dns.RcodeFormatError {
				t.Errorf("%q: verdict %d, want FORMERR", header+name, q.Verdict)
			}
		}
	}
}
