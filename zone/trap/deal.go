package trap

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"mxtrap/zone/dname"
)

// dealer deals the trap's own addresses out, no two alike while they last: single ones first, in order, then those of the
// prefixes. All servers with the same file deal alike.
type dealer struct {
	v4, v6 deck
}

// deck is the addresses of one family.
type deck struct {
	singles  []netip.Addr
	prefixes []netip.Prefix
	dealt    map[netip.Addr]bool
	host     uint64 // at which an IPv4 prefix goes on
	single   int    // how many singles are dealt
	prefix   int    // the prefix that is dealt from
	again    bool   // the deck ran out and was begun anew
}

// take takes the addresses that are to be dealt.
func (d *dealer) take(pool []pooled) {
	for i := range pool {
		p := &pool[i]
		k := d.deck(p.Addr().Is6())
		if p.IsSingleIP() {
			k.singles = append(k.singles, p.Addr())
		} else {
			k.prefixes = append(k.prefixes, p.Prefix)
		}
	}
}

// released is the dealer's memory.
func (d *dealer) released() dealer {
	memory := func(k *deck) deck {
		clear(k.dealt)
		return deck{singles: k.singles[:0], prefixes: k.prefixes[:0], dealt: k.dealt}
	}
	return dealer{memory(&d.v4), memory(&d.v6)}
}

func (d *dealer) deck(v6 bool) *deck {
	if v6 {
		return &d.v6
	}
	return &d.v4
}

func (k *deck) empty() bool { return len(k.singles)+len(k.prefixes) == 0 }

// deal gives the next address to the n-th decoy of an owner. The deck must not be empty.
func (k *deck) deal(owner dname.Name, n int) netip.Addr {
	for {
		a, ok := k.draw(owner, n)
		if !ok {
			k.again = true
			clear(k.dealt)
			k.single, k.prefix, k.host = 0, 0, 0
			continue
		}
		if k.dealt[a] {
			continue // written twice
		}
		if k.dealt == nil {
			k.dealt = map[netip.Addr]bool{}
		}
		k.dealt[a] = true
		return a
	}
}

// draw takes the next address; it may have been dealt already. It fails when the deck has run out.
func (k *deck) draw(owner dname.Name, n int) (netip.Addr, bool) {
	if k.single < len(k.singles) {
		k.single++
		return k.singles[k.single-1], true
	}
	for k.prefix < len(k.prefixes) {
		p := k.prefixes[k.prefix]
		var a netip.Addr
		if p.Addr().Is4() {
			a = k.nextHost(p)
		} else {
			a = k.hashed(p, owner, n)
		}
		if a.IsValid() {
			return a, true
		}
		k.prefix, k.host = k.prefix+1, 0
	}
	return netip.Addr{}, false
}

// nextHost is the next host of an IPv4 prefix; not valid: it has no more.
func (k *deck) nextHost(p netip.Prefix) netip.Addr {
	if k.host >= hostsOf(p) {
		return netip.Addr{}
	}
	k.host++
	return hostOf(p, k.host-1)
}

// within is an address of an IPv6 prefix that has its host part from a hash. That is not zero.
func within(p netip.Prefix, hash [16]byte) netip.Addr {
	base := p.Addr().As16()
	for i := range hash {
		keep := min(8, max(0, p.Bits()-8*i)) // bits of this octet that are the prefix's
		hash[i] = base[i] | hash[i]&byte(0xff>>keep)
	}
	if a := netip.AddrFrom16(hash); a != p.Addr() {
		return a
	}
	return p.Addr().Next()
}

// maxProbes bounds the search for an address of an IPv6 prefix that is not dealt; a full deck of so many decoys cannot be.
const maxProbes = 1 << 16

// hashed is an address of an IPv6 prefix, chosen by owner and decoy number: it stays the same when other owners come and go.
// Its host part is never zero, which is the routers' anycast address (RFC 4291 2.6.1).
func (k *deck) hashed(p netip.Prefix, owner dname.Name, n int) netip.Addr {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(owner), uint64(n)))
	a := within(p, [16]byte(sum[:16]))
	for range min(maxProbes, 1<<min(16, 128-p.Bits())) {
		if !p.Contains(a) {
			a = p.Addr()
		}
		if a != p.Addr() && !k.dealt[a] {
			return a
		}
		a = a.Next()
	}
	return netip.Addr{}
}
