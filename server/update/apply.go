package update

import (
	"fmt"
	"maps"
	"slices"

	"github.com/miekg/dns"

	"mxtrap/server/peer"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
	"mxtrap/zone/source"
)

// Request is an update that has been read, and whose signature is good.
type Request struct {
	message
	By *peer.Key
}

// Owners are the names that the request asks about or changes.
func (r *Request) Owners() map[dname.Name]bool {
	owners := map[dname.Name]bool{}
	for _, list := range [][]entry{r.needs, r.changes} {
		for i := range list {
			owners[list[i].owner()] = true
		}
	}
	return owners
}

// state is the RRsets of the owners, by owner and type.
type state map[dname.Name]map[uint16][]rr.Record

func stateOf(sets []source.RRset) state {
	s := state{}
	for _, set := range sets {
		s.put(set.Owner, set.Type, set.Records)
	}
	return s
}

func (s state) put(owner dname.Name, typ uint16, records []rr.Record) {
	if s[owner] == nil {
		s[owner] = map[uint16][]rr.Record{}
	}
	if s[owner][typ] = records; len(records) == 0 {
		delete(s[owner], typ)
	}
}

// Apply is what the request makes of the RRsets of its owners, as far as its key may: those that it changes, one without records where it is
// gone. The error says what the request is answered with (RFC 2136 3). Nothing is changed unless all is. What the request asks for first is held
// against what is served, the trap's records among it.
func (r *Request) Apply(c *Config, have, served []source.RRset) (changed []source.RRset, err error) {
	if err := r.need(stateOf(served)); err != nil {
		return nil, err
	}
	now := stateOf(have)
	if err := r.permit(c, now); err != nil {
		return nil, err
	}
	touch := func(owner dname.Name, typ uint16) {
		if !source.Has(changed, owner, typ) {
			changed = append(changed, source.RRset{Owner: owner, Type: typ})
		}
	}
	for i := range r.changes {
		e := &r.changes[i]
		owner := e.owner()
		switch {
		case e.class == dns.ClassANY && e.Type == dns.TypeANY:
			for typ := range now[owner] {
				touch(owner, typ)
				now.put(owner, typ, nil)
			}
		case e.class == dns.ClassANY:
			touch(owner, e.Type)
			now.put(owner, e.Type, nil)
		case e.class == dns.ClassNONE:
			touch(owner, e.Type)
			now.put(owner, e.Type, without(now[owner][e.Type], e.Record))
		case stands(now[owner], e.Type):
			touch(owner, e.Type)
			now.put(owner, e.Type, with(now[owner][e.Type], e.Record))
		}
	}
	for i, set := range changed {
		changed[i].Records = now[set.Owner][set.Type]
	}
	return changed, nil
}

// need checks the prerequisites (RFC 2136 3.2).
func (r *Request) need(now state) error {
	wanted := state{} // RRsets that are to be the same
	for i := range r.needs {
		e := &r.needs[i]
		owner, what := e.owner(), e.owner().String()+" "+rdata.TypeText(e.Type)
		exists := len(now[owner][e.Type]) > 0
		if e.Type == dns.TypeANY {
			exists, what = len(now[owner]) > 0, owner.String()
		}
		switch {
		case e.class == dns.ClassINET:
			wanted.put(owner, e.Type, append(wanted[owner][e.Type], e.Record))
		case e.class == dns.ClassANY && !exists && e.Type == dns.TypeANY:
			return failed(dns.RcodeNameError, what+" does not exist")
		case e.class == dns.ClassANY && !exists:
			return failed(dns.RcodeNXRrset, what+" does not exist")
		case e.class == dns.ClassNONE && exists && e.Type == dns.TypeANY:
			return failed(dns.RcodeYXDomain, what+" exists")
		case e.class == dns.ClassNONE && exists:
			return failed(dns.RcodeYXRrset, what+" exists")
		}
	}
	for owner, sets := range wanted {
		for typ, records := range sets {
			if !slices.Equal(identities(records), identities(now[owner][typ])) {
				return failed(dns.RcodeNXRrset, owner.String()+" "+rdata.TypeText(typ)+" is another RRset")
			}
		}
	}
	return nil
}

// identities tell the records of an RRset, whatever their order.
func identities(records []rr.Record) (ids []string) {
	for _, r := range records {
		ids = append(ids, r.Identity())
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// permit says whether the key may change all that the request changes.
func (r *Request) permit(c *Config, now state) error {
	for i := range r.changes {
		e := &r.changes[i]
		types := []uint16{e.Type}
		if e.Type == dns.TypeANY {
			types = slices.Collect(maps.Keys(now[e.owner()]))
		}
		for _, typ := range types {
			if !c.permits(r.By, e.owner(), typ) {
				return failed(dns.RcodeRefused, fmt.Sprintf("the key may not change %s %s", e.owner(), rdata.TypeText(typ)))
			}
		}
	}
	return nil
}

// stands says whether a record of a type may be added beside what its owner has: an alias stands alone, and what does not go together is
// passed over (RFC 2136 3.4.2.2).
func stands(have map[uint16][]rr.Record, typ uint16) bool {
	for other := range have {
		if (other == dns.TypeCNAME) != (typ == dns.TypeCNAME) {
			return false
		}
	}
	return true
}

// with are the records of an RRset and one more, which takes the place of one that is the same but for its TTL, or of an alias. The lowest TTL of
// an RRset is served (RFC 2181 5.2).
func with(have []rr.Record, r rr.Record) []rr.Record {
	records, id := slices.Clone(have), r.Identity()
	i := slices.IndexFunc(records, func(other rr.Record) bool { return other.Identity() == id || r.Type == dns.TypeCNAME })
	if i < 0 {
		return append(records, r)
	}
	records[i] = r
	return records
}

// without are the records of an RRset but one.
func without(have []rr.Record, r rr.Record) []rr.Record {
	id := r.Identity()
	return slices.DeleteFunc(slices.Clone(have), func(other rr.Record) bool { return other.Identity() == id })
}
