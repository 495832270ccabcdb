package mail

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestWhichAddressesPostfixKeeps holds the model to the table to which the interop tests hold a real Postfix.
func TestWhichAddressesPostfixKeeps(t *testing.T) {
	table, err := os.ReadFile("testdata/postfix.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		all, want := strings.Fields(line)[0], strings.Fields(line)[1]
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
