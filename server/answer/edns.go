package answer

import (
	"encoding/binary"
	"mxtrap/zone"

	"github.com/miekg/dns"
)

// errorOption is the size of an Extended DNS Error without a text.
const errorOption = 6

// expireOption is the size of an EXPIRE option in a response (RFC 7314 3).
const expireOption = 8

// edns is what a query's OPT record says (RFC 6891).
type edns struct {
	Present bool
	version uint8
	size    uint16 // the largest UDP response that the client takes
	do      bool   // copied back (RFC 3225 3)
	nsid    bool   // the client wants to know which server this is (RFC 5001)
	Error   uint16 // the response says why it is one (RFC 8914); 0: not
	expires bool   // the client wants to know how long it may serve a copy of the zone (RFC 7314)
	expire  uint32 // that is, in seconds
	cookies bool   // there is a cookie
	cookie  cookie
}

// take reads an OPT record whose owner begins with an octet. A query has one at most, at the root, in the additional section (RFC 6891
// 6.1.1). Where that does not hold, or it cannot be read, the response has one all the same.
func (e *edns) take(owner byte, additional bool, fixed, options []byte) bool {
	if !additional || e.Present || owner != 0 || !e.parse(fixed, options) {
		*e = edns{Present: true}
		return false
	}
	return true
}

// parse reads an OPT record, from its class on, and its options. Unknown options are passed over (RFC 6891 6.1.2).
func (e *edns) parse(fixed, options []byte) bool {
	e.Present = true
	e.size = binary.BigEndian.Uint16(fixed)
	e.version = fixed[3]
	e.do = fixed[4]&0x80 != 0
	for len(options) > 0 {
		if len(options) < 4 {
			return false
		}
		code, size := binary.BigEndian.Uint16(options), int(binary.BigEndian.Uint16(options[2:]))
		if len(options) < 4+size {
			return false
		}
		switch code {
		case dns.EDNS0NSID:
			e.nsid = true
		case dns.EDNS0EXPIRE:
			e.expires = true
		case dns.EDNS0COOKIE:
			if !e.cookies { // RFC 7873 5.2: the first one counts
				if e.cookies = true; !e.cookie.parse(options[4 : 4+size]) {
					return false
				}
			}
		}
		options = options[4+size:]
	}
	return true
}

// limit is the largest response over UDP: 512 octets without EDNS (RFC 1035 4.2.1).
func (e *edns) limit() int {
	if !e.Present {
		return dns.MinMsgSize
	}
	return min(max(int(e.size), dns.MinMsgSize), zone.MaxUDP)
}

// optLen is how long the response's OPT record will be.
func (e *edns) optLen(nsid string) int {
	if !e.Present {
		return 0
	}
	size := optSize
	if e.nsid && nsid != "" {
		size += 4 + len(nsid)
	}
	if e.expires {
		size += expireOption
	}
	if e.cookies {
		size += cookieOption
	}
	if e.Error != 0 {
		size += errorOption
	}
	return size
}

// AppendOPT adds the response's OPT record.
func (e *edns) AppendOPT(out []byte, rcode int, nsid string) []byte {
	flags := uint16(0)
	if e.do {
		flags = 0x8000
	}
	out = append(out, 0, 0, byte(dns.TypeOPT))
	out = binary.BigEndian.AppendUint16(out, zone.MaxUDP)
	out = append(out, byte(rcode>>4), 0)
	out = binary.BigEndian.AppendUint16(out, flags)
	out = binary.BigEndian.AppendUint16(out, uint16(e.optLen(nsid)-optSize))
	if e.nsid && nsid != "" {
		out = binary.BigEndian.AppendUint16(out, dns.EDNS0NSID)
		out = binary.BigEndian.AppendUint16(out, uint16(len(nsid)))
		out = append(out, nsid...)
	}
	if e.expires {
		out = binary.BigEndian.AppendUint16(out, dns.EDNS0EXPIRE)
		out = binary.BigEndian.AppendUint16(out, expireOption-4)
		out = binary.BigEndian.AppendUint32(out, e.expire)
	}
	if e.Error != 0 {
		out = binary.BigEndian.AppendUint16(out, dns.EDNS0EDE)
		out = binary.BigEndian.AppendUint16(out, errorOption-4)
		out = binary.BigEndian.AppendUint16(out, e.Error)
	}
	if e.cookies {
		out = binary.BigEndian.AppendUint16(out, dns.EDNS0COOKIE)
		out = binary.BigEndian.AppendUint16(out, cookieOption-4)
		out = append(out, e.cookie.client[:]...)
		out = append(out, e.cookie.server[:]...)
	}
	return out
}
