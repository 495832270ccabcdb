package sign

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// Given is what another signer has added to a zone. It is served as it is.
type Given struct {
	Iterations uint16 // of NSEC3's hash, beyond the first (RFC 5155 3.1.3)
	Salt       []byte

	signatures map[covered][]content.Record
	nsec3      []content.Record
}

// covered is an RRset that a signature is of.
type covered struct {
	owner dname.Name
	typ   uint16
}

// maxIterations is how often NSEC3's hash of another signer may be computed again: each query for a name that does not exist pays for it
// (RFC 9276 3.1).
const maxIterations = 100

// Split takes what another signer has added out of the records of a zone: signatures, and NSEC3 records, whose owners are no names of the
// zone. Given is nil, and all records stay, where the zone is not signed in full: its SOA record and its keys have no signatures.
func Split(apex dname.Name, records []content.Record) (plain []content.Record, given *Given) {
	keys, soa, signed := false, false, false
	for i := range records {
		switch r := &records[i]; {
		case r.Owner != apex:
		case r.Typ == dns.TypeDNSKEY:
			keys = true
		case r.Typ == dns.TypeRRSIG:
			typ := binary.BigEndian.Uint16(r.Data)
			soa, signed = soa || typ == dns.TypeSOA, signed || typ == dns.TypeDNSKEY
		}
	}
	if !keys || !soa || !signed {
		return records, nil
	}
	given = &Given{signatures: map[covered][]content.Record{}}
	for _, r := range records {
		switch r.Typ {
		case dns.TypeRRSIG:
			set := covered{r.Owner, binary.BigEndian.Uint16(r.Data)}
			if !slices.ContainsFunc(given.signatures[set], func(other content.Record) bool { return string(other.Data) == string(r.Data) }) {
				given.signatures[set] = append(given.signatures[set], r)
			}
		case dns.TypeNSEC3:
			given.nsec3 = append(given.nsec3, r)
		default:
			plain = append(plain, r)
		}
	}
	return plain, given
}

// Without takes what signing makes out of the records of a zone that is signed anew.
func Without(records []content.Record) []content.Record {
	if !slices.ContainsFunc(records, func(r content.Record) bool { return Made(r.Typ) }) {
		return records
	}
	return slices.DeleteFunc(slices.Clone(records), func(r content.Record) bool { return Made(r.Typ) })
}

// Of are the signatures of an RRset, as an RRset of their own; nil: it has none.
func (g *Given) Of(owner dname.Name, typ uint16) *content.RRset {
	records := g.signatures[covered{owner, typ}]
	if len(records) == 0 {
		return nil
	}
	return &content.RRset{Typ: dns.TypeRRSIG, Ttl: records[0].Ttl, Records: records}
}

// Expiration is when the first signature of the SOA record ends, in seconds since 1970.
func (g *Given) Expiration(c *content.Content) (at int64) {
	for i, r := range g.signatures[covered{c.Apex, dns.TypeSOA}] {
		if end := int64(binary.BigEndian.Uint32(r.Data[8:])); i == 0 || end < at {
			at = end
		}
	}
	return at
}

// Chain is that of the given records.
func (g *Given) Chain(c *content.Content) (*Chain, error) {
	chain := &Chain{Given: g}
	if len(g.nsec3) == 0 {
		for _, node := range signedNames(c, false) {
			if c.Nodes[node].Get(dns.TypeNSEC) != nil {
				chain.Links = append(chain.Links, Link{Owner: c.Nodes[node].Name, Node: node})
			}
		}
	}
	param := c.Get(c.Apex, dns.TypeNSEC3PARAM)
	if len(g.nsec3) > 0 {
		if param == nil {
			return nil, errors.New("it has NSEC3 records and no NSEC3PARAM record (RFC 5155 4)")
		}
		data := param.Records[0].Data
		g.Iterations, g.Salt = binary.BigEndian.Uint16(data[2:]), data[5:]
		if g.Iterations > maxIterations {
			return nil, fmt.Errorf("its NSEC3 records have %d iterations, and %d are allowed: sign it with 0 (RFC 9276 3.1)", g.Iterations, maxIterations)
		}
	}
	for i := range g.nsec3 {
		r := &g.nsec3[i]
		end := 5 + int(r.Data[4])
		if len(r.Owner) != HashLabel+len(c.Apex) || r.Owner.Parent() != c.Apex || binary.BigEndian.Uint16(r.Data[2:]) != g.Iterations || string(r.Data[5:end]) != string(g.Salt) {
			continue // of another chain (RFC 5155 4.1.2)
		}
		set := content.RRset{Typ: dns.TypeNSEC3, Ttl: r.Ttl, Records: g.nsec3[i : i+1]}
		chain.Links = append(chain.Links, Link{Owner: r.Owner, Set: &set})
	}
	if len(chain.Links) == 0 {
		return nil, errors.New("it has signatures, and neither NSEC nor NSEC3 records")
	}
	slices.SortFunc(chain.Links, func(a, b Link) int {
		return dname.Canonical(strings.TrimSuffix(string(a.Owner), string(c.Apex)), strings.TrimSuffix(string(b.Owner), string(c.Apex)))
	})
	return chain, nil
}
