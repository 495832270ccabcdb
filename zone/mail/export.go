package mail

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// DecoyAddresses are the addresses that decoys alone have, or will have, in order. A decoy that leads to a real host cannot be told by its address.
func DecoyAddresses(domains []*Domain) ([]netip.Addr, error) {
	var real, own []netip.Addr
	for _, d := range domains {
		for _, e := range d.with(Primary, Fallback) {
			real = append(real, e.Addresses...)
		}
	}
	for _, d := range domains {
		for _, e := range d.with(Decoy) {
			own = append(own, e.Addresses...)
		}
		own = append(own, d.pool...)
	}
	own = slices.DeleteFunc(own, func(a netip.Addr) bool { return slices.Contains(real, a) })
	slices.SortFunc(own, netip.Addr.Compare)
	own = slices.Compact(own)
	if len(own) == 0 {
		return nil, fmt.Errorf("the decoys of %s have no addresses of their own by which to tell them: set trap.addresses", domains[0].Owner)
	}
	return own, nil
}

// List is the addresses, a line each.
func List(addrs []netip.Addr) string {
	return strings.Join(texts(addrs, ""), "\n") + "\n"
}

// Postscreen is the main.cf setting by which a client that talks to decoys never gets onto postscreen's allow list.
func Postscreen(addrs []netip.Addr) string {
	var list []string
	for _, a := range addrs {
		if a.Is6() {
			list = append(list, "!["+a.String()+"]")
		} else {
			list = append(list, "!"+a.String())
		}
	}
	return "postscreen_allowlist_interfaces =\n    " + strings.Join(list, ",\n    ") + ",\n    static:all\n"
}

// Nftables is a table that counts and logs connections to the decoys. Loaded again it takes the new addresses, and goes on counting.
func Nftables(addrs []netip.Addr) string {
	var b strings.Builder
	b.WriteString(`table inet mxtrap {
	counter decoys4 { }
	counter decoys6 { }
	set decoys4 {
		type ipv4_addr
	}
	set decoys6 {
		type ipv6_addr
	}
	chain seen { }
	chain input {
		type filter hook input priority filter; policy accept;
	}
}

flush set inet mxtrap decoys4
flush set inet mxtrap decoys6
flush chain inet mxtrap input
flush chain inet mxtrap seen

`)
	for _, family := range []struct {
		set string
		six bool
	}{{"decoys4", false}, {"decoys6", true}} {
		of := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return a.Is6() != family.six })
		if len(of) > 0 {
			fmt.Fprintf(&b, "add element inet mxtrap %s {\n%s\n}\n", family.set, strings.Join(texts(of, "\t"), ",\n"))
		}
	}
	b.WriteString(`
table inet mxtrap {
	chain seen {
		limit rate 10/second log prefix "mxtrap decoy: "
	}
	chain input {
		tcp dport 25 ct state new ip daddr @decoys4 counter name decoys4 jump seen
		tcp dport 25 ct state new ip6 daddr @decoys6 counter name decoys6 jump seen
	}
}
`)
	return b.String()
}

func texts(addrs []netip.Addr, indent string) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = indent + a.String()
	}
	return out
}
