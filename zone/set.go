package zone

import (
	"hash/maphash"
	"slices"
	"strings"
)

// Set is all zones that are served. It never changes: a reload makes a new one.
type Set struct {
	zones  []*Zone  // by name
	table  []uint32 // hash table: 1 + index in zones, 0 is free
	depths [maxLabels + 1]bool
}

// NewSet puts zones together; no two may have the same name.
func NewSet(zones []*Zone) *Set {
	s := &Set{zones: slices.Clone(zones)}
	slices.SortFunc(s.zones, func(a, b *Zone) int { return strings.Compare(string(a.apex), string(b.apex)) })
	s.table = make([]uint32, tableSize(len(zones)))
	mask := uint64(len(s.table) - 1)
	for i, z := range s.zones {
		s.depths[z.labels] = true
		slot := maphash.String(seed, string(z.apex)) & mask
		for s.table[slot] != 0 {
			slot = (slot + 1) & mask
		}
		s.table[slot] = uint32(i + 1)
	}
	return s
}

// Zones are the zones of the set; Find tells them by their index here.
func (s *Set) Zones() []*Zone { return s.zones }

// Find finds the zone that a name is in: the one with the longest apex. The parent's side of a cut answers for DS
// (RFC 4035 3.1.4.1), so parentSide looks for a zone above the name first. The index is -1 where there is no zone.
func (s *Set) Find(q *QName, parentSide bool) int {
	at := -1
	for skip := range q.labels + 1 {
		if !s.depths[q.labels-skip] {
			continue
		}
		if i := s.find(q.suffix(skip)); i >= 0 {
			at = i
			if !parentSide || skip > 0 {
				return at
			}
		}
	}
	return at
}

func (s *Set) find(apex []byte) int {
	mask := uint64(len(s.table) - 1)
	for slot := maphash.Bytes(seed, apex) & mask; s.table[slot] != 0; slot = (slot + 1) & mask {
		i := int(s.table[slot] - 1)
		if string(s.zones[i].apex) == string(apex) {
			return i
		}
	}
	return -1
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
		n, err := parseName(h.Name, z.apex.String())
		if err != nil {
			continue
		}
		q.Read([]byte(n), 0)
		if i := s.Find(&q, false); i >= 0 && s.zones[i].labels > z.labels {
			return h.Name, s.zones[i].Name()
		}
	}
	return "", ""
}
