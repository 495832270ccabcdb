package zone

// checkCovers warns of fixed addresses that nothing uses.
func (b *builder) checkCovers(owners []trapped) {
	if len(b.Table.Covers) == 0 {
		return
	}
	exchanges := map[Name]Standing{}
	for _, t := range owners {
		for _, e := range t.real {
			exchanges[e.host] = e.standing
		}
	}
	for host, cover := range b.Table.Covers {
		what, used := exchanges[host]
		switch {
		case used && what != Elsewhere:
			b.fault(cover.item, "is a host of this zone, which needs no cover")
		case !used && host != b.target:
			b.warn(cover.item, "is no exchange of a trapped owner; its addresses are not used")
		}
	}
}

// nameCovers names the covers of all owners, by preference within each, and returns the exchanges in that order.
func (b *builder) nameCovers(owners []trapped) (exchanges []Name) {
	if !b.Cover {
		return nil
	}
	b.covers, b.likes, b.published = map[Name]Name{}, map[Name]int{}, map[Name]Name{}
	for i, t := range owners {
		for _, e := range t.real {
			if e.standing == Elsewhere && b.covers[e.host] == "" {
				b.covers[e.host], b.likes[e.host] = b.nextHost(t), i
				exchanges = append(exchanges, e.host)
			}
		}
	}
	return exchanges
}

// addCover gives an exchange outside the zone a name in it, once its addresses are known. Until then the exchange is served as
// it was written.
func (b *builder) addCover(host Name, owners []trapped) {
	_, known := b.addressesOf(host)
	b.wantLookup(host, known)
	if known.none() {
		return
	}
	ttl4, ttl6 := b.hostTTLs(owners[b.likes[host]])
	if known.lookedUp {
		ttl4, ttl6 = min(ttl4, maxLookedUpTTL), min(ttl6, maxLookedUpTTL)
	}
	cover := b.covers[host]
	b.published[host] = cover
	b.addHost(cover, known.v4, known.v6, ttl4, ttl6)
	b.trap.Hosts = append(b.trap.Hosts, trapHost{Name: cover, Of: host})
}

// realMX is the operator's MX set, with the covers' names where they are published.
func (b *builder) realMX(t trapped) []Record {
	records := make([]Record, len(t.set.Records), len(t.set.Records)+b.count)
	copy(records, t.set.Records)
	for i := range records {
		if cover, ok := b.published[records[i].Host()]; ok {
			records[i].Data = b.zone.Arena.mxData(records[i].Preference(), cover)
		}
	}
	return records
}
