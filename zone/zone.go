package zone

import (
	"math"

	"github.com/miekg/dns"

	"mxtrap/zone/body"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
	"mxtrap/zone/trap"
)

// MaxUDP is how many octets a message over UDP has at most: our responses, whatever the client says, and the responses that we ask for
// (DNS Flag Day 2020, RFC 9715).
const MaxUDP = 1232

// MaxRRset is the longest RRset that fits into a message with its question and EDNS (RFC 1035 4.2.2: 65535 octets).
const MaxRRset = math.MaxUint16 - 12 - dname.MaxName - 4 - 11 - 4 - 255

// Zone is a compiled zone. It never changes; any number of goroutines may read it.
type Zone struct {
	body       body.Body
	serial     uint32
	lookups    []string
	signatures *Signatures // nil where the zone is not signed
	expiration int64       // when these end, in seconds since 1970
	rotation   *trap.Rotation
}

// Compile makes the Zone of checked content. One that is signed has a chain, to which the content has all records.
func Compile(c *content.Content, soa *content.SOA, t *trap.Trap, chain *sign.Chain) *Zone {
	z := &Zone{serial: soa.Serial, body: body.Build(c, soa, t, chain)}
	if chain != nil {
		z.signatures = newSignatures(z, chain.Plan)
		z.expiration = chain.Expiration(c)
	}
	if t != nil {
		z.lookups, z.rotation = t.Lookups, t.Rotation
	}
	return z
}

// apex is the zone's name.
func (z *Zone) apex() dname.Name { return dname.Name(z.body.Apex()) }

// Name is the zone's apex without the final dot, as the operator names it.
func (z *Zone) Name() string { return z.apex().Bare() }

// Serial is the serial number of the SOA record.
func (z *Zone) Serial() uint32 { return z.serial }

// Lookups are the hosts outside the zone whose addresses the trap needs.
func (z *Zone) Lookups() []string { return z.lookups }

// Rotation is how the decoys change with time; nil: they never do.
func (z *Zone) Rotation() *trap.Rotation { return z.rotation }

// Traps are the MX sets with decoys.
func (z *Zone) Traps() []body.Trap { return z.body.Traps() }

// Hosts are the names that the trap has put into the zone, covers first.
func (z *Zone) Hosts() []body.Host { return z.body.Hosts() }

// Decoys counts the decoy MX records and the covers of the zone.
func (z *Zone) Decoys() (decoys, covers int) { return z.body.Decoys() }

// MailHosts are where mail to names of the zone goes: the exchanges of all MX sets, decoys among them, and the apex where that has none (RFC
// 5321 5.1). The names have no final dot.
func (z *Zone) MailHosts() (hosts []string) {
	implicit := true
	for owner, set := range z.body.All() {
		if set.Type() != dns.TypeMX {
			continue
		}
		implicit = implicit && owner != z.apex()
		for _, r := range z.body.Records(owner, set) {
			hosts = append(hosts, dname.Name(r.Data[2:]).Bare())
		}
	}
	if implicit {
		hosts = append(hosts, z.Name())
	}
	return hosts
}
