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
	real  []exchange    // those that can be hosts, by preference, as written where equal
	none  int           // how many others there are
	last  int           // the highest preference of all
	below int           // and the highest below it; -1: there is none

	decoys   []dname.Name   // the hosts of its decoys, where they have names of their own
	without4 int            // how many of these have no A record
	without6 int            // or no AAAA record
	tight    bool           // it may be beyond the limits of SPF, which is not told yet
	others   []turnedDecoys // the hosts of decoys of other times, where they change
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
func (b *builder) readOwners() {
	for i := range b.at {
		item := b.at[i]
		owner, err := dname.Parse(item.Text, b.c.Apex)
		var set *content.RRset
		switch {
		case err != nil:
			b.fault(item, err.Error())
		case !owner.Within(b.c.Apex):
			b.fault(item, "is outside the zone "+b.c.Apex.Bare())
		case b.isListed(owner):
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
		b.places[owner] = -1
		b.owners = append(b.owners, trapped{name: owner, place: len(b.owners), item: item, set: *set, last: -1, below: -1})
		t := &b.owners[len(b.owners)-1]
		if b.readExchanges(t); len(t.real) == 0 {
			b.owners = b.owners[:t.place]
			continue
		}
		b.places[owner] = t.place
		b.checkPreferences(t)
		if !b.Partial && t.single() {
			b.warn(t.item, "has a single real MX; when that host defers (greylisting, 421), honest senders go on to the decoys; add a fallback")
		}
	}
}

func (b *builder) isListed(owner dname.Name) bool {
	_, listed := b.places[owner]
	return listed
}

// readExchanges reads the MX set of an owner, and refuses what is no exchange.
func (b *builder) readExchanges(t *trapped) {
	first := len(b.exchanges)
	for i := range t.set.Records {
		mx := &t.set.Records[i]
		e := exchange{host: mx.Host(), preference: mx.Preference()}
		if e.host.IsRoot() && len(t.set.Records) == 1 {
			b.fault(t.item, "has a null MX, takes no mail (RFC 7505), and gets no decoys")
			return
		}
		switch p := int(e.preference); {
		case p > t.last:
			t.last, t.below = p, t.last
		case p < t.last:
			t.below = max(t.below, p)
		}
		if NoHost(e.host) != "" { // the whole zone's check warns of it
			t.none++
			continue
		}
		e.standing, e.addresses = b.addressesOf(e.host)
		if e.standing == content.IsAlias {
			b.FaultOf(mx, fmt.Sprintf("%s is an alias; an exchange with decoys must not be one (RFC 2181 10.3)", e.host.Bare()))
		}
		b.exchanges = append(b.exchanges, e)
	}
	t.real = b.exchanges[first:len(b.exchanges):len(b.exchanges)]
	if len(t.real) == 0 {
		b.fault(t.item, "none of its exchanges is a host")
	}
	slices.SortStableFunc(t.real, func(x, y exchange) int { return int(x.preference) - int(y.preference) })
}

// single says whether all exchanges are one host.
func (t *trapped) single() bool {
	for i := range t.real {
		if t.real[i].host != t.real[0].host {
			return false
		}
	}
	return true
}

// addressesOf tells what is known of a host: from this zone, fixed by the operator, or looked up.
func (b *builder) addressesOf(host dname.Name) (content.Standing, addresses) {
	what, at := b.c.Find(host)
	var a addresses
	switch what {
	case content.OwnData:
		if set := at.Get(dns.TypeA); set != nil {
			a.v4, a.ttl4 = b.addressesIn(set), set.Ttl
		}
		if set := at.Get(dns.TypeAAAA); set != nil {
			a.v6, a.ttl6 = b.addressesIn(set), set.Ttl
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

// addressesIn are those of an A or AAAA set.
func (b *builder) addressesIn(set *content.RRset) []netip.Addr {
	first := len(b.addrs)
	b.addrs = set.AppendAddresses(b.addrs)
	return b.addrs[first:len(b.addrs):len(b.addrs)]
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
