package transfer

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/server/fake"
	"mxtrap/server/peer"
	"mxtrap/zone"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
)

// TestABombIsRefused: names that pointers make long are counted whole.
func TestABombIsRefused(t *testing.T) {
	t.Parallel()
	p := fake.NewPrimary(t)
	p.Plays(func(conn net.Conn, m *dns.Msg) {
		conn.Write(fake.Framed(fake.Packed(m, fake.Wired(fake.SOALine(9)))))
		packet, _ := fake.Bomb(m, "\x07example\x03com\x00")
		for err := error(nil); err == nil; {
			_, err = conn.Write(fake.Framed(packet))
		}
	})
	from, err := (&peer.Access{}).ParsePeer(p.Address())
	if err != nil {
		t.Fatal(err)
	}
	in, err := fetch(context.Background(), new(fetchRoom), RealTime, from, "example.com", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "with all names uncompressed") {
		t.Error(err)
	}
	if in.octets > fetchOctets/10 {
		t.Errorf("%d octets on the wire were taken", in.octets)
	}
}

// FuzzZoneFromPrimary: whatever a primary sends, there is an end, and what is taken is of the zone.
func FuzzZoneFromPrimary(f *testing.F) {
	for _, lines := range [][]string{fake.ZoneLines(1, "x"), {fake.SOALine(2), fake.SOALine(1), "example.com. 3600 IN TXT x", fake.SOALine(2), "example.com. 3600 IN TXT y", fake.SOALine(2)}, {fake.SOALine(1)}} {
		m := new(dns.Msg).SetAxfr("example.com.")
		m.Id, m.Response = 0, true
		for _, line := range lines {
			m.Answer = append(m.Answer, fake.Record(line))
		}
		packet, _ := m.Pack()
		f.Add(fake.Framed(packet), false)
		f.Add(fake.Framed(packet), true)
	}
	k, _ := peer.ParseKey("ns2", "hmac-sha256 "+fake.Secret)
	f.Fuzz(func(t *testing.T, stream []byte, signed bool) {
		ours, theirs := net.Pipe()
		go func() {
			theirs.Write(stream)
			theirs.Close()
		}()
		defer ours.Close()
		in := &incoming{conn: ours, zone: "example.com.", apex: "\x07example\x03com\x00"}
		if signed {
			in.key = k
		}
		have := fake.Record(fake.SOALine(1)).(*dns.SOA)
		records, err := in.zoneOf(have, func() ([]rr.Record, error) {
			return fake.Wired(fake.SOALine(1), "example.com. 3600 IN TXT x"), nil
		})
		if err != nil {
			return
		}
		if signed {
			t.Fatal("taken without a signature")
		}
		for _, r := range records {
			if !zone.Within(r.Owner, in.apex) || rdata.Check(r.Type, r.Data) != nil {
				t.Fatal(r)
			}
		}
	})
}
