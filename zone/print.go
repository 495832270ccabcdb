package zone

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/miekg/dns"

	"mxtrap/zone/body"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
)

// Print writes the zone as it is served, as an RFC 1035 master file: the SOA record first, then by owner. Comments tell what the
// trap has put in. What signing adds is printed where that is asked for.
func (z *Zone) Print(w io.Writer, signed bool) error {
	out := bufio.NewWriter(w)
	decoys, covers := z.Decoys()
	p := printer{Zone: z, trapped: z.Traps(), hosts: z.Hosts()}
	fmt.Fprintf(out, "; %s as mxtrap serves it: serial %d, decoys %d, covers %d\n", z.Name(), z.serial, decoys, covers)
	type owned struct {
		owner dname.Name
		set   body.RRset
	}
	var sets []owned
	for owner, set := range z.body.All() {
		if signed || z.signatures == nil || !sign.Made(set.Type()) {
			sets = append(sets, owned{owner, set})
		}
	}
	slices.SortStableFunc(sets, func(a, b owned) int { return cmp.Or(a.owner.Compare(b.owner), cmp.Compare(rank(a.set), rank(b.set))) })
	for _, s := range sets {
		for i, r := range z.body.Records(s.owner, s.set) {
			out.WriteString(r.String())
			if note := p.note(s.owner, s.set, i); note != "" {
				out.WriteString("\t; " + note)
			}
			out.WriteString("\n")
		}
		if !signed {
			continue
		}
		for _, r := range z.rrsigRecords(s.owner, s.set) {
			out.WriteString(r.String() + "\n")
		}
	}
	for _, host := range z.lookups {
		fmt.Fprintf(out, "; the addresses of %s are looked up while serving\n", host)
	}
	return out.Flush()
}

// rank puts the SOA record first, as a master file must have it.
func rank(s body.RRset) int {
	if s.Type() == dns.TypeSOA {
		return 0
	}
	return 1
}

// printer is a zone with what is to be noted on it.
type printer struct {
	*Zone
	trapped   []body.Trap
	hosts     []body.Host
	exchanges map[string]bool // of all MX sets; nil: not asked for yet
}

// note says what the i-th record of an RRset has to do with the trap.
func (z *printer) note(owner dname.Name, s body.RRset, i int) string {
	switch s.Type() {
	case dns.TypeMX:
		for _, t := range z.trapped {
			if i >= t.Real && t.Owner == owner.Bare() {
				return "decoy"
			}
		}
		mx := z.body.Records(owner, s)[i]
		if h := z.host(dname.Lowered(mx.Data[2:])); h != nil {
			return "cover for " + h.For
		}
	case dns.TypeA, dns.TypeAAAA:
		if h := z.host(owner); h != nil && h.Decoy && !z.published(owner) {
			return "decoy of " + h.For + " at another time"
		} else if h != nil && h.Decoy {
			return "decoy of " + h.For
		} else if h != nil {
			return "cover for " + h.For
		}
	}
	return ""
}

// published says whether a trapped MX set names a host.
func (z *printer) published(host dname.Name) bool {
	if z.exchanges == nil {
		z.exchanges = map[string]bool{}
		for _, name := range z.MailHosts() {
			z.exchanges[name] = true
		}
	}
	return z.exchanges[host.Bare()]
}

// host is the trap's host of a name, nil where it is none.
func (z *printer) host(n dname.Name) *body.Host {
	relative := n.Relative(z.apex())
	for i := range z.hosts {
		if z.hosts[i].Name == relative {
			return &z.hosts[i]
		}
	}
	return nil
}
