package answer

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/server/fake"
	"mxtrap/server/peer"
)

// TestEveryAnswerToAnOPTHasOne (RFC 6891 7), whatever else is wrong with the query.
func TestEveryAnswerToAnOPTHasOne(t *testing.T) {
	r := responderFor(t, exampleZone)
	snap := *r.state.Current.Load()
	snap.Cookies = Cookies{ownCookieSecret}
	r.state.Current.Store(&snap)
	header := func(flags, questions, additional string) string {
		return "abcd" + flags + questions + "00000000" + additional
	}
	const question, opt = "076578616d706c6503636f6d0000010001", "0000290200000000000000"
	badCookie := "00002902000000000000070" + "00a0003010203"
	cookie := "000029020000000000000c000a00080102030405060708"
	for _, c := range []struct {
		name, packet string
		rcode        int
		opt          bool
	}{
		{"a good query", header("0000", "0001", "0001") + question + opt, dns.RcodeSuccess, true},
		{"an opcode that is not served", header("2800", "0001", "0001") + question + opt, dns.RcodeNotImplemented, true},
		{"garbage behind it", header("0000", "0001", "0001") + question + opt + "00", dns.RcodeFormatError, true},
		{"a record cut short behind it", header("0000", "0001", "0002") + question + opt + "0000", dns.RcodeFormatError, true},
		{"two of it", header("0000", "0001", "0002") + question + opt + opt, dns.RcodeFormatError, true},
		{"a cookie of a bad length", header("0000", "0001", "0001") + question + badCookie, dns.RcodeFormatError, true},
		{"a version to come", header("0000", "0001", "0001") + question + "0000290200000100000000", dns.RcodeBadVers, true},
		{"no question", header("0000", "0000", "0001") + opt, dns.RcodeFormatError, true},
		{"two questions", header("0000", "0002", "0001") + question + question + opt, dns.RcodeFormatError, true},
		{"two questions and a cookie", header("0000", "0002", "0001") + question + question + cookie, dns.RcodeFormatError, true},
		{"a question that is compressed", header("0000", "0001", "0001") + "c00c00010001" + opt, dns.RcodeFormatError, true},
		{"no question but a cookie", header("0000", "0000", "0001") + cookie, dns.RcodeSuccess, true},
		{"a NOTIFY without a question", header("2000", "0000", "0001") + cookie, dns.RcodeFormatError, true},
		{"no OPT", header("0000", "0001", "0000") + question + "00", dns.RcodeFormatError, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			packet, err := hex.DecodeString(c.packet)
			if err != nil {
				t.Fatal(err)
			}
			out := r.Respond(packet, make([]byte, 0, 65536), Client{Transport: metrics.UDP, Addr: netip.MustParseAddr("192.0.2.1")})
			m := new(dns.Msg)
			if err := m.Unpack(out); err != nil {
				t.Fatalf("%x: %v", out, err)
			}
			rcode := m.Rcode
			if opt := m.IsEdns0(); (opt != nil) != c.opt || rcode != c.rcode {
				t.Errorf("got %s, OPT %v", dns.RcodeToString[rcode], opt)
			} else if c.name == "no question but a cookie" && (len(opt.Option) != 1 || len(opt.Option[0].(*dns.EDNS0_COOKIE).Cookie) != 2*(clientCookie+serverCookie)) {
				t.Errorf("no server cookie: %v", opt)
			}
		})
	}
}

// TestErrorsOfTSIGHaveThePresentTime: a client would else say that its clock is wrong (RFC 8945 5.3.2).
func TestErrorsOfTSIGHaveThePresentTime(t *testing.T) {
	r := responderFor(t, exampleZone)
	k, _ := peer.ParseKey("known", "hmac-sha256 "+fake.Secret)
	snap := *r.state.Current.Load()
	snap.Access = &peer.Access{Keys: map[string]*peer.Key{k.Name: k}}
	r.state.Current.Store(&snap)
	other := "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3Q="
	for _, c := range []struct {
		name, key, algorithm, secret string
		age                          time.Duration
		fault                        int
		signed                       bool
	}{
		{"a good one", "known.", dns.HmacSHA256, fake.Secret, 0, dns.RcodeSuccess, true},
		{"an unknown key", "nokey.", dns.HmacSHA256, fake.Secret, 0, dns.RcodeBadKey, false},
		{"another algorithm", "known.", dns.HmacSHA512, fake.Secret, 0, dns.RcodeBadKey, false},
		{"another secret", "known.", dns.HmacSHA256, other, 0, dns.RcodeBadSig, false},
		{"an hour ago", "known.", dns.HmacSHA256, fake.Secret, time.Hour, dns.RcodeBadTime, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := new(dns.Msg).SetQuestion("example.com.", dns.TypeMX)
			m.SetTsig(c.key, c.algorithm, peer.Fudge, time.Now().Add(-c.age).Unix())
			packet, mac, err := dns.TsigGenerate(m, c.secret, "", false)
			if err != nil {
				t.Fatal(err)
			}
			out := r.Respond(packet, make([]byte, 0, 65536), Client{Transport: metrics.UDP, Addr: netip.MustParseAddr("192.0.2.1")})
			reply := new(dns.Msg)
			if err := reply.Unpack(out); err != nil {
				t.Fatal(err)
			}
			sig := reply.IsTsig()
			if sig == nil || int(sig.Error) != c.fault || (sig.MACSize > 0) != c.signed || reply.Rcode == dns.RcodeNotAuth != (c.fault != dns.RcodeSuccess) {
				t.Fatalf("%v", reply)
			}
			if err := dns.TsigVerify(out, c.secret, mac, false); c.signed && err != nil && c.fault != dns.RcodeBadTime {
				t.Errorf("the library does not take the signature: %v", err)
			}
			if age := time.Since(time.Unix(int64(sig.TimeSigned), 0)); c.fault != dns.RcodeBadTime && (age > time.Minute || age < -time.Minute) {
				t.Errorf("signed %v ago", age)
			}
		})
	}
}

// TestWhatWasLookedUpBeforeSaysNothingOfAQueryWithoutAQuestion: the memory of a round is used again, and holds the query before.
func TestWhatWasLookedUpBeforeSaysNothingOfAQueryWithoutAQuestion(t *testing.T) {
	r := responderFor(t, strings.Replace(exampleZone, `"example.com"`, `"a.very.long.name.of.a.zone.example.com"`, 1))
	snap := *r.state.Current.Load()
	snap.Cookies, snap.Limiter = Cookies{ownCookieSecret}, NewLimiter(RateLimit{responses: 1000, slip: 2, ipv4: 24, ipv6: 64})
	r.state.Current.Store(&snap)
	negative, _ := new(dns.Msg).SetQuestion("nothing.below.a.very.long.name.of.a.zone.example.com.", dns.TypeA).Pack()
	short := new(dns.Msg).SetQuestion("a.", dns.TypeA)
	bad, _ := short.Pack()
	bad = append(bad, 0) // FORMERR behind a short name
	nothing, _ := hex.DecodeString("abcd00000000000000000001" + "000029020000000000000c000a00080102030405060708")
	for _, query := range [][]byte{negative, bad, nothing} {
		packets := []Packet{{Data: append(make([]byte, 0, 65536), query...), From: netip.MustParseAddrPort("192.0.2.1:53")}}
		r.RespondAll(packets, Client{Transport: metrics.UDP})
		if len(packets[0].Data) == 0 {
			t.Errorf("no answer to %x", query)
		}
	}
}
