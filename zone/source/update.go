package source

import (
	"slices"
	"strings"

	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
)

// RRset is the records of one owner and type.
type RRset struct {
	Owner   dname.Name
	Type    uint16
	Records []rr.Record // all of that owner and type; none: there is no such RRset
}

// updatedLine marks a record that stands in no file, and was not made by the trap.
const updatedLine = -1

// Update puts RRsets in the place of those that the zone's files have, until it is called again. It returns those of them that differ from the
// files.
func (s *Zone) Update(sets []RRset) (differ []RRset) {
	if s.updates = nil; len(sets) == 0 {
		return nil
	}
	written := s.written(sets)
	for _, set := range sets {
		if !sameRecords(set.Records, written[key{set.Owner, set.Type}]) {
			differ = append(differ, set)
		}
	}
	s.updates = differ
	return differ
}

// key tells an RRset from others of its zone.
type key struct {
	owner dname.Name
	typ   uint16
}

// Has says whether one of some RRsets has an owner and a type.
func Has(sets []RRset, owner dname.Name, typ uint16) bool {
	return slices.ContainsFunc(sets, func(s RRset) bool { return s.Owner == owner && s.Type == typ })
}

// Without are those RRsets that have no counterpart of their owner and type among others.
func Without(sets, others []RRset) []RRset {
	return slices.DeleteFunc(slices.Clone(sets), func(s RRset) bool { return Has(others, s.Owner, s.Type) })
}

// NamesOf are the owners and types of RRsets, as a message names them.
func NamesOf(sets []RRset) string {
	var names []string
	for _, s := range sets {
		names = append(names, s.Owner.String()+" "+rdata.TypeText(s.Type))
	}
	return strings.Join(names, ", ")
}

// Same says whether two RRsets are one, TTL and all.
func Same(a, b RRset) bool {
	return a.Owner == b.Owner && a.Type == b.Type && sameRecords(a.Records, b.Records)
}

// sameRecords compares records of RRsets, whatever their order.
func sameRecords(a, b []rr.Record) bool {
	sorted := func(list []rr.Record) []rr.Record {
		return slices.SortedFunc(slices.Values(list), func(a, b rr.Record) int { return strings.Compare(a.Identity(), b.Identity()) })
	}
	return slices.EqualFunc(sorted(a), sorted(b), func(a, b rr.Record) bool { return a.TTL == b.TTL && a.Identity() == b.Identity() })
}

// written are the RRsets of the files that have the owner and type of others.
func (s *Zone) written(sets []RRset) map[key][]rr.Record {
	all := make(map[key][]rr.Record, len(sets))
	for _, set := range sets {
		all[key{set.Owner, set.Type}] = nil
	}
	for i := range s.records {
		r := &s.records[i]
		if _, wanted := all[key{r.Owner, r.Typ}]; wanted {
			all[key{r.Owner, r.Typ}] = append(all[key{r.Owner, r.Typ}], recordOf(r))
		}
	}
	return all
}

func recordOf(r *content.Record) rr.Record {
	return rr.Record{Owner: string(r.Owner), Type: r.Typ, TTL: r.Ttl, Data: r.Data}
}

// current are the records of the zone, its updates among them.
func (s *Zone) current() []content.Record {
	if len(s.updates) == 0 {
		return s.records
	}
	replaced := s.written(s.updates)
	records := make([]content.Record, 0, len(s.records)+len(s.updates))
	for i := range s.records {
		if _, gone := replaced[key{s.records[i].Owner, s.records[i].Typ}]; !gone {
			records = append(records, s.records[i])
		}
	}
	for _, set := range s.updates {
		for _, r := range set.Records {
			records = append(records, content.Record{Owner: set.Owner, Typ: r.Type, Ttl: r.TTL, Data: r.Data, Place: rr.Place{Line: updatedLine}})
		}
	}
	return records
}

// RRsets are the RRsets of some owners, the zone's updates among them, and the trap left out. They stand by themselves when the source is
// released.
func (s *Zone) RRsets(owners map[dname.Name]bool) (sets []RRset) {
	index := map[key]int{}
	records := s.current()
	for i := range records {
		r := &records[i]
		if !owners[r.Owner] {
			continue
		}
		k := key{r.Owner, r.Typ}
		at, known := index[k]
		if !known {
			at = len(sets)
			index[k] = at
			sets = append(sets, RRset{Owner: dname.Name(strings.Clone(string(r.Owner))), Type: r.Typ})
		}
		own := rr.Record{Owner: string(sets[at].Owner), Type: r.Typ, TTL: r.Ttl, Data: slices.Clone(r.Data)}
		sets[at].Records = append(sets[at].Records, own)
	}
	return sets
}

// LargestTTL is the largest that the zone's files have, in seconds.
func (s *Zone) LargestTTL() uint32 {
	largest := s.ttl
	for i := range s.records {
		largest = max(largest, s.records[i].Ttl)
	}
	return largest
}

// Claimed says whether a name, or one above it, is one that the trap may take, and that no record of the zone stands for.
func (s *Zone) Claimed(n dname.Name) bool {
	if s.trap == nil {
		return false
	}
	records := s.current()
	for ; n != s.apex; n = n.Parent() {
		if s.trap.Claims(n, s.apex) && !slices.ContainsFunc(records, func(r content.Record) bool { return r.Owner.Within(n) }) {
			return true
		}
	}
	return false
}
