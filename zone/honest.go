package zone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/spf"
)

// What a trap must not do to the domain's own mail, and what an operator may have meant otherwise than he wrote it.

// noHost says why an exchange is none that a sender could connect to; "" where it may be one.
func noHost(host name) string {
	text := trimDot(host.String())
	_, notAddress := netip.ParseAddr(text)
	switch {
	case host.isRoot():
		return "a null MX says that no mail is taken (RFC 7505), and stands beside others: senders may bounce; take one or the other away"
	case notAddress == nil:
		return text + " is an address, and an MX record names a host (RFC 1035 3.3.9): give the host a name with an A record, and write that"
	case text == "localhost" || strings.HasSuffix(text, ".localhost"):
		return text + " is the sender himself (RFC 6761 6.3): name the host as others know it"
	}
	return ""
}

// checkMailbox warns of a mail address where the SOA record has a name.
func (s *Source) checkMailbox(c *content, report *conf.Report) {
	set := c.nodes[0].get(dns.TypeSOA)
	var r soa
	r.read(set)
	if local, domain, ok := strings.Cut(name(r.rname).String(), `\@`); ok {
		s.warn(report, set.place(), fmt.Sprintf("the mailbox %s@%s is written as a name: %s.%s", local, trimDot(domain), strings.ReplaceAll(local, ".", `\.`), domain))
	}
}

// checkSPF holds the limits of RFC 7208 4.6.4 wherever an SPF record of the zone reaches a trapped owner by "mx": beyond them the
// domain's own mail fails with permerror. Decoys count as they will be once all is looked up.
func (b *builder) checkSPF(owners []trapped) {
	texts := func(domain string) (texts []string) {
		n, err := parseName(domain, root)
		if err != nil {
			return nil
		}
		if set := b.c.get(n, dns.TypeTXT); set != nil {
			for i := range set.records {
				texts = append(texts, set.records[i].text())
			}
		}
		return texts
	}
	told := map[name]bool{}
	for i := range b.c.nodes {
		if n := &b.c.nodes[i]; n.get(dns.TypeTXT) != nil {
			reach := spf.Follow(trimDot(n.name.String()), texts)
			for _, use := range reach.Uses {
				at := slices.IndexFunc(owners, func(t trapped) bool { return trimDot(t.name.String()) == use.Owner })
				if at >= 0 && !told[owners[at].name] {
					told[owners[at].name] = true
					b.checkUse(owners[at], use, reach)
				}
			}
		}
	}
}

func (b *builder) checkUse(t trapped, use spf.Use, reach spf.Reach) {
	by := fmt.Sprintf("the SPF record of %s reaches its exchanges (%s)", use.Domain, use.Term)
	real := len(t.set.records)
	switch all := real + b.count; {
	case real > spf.MostExchanges:
		b.warn(t.item, fmt.Sprintf("%s, and %d are more than the %d that \"mx\" may find: mail from this domain fails with permerror (RFC 7208 4.6.4)", by, real, spf.MostExchanges))
	case all > spf.MostExchanges:
		b.fault(t.item, fmt.Sprintf("%s: with %d decoys they are %d, and \"mx\" may find %d: mail from this domain would fail with permerror (RFC 7208 4.6.4); set count = %d or less, or name the senders in that record by ip4, ip6 or a",
			by, b.count, all, spf.MostExchanges, spf.MostExchanges-real))
		return
	}
	for _, family := range []struct {
		typ  uint16
		name string
		used bool
	}{{dns.TypeA, "IPv4", reach.IPv4}, {dns.TypeAAAA, "IPv6", reach.IPv6}} {
		void, voidReal, used := 0, 0, family.used
		set := b.c.get(t.name, dns.TypeMX)
		for i := range set.records {
			what, at := b.c.find(set.records[i].host())
			switch {
			case what == elsewhere:
			case what == ownData && at.get(family.typ) != nil:
				used = true
			default:
				if void++; i < real {
					voidReal++
				}
			}
		}
		if used && void > spf.MostVoid && voidReal <= spf.MostVoid {
			b.warn(t.item, fmt.Sprintf("%s: %d of them have no %s address, and SPF allows %d such look-ups: mail that this domain sends over %s fails with permerror (RFC 7208 4.6.4); give the decoys %s addresses in trap.addresses, or lower count",
				by, void, family.name, spf.MostVoid, family.name, family.name))
		}
	}
}

// text is that of a TXT record, its strings put together.
func (r *record) text() string {
	var b strings.Builder
	for data := r.data; len(data) > 0; data = data[1+data[0]:] {
		b.Write(data[1 : 1+data[0]])
	}
	return b.String()
}

// checkWildcards tells which wildcards no longer answer for names that the trap has put beside them (RFC 4592 2.2.1).
func (b *builder) checkWildcards() {
	told := map[name]bool{}
	for _, h := range b.trap.hosts {
		wildcard := h.name.parent().wildcard()
		at := b.c.at(wildcard)
		if at == nil || told[wildcard] {
			continue
		}
		told[wildcard] = true
		var types []string
		for _, set := range at.sets {
			types = append(types, dns.Type(set.typ).String())
		}
		b.warn(b.table.Item("names", b.names), fmt.Sprintf("%s exists now, and so the wildcard %s (%s) does not answer for it, nor for the trap's other names beside it", trimDot(h.name.String()), trimDot(wildcard.String()), strings.Join(types, ", ")))
	}
}
