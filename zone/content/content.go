package content

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
)

// Content is the records of a zone while it is checked and its trap is built: every name that exists, with its RRsets.
type Content struct {
	Apex  dname.Name
	Nodes []Node             // parents stand before their children; the apex is the first
	Index map[dname.Name]int // in nodes
	Parts bool               // some of it is delegated, or below a DNAME
	Full  *Record            // one whose owner would make more names than a zone may have; nil as a rule

	// What nodes and sets are made of, each in one piece of memory.
	order   []placedRecord
	records []Record
	sets    []RRset
	hosts   map[dname.Name]bool // that are mentioned
}

// placedRecord is a record and its node.
type placedRecord struct {
	node   int
	record *Record
}

// contents are those that [content.release] gave back, for the next zone.
var contents = sync.Pool{New: func() any { return &Content{Index: map[dname.Name]int{}, hosts: map[dname.Name]bool{}} }}

// MaxKept is the largest content, in names or in records, that is kept for others.
const MaxKept = 1000

// Release ends the use of a content.
func (c *Content) Release() {
	if max(len(c.Nodes), len(c.records)) <= MaxKept {
		clear(c.Index)
		clear(c.hosts)
		contents.Put(c)
	}
}

// Node is a name that exists; an empty non-terminal has no sets (RFC 4592 2.2.2).
type Node struct {
	Name   dname.Name
	Parent int
	Sets   []RRset // by type
}

// RRset is records of one owner and type, none twice, all with the same TTL.
type RRset struct {
	Typ     uint16
	Ttl     uint32
	Records []Record
}

// Place is what an RRset's first record is, for a fault of the whole.
func (s *RRset) Place() *Record { return &s.Records[0] }

// MaxEmpty is how many names a zone of a file may have that exist only for others below them (RFC 4592 2.2.2): each takes as much memory as one with
// records, and a line of a file makes a hundred.
const MaxEmpty = 500_000

// New sorts records into RRsets, and makes so many names at most that are empty. A record that stands there twice is left out once (RFC 2181 5), and where the TTLs within an
// RRset differ the lowest holds (RFC 2181 5.2); differing is called for each.
func New(apex dname.Name, records []Record, empty int, differing func(*Record)) *Content {
	c := contents.Get().(*Content)
	c.Apex, c.Nodes, c.Parts, c.Full = apex, append(c.Nodes[:0], Node{Name: apex}), false, nil
	c.Index[apex] = 0
	order, all, sets := c.order[:0], c.records[:0], c.sets[:0]
	node := 0
	for i := range records {
		if len(c.Nodes) > empty+i {
			c.Full = &records[i]
			break
		}
		if i == 0 || records[i].Owner != records[i-1].Owner {
			node = c.node(records[i].Owner)
		}
		order = append(order, placedRecord{node, &records[i]})
	}
	slices.SortStableFunc(order, func(a, b placedRecord) int {
		if a.node != b.node {
			return a.node - b.node
		}
		return int(a.record.Typ) - int(b.record.Typ)
	})
	for i := 0; i < len(order); {
		node, firstSet := order[i].node, len(sets)
		for i < len(order) && order[i].node == node {
			set := RRset{Typ: order[i].record.Typ, Ttl: order[i].record.Ttl}
			c.Parts = c.Parts || set.Typ == dns.TypeDNAME || set.Typ == dns.TypeNS && node != 0
			first := len(all)
			var seen map[string]bool // where there are many
			for ; i < len(order) && order[i].node == node && order[i].record.Typ == set.Typ; i++ {
				r := order[i].record
				if r.Ttl != set.Ttl {
					set.Ttl = min(set.Ttl, r.Ttl)
					differing(r)
				}
				if len(all)-first < fewRecords {
					if !r.isOneOf(all[first:]) {
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
			set.Records = all[first:len(all):len(all)]
			sets = append(sets, set)
		}
		c.Nodes[node].Sets = sets[firstSet:len(sets):len(sets)]
	}
	c.order, c.records, c.sets = order, all, sets
	return c
}

// fewRecords is up to how many records of an RRset are compared one by one.
const fewRecords = 8

// node finds the node of a name below the apex, and makes it and those above it where there are none.
func (c *Content) node(n dname.Name) int {
	if i, ok := c.Index[n]; ok {
		return i
	}
	parent := c.node(n.Parent())
	c.Nodes = append(c.Nodes, Node{Name: n, Parent: parent})
	c.Index[n] = len(c.Nodes) - 1
	return len(c.Nodes) - 1
}

// Exists says whether a name exists.
func (c *Content) Exists(n dname.Name) bool {
	_, ok := c.Index[n]
	return ok
}

// Put adds an RRset, in the place of one of the same type.
func (c *Content) Put(owner dname.Name, set RRset) {
	n := &c.Nodes[c.node(owner)]
	i := 0
	for i < len(n.Sets) && n.Sets[i].Typ < set.Typ {
		i++
	}
	if i < len(n.Sets) && n.Sets[i].Typ == set.Typ {
		n.Sets[i] = set
		return
	}
	first := len(c.sets)
	c.sets = append(append(append(c.sets, n.Sets[:i]...), set), n.Sets[i:]...)
	n.Sets = c.sets[first:len(c.sets):len(c.sets)]
}

// Room is memory for so many records to [Content.Put].
func (c *Content) Room(records int) []Record {
	first := len(c.records)
	c.records = slices.Grow(c.records, records)[:first+records]
	return c.records[first : first : first+records]
}

// PutSOA puts the SOA record, its data into an arena.
func (c *Content) PutSOA(r *SOA, a *Arena) {
	c.Put(c.Apex, RRset{Typ: dns.TypeSOA, Ttl: r.Ttl, Records: append(c.Room(1), Record{
		Owner: c.Apex, Typ: dns.TypeSOA, Ttl: r.Ttl, Data: r.data(a), Item: r.written.Item, Place: r.written.Place,
	})})
}

// PutAddresses puts the A or AAAA records of an owner, their data into an arena.
func (c *Content) PutAddresses(owner dname.Name, addrs []netip.Addr, ttl uint32, a *Arena) {
	if len(addrs) == 0 {
		return
	}
	set := RRset{Typ: addressType(addrs[0]), Ttl: ttl, Records: c.Room(len(addrs))}
	for _, addr := range addrs {
		set.Records = append(set.Records, Record{Owner: owner, Typ: set.Typ, Data: a.address(addr)})
	}
	c.Put(owner, set)
}

// Get is an RRset of a name, nil where there is none.
func (c *Content) Get(owner dname.Name, typ uint16) *RRset {
	i, ok := c.Index[owner]
	if !ok {
		return nil
	}
	return c.Nodes[i].Get(typ)
}

// Get is an RRset of the name, nil where there is none.
func (n *Node) Get(typ uint16) *RRset {
	for i := range n.Sets {
		if n.Sets[i].Typ == typ {
			return &n.Sets[i]
		}
	}
	return nil
}

// IsCut says whether a node is delegated.
func (c *Content) IsCut(node int) bool { return node != 0 && c.Nodes[node].Get(dns.TypeNS) != nil }

// Standing is what a name is to this zone.
type Standing int

const (
	OwnData   Standing = iota // authoritative here; its addresses, if any, are known
	IsAlias                   // a CNAME, or below a DNAME
	IsGone                    // does not exist
	Elsewhere                 // outside the zone, or delegated
)

// Find says what a name is to this zone, and where its data stand: at itself or at the wildcard that answers for it.
func (c *Content) Find(n dname.Name) (Standing, *Node) {
	if !n.Within(c.Apex) {
		return Elsewhere, nil
	}
	at := &c.Nodes[0]
	for below := n.CountLabels() - c.Apex.CountLabels() - 1; below >= 0; below-- {
		if at.Get(dns.TypeDNAME) != nil {
			return IsAlias, at
		}
		i, ok := c.Index[n.Without(below)]
		if !ok {
			if at = c.At(at.Name.Wildcard()); at == nil {
				return IsGone, nil
			}
			break
		}
		if at = &c.Nodes[i]; c.IsCut(i) {
			return Elsewhere, nil
		}
	}
	if at.Get(dns.TypeCNAME) != nil {
		return IsAlias, at
	}
	return OwnData, at
}

// MaxAliases is how many aliases in a row are followed; Knot ends there too.
const MaxAliases = 20

// Occluded says whether a name lies where this zone has nothing to say: at or below a cut, or below a DNAME.
func (c *Content) Occluded(n dname.Name) bool {
	if !c.Parts {
		return false
	}
	for m := n; m != c.Apex; m = m.Parent() {
		if i, ok := c.Index[m]; ok && c.IsCut(i) || c.Get(m.Parent(), dns.TypeDNAME) != nil {
			return true
		}
	}
	return false
}

// Above says what is above each node: whether that lies where this zone has nothing to say, and the DNAME's owner that is nearest, -1 for
// none.
func (c *Content) Above() (occluded []bool, dname []int) {
	occluded, dname = make([]bool, len(c.Nodes)), make([]int, len(c.Nodes))
	dname[0] = -1
	at := make([]bool, len(c.Nodes)) // as occluded, the node itself included
	for i := 1; i < len(c.Nodes); i++ {
		parent := c.Nodes[i].Parent // stands before it
		occluded[i], dname[i] = at[parent], dname[parent]
		if c.Nodes[parent].Get(dns.TypeDNAME) != nil {
			dname[i] = parent
		}
		at[i] = at[parent] || dname[i] == parent || c.IsCut(i)
	}
	return occluded, dname
}

// HasAddress says whether a name has an A or AAAA record.
func (n *Node) HasAddress() bool {
	return n != nil && (n.Get(dns.TypeA) != nil || n.Get(dns.TypeAAAA) != nil)
}

// At is the node of a name, nil where it does not exist.
func (c *Content) At(n dname.Name) *Node {
	if i, ok := c.Index[n]; ok {
		return &c.Nodes[i]
	}
	return nil
}

// Mentioned are the hosts within the zone that its records lead to, and that do not exist.
func (c *Content) Mentioned() map[dname.Name]bool {
	for i := range c.Nodes {
		for _, set := range c.Nodes[i].Sets {
			if _, count := names(set.Typ); count == 0 {
				continue
			}
			for j := range set.Records {
				if host := set.Records[j].Host(); host.Within(c.Apex) && !c.Exists(host) {
					c.hosts[host] = true
				}
			}
		}
	}
	return c.hosts
}

// IsSPF says whether a set of TXT records, or none, may hold an SPF record, whose first string may be very short (RFC 7208 3.3).
func (s *RRset) IsSPF() bool {
	return s != nil && slices.ContainsFunc(s.Records, func(r Record) bool {
		return r.Data[0] < 6 || bytes.EqualFold(r.Data[1:7], []byte("v=spf1"))
	})
}

// AppendAddresses appends those of an A or AAAA set.
func (s *RRset) AppendAddresses(to []netip.Addr) []netip.Addr {
	for i := range s.Records {
		to = append(to, s.Records[i].address())
	}
	return to
}
