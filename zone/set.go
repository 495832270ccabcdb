package zone

import (
	"bytes"
	"hash/maphash"

	"github.com/miekg/dns"

	"mxtrap/zone/body"
	"mxtrap/zone/dname"
)

// apexSeed is for the tables of apexes.
var apexSeed = maphash.MakeSeed()

// Set is all zones that are served. It never changes: a reload makes a new one.
type Set struct {
	zones  []*Zone
	bodies []body.Body   // those of the zones, from 1 on
	signed []*Signatures // likewise; nil where no zone is signed
	table  []place       // hash table by apex
	twins  bool
	depths [dname.MaxLabels + 1]bool
}

// place is a zone in the table of a Set. It has no pointer, for the garbage collector would follow each to another end of memory.
type place struct {
	hash uint32 // spares a look at zones that happen to stand in the way
	body uint32 // index in Set.bodies; 0: the place is free
}

// NewSet puts zones together, in their order. That takes long where there are very many; it calls rest all the time.
func NewSet(zones []*Zone, rest func()) *Set {
	s := &Set{zones: zones, bodies: make([]body.Body, 1+len(zones)), table: make([]place, body.TableSize(len(zones)))}
	mask := uint64(len(s.table) - 1)
	for i, z := range s.zones {
		rest()
		s.bodies[1+i] = z.body
		if z.signatures != nil {
			if s.signed == nil {
				s.signed = make([]*Signatures, 1+len(zones))
			}
			s.signed[1+i] = z.signatures
		}
		s.depths[z.body.Labels()] = true
		hash := maphash.Bytes(apexSeed, z.body.Apex())
		slot := hash & mask
		for s.table[slot].body != 0 {
			s.twins = s.twins || s.is(s.table[slot], z.body.Apex(), hash)
			slot = (slot + 1) & mask
		}
		s.table[slot] = place{uint32(hash >> 32), uint32(1 + i)}
	}
	return s
}

// Twins says whether two zones have the same name: such a set must not be served.
func (s *Set) Twins() bool { return s.twins }

// Parents are the zones that have others of the set below them. It calls rest as NewSet does.
func (s *Set) Parents(rest func()) map[*Zone]bool {
	parents := map[*Zone]bool{}
	var q body.QName
	for _, z := range s.zones {
		rest()
		q.Read(z.body.Apex(), 0)
		for skip := 1; skip <= q.Labels; skip++ {
			if !s.depths[q.Labels-skip] {
				continue
			}
			if i, ok := s.find(q.Suffix(skip)); ok {
				parents[s.zones[i]] = true
			}
		}
	}
	return parents
}

// Zones are the zones of the set; Find tells them by their index here.
func (s *Set) Zones() []*Zone { return s.zones }

// Round is how many questions are best looked up together.
const Round = 8

// Question is a name and a type to look up, and what was found.
type Question struct {
	Name       body.QName
	Type       uint16
	Secure     bool // the client wants signatures (the bit DO of RFC 3225)
	Zone       int  // index in Set.Zones of the zone that the name is in; -1: it is in none
	Answer     body.Answer
	Signatures *Signatures // that belong to it; nil where the zone has none, or the client wants none

	likely  *place
	fetched byte // keeps the compiler from leaving the fetching out
}

// LookUp looks a round of questions up. What a zone has in memory is far from all other zones and seldom in the processor's cache,
// so each step fetches what the next one will need, for all questions at once, and waits but once for all of it.
func (s *Set) LookUp(round []*Question) {
	for _, q := range round {
		q.likely = s.likely(&q.Name)
	}
	for _, q := range round {
		q.fetched += s.bodies[q.likely.body].Fetch(0)
	}
	for _, q := range round {
		q.Zone = -1
		if zone, i := s.findFor(&q.Name, q.Type == dns.TypeDS); zone != nil {
			q.Zone, q.Signatures = i, nil
			if s.signed != nil && (q.Secure || q.Type == dns.TypeRRSIG) {
				q.Signatures = s.signed[1+i]
			}
			q.Answer.Secure = q.Signatures != nil
			zone.LookUp(&q.Name, q.Type, &q.Answer)
		}
	}
	for _, q := range round {
		if q.Zone >= 0 {
			q.fetched += q.Answer.Fetch()
		}
	}
}

// Overrule answers a question that was looked up in another version of the zone, where this one knows more of the name: that it exists, or what
// was asked for. The apex is left to the other one.
func (z *Zone) Overrule(q *Question) {
	old, rcode := q.Answer.Zone, q.Answer.Rcode
	if q.Answer.Apex() == 0 {
		return
	}
	z.body.LookUp(&q.Name, q.Type, &q.Answer)
	if len(q.Answer.Answer) == 0 && (rcode == q.Answer.Rcode || rcode == dns.RcodeSuccess) {
		old.LookUp(&q.Name, q.Type, &q.Answer)
	} else if q.Signatures != nil {
		q.Signatures = z.signatures
	}
}

// Ask looks one name up, outside the path of queries.
func (s *Set) Ask(name dname.Name, qtype uint16) *Question {
	q := &Question{Type: qtype}
	q.Name.Read([]byte(name), 0)
	s.LookUp([]*Question{q})
	return q
}

// likely is the place of the zone that a name is in, unless zones of other depths or the same hash stand before it.
func (s *Set) likely(q *body.QName) *place {
	skip := 0
	for skip < q.Labels && !s.depths[q.Labels-skip] {
		skip++
	}
	return &s.table[maphash.Bytes(apexSeed, q.Suffix(skip))&uint64(len(s.table)-1)]
}

// Named is the zone of a name, nil where there is none.
func (s *Set) Named(text string) *Zone {
	if i, ok := s.Index(text); ok {
		return s.zones[i]
	}
	return nil
}

// Index is where in Zones the zone of a name is.
func (s *Set) Index(text string) (i int, ok bool) {
	n, err := dname.Parse(text, dname.Root)
	if err != nil {
		return 0, false
	}
	return s.find([]byte(n))
}

// findFor finds the zone that a name is in: the one with the longest apex. The parent's side of a cut answers for DS
// (RFC 4035 3.1.4.1), so parentSide looks for a zone above the name first. The Body is nil where there is no zone.
func (s *Set) findFor(q *body.QName, parentSide bool) (zone body.Body, index int) {
	for skip := range q.Labels + 1 {
		if !s.depths[q.Labels-skip] {
			continue
		}
		if i, ok := s.find(q.Suffix(skip)); ok {
			zone, index = s.bodies[1+i], i
			if !parentSide || skip > 0 {
				break
			}
		}
	}
	return zone, index
}

// find finds the zone of a name, by its index in Set.zones.
func (s *Set) find(apex []byte) (index int, ok bool) {
	mask := uint64(len(s.table) - 1)
	hash := maphash.Bytes(apexSeed, apex)
	for slot := hash & mask; ; slot = (slot + 1) & mask {
		p := s.table[slot]
		if p.body == 0 {
			return 0, false
		}
		if s.is(p, apex, hash) {
			return int(p.body) - 1, true
		}
	}
}

// is says whether the zone of a place that is not free is the one of that name.
func (s *Set) is(p place, apex []byte, hash uint64) bool {
	return p.hash == uint32(hash>>32) && bytes.Equal(s.bodies[p.body].Apex(), apex)
}

// Shadowed are the deeper zones of the set, by their index, in which the trap has a host.
func (z *Zone) Shadowed(s *Set) (by []int) {
	var q body.QName
	for _, h := range z.Hosts() {
		n, err := dname.Parse(h.Name, z.apex())
		if err != nil {
			continue
		}
		q.Read([]byte(n), 0)
		if deeper, i := s.findFor(&q, false); deeper != nil && deeper.Labels() > z.body.Labels() {
			by = append(by, i)
		}
	}
	return by
}

// NamesOfTrap are the names below the apex at or below which the trap has a host, in wire format.
func (z *Zone) NamesOfTrap() map[string]bool {
	names := map[string]bool{}
	for _, h := range z.Hosts() {
		n, err := dname.Parse(h.Name, z.apex())
		for ; err == nil && len(n) > len(z.apex()); n = n.Parent() {
			names[string(n)] = true
		}
	}
	return names
}

// HostIn is a host of the trap at or below a name, relative to the zone; "" where there is none.
func (z *Zone) HostIn(wire string) string {
	for _, h := range z.Hosts() {
		if n, err := dname.Parse(h.Name, z.apex()); err == nil && n.Within(dname.Name(wire)) {
			return h.Name
		}
	}
	return ""
}

// Apex is the zone's name in wire format, in lower case.
func (z *Zone) Apex() string { return string(z.apex()) }

// Labels is how many labels its name has, without the root.
func (z *Zone) Labels() int { return z.body.Labels() }
