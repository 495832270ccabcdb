package zone

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone/body"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
	"mxtrap/zone/sign"
)

// Signatures are those of a zone's RRsets, which are made when they are first needed: by an answer, a transfer, or the sweep that makes
// them all. Each is made once.
type Signatures struct {
	zone   *Zone
	plan   *sign.Plan // nil where the signatures are given
	apex   []rrsig    // that go with the sets of keys
	others []rrsig    // and with all other sets
	size   int        // octets of a slot
	states []atomic.Uint32
	octets []byte // the bare signatures, slot by slot
	left   atomic.Int64
}

// rrsig is what the signatures of a key have in common.
type rrsig struct {
	key    *sign.Key
	record []byte // an RRSIG record up to its signature, with what depends on the RRset left open
	size   int    // of the signature
}

// The parts of an RRSIG record behind its owner's pointer.
const (
	rrsigType   = body.DataAt
	rrsigLabels = body.DataAt + 3
	rrsigTTL    = body.DataAt + 4
)

// The states of a slot.
const (
	unmade uint32 = iota
	making
	made
)

// newSignatures makes room for the signatures of a zone.
func newSignatures(z *Zone, plan *sign.Plan) *Signatures {
	if plan == nil {
		return &Signatures{zone: z}
	}
	n := z.body.Signed()
	s := &Signatures{zone: z, plan: plan, size: plan.SignaturesSize(), states: make([]atomic.Uint32, n)}
	s.octets = make([]byte, n*s.size)
	s.left.Store(int64(n))
	s.others = rrsigs(plan, dns.TypeSOA)
	if s.apex = s.others; !plan.SignsAlike() {
		s.apex = rrsigs(plan, dns.TypeDNSKEY)
	}
	return s
}

// rrsigs are the records of the keys that sign a type.
func rrsigs(plan *sign.Plan, typ uint16) (list []rrsig) {
	for _, k := range plan.Signers(typ) {
		record := binary.BigEndian.AppendUint16([]byte{0, 0}, dns.TypeRRSIG)
		record = binary.BigEndian.AppendUint16(record, dns.ClassINET)
		record = sign.AppendHead(append(record, 0, 0, 0, 0, 0, 0), k, plan.Window, 0, 0, 0)
		size := k.SignatureSize()
		binary.BigEndian.PutUint16(record[body.DataAt-2:], uint16(len(record)-body.DataAt+size))
		list = append(list, rrsig{k, record, size})
	}
	return list
}

// of are the records that go with a type.
func (s *Signatures) of(typ uint16) []rrsig {
	if sign.OfKeys(typ) {
		return s.apex
	}
	return s.others
}

// Size is how many octets the signatures of an RRset take in a packet, and how many there are.
func (s *Signatures) Size(b body.Body, set body.RRset) (octets, records int) {
	if b.SlotOf(set) < 0 {
		return 0, 0
	}
	if s.plan == nil {
		wire, owners, _ := b.Wire(b.Given(set))
		return len(wire), owners.Len()
	}
	list := s.of(set.Type())
	for i := range list {
		octets += len(list[i].record) + list[i].size
	}
	return octets, len(list)
}

// Append appends the RRSIG records of an RRset. Their owner is some labels, if any, and a pointer to an offset. It says whether they could
// be made.
func (s *Signatures) Append(to []byte, b body.Body, set body.RRset, labels []byte, owner int) ([]byte, bool) {
	slot := b.SlotOf(set)
	if slot < 0 {
		return to, true
	}
	if s.plan == nil {
		return b.AppendGiven(to, set, labels, owner), true
	}
	signatures, err := s.need(slot)
	if err != nil {
		return to, false
	}
	wire, _, _ := b.Wire(set)
	signed, labelCount := b.SlotSet(slot)
	own, _, _ := b.Wire(signed) // of an SOA in a negative answer, the one whose TTL is signed
	list := s.of(set.Type())
	for i := range list {
		to = append(to, labels...)
		at := len(to)
		to = append(to, list[i].record...)
		r := to[at:]
		r[0], r[1] = 0xc0|byte(owner>>8), byte(owner)
		copy(r[body.TTLAt:], wire[body.TTLAt:body.TTLAt+4])
		binary.BigEndian.PutUint16(r[rrsigType:], set.Type())
		r[rrsigLabels] = labelCount
		copy(r[rrsigTTL:], own[body.TTLAt:body.TTLAt+4])
		to = append(to, signatures[:list[i].size]...)
		signatures = signatures[list[i].size:]
	}
	return to, true
}

// need are the signatures of a slot. It makes them where there are none, and waits where another makes them.
func (s *Signatures) need(slot int) (octets []byte, err error) {
	octets = s.octets[slot*s.size : (slot+1)*s.size]
	for state := &s.states[slot]; ; {
		switch state.Load() {
		case made:
			return octets, nil
		case unmade:
			if !state.CompareAndSwap(unmade, making) {
				continue
			}
			if err = s.make(slot, octets); err != nil {
				state.Store(unmade)
				return nil, err
			}
			s.left.Add(-1)
			state.Store(made)
			return octets, nil
		default:
			runtime.Gosched()
		}
	}
}

// make makes the signatures of a slot.
func (s *Signatures) make(slot int, octets []byte) error {
	owner, set, _ := s.zone.body.Slot(slot)
	records := s.zone.body.Records(owner, set)
	rrset := sign.RRset{Owner: owner, Type: set.Type(), TTL: records[0].TTL, Data: make([][]byte, len(records))}
	for i, r := range records {
		rrset.Data[i] = r.Data
	}
	to := octets[:0]
	began := time.Now()
	for _, r := range s.of(set.Type()) {
		var err error
		if to, err = sign.AppendSignature(to, r.key, s.plan.Window, rrset); err != nil {
			return fmt.Errorf("%s%s: %w", r.key, sign.PrivateFile, err)
		}
		Work.Signatures.Add(1)
	}
	Work.Nanoseconds.Add(uint64(time.Since(began)))
	return nil
}

// Work is what this process has spent on signatures.
var Work struct{ Signatures, Nanoseconds atomic.Uint64 }

// same says whether two zones of the same content have the same signatures.
func (s *Signatures) same(other *Signatures) bool {
	if s == nil || other == nil {
		return s == other
	}
	if s.plan == nil || other.plan == nil {
		return s.plan == other.plan
	}
	return s.plan.Same(other.plan)
}

// rrsigRecords are the RRSIG records of an RRset.
func (z *Zone) rrsigRecords(owner dname.Name, set body.RRset) (records []rr.Record) {
	if z.signatures == nil {
		return nil
	}
	wire, ok := z.signatures.Append(nil, z.body, set, nil, 0)
	for ok && len(wire) > 0 {
		size := body.DataAt + int(binary.BigEndian.Uint16(wire[body.DataAt-2:]))
		records = append(records, rr.Record{Owner: string(owner), Type: dns.TypeRRSIG, TTL: binary.BigEndian.Uint32(wire[body.TTLAt:]), Data: wire[body.DataAt:size:size]})
		wire = wire[size:]
	}
	return records
}

// Plan is how the zone is signed; nil where it is not.
func (z *Zone) Plan() *sign.Plan {
	if z.signatures == nil {
		return nil
	}
	return z.signatures.plan
}

// Expiration is when the signatures of the zone end, in seconds since 1970; 0: it is not signed.
func (z *Zone) Expiration() int64 { return z.expiration }

// Given says whether the zone was signed by another server: it is served as it is.
func (z *Zone) Given() bool { return z.signatures != nil && z.signatures.plan == nil }

// Signatures counts what the zone has of signatures to be made, and of those that are not made yet.
func (z *Zone) Signatures() (all, left int) {
	if z.signatures == nil {
		return 0, 0
	}
	return len(z.signatures.states), int(z.signatures.left.Load())
}

// Sign makes all signatures that are missing. It calls rest before each, and ends where that says so. The error is about a key that cannot
// make them.
func (z *Zone) Sign(rest func() (goOn bool)) error {
	if z.signatures == nil || z.signatures.left.Load() == 0 {
		return nil
	}
	for slot := range z.signatures.states {
		if z.signatures.states[slot].Load() != unmade {
			continue
		}
		if !rest() {
			return nil
		}
		if _, err := z.signatures.need(slot); err != nil {
			return err
		}
	}
	return nil
}

// Inherit takes over the signatures that another version has made of RRsets that are the same here.
func (z *Zone) Inherit(before *Zone) {
	s, old := z.signatures, before.signatures
	if s == nil || old == nil || s == old || s.plan == nil || !s.same(old) || old.left.Load() == int64(len(old.states)) {
		return
	}
	slots := map[string]int{}
	for slot := range old.states {
		if old.states[slot].Load() == made {
			slots[before.signedText(slot)] = slot
		}
	}
	for slot := range s.states {
		if from, ok := slots[z.signedText(slot)]; ok && s.states[slot].CompareAndSwap(unmade, making) {
			copy(s.octets[slot*s.size:(slot+1)*s.size], old.octets[from*s.size:])
			s.left.Add(-1)
			s.states[slot].Store(made)
		}
	}
}

// signedText tells the RRset of a slot from all others.
func (z *Zone) signedText(slot int) string {
	owner, set, _ := z.body.Slot(slot)
	var text []byte
	for _, r := range z.body.Records(owner, set) {
		text = r.AppendWire(text)
	}
	return string(text)
}
