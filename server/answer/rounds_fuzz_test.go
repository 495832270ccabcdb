package answer

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/server/fake"
	"mxtrap/server/peer"
	"mxtrap/zone"
)

// FuzzRounds plays packets one after the other, and several in a round, through memory that is used again, with the limiter, cookies and
// keys that a server has: whatever was there before, nothing panics, and an answer has the header of its query.
func FuzzRounds(f *testing.F) {
	pack := func(messages ...*dns.Msg) (stream []byte) {
		for _, m := range messages {
			packet, _ := m.Pack()
			stream = append(stream, fake.Framed(packet)...)
		}
		return stream
	}
	cookie := &dns.Msg{Extra: []dns.RR{&dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 1232}, Option: []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}}}}}
	f.Add(pack(new(dns.Msg).SetQuestion("nothing.below.example.com.", dns.TypeA), new(dns.Msg).SetQuestion(".", dns.TypeA), cookie), uint8(1))
	f.Add(pack(new(dns.Msg).SetQuestion("example.com.", dns.TypeMX), new(dns.Msg).SetNotify("example.com."), new(dns.Msg).SetAxfr("example.com."), cookie), uint8(4))
	f.Add(pack(new(dns.Msg).SetQuestion("version.bind.", dns.TypeTXT), new(dns.Msg).SetIxfr("example.com.", 1, ".", ".")), uint8(2))
	k, _ := peer.ParseKey("known", "hmac-sha256 "+fake.Secret)
	signed := new(dns.Msg).SetQuestion("example.com.", dns.TypeMX)
	signed.SetTsig(k.Name, k.Algorithm, peer.Fudge, 0)
	if packet, _, err := dns.TsigGenerate(signed, k.Secret, "", false); err == nil {
		f.Add(fake.Framed(packet), uint8(1))
	}
	r := responderFor(f, exampleZone)
	snap := *r.state.Current.Load()
	snap.Cookies, snap.Limiter, snap.Access = Cookies{ownCookieSecret}, NewLimiter(defaultRateLimit), &peer.Access{Keys: map[string]*peer.Key{k.Name: k}}
	r.state.Current.Store(&snap)
	f.Fuzz(func(t *testing.T, stream []byte, atOnce uint8) {
		var round []Packet
		play := func() {
			queries := make([][]byte, len(round))
			for i := range round {
				queries[i] = append([]byte(nil), round[i].Data...)
			}
			r.RespondAll(round, Client{Transport: metrics.UDP})
			for i, p := range round {
				if n := len(p.Data); n > 0 && (n < HeaderSize || n > zone.MaxUDP || p.Data[0] != queries[i][0] || p.Data[1] != queries[i][1] || p.Data[2]&0x80 == 0) {
					t.Fatalf("%x is answered with %x", queries[i], p.Data)
				}
			}
			round = round[:0]
		}
		for len(stream) >= 2 {
			n := min(int(stream[0])<<8|int(stream[1]), len(stream)-2)
			round = append(round, Packet{Data: append(make([]byte, 0, 65536), stream[2:2+n]...), From: netip.MustParseAddrPort("192.0.2.1:53")})
			if stream = stream[2+n:]; len(round) > int(atOnce%16) {
				play()
			}
		}
		play()
	})
}
