package answer

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/zone"
	"mxtrap/zone/conf"
)

func TestABucketHoldsTheTokensOfASecond(t *testing.T) {
	for _, began := range []uint32{0, 1, math.MaxUint32 - second/2} { // the time goes round
		t.Run(fmt.Sprint(began), func(t *testing.T) {
			l := NewLimiter(RateLimit{responses: 10})
			now := began
			for range 10 {
				if l.take(1<<40|1, now) {
					t.Fatal("a token of the first second is missing")
				}
			}
			if !l.take(1<<40|1, now) {
				t.Error("an eleventh token")
			}
			if l.take(1<<40|2, now) {
				t.Error("another client pays too")
			}
			if l.take(1<<40|1, now+second/10) || !l.take(1<<40|1, now+second/10) {
				t.Error("not one token in a tenth of a second")
			}
			if now += 5 * second; l.take(1<<40|1, now) {
				t.Error("the bucket does not fill again")
			}
			got := 0
			for i := range 1000 { // over ten seconds
				if !l.take(1<<40|3, now+uint32(i)*second/100) {
					got++
				}
			}
			if got < 105 || got > 115 {
				t.Errorf("%d tokens in ten seconds after those of one", got)
			}
			// A worker whose clock is a batch behind.
			for !l.take(1<<40|4, now) {
			}
			if !l.take(1<<40|4, now-500) {
				t.Error("a clock that is behind empties the bucket")
			}
		})
	}
}

// asks is a responder whose clock stands still, and the client that asks it over UDP.
func asks(t *testing.T, l RateLimit) (r *Responder, ask func(from, name string, qtype uint16) *dns.Msg) {
	r = responderFor(t, exampleZone, "name = \"example.org\"\n[records]\n\"@\" = [\"NS ns.example.com.\"]\n\"*.wild\" = [\"A 192.0.2.80\"]\nsub = [\"NS ns.example.net.\"]\n")
	snap := *r.state.Current.Load()
	snap.Limiter = NewLimiter(l)
	r.state.Current.Store(&snap)
	now := time.Now()
	return r, func(from, name string, qtype uint16) *dns.Msg {
		query := packQuery(name, qtype)
		out := []Packet{{Data: append(make([]byte, 0, zone.MaxUDP), query...), From: netip.AddrPortFrom(netip.MustParseAddr(from), 53)}}
		r.RespondAll(out, Client{Now: NowOf(now)})
		if out[0].Data == nil {
			return nil
		}
		m := new(dns.Msg)
		if err := m.Unpack(out[0].Data); err != nil {
			t.Fatal(err)
		}
		return m
	}
}

func TestResponsesAreLimitedByClientAndKind(t *testing.T) {
	limit := defaultRateLimit
	limit.responses, limit.slip = 5, 0
	for _, c := range []struct {
		name string
		ask  func(i int) (from, name string, qtype uint16)
		want int // of twenty
	}{
		{"one question of one client", func(int) (string, string, uint16) { return "192.0.2.1", "example.com.", dns.TypeMX }, 5},
		{"one question of a network", func(i int) (string, string, uint16) { return fmt.Sprintf("192.0.2.%d", i), "example.com.", dns.TypeMX }, 5},
		{"one question of many networks", func(i int) (string, string, uint16) { return fmt.Sprintf("192.0.%d.1", i), "example.com.", dns.TypeMX }, 20},
		{"one question of an IPv6 network", func(i int) (string, string, uint16) {
			return fmt.Sprintf("2001:db8::%d", i+1), "example.com.", dns.TypeMX
		}, 5},
		{"one question of many IPv6 networks", func(i int) (string, string, uint16) {
			return fmt.Sprintf("2001:db8:0:%d::1", i), "example.com.", dns.TypeMX
		}, 20},
		{"one question of many IPv4 networks of the last octet but one", func(i int) (string, string, uint16) {
			return fmt.Sprintf("192.0.%d.255", i), "example.com.", dns.TypeMX
		}, 20},
		{"one question of IPv6 networks that differ in their first octet", func(i int) (string, string, uint16) {
			return fmt.Sprintf("2%x01:db8::1", i%16), "example.com.", dns.TypeMX
		}, 20},
		{"letters of either case", func(i int) (string, string, uint16) {
			return "192.0.2.1", []string{"example.com.", "EXAMPLE.com."}[i%2], dns.TypeMX
		}, 5},
		{"different names", func(i int) (string, string, uint16) {
			return "192.0.2.1", []string{"example.com.", "mail.example.com.", "ns1.example.com."}[i%3], dns.TypeA
		}, 15},
		{"names that do not exist", func(i int) (string, string, uint16) {
			return "192.0.2.1", fmt.Sprintf("no%d.example.com.", i), dns.TypeA
		}, 5},
		{"names that do not exist in two zones", func(i int) (string, string, uint16) {
			return "192.0.2.1", fmt.Sprintf("no%d.%s", i, []string{"example.com.", "example.org."}[i%2]), dns.TypeA
		}, 10},
		{"a name that exists and names that do not", func(i int) (string, string, uint16) {
			return "192.0.2.1", []string{"example.com.", fmt.Sprintf("no%d.example.com.", i)}[i%2], dns.TypeMX
		}, 10},
		{"names of a wildcard", func(i int) (string, string, uint16) {
			return "192.0.2.1", fmt.Sprintf("no%d.wild.example.org.", i), dns.TypeA
		}, 5},
		{"types that do not exist", func(i int) (string, string, uint16) {
			return "192.0.2.1", []string{"mail.example.com.", "ns1.example.com."}[i%2], dns.TypeTXT
		}, 5},
		{"names below a delegation", func(i int) (string, string, uint16) {
			return "192.0.2.1", fmt.Sprintf("no%d.sub.example.org.", i), dns.TypeA
		}, 5},
		{"names of others", func(i int) (string, string, uint16) {
			return "192.0.2.1", fmt.Sprintf("no%d.example.net.", i), dns.TypeA
		}, 5},
		{"from this host", func(int) (string, string, uint16) { return "127.0.0.1", "example.com.", dns.TypeMX }, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, ask := asks(t, limit)
			got := 0
			for i := range 20 {
				if ask(c.ask(i)) != nil {
					got++
				}
			}
			if got != c.want {
				t.Errorf("%d answers, want %d", got, c.want)
			}
		})
	}
}

func TestEverySecondResponseAboveTheLimitSlips(t *testing.T) {
	r, ask := asks(t, RateLimit{responses: 5, slip: 2, ipv4: 24, ipv6: 64})
	full, slipped, none := 0, 0, 0
	for range 25 {
		switch m := ask("192.0.2.1", "example.com.", dns.TypeMX); {
		case m == nil:
			none++
		case m.Truncated && len(m.Answer) == 0 && len(m.Question) == 1:
			slipped++
		default:
			full++
		}
	}
	if full != 5 || slipped != 10 || none != 10 {
		t.Errorf("%d full, %d slipped, %d dropped", full, slipped, none)
	}
	packet := packQuery("example.com.", dns.TypeMX)
	if m := r.Respond(packet, make([]byte, 0, dns.MaxMsgSize), Client{Transport: metrics.TCP, Addr: netip.MustParseAddr("192.0.2.1")}); len(m) < 50 {
		t.Error("TCP is limited")
	}
}

func TestLimitingAllocatesNothing(t *testing.T) {
	r := responderFor(t, exampleZone)
	snap := *r.state.Current.Load()
	snap.Limiter, snap.Cookies = NewLimiter(RateLimit{responses: 5, slip: 2, ipv4: 24, ipv6: 64}), Cookies{{}}
	r.state.Current.Store(&snap)
	m := new(dns.Msg).SetQuestion("example.com.", dns.TypeMX).SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}}
	query, _ := m.Pack()
	var room [responseRoom]byte
	out := []Packet{{From: netip.MustParseAddrPort("192.0.2.1:53")}}
	if n := testing.AllocsPerRun(1000, func() {
		out[0].Data = append(room[:0], query...)
		r.RespondAll(out, Client{Now: NowOf(epoch)})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestServerCookies has the examples of RFC 9018, appendix A.
func TestServerCookies(t *testing.T) {
	secret, _ := parseCookieSecret("e5e973e5a6b2a43f48e7dc849e37bfcf")
	later, _ := parseCookieSecret("445536bcd2513298075a5d379663c962")
	earlier, _ := parseCookieSecret("dd3bdf9344b678b185a6f5cb60fca715")
	for _, c := range []struct {
		name    string
		secrets Cookies
		cookie  string
		from    string
		now     uint32
		good    bool
		want    string // the server cookie of the response
	}{
		{"a new client", Cookies{secret}, "2464c4abcf10c957", "198.51.100.100", 1559731985, false, "010000005cf79f111f8130c3eee29480"},
		{"a client that comes again", Cookies{secret}, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "198.51.100.100", 1559731985 + 60, true, "010000005cf79f111f8130c3eee29480"},
		{"after more than half an hour", Cookies{secret}, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "198.51.100.100", 1559734385, true, "010000005cf7a871d4a564a1442aca77"},
		{"with reserved octets", Cookies{secret}, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", "203.0.113.203", 1559727985, true, "01abcdef5cf78f71a314227b6679ebf5"},
		{"with reserved octets, too old", Cookies{secret}, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", "203.0.113.203", 1559734700, false, "010000005cf7a9acf73a7810aca2381e"},
		{"over IPv6, with a new secret", Cookies{later, earlier}, "22681ab97d52c298010000005cf7c57926556bd0934c72f8", "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961, true, "010000005cf7c609a6bb79d16625507a"},
		{"of another address", Cookies{secret}, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "198.51.100.101", 1559731985, false, ""},
		{"at its last second", Cookies{secret}, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "198.51.100.100", 1559731985 + cookieAge, true, ""},
		{"as far ahead as a clock may be", Cookies{secret}, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "198.51.100.100", 1559731985 - cookieFuture, true, "010000005cf79f111f8130c3eee29480"},
		{"after half an hour", Cookies{secret}, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "198.51.100.100", 1559731985 + cookieRenew, true, "010000005cf79f111f8130c3eee29480"},
		{"too old", Cookies{secret}, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "198.51.100.100", 1559731985 + cookieAge + 1, false, ""},
		{"of the future", Cookies{secret}, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "198.51.100.100", 1559731985 - cookieFuture - 1, false, ""},
		{"of another version", Cookies{secret}, "2464c4abcf10c957020000005cf79f111f8130c3eee29480", "198.51.100.100", 1559731985, false, "010000005cf79f111f8130c3eee29480"},
		{"of another length", Cookies{secret}, "2464c4abcf10c957010000005cf79f11", "198.51.100.100", 1559731985, false, "010000005cf79f111f8130c3eee29480"},
	} {
		t.Run(c.name, func(t *testing.T) {
			octets, _ := hex.DecodeString(c.cookie)
			var k cookie
			if !k.parse(octets) {
				t.Fatal("not a cookie")
			}
			if good := c.secrets.answer(&k, netip.MustParseAddr(c.from), c.now); good != c.good {
				t.Errorf("good: %v", good)
			}
			if got := hex.EncodeToString(k.server[:]); c.want != "" && got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestLimitConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"[rate_limit]\nresponses = 0\n[cookies]\nenabled = false":     "",
		"[cookies]\nsecrets = [\"e5e973e5a6b2a43f48e7dc849e37bfcf\"]": "",
		"[cookies]\nsecrets = [\"e5e9\"]":                             "32 hexadecimal digits",
		"[rate_limit]\nexempt = [\"192.0.2.1/24\"]":                   "write 192.0.2.0/24",
		"[rate_limit]\nexempt = [\"localhost\"]":                      "not an address or prefix",
		"[rate_limit]\nresponses = -1":                                "rate_limit.responses",
		"[rate_limit]\nipv6_prefix = 128":                             "rate_limit.ipv6_prefix",
	} {
		var report conf.Report
		all := conf.Parse("m.toml", []byte(text), &report)
		LimitOf(all.Table("rate_limit"))
		CookiesOf(all.Table("cookies"), func(path string) string { return path })
		got := ""
		for _, p := range report.Problems() {
			got += p.String()
		}
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func BenchmarkLimiter(b *testing.B) {
	r := responderFor(b, exampleZone)
	out := []Packet{{}}
	var room [responseRoom]byte
	query := packQuery("example.com.", dns.TypeMX)
	for _, limited := range []bool{false, true} {
		b.Run(fmt.Sprintf("limited=%v", limited), func(b *testing.B) {
			snap := *r.state.Current.Load()
			if snap.Limiter = nil; limited {
				snap.Limiter = NewLimiter(RateLimit{responses: 1_000_000, ipv4: 24, ipv6: 64})
			}
			r.state.Current.Store(&snap)
			for i := range b.N {
				out[0] = Packet{Data: append(room[:0], query...), From: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), 1}), 53)}
				r.RespondAll(out, Client{Now: now{micros: uint32(i)}})
			}
		})
	}
}

// shapesZone has an answer of each shape for names that a forger makes up.
const shapesZone = `name = "shapes.test"
[records]
"@" = ["NS ns", "MX 10 mail"]
ns = ["A 192.0.2.1"]
mail = ["A 192.0.2.25"]
"*.wild" = ["A 192.0.2.2", "TXT x"]
"*.alias" = ["CNAME ns"]
"*.out" = ["CNAME ns.other.test."]
"*.loop" = ["CNAME x.loop"]
dname = ["DNAME other.test."]
inward = ["DNAME wild"]
nothing = ["DNAME gone"]
self = ["DNAME a.self"]
long = ["DNAME ` + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" + `.test."]
chain = ["CNAME x.dname"]
cut = ["NS ns.cut", "NS ns.other.test.", "DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000"]
"ns.cut" = ["A 192.0.2.3"]
"a.b.c.empty" = ["A 192.0.2.4"]
[trap]
addresses = ["192.0.2.64/28"]
`

// TestNamesThatAForgerMakesUpShareABucket, whatever shape their answers have: or else each would bring him the responses of a second.
func TestNamesThatAForgerMakesUpShareABucket(t *testing.T) {
	r := responderFor(t, shapesZone, "name = \"all.test\"\n[records]\n\"@\" = [\"NS ns.shapes.test.\", \"DNAME shapes.test.\"]\n")
	snap := *r.state.Current.Load()
	snap.Limiter = NewLimiter(RateLimit{responses: 10})
	r.state.Current.Store(&snap)
	owners := strings.Fields("shapes.test ns.shapes.test mail.shapes.test mx1.shapes.test mx2.shapes.test wild.shapes.test alias.shapes.test out.shapes.test loop.shapes.test dname.shapes.test" +
		" inward.shapes.test nothing.shapes.test self.shapes.test long.shapes.test chain.shapes.test cut.shapes.test ns.cut.shapes.test empty.shapes.test b.c.empty.shapes.test all.test wild.all.test gone.test")
	types := []uint16{dns.TypeA, dns.TypeMX, dns.TypeANY, dns.TypeCNAME, dns.TypeDNAME, dns.TypeDS, dns.TypeNS, dns.TypeTXT, dns.TypeSOA, 65000}
	random := rand.New(rand.NewPCG(1, 2))
	buckets := map[uint64]bool{}
	const rounds = 30_000
	shapes := map[string]bool{}
	for range rounds {
		name := owners[random.IntN(len(owners))] + "."
		for range random.IntN(4) {
			name = fmt.Sprintf("%x.", random.Uint64()>>random.IntN(60)) + name
		}
		packets := []Packet{{Data: packQuery(name, types[random.IntN(len(types))]), From: netip.MustParseAddrPort("192.0.2.200:53")}}
		r.lookUp(packets, &snap)
		q := &r.queries[0]
		if snap.Limiter.find(q, packets[0].From.Addr(), nil); q.Verdict != NoAnswer {
			buckets[q.bucket] = true
			shapes[fmt.Sprint(q.Answer.Rcode, len(q.Answer.Answer), len(q.Answer.Authority), q.Answer.Varied)] = true
		}
	}
	if len(shapes) < 10 {
		t.Errorf("only %d shapes of answers", len(shapes))
	}
	// A name that exists has one, and one for ANY; each zone has one of each kind.
	if most := 2*len(owners) + 2*int(kindError+1); len(buckets) > most {
		t.Errorf("%d buckets for %d queries: want %d at most", len(buckets), rounds, most)
	}
}
