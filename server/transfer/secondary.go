package transfer

import (
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/peer"
	"mxtrap/zone/rr"
)

// Secondary is a zone that comes from a primary.
type Secondary struct {
	Name      string // without its final dot
	Path      string // of its zone file
	Template  string // what the zone is made from instead, where a catalog lists it
	Text      []byte // of that file, or template, as it was loaded
	Primaries []peer.Peer
	Soa       *dns.SOA  // of the copy, as the primary has it; nil: there is none, or it has expired
	Confirmed time.Time // when a primary was last heard of the copy; zero: not known
	Lost      bool      // the copy can no longer be read: the whole zone is to be fetched
}

// Update is a copy of a zone to be taken in; without records, one that has expired.
type Update struct {
	Secondary
	Records   []rr.Record
	Prepared  string // the file that it is in, to be committed
	Unwritten error  // why it could not be written there
	held      int64  // octets of memory that it has of the refresher's
	zone      *refreshing
}

// Octets is how much memory the records of the copy take.
func (c *Update) Octets() (sum int64) {
	for _, r := range c.Records {
		sum += memoryOf(r)
	}
	return sum
}

// Tempo is how long a second lasts by which this package waits, and zones expire: [RealTime], or less in a test.
type Tempo time.Duration

// RealTime is the tempo of a server.
const RealTime = Tempo(time.Second)

func (t Tempo) seconds(n uint32) time.Duration { return time.Duration(n) * time.Duration(t) }

// Expiry is how long a copy is served after its primary has answered: long enough for a look that fails to be made again, whatever the SOA
// record says, as BIND has it too.
func (t Tempo) Expiry(soa *dns.SOA) time.Duration {
	return max(t.seconds(soa.Expire), t.seconds(soa.Refresh)+t.seconds(soa.Retry), t.seconds(2*leastWait))
}
