package zone

import (
	"cmp"
	"slices"
	"sync"

	"github.com/miekg/dns"
)

// content is the records of a zone while it is checked and its trap is built: every name that exists, with its RRsets.
type content struct {
	apex  name
	nodes []contentNode // parents stand before their children; the apex is the first
	index map[name]int  // in nodes
	parts bool          // some of it is delegated, or below a DNAME
	full  *record       // one whose owner would make more names than a zone may have; nil as a rule

	// What nodes and sets are made of, each in one piece of memory.
	order   []placedRecord
	records []record
	sets    []rrset
	hosts   map[name]bool // what records lead to
}

// placedRecord is a record and its node.
type placedRecord struct {
	node   int
	record *record
}

// contents are those that [content.release] gave back, for the next zone.
var contents = sync.Pool{New: func() any { return &content{index: map[name]int{}, hosts: map[name]bool{}} }}

// maxKept is the largest content, in names, that is kept for others.
const maxKept = 1000

// release ends the use of a content.
func (c *content) release() {
	if len(c.nodes) <= maxKept {
		clear(c.index)
		clear(c.hosts)
		contents.Put(c)
	}
}

// contentNode is a name that exists; an empty non-terminal has no sets (RFC 4592 2.2.2).
type contentNode struct {
	name   name
	parent int
	sets   []rrset // by type
}

// rrset is records of one owner and type, none twice, all with the same TTL.
type rrset struct {
	typ     uint16
	ttl     uint32
	records []record
}

// place is what an RRset's first record is, for a fault of the whole.
func (s *rrset) place() *record { return &s.records[0] }

// maxEmpty is how many names a zone may have that exist only for others below them (RFC 4592 2.2.2): each takes as much memory as one with
// records, and a line of a file makes a hundred.
const maxEmpty = 500_000

// newContent sorts records into RRsets. A record that stands there twice is left out once (RFC 2181 5), and where the TTLs within an
// RRset differ the lowest holds (RFC 2181 5.2); differing hears of that.
func newContent(apex name, records []record, differing func(*record)) *content {
	c := contents.Get().(*content)
	c.apex, c.nodes, c.parts, c.full = apex, append(c.nodes[:0], contentNode{name: apex}), false, nil
	c.index[apex] = 0
	order, all, sets := c.order[:0], c.records[:0], c.sets[:0]
	for i := range records {
		if len(c.nodes) > maxEmpty+i {
			c.full = &records[i]
			break
		}
		order = append(order, placedRecord{c.node(records[i].owner), &records[i]})
	}
	slices.SortStableFunc(order, func(a, b placedRecord) int {
		return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.record.typ, b.record.typ))
	})
	for i := 0; i < len(order); {
		node, firstSet := order[i].node, len(sets)
		for i < len(order) && order[i].node == node {
			set := rrset{typ: order[i].record.typ, ttl: order[i].record.ttl}
			c.parts = c.parts || set.typ == dns.TypeDNAME || set.typ == dns.TypeNS && node != 0
			first := len(all)
			var seen map[string]bool // where there are many
			for ; i < len(order) && order[i].node == node && order[i].record.typ == set.typ; i++ {
				r := order[i].record
				if r.ttl != set.ttl {
					set.ttl = min(set.ttl, r.ttl)
					differing(r)
				}
				if len(all)-first < fewRecords {
					if !slices.ContainsFunc(all[first:], func(other record) bool { return other.equal(r) }) {
						all = append(all, *r)
					}
					continue
				}
				if seen == nil {
					seen = map[string]bool{}
					for j := range all[first:] {
						seen[all[first+j].identity()] = true
					}
				}
				if id := r.identity(); !seen[id] {
					seen[id] = true
					all = append(all, *r)
				}
			}
			set.records = all[first:len(all):len(all)]
			sets = append(sets, set)
		}
		c.nodes[node].sets = sets[firstSet:len(sets):len(sets)]
	}
	c.order, c.records, c.sets = order, all, sets
	return c
}

// fewRecords is up to how many records of an RRset are compared one by one.
const fewRecords = 8

// node finds the node of a name below the apex, and makes it and those above it where there are none.
func (c *content) node(n name) int {
	if i, ok := c.index[n]; ok {
		return i
	}
	parent := c.node(n.parent())
	c.nodes = append(c.nodes, contentNode{name: n, parent: parent})
	c.index[n] = len(c.nodes) - 1
	return len(c.nodes) - 1
}

// exists says whether a name exists.
func (c *content) exists(n name) bool {
	_, ok := c.index[n]
	return ok
}

// put adds an RRset, in the place of one of the same type.
func (c *content) put(owner name, set rrset) {
	n := &c.nodes[c.node(owner)]
	i, found := slices.BinarySearchFunc(n.sets, set.typ, func(s rrset, typ uint16) int { return cmp.Compare(s.typ, typ) })
	if found {
		n.sets[i] = set
	} else {
		n.sets = slices.Insert(n.sets, i, set)
	}
}

// get is an RRset of a name, nil where there is none.
func (c *content) get(owner name, typ uint16) *rrset {
	i, ok := c.index[owner]
	if !ok {
		return nil
	}
	return c.nodes[i].get(typ)
}

func (n *contentNode) get(typ uint16) *rrset {
	for i := range n.sets {
		if n.sets[i].typ == typ {
			return &n.sets[i]
		}
	}
	return nil
}

// isCut says whether a node is delegated.
func (c *content) isCut(node int) bool { return node != 0 && c.nodes[node].get(dns.TypeNS) != nil }

// standing is what a name is to this zone.
type standing int

const (
	ownData   standing = iota // authoritative here; its addresses, if any, are known
	isAlias                   // a CNAME, or below a DNAME
	isGone                    // does not exist
	elsewhere                 // outside the zone, or delegated
)

// find says what a name is to this zone, and where its data stand: at itself or at the wildcard that answers for it.
func (c *content) find(n name) (standing, *contentNode) {
	if !n.within(c.apex) {
		return elsewhere, nil
	}
	at := &c.nodes[0]
	for below := n.countLabels() - c.apex.countLabels() - 1; below >= 0; below-- {
		if at.get(dns.TypeDNAME) != nil {
			return isAlias, at
		}
		i, ok := c.index[n.without(below)]
		if !ok {
			if at = c.at(at.name.wildcard()); at == nil {
				return isGone, nil
			}
			break
		}
		if at = &c.nodes[i]; c.isCut(i) {
			return elsewhere, nil
		}
	}
	if at.get(dns.TypeCNAME) != nil {
		return isAlias, at
	}
	return ownData, at
}

// occluded says whether a name lies where this zone has nothing to say: at or below a cut, or below a DNAME.
func (c *content) occluded(n name) bool {
	if !c.parts {
		return false
	}
	for m := n; m != c.apex; m = m.parent() {
		if i, ok := c.index[m]; ok && c.isCut(i) || c.get(m.parent(), dns.TypeDNAME) != nil {
			return true
		}
	}
	return false
}

// above says what is above each node: whether that lies where this zone has nothing to say, and the DNAME's owner that is nearest, -1 for
// none.
func (c *content) above() (occluded []bool, dname []int) {
	occluded, dname = make([]bool, len(c.nodes)), make([]int, len(c.nodes))
	dname[0] = -1
	at := make([]bool, len(c.nodes)) // as occluded, the node itself included
	for i := 1; i < len(c.nodes); i++ {
		parent := c.nodes[i].parent // stands before it
		occluded[i], dname[i] = at[parent], dname[parent]
		if c.nodes[parent].get(dns.TypeDNAME) != nil {
			dname[i] = parent
		}
		at[i] = at[parent] || dname[i] == parent || c.isCut(i)
	}
	return occluded, dname
}

// hasAddress says whether a name has an A or AAAA record.
func (n *contentNode) hasAddress() bool {
	return n != nil && (n.get(dns.TypeA) != nil || n.get(dns.TypeAAAA) != nil)
}

// at is the node of a name, nil where it does not exist.
func (c *content) at(n name) *contentNode {
	if i, ok := c.index[n]; ok {
		return &c.nodes[i]
	}
	return nil
}

// mentioned are the hosts that records of the zone lead to.
func (c *content) mentioned() map[name]bool {
	for i := range c.nodes {
		for _, set := range c.nodes[i].sets {
			if _, count := names(set.typ); count == 0 {
				continue
			}
			for j := range set.records {
				if host := set.records[j].host(); !host.isRoot() {
					c.hosts[host] = true
				}
			}
		}
	}
	return c.hosts
}
