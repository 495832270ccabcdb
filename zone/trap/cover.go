package trap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// checkCovers warns of fixed addresses that nothing uses.
func (b *builder) checkCovers() {
	if len(b.Table.covers) == 0 {
		return
	}
	exchanges := map[dname.Name]content.Standing{}
	for i := range b.owners {
		for _, e := range b.owners[i].real {
			exchanges[e.host] = e.standing
		}
	}
	for host, cover := range b.Table.covers {
		what, used := exchanges[host]
		switch {
		case used && what != content.Elsewhere:
			b.fault(cover.item, "is a host of this zone, which needs no cover")
		case !used && host != b.target:
			b.warn(cover.item, "is no exchange of a trapped owner; its addresses are not used")
		}
	}
}

// nameCovers names the covers of all owners, by preference within each, and returns the exchanges in that order.
func (b *builder) nameCovers() (exchanges []dname.Name) {
	if !b.cover {
		return nil
	}
	b.covers, b.likes, b.published = map[dname.Name]dname.Name{}, map[dname.Name]int{}, map[dname.Name]dname.Name{}
	for i := range b.owners {
		t := &b.owners[i]
		for _, e := range t.real {
			if e.standing == content.Elsewhere && b.covers[e.host] == "" {
				b.covers[e.host], b.likes[e.host] = b.coverName(t, e.host), i
				exchanges = append(exchanges, e.host)
			}
		}
	}
	return exchanges
}

// coverName names the cover of an exchange.
func (b *builder) coverName(t *trapped, exchange dname.Name) dname.Name {
	if b.rotation == nil {
		return b.nextHost(t, b.nextNumber)
	}
	n := b.nextHost(t, func(try int) string { return b.rotation.coverWord(exchange, try) })
	b.mentioned[n] = true // no decoy may take it
	return n
}

// addCover gives an exchange outside the zone a name in it, once its addresses are known. Until then the exchange is served as
// it was written.
func (b *builder) addCover(host dname.Name) {
	_, known := b.addressesOf(host)
	b.wantLookup(host, known)
	if known.none() {
		return
	}
	ttl4, ttl6 := b.hostTTLs(&b.owners[b.likes[host]])
	if known.lookedUp {
		ttl4, ttl6 = min(ttl4, maxLookedUpTTL), min(ttl6, maxLookedUpTTL)
	}
	cover := b.covers[host]
	b.published[host] = cover
	b.addHost(cover, known.v4, known.v6, ttl4, ttl6)
	b.trap.Hosts = append(b.trap.Hosts, Host{Name: cover, Of: host})
}

// realMX is the operator's MX set, with the covers' names where they are published, and with room for decoys.
func (b *builder) realMX(t *trapped) []content.Record {
	records := append(b.c.Room(len(t.set.Records)+b.count), t.set.Records...)
	if len(b.published) == 0 {
		return records
	}
	for i := range records {
		if cover, ok := b.published[records[i].Host()]; ok {
			records[i].Data = b.Arena.MxData(records[i].Preference(), cover)
		}
	}
	return records
}

// noteWildcards notes which hosts that records of the zone lead to, or will lead to, have their addresses from a wildcard.
func (b *builder) noteWildcards() {
	for host := range b.mentioned {
		if b.hasAddress(host) {
			b.wild = append(b.wild, host)
		}
	}
	if b.direct && b.target != "" && !b.c.Exists(b.target) && b.hasAddress(b.target) {
		b.wild = append(b.wild, b.target)
	}
	slices.Sort(b.wild)
	b.wild = slices.Compact(b.wild)
}

func (b *builder) hasAddress(host dname.Name) bool {
	what, at := b.c.Find(host)
	return what == content.OwnData && at.HasAddress()
}

// checkHidden refuses names of the trap that take such addresses away: what lies above a name exists with it, and a wildcard beside that no
// longer answers for other names below it (RFC 4592 2.2.1).
func (b *builder) checkHidden() {
	for _, host := range b.wild {
		if !b.hasAddress(host) {
			b.Report.Add(b.table.Problem("names", b.names.text, "with these names the wildcard no longer answers for "+host.Bare()+
				", which records of the zone lead to (RFC 4592 2.2.1): choose other names, or give that host records of its own"))
		}
	}
}

// checkWildcards tells which wildcards no longer answer for names that the trap has put beside them (RFC 4592 2.2.1).
func (b *builder) checkWildcards() {
	var beside map[dname.Name]dname.Name // the first name that has come to exist right below each
	for i := range b.c.Nodes {
		wildcard := &b.c.Nodes[i]
		if !strings.HasPrefix(string(wildcard.Name), "\x01*") {
			continue
		}
		if beside == nil {
			beside = map[dname.Name]dname.Name{}
			for _, n := range slices.Backward(b.c.Nodes[b.existed:]) {
				beside[n.Name.Parent()] = n.Name
			}
		}
		name := beside[wildcard.Name.Parent()]
		if name == "" {
			continue
		}
		var types []string
		for _, set := range wildcard.Sets {
			types = append(types, dns.Type(set.Typ).String())
		}
		b.warn(b.table.Item("names", b.names.text), fmt.Sprintf("%s exists now, and so the wildcard %s (%s) does not answer for it and what is below it, nor for the trap's other names beside it",
			name.Bare(), wildcard.Name.Bare(), strings.Join(types, ", ")))
	}
}
