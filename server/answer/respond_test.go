package answer

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/txtar"

	"mxtrap/metrics"
	"mxtrap/zone"
	"mxtrap/zone/body"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

var update = flag.Bool("update", false, "write what came out into the golden files")

// exampleZone is the zone file of most tests.
var exampleZone = func() string {
	text, err := os.ReadFile("../testdata/example.toml")
	if err != nil {
		panic(err)
	}
	return string(text)
}()

// responseRoom is the room of a response over UDP.
const responseRoom = 1600

// responderFor makes a responder that serves zones, given as zone files.
func responderFor(t testing.TB, texts ...string) *Responder {
	t.Helper()
	var zones []*zone.Zone
	for i, text := range texts {
		var report conf.Report
		z := (*zone.Zone)(nil)
		if source := source.Parse(fmt.Sprintf("%d.toml", i), []byte(text), &report); source != nil {
			z = source.Compile(nil, &report)
		}
		if z == nil {
			t.Fatal(report.Problems())
		}
		zones = append(zones, z)
	}
	s := NewState(zone.NewSet(zones, func() {}))
	snap := s.Current.Load()
	snap.Nsid, snap.Version, snap.Id = "ns-test", "mxtrap test", "ns-test"
	return NewResponder(s, metrics.New(1, "", "").Worker(0))
}

// respondTo asks one question in full and holds what every response must hold.
func respondTo(t testing.TB, r *Responder, m *dns.Msg, c Client) *dns.Msg {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	reply := bytes.Clone(r.Respond(packet, make([]byte, 0, dns.MaxMsgSize), c))
	if reply == nil {
		return nil
	}
	limit := dns.MaxMsgSize
	if c.Transport == metrics.UDP {
		limit = dns.MinMsgSize
		if opt := m.IsEdns0(); opt != nil {
			limit = min(zone.MaxUDP, max(limit, int(opt.UDPSize())))
		}
	}
	if len(reply) > limit {
		t.Errorf("%v: %d octets, above %d", m.Question, len(reply), limit)
	}
	out := new(dns.Msg)
	if err := out.Unpack(reply); err != nil {
		t.Fatalf("%v: the library cannot read the response: %v\n%x", m.Question, err, reply)
	}
	// What the library makes of the response means the same: no octet is left over, no pointer leads astray.
	again, err := out.Pack()
	if err != nil {
		t.Fatalf("%v: %v", m.Question, err)
	}
	back := new(dns.Msg)
	if err := back.Unpack(again); err != nil || back.String() != out.String() {
		t.Errorf("%v: packed again it reads\n%v\nnot\n%v", m.Question, back, out)
	}
	if out.Id != m.Id || !out.Response || out.RecursionAvailable || out.Opcode != m.Opcode || out.RecursionDesired != m.RecursionDesired {
		t.Errorf("header %v of %v", out.MsgHdr, m.MsgHdr)
	}
	return out
}

// TestAnswers asks the questions of testdata/answers.txtar, each written as for dig, and compares the responses.
func TestAnswers(t *testing.T) {
	const path = "testdata/answers.txtar"
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var zones []string
	for _, f := range archive.Files {
		if strings.HasSuffix(f.Name, ".toml") {
			zones = append(zones, string(f.Data))
		}
	}
	r := responderFor(t, zones...)
	for i, f := range archive.Files {
		if strings.HasSuffix(f.Name, ".toml") {
			continue
		}
		title, rest, _ := strings.Cut(f.Name, ": ")
		_ = rest
		t.Run(title, func(t *testing.T) {
			question, want, _ := strings.Cut(string(f.Data), "\n")
			m, c := parseDig(t, question)
			got := "(no response)\n"
			if reply := respondTo(t, r, m, c); reply != nil {
				reply.Id = 0
				got = strings.TrimPrefix(reply.String(), ";; ") // as dig prints it, without the number that differs
				got = strings.Replace(got, ", id: 0", "", 1)
			}
			if *update {
				archive.Files[i].Data = []byte(question + "\n" + got)
			} else if got != want {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", question, got, want)
			}
		})
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// parseDig reads a question as dig's command line has it: $ dig NAME TYPE [CLASS] [+OPTION ...].
func parseDig(t *testing.T, line string) (*dns.Msg, Client) {
	t.Helper()
	words := strings.Fields(strings.TrimPrefix(line, "$ dig "))
	m, c := new(dns.Msg), Client{}
	m.SetQuestion(dns.Fqdn(words[0]), dns.StringToType[words[1]])
	if strings.HasPrefix(words[1], "TYPE") {
		n, _ := strconv.Atoi(words[1][4:])
		m.Question[0].Qtype = uint16(n)
	}
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(1232)
	for _, w := range words[2:] {
		option, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch option {
		case "CH":
			m.Question[0].Qclass = dns.ClassCHAOS
		case "HS":
			m.Question[0].Qclass = dns.ClassHESIOD
		case "ANY":
			m.Question[0].Qclass = dns.ClassANY
		case "+tcp":
			c.Transport = metrics.TCP
		case "+noedns":
			opt = nil
		case "+norec":
			m.RecursionDesired = false
		case "+bufsize":
			opt.SetUDPSize(uint16(n))
		case "+edns":
			opt.SetVersion(uint8(n))
		case "+do":
			opt.SetDo()
		case "+nsid":
			opt.Option = append(opt.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
		case "+ednsopt":
			opt.Option = append(opt.Option, &dns.EDNS0_LOCAL{Code: uint16(n), Data: []byte("hello")})
		case "+opcode":
			m.Opcode = n
		case "+qr":
			m.Response = true
		default:
			t.Fatalf("no option %s", w)
		}
	}
	if opt != nil {
		m.Extra = append(m.Extra, opt)
	}
	return m, c
}

// TestMalformed sends what is no proper question.
func TestMalformed(t *testing.T) {
	r := responderFor(t, exampleZone)
	good, _ := new(dns.Msg).SetQuestion("example.com.", dns.TypeMX).Pack()
	change := func(f func(p []byte) []byte) []byte { return f(bytes.Clone(good)) }
	count := func(section int, n uint16) func([]byte) []byte {
		return func(p []byte) []byte { binary.BigEndian.PutUint16(p[4+2*section:], n); return p }
	}
	opt := []byte{0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0}
	withOPT := func(opts ...byte) []byte { return append(change(count(3, 1)), opts...) }
	for name, c := range map[string]struct {
		packet []byte
		want   string
	}{
		"an empty packet gets no answer":                {nil, "silence"},
		"less than a header gets no answer":             {good[:11], "silence"},
		"an answer gets no answer":                      {change(func(p []byte) []byte { p[2] |= 0x80; return p }), "silence"},
		"a header alone":                                {good[:12], "FORMERR"},
		"no question":                                   {change(count(0, 0))[:12], "FORMERR"},
		"two questions (RFC 9619)":                      {change(count(0, 2)), "FORMERR"},
		"a question that is cut off":                    {good[:len(good)-1], "FORMERR"},
		"a name that is cut off":                        {good[:14], "FORMERR"},
		"a question that points elsewhere":              {append(good[:12:12], 0xc0, 12, 0, 1, 0, 1), "FORMERR"},
		"a label of a reserved kind":                    {append(good[:12:12], 0x41, 0, 0, 1, 0, 1), "FORMERR"},
		"a name that is too long":                       {append(append(good[:12:12], bytes.Repeat([]byte("\x09abcdefghi"), 26)...), 0, 0, 1, 0, 1), "FORMERR"},
		"octets behind the question":                    {append(bytes.Clone(good), 0), "FORMERR"},
		"an additional record that is not there":        {change(count(3, 1)), "FORMERR"},
		"a proper OPT":                                  {withOPT(opt...), "NOERROR"},
		"two OPTs":                                      {append(append(change(count(3, 2)), opt...), opt...), "FORMERR"},
		"an OPT in the authority section":               {append(change(count(2, 1)), opt...), "FORMERR"},
		"an OPT that is not at the root":                {withOPT(append([]byte{1, 'x'}, opt...)...), "FORMERR"},
		"an OPT whose data is cut off":                  {withOPT(0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0), "FORMERR"},
		"an OPT with an option that is cut off":         {withOPT(0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 5, 0, 3, 0, 9, 1), "FORMERR"},
		"an OPT of a version to come":                   {withOPT(0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 0), "BADVERS"},
		"another additional record is passed over":      {append(change(count(3, 1)), 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4), "NOERROR"},
		"NOTIFY is not served":                          {change(func(p []byte) []byte { p[2] |= 4 << 3; return p }), "NOTIMP"},
		"a dynamic update is not served":                {change(func(p []byte) []byte { p[2] |= 5 << 3; return p }), "NOTIMP"},
		"the type OPT cannot be asked for":              {change(func(p []byte) []byte { p[len(p)-3] = 41; return p }), "FORMERR"},
		"a transfer is refused":                         {change(func(p []byte) []byte { p[len(p)-3] = 252; return p }), "REFUSED"},
		"an old mail type is not served":                {change(func(p []byte) []byte { p[len(p)-3] = 254; return p }), "NOTIMP"},
		"recursion desired is copied, and nothing else": {change(func(p []byte) []byte { p[2], p[3] = 0x07, 0xff; return p }), "NOERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := r.Respond(c.packet, make([]byte, 0, zone.MaxUDP), Client{})
			got := "silence"
			if reply != nil {
				m := new(dns.Msg)
				if err := m.Unpack(reply); err != nil {
					t.Fatal(err)
				}
				if got = dns.RcodeToString[m.Rcode]; m.Rcode == dns.RcodeBadVers {
					got = "BADVERS"
				}
				if flags := binary.BigEndian.Uint16(reply[2:]); flags&^(OpcodeMask|0xf) != FlagQR|FlagAA|flagRD && got == "NOERROR" {
					t.Errorf("flags %04x", flags)
				}
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// hotQueries are the questions that mail domains live on.
var hotQueries = []struct {
	name  string
	qname string
	qtype uint16
}{
	{"MX", "example.com.", dns.TypeMX},
	{"A", "mail.example.com.", dns.TypeA},
	{"decoyA", "mx2.example.com.", dns.TypeA},
	{"NODATA", "mx2.example.com.", dns.TypeAAAA},
	{"NXDOMAIN", "nothing.example.com.", dns.TypeA},
	{"wildcard", "x.wild.example.com.", dns.TypeA},
	{"referral", "x.sub.example.com.", dns.TypeA},
	{"CNAME", "www.example.com.", dns.TypeA},
	{"DNAME", "mail.old.example.com.", dns.TypeA},
	{"REFUSED", "example.net.", dns.TypeA},
}

func packQuery(name string, qtype uint16) []byte {
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.SetEdns0(1232, true)
	packet, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return packet
}

func TestRespondAllocatesNothing(t *testing.T) {
	r := responderFor(t, exampleZone)
	out := make([]byte, 0, zone.MaxUDP)
	for _, q := range hotQueries {
		t.Run(q.name, func(t *testing.T) {
			packet := packQuery(q.qname, q.qtype)
			if n := testing.AllocsPerRun(1000, func() { r.Respond(packet, out, Client{}) }); n != 0 {
				t.Errorf("%v allocations per response", n)
			}
		})
	}
}

func TestABatchIsAnsweredInItsPlaceAsEachPacketWouldBeAlone(t *testing.T) {
	r := responderFor(t, exampleZone)
	var packets, want [][]byte
	for range 2 {
		for _, q := range hotQueries {
			packets = append(packets, packQuery(q.qname, q.qtype), []byte("no header"))
		}
	}
	for _, packet := range packets {
		want = append(want, bytes.Clone(r.Respond(packet, make([]byte, 0, zone.MaxUDP), Client{})))
	}
	room, got := make([][responseRoom]byte, len(packets)), make([]Packet, len(packets))
	answer := func() {
		for i, query := range packets {
			got[i].Data = append(room[i][:0], query...)
		}
		r.RespondAll(got, Client{})
	}
	if n := testing.AllocsPerRun(100, answer); n != 0 {
		t.Errorf("%v allocations per batch", n)
	}
	for i := range want {
		if !bytes.Equal(got[i].Data, want[i]) {
			t.Errorf("packet %d: got %x, want %x", i, got[i].Data, want[i])
		}
	}
}

func BenchmarkRespond(b *testing.B) {
	r := responderFor(b, exampleZone)
	out := make([]byte, 0, zone.MaxUDP)
	for _, q := range hotQueries {
		b.Run(q.name, func(b *testing.B) {
			packet := packQuery(q.qname, q.qtype)
			b.ReportAllocs()
			for b.Loop() {
				r.Respond(packet, out, Client{})
			}
		})
	}
}

// BenchmarkRespondSigned is BenchmarkRespond with DO, to a signed zone whose signatures are made.
func BenchmarkRespondSigned(b *testing.B) {
	for _, chain := range []string{"true", "{ nsec3 = true }"} {
		signed, _, _ := signedZones(b, []string{"dnssec = " + chain + "\n" + exampleZone})
		signed[0].Sign(func() bool { return true })
		r := responderOf(signed)
		out := make([]byte, 0, zone.MaxUDP)
		for _, q := range hotQueries {
			b.Run(map[string]string{"true": "NSEC/", "{ nsec3 = true }": "NSEC3/"}[chain]+q.name, func(b *testing.B) {
				m := new(dns.Msg).SetQuestion(q.qname, q.qtype)
				m.SetEdns0(zone.MaxUDP, true)
				packet, err := m.Pack()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					r.Respond(packet, out, Client{})
				}
			})
		}
	}
}

// FuzzQuery sends packets: no packet may crash the server, and each response must be one that the library reads.
func FuzzQuery(f *testing.F) {
	for _, q := range hotQueries {
		f.Add(packQuery(q.qname, q.qtype), false)
	}
	f.Add([]byte{}, true)
	r := responderFor(f, exampleZone)
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		checkResponse(t, r, packet, tcp)
	})
}

// FuzzEDNS puts any octets into an otherwise good query's OPT record.
func FuzzEDNS(f *testing.F) {
	f.Add(uint16(1232), uint32(0x8000), []byte{0, 3, 0, 0})
	f.Add(uint16(0), uint32(0x10000), []byte{0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8})
	r := responderFor(f, exampleZone)
	f.Fuzz(func(t *testing.T, size uint16, ttl uint32, options []byte) {
		packet, _ := new(dns.Msg).SetQuestion("example.com.", dns.TypeMX).Pack()
		packet[11] = 1
		packet = append(packet, 0, 0, 41)
		packet = binary.BigEndian.AppendUint16(packet, size)
		packet = binary.BigEndian.AppendUint32(packet, ttl)
		packet = binary.BigEndian.AppendUint16(packet, uint16(len(options)))
		checkResponse(t, r, append(packet, options...), false)
	})
}

func checkResponse(t *testing.T, r *Responder, packet []byte, tcp bool) {
	c, limit := Client{}, zone.MaxUDP
	if tcp {
		c, limit = Client{Transport: metrics.TCP}, dns.MaxMsgSize
	}
	reply := r.Respond(packet, make([]byte, 0, limit), c)
	if reply == nil {
		if len(packet) >= HeaderSize && packet[2]&0x80 == 0 {
			t.Fatalf("no response to %x", packet)
		}
		return
	}
	if len(reply) > limit || len(reply) < HeaderSize || !bytes.Equal(reply[:2], packet[:2]) {
		t.Fatalf("response %x to %x", reply, packet)
	}
	if err := new(dns.Msg).Unpack(reply); err != nil && len(packet) < 2000 {
		t.Fatalf("response %x to %x: %v", reply, packet, err)
	}
}

// TestADNAMEThatLedToItselfStandsOnce in an answer to who asks for it below itself.
func TestADNAMEThatLedToItselfStandsOnce(t *testing.T) {
	r := responderFor(t, "name = \"example.com\"\n[records]\n\"@\" = [\"NS ns\"]\nns = [\"A 192.0.2.1\"]\n\"b.b\" = [\"DNAME b\"]\n")
	m := respondTo(t, r, new(dns.Msg).SetQuestion("b.b.b.example.com.", dns.TypeDNAME), Client{})
	if len(m.Answer) != 2 {
		t.Error(m)
	}
}

// TestAChainOfAliasesIsFollowedSoFar, and is never the end of the server, whatever its length.
func TestAChainOfAliasesIsFollowedSoFar(t *testing.T) {
	for _, length := range []int{body.MaxAliases - 1, body.MaxAliases, body.MaxAliases + 1, body.MaxAliases + 2} {
		text := "name = \"example.com\"\n[records]\n\"@\" = [\"NS ns\"]\nns = [\"A 192.0.2.1\"]\n"
		for i := range length {
			text += fmt.Sprintf("c%d = [\"CNAME c%d\"]\n", i, i+1)
		}
		r := responderFor(t, text+fmt.Sprintf("c%d = [\"A 192.0.2.2\"]\n", length))
		m := respondTo(t, r, new(dns.Msg).SetQuestion("c0.example.com.", dns.TypeA), Client{})
		if want := min(length, body.MaxAliases) + 1; len(m.Answer) != want || m.Rcode != dns.RcodeSuccess {
			t.Errorf("%d aliases: %d records, want %d", length, len(m.Answer), want)
		}
	}
}
