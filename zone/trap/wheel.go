package trap

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
)

// wheel is the addresses of a family that decoys have in turn. They stand in an order that the key tells: each epoch takes as many as there are
// decoys, from where the one before has ended, so that an address rests until all others have had their turn. Of a pool that is too vast to be
// gone through, each decoy gets an address by hash.
type wheel struct {
	turns *Rotation
	pool  []netip.Prefix // none within another
	size  uint64         // how many addresses it has; 0: there is none
	vast  bool
}

// vastPool is from how many addresses on a pool is too vast to be gone through.
const vastPool = 1 << 32

func newWheel(r *Rotation, pool []pooled, six bool) wheel {
	w := wheel{turns: r}
	for _, p := range pool {
		if p.Addr().Is6() == six {
			w.pool = append(w.pool, p.Prefix)
		}
	}
	// The longer one of two is within the shorter, or they have nothing in common.
	slices.SortStableFunc(w.pool, func(p, q netip.Prefix) int { return p.Bits() - q.Bits() })
	kept := w.pool[:0]
	for _, p := range w.pool {
		if !slices.ContainsFunc(kept, p.Overlaps) {
			kept = append(kept, p)
		}
	}
	w.pool = kept
	if slices.ContainsFunc(w.pool, func(p netip.Prefix) bool { return hostsOf(p) >= vastPool }) {
		w.pool = slices.DeleteFunc(w.pool, func(p netip.Prefix) bool { return hostsOf(p) < vastPool })
		w.size, w.vast = math.MaxUint64, true
		return w
	}
	for _, p := range w.pool {
		w.size += hostsOf(p)
	}
	return w
}

// hostsOf is how many hosts a prefix has: without network and broadcast of IPv4 (which a /31 has not, RFC 3021), and without the routers'
// anycast address of IPv6 (RFC 4291 2.6.1).
func hostsOf(p netip.Prefix) uint64 {
	free := p.Addr().BitLen() - p.Bits()
	switch {
	case free == 0:
		return 1
	case free >= 63:
		return math.MaxInt64
	case p.Addr().Is6():
		return 1<<free - 1
	case free == 1:
		return 2
	}
	return 1<<free - 2
}

// hostOf is the i-th host of a prefix, counted from 0.
func hostOf(p netip.Prefix, i uint64) netip.Addr {
	if free := p.Addr().BitLen() - p.Bits(); free > 1 || free == 1 && p.Addr().Is6() {
		i++
	}
	a := p.Addr().As16()
	low := binary.BigEndian.Uint64(a[8:])
	binary.BigEndian.PutUint64(a[8:], low+i)
	if p.Addr().Is4() {
		return netip.AddrFrom16(a).Unmap()
	}
	return netip.AddrFrom16(a)
}

// all are the addresses, in no order that tells anything.
func (w *wheel) all() (list []netip.Addr) {
	for _, p := range w.pool {
		for i := range hostsOf(p) {
			list = append(list, hostOf(p, i))
		}
	}
	return list
}

// at is the address of one of so many decoys in an epoch, counted from 0; not valid where the pool has none.
func (w *wheel) at(epoch int64, decoy, of int) netip.Addr {
	switch {
	case w.size == 0:
		return netip.Addr{}
	case w.vast:
		sum := w.turns.hash("address", epoch, int64(decoy))
		p := w.pool[binary.BigEndian.Uint64(sum[24:])%uint64(len(w.pool))]
		return within(p, [16]byte(sum[:16]))
	}
	n := int64(w.size)
	position := (mod(epoch, n)*(int64(of)%n) + int64(decoy)) % n
	i := w.placed(uint64(position))
	for _, p := range w.pool {
		if hosts := hostsOf(p); i >= hosts {
			i -= hosts
		} else {
			return hostOf(p, i)
		}
	}
	return netip.Addr{}
}

// placed is which address stands at a position of the order. It is a permutation: a Feistel network over the least even number of bits, gone
// through again where it leads out of the pool.
func (w *wheel) placed(i uint64) uint64 {
	half := (bits.Len64(w.size-1) + 1) / 2
	family := int64(4)
	if w.pool[0].Addr().Is6() {
		family = 6
	}
	mask := uint64(1)<<half - 1
	for again := true; again; again = i >= w.size {
		left, right := i>>half, i&mask
		for round := range int64(4) {
			sum := w.turns.hash("order", family, round, int64(right))
			left, right = right, left^binary.BigEndian.Uint64(sum[:])&mask
		}
		i = left<<half | right
	}
	return i
}

// rests is for how long an address rests at least, in seconds, where there are so many decoys; negative: some decoys share one.
func (w *wheel) rests(of int) int64 {
	if w.vast {
		return math.MaxInt64
	}
	if turns := int64(w.size) / int64(of); turns < math.MaxInt32 {
		return (turns - 1) * w.turns.length
	}
	return math.MaxInt64
}

// checkRest warns of pools that are too small.
func (b *builder) checkRest(r *Rotation) {
	of := len(r.owners) * b.count
	for family, w := range map[string]*wheel{"IPv4": &r.v4, "IPv6": &r.v6} {
		if w.size == 0 || b.lost || of == 0 {
			continue
		}
		switch rests := w.rests(of); {
		case rests < 0: // checkAddresses tells it
		case rests == 0:
			b.warn(b.table.Item("addresses", ""), "the decoys have the same "+family+" addresses at all times, for there are no others")
		case rests < int64(b.turn.rest):
			b.warn(b.table.Item("addresses", ""), fmt.Sprintf("%s addresses come back after %s, before trap.rest (%s): add addresses, or lower one of count, rest", family, spell(rests), spell(int64(b.turn.rest))))
		}
	}
}
