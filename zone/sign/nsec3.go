package sign

import (
	"crypto/sha1"
	"encoding/base32"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
)

// HashLabel is the size of the label that NSEC3 makes of a name, with its length octet.
const HashLabel = 1 + 32

// hexes is how NSEC3 owners are written (RFC 5155 1.3), in lower case as all owners here. It keeps the order of what it writes.
var hexes = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// Hash is the label that NSEC3 makes of a name in lower-case wire format (RFC 5155 5). What is signed here has neither further iterations
// nor salt (RFC 9276 3.1).
func Hash(to *[HashLabel]byte, name []byte, iterations uint16, salt []byte) {
	var room [dname.MaxName + 255]byte
	sum := sha1.Sum(append(append(room[:0], name...), salt...))
	for range iterations {
		sum = sha1.Sum(append(append(room[:0], sum[:]...), salt...))
	}
	to[0] = HashLabel - 1
	hexes.Encode(to[1:], sum[:])
}

// nsec3Chain makes the NSEC3 records (RFC 5155 7.1): of names that exist only for others below them too, and without opt-out.
func (p *Plan) nsec3Chain(c *content.Content, ttl uint32) *Chain {
	nodes := signedNames(c, true)
	chain := &Chain{Plan: p, Links: make([]Link, len(nodes))}
	hashes := make([][sha1.Size]byte, len(c.Nodes))
	for i, node := range nodes {
		hashes[node] = sha1.Sum([]byte(c.Nodes[node].Name))
		var label [HashLabel]byte
		Hash(&label, []byte(c.Nodes[node].Name), 0, nil)
		chain.Links[i] = Link{Owner: dname.Name(label[:]) + c.Apex, Node: node}
	}
	slices.SortFunc(chain.Links, func(a, b Link) int { return strings.Compare(string(a.Owner[:HashLabel]), string(b.Owner[:HashLabel])) })
	for i := range chain.Links {
		link := &chain.Links[i]
		next := hashes[chain.Links[(i+1)%len(chain.Links)].Node]
		data := append([]byte{1, 0, 0, 0, 0, sha1.Size}, next[:]...)
		set := recordSet(link.Owner, dns.TypeNSEC3, ttl, rdata.AppendBitmap(data, types(c, link.Node, dns.TypeNSEC3)))
		link.Set = &set
	}
	return chain
}
