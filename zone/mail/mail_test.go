package mail

import (
	"math"
	"net/netip"
	"testing"
)

// domain has a primary, a fallback and two decoys, with these addresses.
func domain(addresses ...string) *Domain {
	d := &Domain{Owner: "example.com"}
	for i, a := range addresses {
		e := Exchange{Host: "mx" + string(rune('0'+i)), Preference: uint16(10 * (i + 1)), Role: Decoy, Addresses: []netip.Addr{netip.MustParseAddr(a)}}
		switch i {
		case 0:
			e.Role = Primary
		case 1:
			e.Role = Fallback
		}
		d.Exchanges = append(d.Exchanges, e)
	}
	return d
}

func TestEverySenderGoesSomewhereOrWaits(t *testing.T) {
	own, shared := domain("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"), domain("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1")
	for _, d := range []*Domain{own, shared, domain("192.0.2.1")} {
		for _, s := range Senders {
			got := s.Simulate(d)
			if sum := got.Primary + got.Fallback + got.Decoys + got.Waits; math.Abs(sum-1) > 1e-9 {
				t.Errorf("%s: %+v make %v", s.Name, got, sum)
			}
		}
	}
	for style, d := range map[string]*Domain{"S3": shared, "S4": own} {
		if d.Style() != style {
			t.Errorf("style %s, want %s", d.Style(), style)
		}
		for _, s := range d.Styles() {
			if s.Name == style {
				for _, sender := range Senders {
					if got, want := sender.Simulate(s.Domain), sender.Simulate(d); got != want {
						t.Errorf("%s, %s: %+v, but %+v as it is served", style, sender.Name, got, want)
					}
				}
			}
		}
	}
}

// TestHonestSendersComeToNoDecoyWhileARealHostIsUp is the promise.
func TestHonestSendersComeToNoDecoyWhileARealHostIsUp(t *testing.T) {
	d := domain("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")
	for i, want := range []Shares{{Primary: 1}, {Fallback: 1}, {Decoys: 1}} {
		if got := Senders[i].Simulate(d); !Senders[i].Honest || got != want {
			t.Errorf("%s: %+v, want %+v", Senders[i].Name, got, want)
		}
	}
}
