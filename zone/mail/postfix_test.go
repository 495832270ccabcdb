package mail

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestWhichAddressesPostfixKeeps: "4" and "6" are addresses of each family by preference; the ones that are kept are in the second text.
// The interop tests ask a real Postfix the same.
func TestWhichAddressesPostfixKeeps(t *testing.T) {
	for all, want := range PostfixCases {
		t.Run(all, func(t *testing.T) {
			var addrs []netip.Addr
			for i, family := range all {
				if family == '4' {
					addrs = append(addrs, netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i)))
				} else {
					addrs = append(addrs, netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i)))
				}
			}
			var got strings.Builder
			kept := postfixAddresses(addrs)
			for i, a := range addrs {
				if slices.Contains(kept, a) {
					got.WriteByte(all[i])
				} else {
					got.WriteByte('-')
				}
			}
			if got.String() != want {
				t.Errorf("of %s Postfix keeps %s, want %s", all, got.String(), want)
			}
		})
	}
}

// PostfixCases are what Postfix keeps of addresses in the order of preference.
var PostfixCases = map[string]string{
	"4":         "4",
	"46464":     "46464",
	"444444":    "44444-",
	"666666":    "66666-",
	"444446":    "4444-6",
	"4444466":   "444--66",
	"66666644":  "666---44",
	"464646":    "46464-",
	"646464":    "64646-",
	"44446666":  "444-66--",
	"66664444":  "666-44--",
	"444666":    "44466-",
	"444444466": "444----66",
}
