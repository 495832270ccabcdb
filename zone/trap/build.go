package trap

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// Lookups tells what is known of the addresses of hosts outside the zone, by name without the final dot. Nil knows nothing.
type Lookups func(host string) []netip.Addr

// maxLookedUpTTL is the longest TTL of an address that was looked up: its owner may move it, and mail must find it then.
const maxLookedUpTTL = 300

// Trap is what a [trap] table has come to in one zone.
type Trap struct {
	Owners  []Owner
	Hosts   []Host
	Lookups []string // hosts whose addresses have to be looked up, whether known or not

	Rotation *Rotation // nil: the decoys never change
}

// Owner is an owner with decoys: they stand behind its real exchanges.
type Owner struct {
	Name dname.Name
	Real int
}

// Host is a cover of an exchange, or a decoy of an owner. Of decoys that change there are those of other times too, which are no exchanges.
type Host struct {
	Name  dname.Name
	Decoy bool
	Of    dname.Name
}

// Ground is the zone that a trap is built in.
type Ground struct {
	Content *content.Content // the trap's records are put there
	Arena   *content.Arena   // of their names and data
	Ttl     uint32           // of records that state none
	Now     int64            // in seconds since 1970
	Lag     uint32           // how far a secondary may be behind, in seconds
	Partial bool             // some records could not be read: what is missing is no fault
	Look    Lookups          // nil: nothing is known of hosts outside the zone
	Report  *conf.Report
	FaultOf func(r *content.Record, reason string) // reports what is wrong with a record
}

// builder builds the trap of one zone.
type builder struct {
	*Table
	Ground
	c         *content.Content
	faults    int // in the report before
	trap      *Trap
	number    int                       // the next {n}
	covers    map[dname.Name]dname.Name // the cover's name of each exchange that gets one
	likes     map[dname.Name]int        // of each, the first owner that has it
	published map[dname.Name]dname.Name // of them, those whose addresses are known
	mentioned map[dname.Name]bool       // what records of the zone lead to
	dealer    dealer
	rotation  *Rotation // nil: decoys never change
}

// Build puts the trap into the content: first names for all covers and decoys, so that they stay the same whether a look-up has
// answered or not, then covers, then decoys.
func (r *Table) Build(in Ground) *Trap {
	if in.Look == nil {
		in.Look = func(string) []netip.Addr { return nil }
	}
	c := in.Content
	b := &builder{
		Table: r, Ground: in, c: c, faults: in.Report.Faults(), trap: &Trap{},
		number: r.first, mentioned: c.Mentioned(), dealer: newDealer(r.addresses),
	}
	owners := b.readOwners()
	b.checkCovers(owners)
	if b.faulty() {
		return nil
	}
	b.rotation = b.rotationAt(owners)
	exchanges := b.nameCovers(owners)
	b.nameDecoys(owners)
	if b.faulty() {
		return nil
	}
	for _, host := range exchanges {
		b.addCover(host, owners)
	}
	for i := range owners {
		t := owners[i]
		decoys := b.decoys(t)
		if len(decoys) > 0 {
			b.trap.Owners = append(b.trap.Owners, Owner{t.name, len(t.set.Records)})
		}
		c.Put(t.name, content.RRset{Typ: dns.TypeMX, Ttl: t.set.Ttl, Records: append(b.realMX(t), decoys...)})
	}
	b.checkAddresses(owners)
	b.checkTLSA(owners)
	b.checkSPF(owners)
	b.checkWildcards()
	slices.Sort(b.trap.Lookups)
	b.trap.Lookups = slices.Compact(b.trap.Lookups)
	b.trap.Rotation = b.rotation
	return b.trap
}

// faulty says whether something is wrong with the trap.
func (b *builder) faulty() bool { return b.Report.Faults() > b.faults }

// stepOf is the distance between the decoys of an owner.
func (b *builder) stepOf(t trapped) int {
	if b.step > 0 {
		return b.step
	}
	last := t.all[len(t.all)-1].preference
	for _, e := range slices.Backward(t.all) {
		if e.preference != last {
			return int(last - e.preference)
		}
	}
	return 10
}

// preference is that of the n-th decoy, counted from 1: above every real one.
func (b *builder) preference(t trapped, n int) int {
	return int(t.all[len(t.all)-1].preference) + n*b.stepOf(t)
}

func (b *builder) checkPreferences(t trapped) {
	if last := b.preference(t, b.count); last > 65535 {
		b.fault(t.item, fmt.Sprintf("no room for %d decoys: the last would have the preference %d, above 65535; lower the real ones, or set a smaller step", b.count, last))
	}
	const mxpsFirst, mxpsLast = 12800, 13055 // the numbers by which MXPS marks senders' policies
	for n := 1; n <= b.count; n++ {
		if p := b.preference(t, n); mxpsFirst <= p && p <= mxpsLast {
			b.warn(t.item, fmt.Sprintf("a decoy has the preference %d: %d to %d are reserved by the MXPS convention", p, mxpsFirst, mxpsLast))
			break
		}
	}
}

// wantLookup notes a host whose addresses have to be looked up.
func (b *builder) wantLookup(host dname.Name, a addresses) {
	if a.lookedUp {
		b.trap.Lookups = append(b.trap.Lookups, host.Bare())
	}
}

// nameDecoys names the decoys of every owner, and those of other times.
func (b *builder) nameDecoys(owners []trapped) {
	if b.direct {
		return
	}
	if b.rotation != nil {
		b.nameTurns(owners)
		return
	}
	for i := range owners {
		t := &owners[i]
		t.decoys = make([]dname.Name, 0, b.count)
		for range b.count {
			t.decoys = append(t.decoys, b.nextHost(t, b.nextNumber))
		}
	}
}

// nextNumber is the next {n}.
func (b *builder) nextNumber(int) string {
	b.number++
	return strconv.Itoa(b.number - 1)
}

// mostTries is how many names of the pattern are tried.
const mostTries = 100_000

// nextHost is the next name of the pattern that neither exists nor is what some record leads to: a real exchange that has lost its
// address must not become a decoy.
func (b *builder) nextHost(t *trapped, standIn func(try int) string) dname.Name {
	for try := range mostTries {
		n, err := b.names.name(standIn(try), b.c.Apex, b.Arena)
		if err != nil || b.c.Exists(n) || b.mentioned[n] {
			continue
		}
		if b.c.Occluded(n) {
			b.Report.Add(b.table.Problem("names", b.names.text, "names hosts below a delegation or a DNAME, for which this zone does not answer"))
		}
		return n
	}
	b.fault(t.item, "no name of the pattern is free")
	return t.name
}

// hostTTLs are the TTLs of the names that the trap adds for an owner: those of the primary's addresses, so that none is told apart.
func (b *builder) hostTTLs(t trapped) (ttl4, ttl6 uint32) {
	primary := t.real[0]
	switch {
	case len(primary.v4) == 0 && len(primary.v6) == 0:
		return b.Ttl, b.Ttl
	case len(primary.v4) == 0:
		return primary.ttl6, primary.ttl6
	case len(primary.v6) == 0:
		return primary.ttl4, primary.ttl4
	}
	return primary.ttl4, primary.ttl6
}

// addHost adds the addresses of a name.
func (b *builder) addHost(owner dname.Name, v4, v6 []netip.Addr, ttl4, ttl6 uint32) {
	if len(v4) > 0 {
		b.c.Put(owner, content.RRset{Typ: dns.TypeA, Ttl: ttl4, Records: b.Arena.AddressRecords(owner, v4)})
	}
	if len(v6) > 0 {
		b.c.Put(owner, content.RRset{Typ: dns.TypeAAAA, Ttl: ttl6, Records: b.Arena.AddressRecords(owner, v6)})
	}
}

func (b *builder) fault(item conf.Item, reason string) {
	b.Report.Add(item.Problem(reason))
}

// lacks is a fault of what is missing, which cannot be told where records were lost.
func (b *builder) lacks(item conf.Item, reason string) {
	if !b.Partial {
		b.fault(item, reason)
	}
}

func (b *builder) warn(item conf.Item, reason string) {
	b.Report.Warn(func() conf.Problem { return item.Problem(reason).AsWarning() })
}

// warnOf is warn for what is put in words only where it is kept.
func (b *builder) warnOf(item conf.Item, reason func() string) {
	b.Report.Warn(func() conf.Problem { return item.Problem(reason()).AsWarning() })
}
