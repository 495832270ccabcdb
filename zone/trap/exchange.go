package trap

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// trapped is an owner whose MX set is trapped.
type trapped struct {
	name  dname.Name
	place int           // among the owners
	item  conf.Item     // where the operator names it
	set   content.RRset // as the operator wrote it
	all   []exchange    // by preference, as written where equal
	real  []exchange    // of them, those that can be hosts

	decoys []dname.Name   // the hosts of its decoys, where they have names of their own
	others []turnedDecoys // and those of other times, where they change
}

// turnedDecoys are the hosts of an owner's decoys at another time.
type turnedDecoys struct {
	epoch int64
	hosts []dname.Name
}

// exchange is a host that an MX record names.
type exchange struct {
	host       dname.Name
	preference uint16
	standing   content.Standing
	addresses
}

// addresses are those of a host, as far as they are known here.
type addresses struct {
	v4, v6     []netip.Addr
	ttl4, ttl6 uint32
	lookedUp   bool
}

func (a addresses) none() bool { return len(a.v4)+len(a.v6) == 0 }

// readOwners reads the MX sets that are to be trapped and refuses those that cannot be.
func (b *builder) readOwners() []trapped {
	owners := make([]trapped, 0, len(b.at))
	listed := map[dname.Name]bool{}
	for _, item := range b.at {
		owner, err := dname.Parse(item.Text, b.c.Apex)
		var set *content.RRset
		switch {
		case err != nil:
			b.fault(item, err.Error())
		case !owner.Within(b.c.Apex):
			b.fault(item, "is outside the zone "+b.c.Apex.Bare())
		case listed[owner]:
			b.fault(item, "is listed twice")
		case b.c.Occluded(owner):
			b.fault(item, "is delegated: its MX records are not answered from this zone")
		case b.c.Get(owner, dns.TypeMX) == nil:
			b.lacks(item, "has no MX record; a lone decoy would take the mail that now goes to its address (RFC 5321 5.1)")
		default:
			set = b.c.Get(owner, dns.TypeMX)
		}
		if set == nil {
			continue
		}
		listed[owner] = true
		t := trapped{name: owner, item: item, set: *set, all: make([]exchange, 0, len(set.Records)), real: make([]exchange, 0, len(set.Records))}
		for i := range set.Records {
			mx := &set.Records[i]
			e := exchange{host: mx.Host(), preference: mx.Preference()}
			if e.host.IsRoot() && len(set.Records) == 1 {
				b.fault(item, "has a null MX, takes no mail (RFC 7505), and gets no decoys")
				continue
			}
			if t.all = append(t.all, e); NoHost(e.host) != "" {
				continue // the whole zone's check warns of it
			}
			e.standing, e.addresses = b.addressesOf(e.host)
			if e.standing == content.IsAlias {
				b.FaultOf(mx, fmt.Sprintf("%s is an alias; an exchange with decoys must not be one (RFC 2181 10.3)", e.host.Bare()))
			}
			t.real = append(t.real, e)
		}
		if len(t.real) == 0 {
			if len(t.all) > 0 {
				b.fault(item, "none of its exchanges is a host")
			}
			continue
		}
		for _, exchanges := range [][]exchange{t.all, t.real} {
			slices.SortStableFunc(exchanges, func(x, y exchange) int { return int(x.preference) - int(y.preference) })
		}
		t.place = len(owners)
		owners = append(owners, t)
		b.checkPreferences(t)
		if !b.Partial && !slices.ContainsFunc(t.real, func(e exchange) bool { return e.host != t.real[0].host }) {
			b.warn(item, "has a single real MX; when that host defers (greylisting, 421), honest senders go on to the decoys; add a fallback")
		}
	}
	return owners
}

// addressesOf tells what is known of a host: from this zone, fixed by the operator, or looked up.
func (b *builder) addressesOf(host dname.Name) (content.Standing, addresses) {
	what, at := b.c.Find(host)
	var a addresses
	switch what {
	case content.OwnData:
		if set := at.Get(dns.TypeA); set != nil {
			a.v4, a.ttl4 = set.Addresses(), set.Ttl
		}
		if set := at.Get(dns.TypeAAAA); set != nil {
			a.v6, a.ttl6 = set.Addresses(), set.Ttl
		}
	case content.Elsewhere:
		cover, given := b.Table.covers[host]
		known := cover.addrs
		if a.lookedUp = !given; a.lookedUp {
			known = b.Look(host.Bare())
		}
		for _, ip := range known {
			if ip.Is4() {
				a.v4 = append(a.v4, ip)
			} else {
				a.v6 = append(a.v6, ip)
			}
		}
		a.ttl4 = b.Ttl
		if a.lookedUp {
			a.ttl4 = min(a.ttl4, maxLookedUpTTL)
		}
		a.ttl6 = a.ttl4
	}
	return what, a
}

// NoHost says why an exchange is none that a sender could connect to; "" where it may be one.
func NoHost(host dname.Name) string {
	last := host // the last label, without the root's
	for n := host; !n.IsRoot(); n = n.Parent() {
		last = n
	}
	switch {
	case host.IsRoot():
		return "a null MX says that no mail is taken (RFC 7505), and stands beside others: senders may bounce; take one or the other away"
	case last == localhost:
		return host.Bare() + " means the sender's own host (RFC 6761 6.3); use the name that others know"
	case !allDigits(last.Label()):
		return "" // no address ends so, and nearly every name does
	}
	text := host.Bare()
	if _, err := netip.ParseAddr(text); err != nil {
		return ""
	}
	return text + " is an address, and an MX record names a host (RFC 1035 3.3.9): give the host a name with an A record, and write that"
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

const localhost = dname.Name("\x09localhost\x00")
