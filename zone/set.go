package zone

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// Set is all zones that are served. It never changes: a reload makes a new one.
type Set struct {
	zones  []*Zone // by name
	table  []place // hash table by apex
	depths [maxLabels + 1]bool
}

// place is a zone in the table of a Set; one without a zone is free.
type place struct {
	zone  Body
	hash  uint32 // spares a look at zones that happen to stand in the way
	index uint32 // in Set.zones
}

// NewSet puts zones together; no two may have the same name.
func NewSet(zones []*Zone) *Set {
	s := &Set{zones: slices.Clone(zones), table: make([]place, tableSize(len(zones)))}
	slices.SortFunc(s.zones, func(a, b *Zone) int { return bytes.Compare(a.body.apex(), b.body.apex()) })
	mask := uint64(len(s.table) - 1)
	for i, z := range s.zones {
		s.depths[z.body.labels()] = true
		hash := maphash.Bytes(seed, z.body.apex())
		slot := hash & mask
		for s.table[slot].zone != nil {
			slot = (slot + 1) & mask
		}
		s.table[slot] = place{z.body, uint32(hash >> 32), uint32(i)}
	}
	return s
}

// Zones are the zones of the set; Find tells them by their index here.
func (s *Set) Zones() []*Zone { return s.zones }

// Find finds the zone that a name is in: the one with the longest apex. The parent's side of a cut answers for DS
// (RFC 4035 3.1.4.1), so parentSide looks for a zone above the name first. The Body is nil where there is no zone.
func (s *Set) Find(q *QName, parentSide bool) (zone Body, index int) {
	for skip := range q.labels + 1 {
		if !s.depths[q.labels-skip] {
			continue
		}
		if p := s.find(q.suffix(skip)); p != nil {
			zone, index = p.zone, int(p.index)
			if !parentSide || skip > 0 {
				break
			}
		}
	}
	return zone, index
}

func (s *Set) find(apex []byte) *place {
	mask := uint64(len(s.table) - 1)
	hash := maphash.Bytes(seed, apex)
	for slot := hash & mask; ; slot = (slot + 1) & mask {
		p := &s.table[slot]
		if p.zone == nil {
			return nil
		}
		if p.hash == uint32(hash>>32) && bytes.Equal(p.zone.apex(), apex) {
			return p
		}
	}
}

// tableSize is a power of two that leaves at least half of a hash table free.
func tableSize(entries int) int {
	size := 2
	for size < 2*entries {
		size *= 2
	}
	return size
}

// Shadowed finds a host of the trap that lies in a deeper zone of the set, and that zone's name; both are empty where there is none.
func (z *Zone) Shadowed(s *Set) (host, by string) {
	var q QName
	for _, h := range z.hosts {
		n, err := parseName(h.Name, z.apex())
		if err != nil {
			continue
		}
		q.Read([]byte(n), 0)
		if deeper, i := s.Find(&q, false); deeper != nil && deeper.labels() > z.body.labels() {
			return h.Name, s.zones[i].Name()
		}
	}
	return "", ""
}
