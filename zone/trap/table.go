package trap

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// Table is the operator's [trap]: every value right by itself.
type Table struct {
	table     *conf.Table
	at        []conf.Item
	Owners    []dname.Name // those of at that are names, in order
	direct    bool
	count     int
	step      int // 0: as between the last two real ones
	target    dname.Name
	addresses []pooled
	lost      bool // some of them could not be read
	names     pattern
	first     int
	cover     bool
	covers    map[dname.Name]fixed
	tlsa      [][]byte // the data of the decoys' TLSA records
	tlsaAt    conf.Item
	turn      turning
}

// fixed is the addresses that the operator gives to an exchange outside the zone.
type fixed struct {
	item  conf.Item // where
	addrs []netip.Addr
}

// pooled is one entry of trap.addresses: a prefix, or a single address as a prefix of its whole length.
type pooled struct {
	netip.Prefix
	item conf.Item
}

// Bounds of the trap's numbers.
const (
	maxCount = 100
	maxStep  = 10000
	maxFirst = 1_000_000
)

// tables are memory of those that were released.
var tables = sync.Pool{New: func() any { return new(Table) }}

// Release ends the use of a table, nil or not. What was built of it stands by itself.
func (r *Table) Release() {
	if r == nil || max(len(r.at), len(r.addresses)) > content.MaxKept {
		return
	}
	*r = Table{at: r.at[:0], Owners: r.Owners[:0], addresses: r.addresses[:0]}
	tables.Put(r)
}

// Read reads the table [trap] of a zone. Names that nobody has a use for beyond the table may stand in an arena.
func Read(t *conf.Table, apex dname.Name, a *content.Arena) *Table {
	r := tables.Get().(*Table)
	r.table = t
	if t.Has("at") {
		if r.at = append(r.at, t.Strings("at")...); len(r.at) == 0 {
			t.Fault("at", "", `names no owner: "@" is the zone itself`)
		}
	} else {
		r.at = append(r.at, t.Item("at", "@"))
	}
	for _, item := range r.at {
		if n, err := dname.Parse(item.Text, apex); err == nil {
			r.Owners = append(r.Owners, n)
		}
	}
	slices.Sort(r.Owners)
	style, target, count, step, first := "hosts", "", int64(2), int64(0), int64(1)
	if t.String("style", &style); style != "hosts" && style != "direct" {
		t.Fault("style", style, `must be "hosts" (decoys have names of their own) or "direct" (decoys name the target)`)
	}
	r.direct = style == "direct"
	r.readRotation(t)
	t.Int("count", 1, maxCount, &count)
	t.Int("step", 1, maxStep, &step)
	t.Int("first", 0, maxFirst, &first)
	r.count, r.step, r.first = int(count), int(step), int(first)
	if t.String("target", &target); target != "" {
		var err error
		if r.target, err = dname.Parse(target, apex); err != nil {
			t.Fault("target", target, err.Error())
		}
	}
	r.names = defaultNames(r.turn.length > 0)
	if t.String("names", &r.names.text); !r.names.check(t, apex, a) {
		r.names = defaultNames(r.turn.length > 0) // so that the rest can be judged
	}
	t.Bool("cover", &r.cover)
	addresses := t.Strings("addresses")
	r.addresses = slices.Grow(r.addresses, len(addresses))
	for _, item := range addresses {
		p, err := parsePool(item.Text)
		if err != nil {
			item.Fault(err.Error())
			r.lost = true
			continue
		}
		r.addresses = append(r.addresses, pooled{p, item})
	}
	r.readTLSA(t)
	r.readCovers(t.Table("covers"))
	t.Close()
	return r
}

// Problem is what is wrong with the table, told at one of its keys.
func (r *Table) Problem(key, text, reason string) conf.Problem {
	return r.table.Problem(key, text, reason)
}

// readCovers reads the fixed addresses of exchanges.
func (r *Table) readCovers(t *conf.Table) {
	for _, key := range t.Keys() {
		if t.IsTable(key) {
			t.Table(key)
			t.Fault(key, "", "an exchange with a dot must be quoted: "+t.Quoted(key)+` = ["192.0.2.7"]`)
			continue
		}
		exchange, err := dname.Parse(key, dname.Root)
		if err != nil {
			t.Fault(key, "", "the exchange is "+err.Error())
		}
		cover := fixed{item: t.Item(key, "")}
		items := t.Strings(key)
		if len(items) == 0 {
			t.Fault(key, "", "no address; leave the exchange out to have it looked up")
		}
		for _, item := range items {
			p, err := parsePool(item.Text)
			if err == nil && !p.IsSingleIP() {
				err = errors.New("a cover has addresses, not prefixes")
			}
			if err != nil {
				item.Fault(err.Error())
				continue
			}
			if !isGlobal(p.Addr()) {
				item.Warn("is not globally routable: mail that goes to the cover does not arrive at the exchange")
			}
			cover.addrs = append(cover.addrs, p.Addr())
		}
		if r.covers == nil {
			r.covers = map[dname.Name]fixed{}
		}
		r.covers[exchange] = cover
	}
}

// parsePool reads an address or a prefix.
func parsePool(s string) (netip.Prefix, error) {
	var p netip.Prefix
	var err error
	if strings.Contains(s, "/") {
		p, err = netip.ParsePrefix(s)
	} else {
		var a netip.Addr
		a, err = netip.ParseAddr(s)
		if a.Zone() != "" {
			return p, errors.New("an address in the DNS has no zone")
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if err != nil {
		return p, errors.New("not an IP address or prefix")
	}
	switch a := p.Addr(); {
	case a.Is4In6():
		return p, fmt.Errorf("write it as an IPv4 address: %s", a.Unmap())
	case p != p.Masked():
		return p, fmt.Errorf("the prefix has bits beyond its length; write %s", p.Masked())
	case a.Is4() && p.Bits() < shortest4, a.Is6() && p.Bits() < shortest6:
		return p, fmt.Errorf("the prefix is too short, and mail would go to other people's hosts; use /%d or longer, or /%d or longer for IPv6", shortest4, shortest6)
	case a.IsMulticast(), a.IsUnspecified() && p.IsSingleIP(), slices.ContainsFunc(noHosts, func(no netip.Prefix) bool { return no.Contains(a) }):
		return p, errors.New("no host can have this address")
	}
	return p, nil
}

// The shortest prefixes that decoys get addresses of: registries give nobody shorter ones.
const (
	shortest4 = 8
	shortest6 = 32
)

// noHosts are addresses that no host has anywhere: this network (RFC 1122 3.2.1.3), and what is reserved (RFC 1112 4).
var noHosts = prefixes("0.0.0.0/8 240.0.0.0/4")

// notGlobal are prefixes that are not globally routable (IANA's special-purpose registries, RFC 6890).
var notGlobal = prefixes(`0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
	192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4
	::/96 ::ffff:0:0/96 64:ff9b:1::/48 100::/64 2001:db8::/32 3fff::/20 fc00::/7 fe80::/10 fec0::/10`)

func prefixes(list string) (out []netip.Prefix) {
	for _, s := range strings.Fields(list) {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// documentation are prefixes for examples (RFC 5737, RFC 3849, RFC 9637). Nobody routes them, and no host is hidden behind one.
var documentation = prefixes("192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20")

// MayBeHost says whether a host in the Internet can have an address that a look-up found. Others lead nowhere, or to the sender
// himself.
func MayBeHost(a netip.Addr) bool {
	return !a.IsMulticast() && !a.IsUnspecified() && (isGlobal(a) || slices.ContainsFunc(documentation, func(p netip.Prefix) bool { return p.Contains(a) }))
}

func isGlobal(a netip.Addr) bool {
	return !slices.ContainsFunc(notGlobal, func(p netip.Prefix) bool { return p.Contains(a) })
}
