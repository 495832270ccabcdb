package peer

import (
	"net/netip"
	"testing"
)

func TestWhoMayTransfer(t *testing.T) {
	a, b := &Key{Name: "a."}, &Key{Name: "b."}
	tr := Access{Allow: []Peer{
		{Prefix: netip.MustParsePrefix("192.0.2.0/24")},
		{Prefix: netip.MustParsePrefix("2001:db8::/32"), Key: a},
		{Key: b},
	}}
	for _, c := range []struct {
		from string
		by   *Key
		want bool
	}{
		{"192.0.2.9", nil, true}, {"192.0.2.9", a, true}, {"198.51.100.1", nil, false}, {"198.51.100.1", a, false},
		{"2001:db8::1", nil, false}, {"2001:db8::1", a, true}, {"2001:db9::1", a, false}, {"203.0.113.1", b, true},
	} {
		if got := tr.Permits(netip.MustParseAddr(c.from), c.by); got != c.want {
			t.Errorf("%s by %v: %v", c.from, c.by, got)
		}
	}
}
