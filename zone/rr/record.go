package rr

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
)

// Record is a record of the class IN. What comes from elsewhere becomes one only when its data has passed [Check].
type Record struct {
	Owner string // in wire format, in lower case
	Type  uint16
	TTL   uint32 // seconds
	Data  []byte // no name in it is compressed
}

// maxTTL is the largest TTL (RFC 2181 8).
const maxTTL = 1<<31 - 1

// String is the record in a master file's line.
func (r Record) String() string {
	to := dname.AppendText(nil, []byte(r.Owner))
	to = fmt.Appendf(to, "\t%d\tIN\t%s\t", r.TTL, rdata.TypeText(r.Type))
	return string(rdata.Append(to, r.Type, r.Data))
}

// Identity is what tells a record from others of its zone: all but the TTL, the letters of names alike (RFC 2136 1.1.1).
func (r Record) Identity() string {
	id := make([]byte, 0, len(r.Owner)+2+len(r.Data))
	id = binary.BigEndian.AppendUint16(append(id, r.Owner...), r.Type)
	begin := len(id)
	id = append(id, r.Data...)
	rdata.LowerNames(r.Type, id[begin:])
	return string(id)
}

// AppendWire appends the record as a message has it, with no name compressed (RFC 1035 4.1.3).
func (r Record) AppendWire(to []byte) []byte {
	to = append(to, r.Owner...)
	to = binary.BigEndian.AppendUint16(to, r.Type)
	to = binary.BigEndian.AppendUint16(to, dns.ClassINET)
	to = binary.BigEndian.AppendUint32(to, r.TTL)
	to = binary.BigEndian.AppendUint16(to, uint16(len(r.Data)))
	return append(to, r.Data...)
}

// Unpack reads the record at an offset of a message, and returns the offset behind it. Names in its data are compressed only in the
// types whose receivers take that (RFC 3597 4); a TTL beyond the largest is 0 (RFC 2181 8). The data is not checked.
func Unpack(msg []byte, at int) (r Record, class uint16, next int, err error) {
	var room [dname.MaxName]byte
	owner, at, err := unpackName(room[:0], msg, at)
	if err != nil {
		return r, 0, 0, err
	}
	dname.Lower(owner)
	if len(msg) < at+10 {
		return r, 0, 0, errors.New("a record is cut short")
	}
	r = Record{Owner: string(owner), Type: binary.BigEndian.Uint16(msg[at:]), TTL: binary.BigEndian.Uint32(msg[at+4:])}
	class = binary.BigEndian.Uint16(msg[at+2:])
	if r.TTL > maxTTL {
		r.TTL = 0
	}
	begin := at + 10
	end := begin + int(binary.BigEndian.Uint16(msg[at+8:]))
	if end > len(msg) {
		return r, 0, 0, errors.New("a record is cut short")
	}
	if begin < end { // an update names RRsets without data (RFC 2136 2.5.2)
		r.Data, err = unpackData(r.Type, msg[:end], begin)
	}
	return r, class, end, err
}

// unpackData is the data to the end of a message, its names whole.
func unpackData(typ uint16, msg []byte, at int) (data []byte, err error) {
	data = make([]byte, 0, len(msg)-at)
	if l := rdata.Of(typ); l != nil && mayCompress(typ) {
		for _, f := range l.Fields {
			if f.IsName() {
				if data, at, err = unpackName(data, msg, at); err != nil {
					return nil, err
				}
				continue
			}
			n, err := f.Size(msg[at:])
			if err != nil {
				return nil, err
			}
			data, at = append(data, msg[at:at+n]...), at+n
		}
	}
	return append(data, msg[at:]...), nil
}

// mayCompress says whether receivers take compressed names in the data of a type (RFC 3597 4).
func mayCompress(typ uint16) bool {
	switch typ {
	case dns.TypeRP, dns.TypeAFSDB, dns.TypeRT, dns.TypeSIG, dns.TypePX, dns.TypeNXT, dns.TypeNAPTR, dns.TypeSRV:
		return true
	}
	_, count := rdata.Names(typ)
	return count > 0
}

// unpackName appends the whole of a name that may be compressed, and returns the offset behind it. Pointers lead backwards, so that
// there is an end.
func unpackName(to, msg []byte, at int) (name []byte, next int, err error) {
	begin, before := len(to), at
	for at < len(msg) {
		n := int(msg[at])
		switch {
		case n >= 0xc0:
			if at+1 >= len(msg) {
				return to, 0, errors.New("a name is cut short")
			}
			target := int(binary.BigEndian.Uint16(msg[at:]) & 0x3fff)
			if target >= before {
				return to, 0, errors.New("a name's pointer does not lead backwards")
			}
			if next == 0 {
				next = at + 2
			}
			at, before = target, target
		case n > dname.MaxLabel:
			return to, 0, errors.New("a name has a label of an unknown type")
		case at+1+n > len(msg):
			return to, 0, errors.New("a name is cut short")
		default:
			to = append(to, msg[at:at+1+n]...)
			at += 1 + n
			if len(to)-begin > dname.MaxName {
				return to, 0, dname.ErrLongName
			}
			if n == 0 {
				if next == 0 {
					next = at
				}
				return to, next, nil
			}
		}
	}
	return to, 0, errors.New("a name is cut short")
}

// Packer packs records of one zone behind a message's question, which is the zone's name.
type Packer struct {
	Packet []byte
	Count  int // of records

	apex    string // in lower case
	owner   string // of the last record
	ownerAt int    // where it stands; 0: nowhere that a pointer could lead
}

// questionAt is where the question's name begins: behind the header.
const questionAt = 12

// maxPointer is the largest offset that a pointer can lead to (RFC 1035 4.1.4).
const maxPointer = 1<<14 - 1

// NewPacker makes a Packer for a packet that ends behind its question.
func NewPacker(packet []byte, apex string) *Packer { return &Packer{Packet: packet, apex: apex} }

// Add packs a record. Owners are compressed, and the names in the data of RFC 1035's types (RFC 3597 4).
func (p *Packer) Add(r Record) {
	at := len(p.Packet)
	switch {
	case r.Owner == p.apex:
		p.pointer(questionAt)
	case r.Owner == p.owner && p.ownerAt > 0:
		p.pointer(p.ownerAt)
	default:
		p.name([]byte(r.Owner))
		if p.owner, p.ownerAt = r.Owner, at; at > maxPointer {
			p.ownerAt = 0
		}
	}
	p.Packet = binary.BigEndian.AppendUint16(p.Packet, r.Type)
	p.Packet = binary.BigEndian.AppendUint16(p.Packet, dns.ClassINET)
	p.Packet = binary.BigEndian.AppendUint32(p.Packet, r.TTL)
	p.Packet = append(p.Packet, 0, 0)
	begin, rest := len(p.Packet), r.Data
	skip, count := rdata.Names(r.Type)
	p.Packet, rest = append(p.Packet, rest[:skip]...), rest[skip:]
	for range count {
		n, err := dname.Size(rest)
		if err != nil {
			break // checked data have none
		}
		p.name(rest[:n])
		rest = rest[n:]
	}
	p.Packet = append(p.Packet, rest...)
	binary.BigEndian.PutUint16(p.Packet[begin-2:], uint16(len(p.Packet)-begin))
	p.Count++
}

// name appends a name, with a pointer to the question where it ends in the zone's.
func (p *Packer) name(wire []byte) {
	for at := 0; len(wire)-at >= len(p.apex); at += 1 + int(wire[at]) {
		if len(wire)-at == len(p.apex) && string(wire[at:]) == p.apex && len(p.apex) > 2 {
			p.Packet = append(p.Packet, wire[:at]...)
			p.pointer(questionAt)
			return
		}
		if wire[at] == 0 {
			break
		}
	}
	p.Packet = append(p.Packet, wire...)
}

func (p *Packer) pointer(offset int) { p.Packet = append(p.Packet, 0xc0|byte(offset>>8), byte(offset)) }
