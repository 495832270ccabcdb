package content

import (
	"encoding/binary"
	"math"

	"mxtrap/zone/dname"
)

// SoaNumbers is how many octets of an SOA record's data are numbers, the serial first.
const SoaNumbers = 20

// SOA is an SOA record (RFC 1035 3.3.13).
type SOA struct {
	Ttl                                      uint32
	Mname, Rname                             []byte // in wire format, letters as written
	Serial, Refresh, Retry, Expire, Negative uint32 // negative is the field MINIMUM (RFC 2308 4)
	written                                  Record // where it is written, if it is
}

// Read takes the fields of a record.
func (r *SOA) Read(set *RRset) {
	r.written = set.Records[0]
	data := r.written.Data
	r.Ttl = set.Ttl
	n := dname.Length(data)
	r.Mname, data = data[:n], data[n:]
	n = dname.Length(data)
	r.Rname, data = data[:n], data[n:]
	for i, to := range []*uint32{&r.Serial, &r.Refresh, &r.Retry, &r.Expire, &r.Negative} {
		*to = binary.BigEndian.Uint32(data[4*i:])
	}
}

// Lag is how far a secondary is behind that has missed a NOTIFY, in seconds: it asks when refresh has passed, and once more after retry.
func (r *SOA) Lag() uint32 { return min(r.Refresh, math.MaxInt32) + min(r.Retry, math.MaxInt32) }

// data is that of the record.
func (r *SOA) data(a *Arena) []byte {
	data := append(append(a.reserve(len(r.Mname)+len(r.Rname)+SoaNumbers), r.Mname...), r.Rname...)
	for _, v := range [...]uint32{r.Serial, r.Refresh, r.Retry, r.Expire, r.Negative} {
		data = binary.BigEndian.AppendUint32(data, v)
	}
	return data
}

// NegativeTTL is that of answers that say that there is nothing (RFC 2308 5).
func (r *SOA) NegativeTTL() uint32 { return min(r.Ttl, r.Negative) }
