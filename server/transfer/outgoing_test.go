package transfer

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/server/answer"
	"mxtrap/server/fake"
	"mxtrap/server/peer"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// FuzzTransferRequest: whatever asks for a zone, is signed, or notifies, gets messages that the library reads, and never the zone without
// its key.
func FuzzTransferRequest(f *testing.F) {
	k, _ := peer.ParseKey("ns2", "hmac-sha256 "+fake.Secret)
	for _, m := range []*dns.Msg{
		new(dns.Msg).SetAxfr("example.com."), new(dns.Msg).SetIxfr("example.com.", 1, ".", "."),
		new(dns.Msg).SetNotify("example.com."), new(dns.Msg).SetNotify("example.org."), new(dns.Msg).SetQuestion("example.com.", dns.TypeMX).SetEdns0(512, true),
	} {
		packet, _ := m.Pack()
		f.Add(packet)
		m.SetTsig("ns2.", dns.HmacSHA256, peer.Fudge, time.Now().Unix())
		packet, _, _ = dns.TsigGenerate(m, "AAAA"+fake.Secret[4:], "", false)
		f.Add(packet)
	}
	source := source.Parse("z.toml", []byte("name = \"example.com\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\n"), &conf.Report{})
	s := answer.NewState(zone.NewSet([]*zone.Zone{source.Compile(nil, &conf.Report{})}, func() {}))
	snap := s.Current.Load()
	m := metrics.New(1, "", "")
	judge := &Notices{Refresher: NewRefresher(slog.New(slog.DiscardHandler), m.Refreshes.Count, RealTime), Outcomes: m.Notifies, Log: slog.New(slog.DiscardHandler)}
	inner := judge.Of(map[string]Secondary{"example.com": {Name: "example.com", Primaries: []peer.Peer{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Key: k}}}})
	snap.Notify = func(zone string, from netip.Addr, by *peer.Key) int {
		rcode := inner(zone, from, by)
		if rcode == dns.RcodeSuccess {
			panic("notified without a key")
		}
		return rcode
	}
	snap.Access = &peer.Access{Keys: map[string]*peer.Key{k.Name: k}, Allow: []peer.Peer{{Key: k}}}
	r := answer.NewResponder(s, m.Worker(0))
	server := NewOutgoing(s, slog.New(slog.DiscardHandler), m.Transfers.Count)
	f.Fuzz(func(t *testing.T, packet []byte) {
		c := answer.Client{Transport: metrics.UDP, Addr: netip.MustParseAddr("192.0.2.1")}
		if reply := r.Respond(packet, make([]byte, 0, dns.MaxMsgSize), c); reply != nil {
			if err := new(dns.Msg).Unpack(reply); err != nil || len(reply) > max(zone.MaxUDP, len(packet)) {
				t.Fatalf("%d octets: %v", len(reply), err)
			}
		}
		if !answer.AsksTransfer(packet) {
			return
		}
		ours, theirs := net.Pipe()
		send := func(octets []byte) error {
			_, err := ours.Write(octets)
			return err
		}
		go func() {
			server.Serve(t.Context(), send, packet, answer.Client{Transport: metrics.TCP, Addr: netip.MustParseAddr("192.0.2.1")})
			ours.Close()
		}()
		all, _ := io.ReadAll(theirs)
		for len(all) > 0 {
			size := int(binary.BigEndian.Uint16(all))
			m := new(dns.Msg)
			if err := m.Unpack(all[2 : 2+size]); err != nil {
				t.Fatal(err)
			}
			if len(m.Answer) > 0 || m.Rcode == dns.RcodeSuccess {
				t.Fatal("a zone for nothing")
			}
			all = all[2+size:]
		}
	})
}
