package mail

import (
	"net/netip"
	"slices"
)

// postfixKeeps is how many addresses of a domain Postfix tries (smtp_mx_address_limit).
const postfixKeeps = 5

// postfixAddresses models which addresses Postfix keeps of a domain, in the order of preference: the first five; where both families are
// among more than five, all of a family that has two at most and as many of the other as there is room for, or else three of the family
// that comes first and two of the other (smtp_balance_inet_protocols).
func postfixAddresses(all []netip.Addr) []netip.Addr {
	all = slices.Clone(all)
	if len(all) <= postfixKeeps {
		return all
	}
	v4, v6 := 0, 0
	for _, a := range all {
		if a.Is4() {
			v4++
		} else {
			v6++
		}
	}
	room4, room6 := postfixKeeps, postfixKeeps
	switch {
	case v4 == 0 || v6 == 0:
	case v6 <= 2:
		room6, room4 = v6, postfixKeeps-v6
	case v4 <= 2:
		room4, room6 = v4, postfixKeeps-v4
	case all[0].Is4():
		room4, room6 = 3, 2
	default:
		room4, room6 = 2, 3
	}
	return slices.DeleteFunc(all, func(a netip.Addr) bool {
		room := &room6
		if a.Is4() {
			room = &room4
		}
		*room--
		return *room < 0
	})
}

// displaced are the real addresses that Postfix would keep if there were no decoys, and does not keep with them.
func (d *Domain) displaced() (lost []netip.Addr) {
	real := &Domain{Exchanges: d.with(Primary, Fallback)}
	with := postfixAddresses(d.inOrder())
	for _, a := range postfixAddresses(real.inOrder()) {
		if !slices.Contains(with, a) {
			lost = append(lost, a)
		}
	}
	return lost
}

// inOrder are all addresses by preference.
func (d *Domain) inOrder() (all []netip.Addr) {
	for _, rank := range d.ranks() {
		for _, e := range rank {
			all = append(all, e.Addresses...)
		}
	}
	return all
}
