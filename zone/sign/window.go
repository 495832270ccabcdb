package sign

import (
	"crypto/sha256"
	"encoding/binary"

	"mxtrap/zone/dname"
)

// Signatures are made for a window of a week and stay valid for two more, so that what a secondary or a resolver has is good for
// two weeks at every moment. Zones begin their windows at different times of the week, which their names tell: so the work, and the
// transfers, spread over it.
const (
	week      = 7 * 86400
	day       = 86400
	earlier   = 3 * 3600 // signatures are valid from so long before the window on, for clocks that are slow
	afterward = 14 * day // and so long after it at least
	longest   = 366 * day
)

// Window is the time in which one set of signatures is served.
type Window struct {
	Number     int64 // since 1970
	Begin, End int64 // in seconds since 1970; the window ends before the end
	Inception  int64 // from then on the signatures are valid
	Expiration int64
}

// Outlasts says whether a secondary and a resolver together may keep a record for longer than any signature lives behind its window.
func Outlasts(expire, maxTTL uint32) bool { return int64(expire)+int64(maxTTL) > longest }

// windowAt is the window of a zone at a time. Secondaries may serve a copy for as long as the SOA record's expire says, and resolvers
// what they got from those for as long as its TTL: if that is more than two weeks, signatures live longer (in whole days), but
// not for ever: the times of a signature are compared in serial number arithmetic (RFC 4034 3.1.5), and some validators stop earlier.
func windowAt(zone dname.Name, now int64, expire, maxTTL uint32) Window {
	hash := sha256.Sum256([]byte(zone))
	offset := int64(binary.BigEndian.Uint64(hash[:8]) % week)
	number := (now - offset) / week
	if now < offset {
		number--
	}
	begin := number*week + offset
	life := min(longest, max(afterward, (int64(expire)+int64(maxTTL)+day-1)/day*day))
	return Window{Number: number, Begin: begin, End: begin + week, Inception: begin - earlier, Expiration: begin + week + life}
}
