package sign

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
)

// RRset is what a signature is made of.
type RRset struct {
	Owner dname.Name
	Type  uint16
	TTL   uint32
	Data  [][]byte // of each record, with every name whole
}

// Labels is the number of labels that a signature states: a wildcard's first one does not count (RFC 4034 3.1.3).
func Labels(owner dname.Name) uint8 {
	n := owner.CountLabels()
	if n > 0 && owner[:2] == "\x01*" {
		n--
	}
	return uint8(n)
}

// rrsigHead is the data of an RRSIG record up to the signer's name.
const rrsigHead = 18

// AppendHead appends the data of an RRSIG record up to the signature (RFC 4034 3.1).
func AppendHead(to []byte, k *Key, w Window, typ uint16, labels uint8, ttl uint32) []byte {
	to = binary.BigEndian.AppendUint16(to, typ)
	to = append(to, k.Algorithm, labels)
	to = binary.BigEndian.AppendUint32(to, ttl)
	to = binary.BigEndian.AppendUint32(to, uint32(w.Expiration))
	to = binary.BigEndian.AppendUint32(to, uint32(w.Inception))
	to = binary.BigEndian.AppendUint16(to, k.Tag)
	return append(to, k.Zone...)
}

// AppendSignature appends the signature of an RRset (RFC 4034 3.1.8.1).
func AppendSignature(to []byte, k *Key, w Window, set RRset) ([]byte, error) {
	text := AppendHead(make([]byte, 0, 1024), k, w, set.Type, Labels(set.Owner), set.TTL)
	data := slices.Clone(set.Data)
	for i := range data {
		data[i] = canonical(set.Type, data[i])
	}
	slices.SortFunc(data, bytes.Compare)
	for _, d := range data {
		text = append(text, set.Owner...)
		text = binary.BigEndian.AppendUint16(text, set.Type)
		text = binary.BigEndian.AppendUint16(text, dns.ClassINET)
		text = binary.BigEndian.AppendUint32(text, set.TTL)
		text = binary.BigEndian.AppendUint16(text, uint16(len(d)))
		text = append(text, d...)
	}
	return k.sign(to, text)
}

// canonical is the data of a record with the letters of its names in lower case, in the types that RFC 4034 6.2 lists. NSEC and RRSIG
// are not among them (RFC 6840 5.1).
func canonical(typ uint16, data []byte) []byte {
	switch typ {
	case dns.TypeNS, dns.TypeMD, dns.TypeMF, dns.TypeCNAME, dns.TypeSOA, dns.TypeMB, dns.TypeMG, dns.TypeMR, dns.TypePTR, dns.TypeMINFO,
		dns.TypeMX, dns.TypeRP, dns.TypeAFSDB, dns.TypeRT, dns.TypeSIG, dns.TypePX, dns.TypeNXT, dns.TypeNAPTR, dns.TypeKX, dns.TypeSRV, dns.TypeDNAME:
	default:
		return data
	}
	low := slices.Clone(data)
	rdata.LowerNames(typ, low)
	return low
}
