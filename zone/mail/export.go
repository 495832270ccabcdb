package mail

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// DecoyAddresses are the addresses that decoys alone have, in order. A decoy that leads to a real host cannot be told by its address.
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

// Nftables is a table that counts and logs connections to the decoys. It replaces itself when it is loaded again.
func Nftables(addrs []netip.Addr) string {
	var b strings.Builder
	b.WriteString("table inet mxtrap\ndelete table inet mxtrap\n\ntable inet mxtrap {\n")
	var rules strings.Builder
	for _, family := range []struct {
		set, kind, match string
		six              bool
	}{{"decoys4", "ipv4_addr", "ip daddr", false}, {"decoys6", "ipv6_addr", "ip6 daddr", true}} {
		of := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return a.Is6() != family.six })
		if len(of) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\tset %s {\n\t\ttype %s\n\t\telements = {\n%s\n\t\t}\n\t}\n\n", family.set, family.kind, strings.Join(texts(of, "\t\t\t"), ",\n"))
		fmt.Fprintf(&rules, "\t\ttcp dport 25 ct state new %s @%s counter jump seen\n", family.match, family.set)
	}
	b.WriteString("\tchain seen {\n\t\tlimit rate 10/second log prefix \"mxtrap decoy: \"\n\t}\n\n")
	b.WriteString("\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n" + rules.String() + "\t}\n}\n")
	return b.String()
}

func texts(addrs []netip.Addr, indent string) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = indent + a.String()
	}
	return out
}
