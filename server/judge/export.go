package judge

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Exports are the forms in which mail hosts and packet filters take a list.
var Exports = []struct {
	Name, Says string
	Print      func(entries []Entry, now time.Time) string
}{
	{"plain", "addresses and prefixes, a line each", func(entries []Entry, _ time.Time) string { return Plain(entries) }},
	{"nftables", "a table with a set of each family, whose elements have the rest of their time: nft -f FILE", nftables},
	{"rbldnsd", "a dataset of rbldnsd, of the type combined", rbldnsd},
	{"postscreen", "a table for postscreen_access_list: cidr:FILE", postscreen},
	{"json", "an array of all that is known of each client", asJSON},
}

// Bare is a client as a person writes it: a whole address without its length.
func Bare(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// ParseClients reads an address or a prefix. One that is IPv4 in the clothes of IPv6 (RFC 4291 2.5.5.2) is IPv4.
func ParseClients(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if a, notPrefix := netip.ParseAddr(text); err != nil && notPrefix == nil {
		p, err = a.WithZone("").Prefix(a.BitLen())
	}
	const mapped = 96
	if err == nil && p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p.Masked(), err
}

// Plain is a line for each client.
func Plain(entries []Entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintln(&b, Bare(e.Client))
	}
	return b.String()
}

// nftables is a whole transaction: what is listed no more goes, and what is there gets the time that it has left. A rule that drops is the
// operator's to write.
func nftables(entries []Entry, now time.Time) string {
	var b strings.Builder
	b.WriteString("table inet mxtrap_list {\n\tset listed4 {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t}\n\tset listed6 {\n\t\ttype ipv6_addr\n\t\tflags interval, timeout\n\t}\n}\n")
	for _, set := range []struct {
		name string
		six  bool
	}{{"listed4", false}, {"listed6", true}} {
		fmt.Fprintf(&b, "flush set inet mxtrap_list %s\n", set.name)
		var elements []string
		for _, e := range entries {
			if e.Client.Addr().Is6() == set.six {
				elements = append(elements, fmt.Sprintf("%s timeout %ds", Bare(e.Client), e.End-now.Unix()))
			}
		}
		if len(elements) > 0 {
			fmt.Fprintf(&b, "add element inet mxtrap_list %s {\n\t%s\n}\n", set.name, strings.Join(elements, ",\n\t"))
		}
	}
	return b.String()
}

// rbldnsd has a list taken for outdated after an hour: one that nobody writes any more must not keep anybody out for ever.
func rbldnsd(entries []Entry, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "$TIMESTAMP %s +1h\n$TTL 300\n", now.UTC().Format("2006:01:02:15:04:05"))
	for _, set := range []struct {
		dataset string
		six     bool
		test    string // what RFC 5782 5 wants to be listed
	}{{"ip4set", false, "127.0.0.2"}, {"ip6trie", true, "::ffff:7f00:2"}} {
		fmt.Fprintf(&b, "$DATASET %s @\n", set.dataset)
		fmt.Fprintf(&b, "%s :127.0.0.2:for tests\n", set.test)
		for _, e := range entries {
			if e.Client.Addr().Is6() == set.six {
				fmt.Fprintf(&b, "%s :127.0.0.%d:%s; until %s\n", Bare(e.Client), e.Grade, e.Grade, strings.ReplaceAll(UTC(e.End), ":", "."))
			}
		}
	}
	return b.String()
}

func postscreen(entries []Entry, _ time.Time) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%s reject\n", e.Client)
	}
	return b.String()
}

func asJSON(entries []Entry, _ time.Time) string {
	text, err := json.MarshalIndent(append([]Entry{}, entries...), "", "  ")
	if err != nil { // no value of an entry is one that JSON does not have
		return ""
	}
	return string(text) + "\n"
}
