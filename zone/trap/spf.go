package trap

import (
	"fmt"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/spf"
)

// checkSPF holds the limits of RFC 7208 4.6.4 wherever an SPF record of the zone reaches a trapped owner by "mx": beyond them the
// domain's own mail fails with permerror. Decoys count as they will be once all is looked up.
func (b *builder) checkSPF() {
	tight := false // for some owner
	for i := range b.owners {
		t := &b.owners[i]
		t.tight = !b.fitsSPF(t)
		tight = tight || t.tight
	}
	if !tight {
		return // no record is looked at
	}
	for i := range b.c.Nodes {
		n := &b.c.Nodes[i]
		if !n.Get(dns.TypeTXT).IsSPF() {
			continue
		}
		reach := spf.Follow(n.Name.Bare(), b.textsOf)
		for _, use := range reach.Uses {
			if at, ok := b.places[b.standsAt(use.Owner).Name]; ok && at >= 0 && b.owners[at].tight {
				b.owners[at].tight = false // it is told once
				b.checkUse(&b.owners[at], use, reach)
			}
		}
	}
}

// textsAt are the TXT records of a domain, as far as they are in this zone, each with its strings put together.
func (b *builder) textsAt(domain string) []string {
	first := len(b.texts)
	if set := b.standsAt(domain).Get(dns.TypeTXT); set != nil {
		for i := range set.Records {
			b.texts = append(b.texts, set.Records[i].Text())
		}
	}
	return b.texts[first:]
}

// standsAt is where the data of a name stand: at itself, at the wildcard that answers for it, or where aliases lead. It has no name where
// that is not in this zone.
func (b *builder) standsAt(text string) *content.Node {
	n, err := b.Arena.ParseName(text, dname.Root)
	for range content.MaxAliases {
		if err != nil {
			break
		}
		what, at := b.c.Find(n)
		if what == content.OwnData {
			return at
		}
		if what != content.IsAlias || at.Get(dns.TypeCNAME) == nil {
			break
		}
		n = at.Get(dns.TypeCNAME).Records[0].Host()
	}
	return &content.Node{}
}

// fitsSPF says whether an owner's exchanges are within the limits whatever record reaches them.
func (b *builder) fitsSPF(t *trapped) bool {
	return len(t.set.Records)+b.count <= spf.MostExchanges && b.void(t, dns.TypeA).all <= spf.MostVoid && b.void(t, dns.TypeAAAA).all <= spf.MostVoid
}

// voids is how many exchanges of an owner have no address of a family, and how many of them are real ones.
type voids struct {
	all, real int
	some      bool // some exchange has one
}

func (b *builder) void(t *trapped, typ uint16) (v voids) {
	v.real = t.none // what is no host has none
	for i := range t.real {
		e := &t.real[i]
		switch {
		case e.standing == content.Elsewhere && b.published[e.host] == "":
		case typ == dns.TypeA && len(e.v4) > 0, typ == dns.TypeAAAA && len(e.v6) > 0:
			v.some = true
		default:
			v.real++
		}
	}
	if v.all = v.real + t.without4; typ == dns.TypeAAAA {
		v.all = v.real + t.without6
	}
	return v
}

func (b *builder) checkUse(t *trapped, use spf.Use, reach spf.Reach) {
	by := func() string {
		return fmt.Sprintf("the SPF record of %s reaches its exchanges (%s)", use.Domain, use.Term)
	}
	real := len(t.set.Records)
	switch all := real + b.count; {
	case real > spf.MostExchanges:
		b.warn(t.item, fmt.Sprintf("%s, and %d are more than the %d that \"mx\" may find: mail from this domain fails with permerror (RFC 7208 4.6.4)", by(), real, spf.MostExchanges))
	case all > spf.MostExchanges:
		b.fault(t.item, fmt.Sprintf("%s: with %d decoys they are %d, and \"mx\" may find %d: mail from this domain would fail with permerror (RFC 7208 4.6.4); set count = %d or less, or name the senders in that record by ip4, ip6 or a",
			by(), b.count, all, spf.MostExchanges, spf.MostExchanges-real))
		return
	}
	for _, family := range []struct {
		typ  uint16
		name string
		used bool
	}{{dns.TypeA, "IPv4", reach.IPv4}, {dns.TypeAAAA, "IPv6", reach.IPv6}} {
		v := b.void(t, family.typ)
		if (v.some || family.used) && v.all > spf.MostVoid && v.real <= spf.MostVoid {
			b.warnOf(t.item, func() string {
				return fmt.Sprintf("%s: %d of them have no %s address, and SPF allows %d such look-ups: mail that this domain sends over %s fails with permerror (RFC 7208 4.6.4); give the decoys %s addresses in trap.addresses, or lower count",
					by(), v.all, family.name, spf.MostVoid, family.name, family.name)
			})
		}
	}
}
