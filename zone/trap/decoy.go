package trap

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// families says which address families the real exchanges of an owner have, as far as that is known.
type families struct {
	v4, v6 bool
	fixed  bool // by the operator's files alone; else by look-ups, which may bring news at any time
}

func (f families) known() bool { return f.v4 || f.v6 }

// families goes by the operator's files where they tell any, so that what is refused does not hang on a look-up.
func (t *trapped) families() (f families) {
	for _, fixed := range []bool{true, false} {
		f.fixed = fixed
		for i := range t.real {
			if e := &t.real[i]; e.lookedUp != fixed {
				f.v4 = f.v4 || len(e.v4) > 0
				f.v6 = f.v6 || len(e.v6) > 0
			}
		}
		if f.known() {
			return f
		}
	}
	return f
}

// only leaves the addresses of these families. A decoy with one that the real exchanges lack could push a real one out of the
// few addresses that a sender keeps.
func (a addresses) only(f families) addresses {
	if !f.v4 {
		a.v4 = nil
	}
	if !f.v6 {
		a.v6 = nil
	}
	return a
}

// appendDecoys appends the decoy MX records of an owner to its real ones, and adds the decoys' hosts to the zone. There are none while it is not
// known where they would lead: fail safe.
func (b *builder) appendDecoys(records []content.Record, t *trapped) []content.Record {
	real := t.families()
	if !real.fixed {
		if i := slices.IndexFunc(t.real, func(e exchange) bool { return e.lookedUp }); i >= 0 {
			b.wantLookup(t.real[i].host, t.real[i].addresses)
		} else {
			b.lacks(t.item, "none of its exchanges has an address")
			return records
		}
	}
	host, what, target := t.real[0].host, t.real[0].standing, t.real[0].addresses
	if b.target != "" {
		host = b.target
		what, target = b.addressesOf(host)
	}
	if !b.checkTarget(host, what, target) {
		return records
	}
	if b.direct {
		return b.appendDirect(records, t, host, what, target)
	}
	first := len(b.dealt)
	for n := range t.decoys {
		b.dealt = append(b.dealt, b.deal(t, n+1, real))
	}
	own := b.dealt[first:]
	shared := own[0].none()
	if shared {
		// No address of its own for the first means none for the others: decks do not end.
		b.wantLookup(host, target)
		before := target
		if target = target.only(real); target.none() && !before.none() && real.known() {
			b.unfit(real, b.targetItem(host), "has no address of a family that the real exchanges have")
		}
		b.checkShared(t, target)
		for n := range own {
			own[n] = target
		}
	}
	if !real.known() || own[0].none() {
		return records
	}
	ttl4, ttl6 := b.hostTTLs(t)
	add := func(decoy dname.Name, a addresses) {
		b.addHost(decoy, a.v4, a.v6, ttl4, ttl6)
		b.addTLSA(decoy, ttl4)
		b.trap.Hosts = append(b.trap.Hosts, Host{Name: decoy, Decoy: true, Of: t.name})
	}
	for n, decoy := range t.decoys {
		add(decoy, own[n])
		if len(own[n].v4) == 0 {
			t.without4++
		}
		if len(own[n].v6) == 0 {
			t.without6++
		}
		records = append(records, b.decoyMX(t, n+1, decoy))
	}
	for _, other := range t.others {
		for n, decoy := range other.hosts {
			switch {
			case b.c.Exists(decoy): // another time has the same name
			case shared:
				add(decoy, target)
			default:
				add(decoy, b.turned(t, other.epoch, n+1, real))
			}
		}
	}
	return records
}

// decoyMX is the n-th decoy's MX record.
func (b *builder) decoyMX(t *trapped, n int, host dname.Name) content.Record {
	return content.Record{Owner: t.name, Typ: dns.TypeMX, Data: b.Arena.MxData(uint16(b.preference(t, n)), host)}
}

// appendDirect appends decoys that name the target itself (S2).
func (b *builder) appendDirect(records []content.Record, t *trapped, host dname.Name, what content.Standing, target addresses) []content.Record {
	if what == content.Elsewhere {
		cover, ok := b.covers[host]
		if !ok {
			b.fault(b.targetItem(host), `is outside the zone: a decoy must resolve here; set cover = true, or style = "hosts"`)
			return records
		}
		if _, known := b.published[host]; !known {
			return records
		}
		host = cover
	}
	if real := t.families(); len(target.v4) > 0 && !real.v4 || len(target.v6) > 0 && !real.v6 {
		b.unfit(real, b.targetItem(host), "has an address of a family that the real exchanges lack")
		return records
	}
	for n := 1; n <= b.count; n++ {
		records = append(records, b.decoyMX(t, n, host))
	}
	b.checkShared(t, target)
	return records
}

// unfit reports addresses of a family that the real exchanges lack. Where those were looked up that is no fault of the files: there
// are no decoys for the time being.
func (b *builder) unfit(real families, item conf.Item, reason string) {
	if real.fixed {
		b.fault(item, reason)
	} else {
		b.warn(item, reason)
	}
}

// checkDealt warns of addresses of real exchanges that were dealt to decoys.
func (b *builder) checkDealt() {
	var shared map[netip.Addr]dname.Name
	check := func(ips []netip.Addr, host dname.Name) {
		for _, ip := range ips {
			if !b.mayBeDealt(ip) || shared[ip] != "" {
				continue
			}
			if shared == nil {
				shared = map[netip.Addr]dname.Name{}
			}
			shared[ip] = host
		}
	}
	for i := range b.owners {
		for j := range b.owners[i].real {
			e := &b.owners[i].real[j]
			check(e.v4, e.host)
			check(e.v6, e.host)
		}
	}
	if len(shared) == 0 {
		return
	}
	ips := slices.SortedFunc(maps.Keys(shared), netip.Addr.Compare)
	for _, p := range b.addresses {
		if host := shared[p.Addr()]; p.IsSingleIP() && host != "" {
			b.warn(p.item, fmt.Sprintf("%s is given to a decoy, but is also the address of %s", p.Addr(), host.Bare()))
		}
		for _, ip := range ips {
			if !p.IsSingleIP() && p.Contains(ip) {
				b.warn(p.item, fmt.Sprintf("%s is given to a decoy, but is also the address of %s", ip, shared[ip].Bare()))
			}
		}
	}
}

// mayBeDealt says whether a decoy has an address, or will have it.
func (b *builder) mayBeDealt(ip netip.Addr) bool {
	if b.rotation != nil {
		return slices.ContainsFunc(b.addresses, func(p pooled) bool { return p.Contains(ip) })
	}
	return b.dealer.deck(ip.Is6()).dealt[ip]
}

// runsOut says whether there are fewer addresses of a family than decoys.
func (b *builder) runsOut(six bool) bool {
	if b.rotation == nil {
		return b.dealer.deck(six).again
	}
	w := &b.rotation.v4
	if six {
		w = &b.rotation.v6
	}
	return w.size > 0 && w.rests(len(b.rotation.owners)*b.count) < 0
}

// deal gives a decoy addresses of its own, of the families that the real exchanges have. While those are not known it deals of
// both, so that the other decoys' addresses do not change when they become known.
func (b *builder) deal(t *trapped, n int, real families) addresses {
	var a addresses
	if b.rotation != nil {
		return b.turned(t, b.rotation.Number, n, real)
	}
	if k := b.dealer.deck(false); !k.empty() && (real.v4 || !real.known()) {
		a.v4 = b.kept(k.deal(t.name, n))
	}
	if k := b.dealer.deck(true); !k.empty() && (real.v6 || !real.known()) {
		a.v6 = b.kept(k.deal(t.name, n))
	}
	return a
}

// kept is a list of a single address.
func (b *builder) kept(a netip.Addr) []netip.Addr {
	b.addrs = append(b.addrs, a)
	return b.addrs[len(b.addrs)-1 : len(b.addrs) : len(b.addrs)]
}

// turned are the addresses of an owner's n-th decoy at a time, of the families that the real exchanges have.
func (b *builder) turned(t *trapped, epoch int64, n int, real families) addresses {
	v4, v6 := b.rotation.addresses(epoch, t.place, n)
	var a addresses
	if v4.IsValid() {
		a.v4 = b.kept(v4)
	}
	if v6.IsValid() {
		a.v6 = b.kept(v6)
	}
	if real.known() {
		a = a.only(real)
	}
	return a
}

// checkTarget refuses a target that decoys cannot lead to.
func (b *builder) checkTarget(host dname.Name, what content.Standing, target addresses) bool {
	switch {
	case host.IsRoot():
		b.fault(b.targetItem(host), "is no host")
	case what == content.IsAlias:
		b.fault(b.targetItem(host), "is an alias; a decoy must not be one (RFC 2181 10.3)")
	case what == content.IsGone, what == content.OwnData && target.none():
		b.lacks(b.targetItem(host), "the decoys' target has no A or AAAA record")
	default:
		return true
	}
	return false
}

// targetItem is where the operator chose the target.
func (b *builder) targetItem(host dname.Name) conf.Item {
	return b.table.Item("target", host.Relative(b.c.Apex))
}

// checkShared warns of decoys that lead to an address that is not globally routable: some sites distrust a domain with such an MX.
func (b *builder) checkShared(t *trapped, a addresses) {
	for _, ips := range [...][]netip.Addr{a.v4, a.v6} {
		for _, ip := range ips {
			if !isGlobal(ip) {
				b.warn(t.item, fmt.Sprintf("its decoys have the address %s, which is not globally routable", ip))
			}
		}
	}
}

// checkAddresses judges the trap's own addresses, once they are dealt.
func (b *builder) checkAddresses() {
	may := families{fixed: true} // of some owner
	for i := range b.owners {
		f := b.owners[i].families()
		may.v4, may.v6, may.fixed = may.v4 || f.v4, may.v6 || f.v6, may.fixed && f.fixed
	}
	if b.direct && len(b.addresses) > 0 {
		b.warn(b.table.Item("addresses", ""), `decoys of style "direct" have no addresses of their own; these are not used`)
		return
	}
	for i := range b.addresses {
		p, family := &b.addresses[i], "IPv4"
		if p.Addr().Is6() {
			family = "IPv6"
		}
		if may.known() && (p.Addr().Is4() && !may.v4 || p.Addr().Is6() && !may.v6) {
			b.unfit(may, p.item, "the real exchanges have no "+family+" address: a decoy that had one could keep senders from a real exchange")
		}
		if !isGlobal(p.Addr()) {
			b.warn(p.item, "is not globally routable: some sites distrust a domain with such an MX")
		}
	}
	b.checkDealt()
	for _, family := range []struct {
		name string
		six  bool
	}{{"IPv4", false}, {"IPv6", true}} {
		if b.runsOut(family.six) && !b.lost {
			b.warn(b.table.Item("addresses", ""), "more decoys than "+family.name+" addresses: some decoys share one")
		}
	}
}
