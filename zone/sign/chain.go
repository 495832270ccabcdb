package sign

import (
	"slices"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
)

// Chain tells which names of a zone exist, with which types: each link says that there is nothing between its owner and the next.
type Chain struct {
	Plan  *Plan  // by which it was made
	Given *Given // or else another signer's, with its signatures
	Links []Link // in the order of their owners
}

// Link is an NSEC or NSEC3 record.
type Link struct {
	Owner dname.Name
	Node  int            // of the content, where NSEC records stand among its sets
	Set   *content.RRset // of NSEC3, whose owners are no names of the zone
}

// Expiration is when the signatures end, in seconds since 1970.
func (ch *Chain) Expiration(c *content.Content) int64 {
	if ch.Given != nil {
		return ch.Given.Expiration(c)
	}
	return ch.Plan.Window.Expiration
}

// SignaturesSize is how many octets the RRSIG records of an RRset have in a packet, where the zone's name has so many.
func (ch *Chain) SignaturesSize(owner dname.Name, typ uint16, apex int) (octets int) {
	const head = 12 // of a record, its owner a pointer
	if ch.Given != nil {
		for _, r := range ch.Given.signatures[covered{owner, typ}] {
			octets += head + len(r.Data)
		}
		return octets
	}
	for _, k := range ch.Plan.Signers(typ) {
		octets += head + rrsigHead + apex + k.SignatureSize()
	}
	return octets
}

// Type is that of the link's record.
func (l *Link) Type() uint16 {
	if l.Set != nil {
		return dns.TypeNSEC3
	}
	return dns.TypeNSEC
}

// signedNames are the nodes that a chain lists, in canonical order (RFC 4034 6.1): those that this zone speaks for, and the cuts. Names that
// exist only for others below them are among them where that is asked for.
func signedNames(c *content.Content, empty bool) (nodes []int) {
	var below []bool
	var dname []int
	if c.Parts {
		below, dname = c.Above()
	}
	for i := range c.Nodes {
		if c.Parts && (below[i] || dname[i] >= 0) || len(c.Nodes[i].Sets) == 0 && !empty {
			continue
		}
		nodes = append(nodes, i)
	}
	slices.SortFunc(nodes, func(a, b int) int { return c.Nodes[a].Name.Compare(c.Nodes[b].Name) })
	return nodes
}

// types are those of a node that its link lists, with those that signing adds, in ascending order. At a cut this zone speaks but for the
// delegation itself (RFC 4035 2.3).
func types(c *content.Content, node int, link uint16) (list []uint16) {
	n := &c.Nodes[node]
	list = make([]uint16, 0, len(n.Sets)+2)
	cut := c.IsCut(node)
	signed := false
	for i := range n.Sets {
		switch typ := n.Sets[i].Typ; {
		case cut && typ != dns.TypeNS && typ != dns.TypeDS:
		default:
			list = append(list, typ)
			signed = signed || !cut || typ == dns.TypeDS
		}
	}
	if signed || link == dns.TypeNSEC {
		list = append(list, dns.TypeRRSIG)
	}
	if link == dns.TypeNSEC {
		list = append(list, dns.TypeNSEC)
	}
	slices.Sort(list)
	return list
}

// nsecChain puts an NSEC record at each name (RFC 4034 4). The names in it are in lower case, which old validators need. All of it is made
// in a few pieces of memory, for there are very many zones.
func (p *Plan) nsecChain(c *content.Content, ttl uint32) *Chain {
	nodes := signedNames(c, false)
	chain := &Chain{Plan: p, Links: make([]Link, len(nodes))}
	octets, count := 0, 0
	for i, node := range nodes {
		octets += len(c.Nodes[nodes[(i+1)%len(nodes)]].Name) + bitmapRoom
		count += len(c.Nodes[node].Sets) + 1
	}
	data, records, sets := make([]byte, 0, octets), make([]content.Record, len(nodes)), make([]content.RRset, 0, count)
	for i, node := range nodes {
		n := &c.Nodes[node]
		begin := len(data)
		data = append(data, c.Nodes[nodes[(i+1)%len(nodes)]].Name...)
		data = rdata.AppendBitmap(data, types(c, node, dns.TypeNSEC))
		records[i] = content.Record{Owner: n.Name, Typ: dns.TypeNSEC, Ttl: ttl, Data: data[begin:len(data):len(data)]}
		first := len(sets)
		at := 0
		for at < len(n.Sets) && n.Sets[at].Typ < dns.TypeNSEC {
			at++
		}
		sets = append(sets, n.Sets[:at]...)
		sets = append(sets, content.RRset{Typ: dns.TypeNSEC, Ttl: ttl, Records: records[i : i+1 : i+1]})
		sets = append(sets, n.Sets[at:]...)
		n.Sets = sets[first:len(sets):len(sets)]
		chain.Links[i] = Link{Owner: n.Name, Node: node}
	}
	return chain
}

// bitmapRoom is how many octets the types of most names take.
const bitmapRoom = 12
