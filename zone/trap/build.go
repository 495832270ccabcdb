package trap

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"

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

	builder *builder
}

// Release ends the use of a trap; its look-ups and its rotation stay.
func (t *Trap) Release() {
	if t != nil {
		t.builder.release()
	}
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
	trap      Trap
	number    int                       // the next {n}
	covers    map[dname.Name]dname.Name // the cover's name of each exchange that gets one
	likes     map[dname.Name]int        // of each, the first owner that has it
	published map[dname.Name]dname.Name // of them, those whose addresses are known
	mentioned map[dname.Name]bool       // what records of the zone lead to, beside names that exist
	wild      []dname.Name              // of these, those that a wildcard gives addresses
	existed   int                       // how many names there were
	dealer    dealer
	rotation  *Rotation                    // nil: decoys never change
	textsOf   func(domain string) []string // textsAt
	room
}

// room is memory of a builder, which another has once the trap is released.
type room struct {
	owners    []trapped
	places    map[dname.Name]int // in owners
	exchanges []exchange
	hosts     []dname.Name // of decoys
	addrs     []netip.Addr
	dealt     []addresses
	texts     []string
}

var builders = sync.Pool{New: func() any {
	b := &builder{room: room{places: map[dname.Name]int{}}}
	b.textsOf = b.textsAt
	return b
}}

// release gives the builder's memory back.
func (b *builder) release() {
	if max(len(b.owners), len(b.exchanges), len(b.hosts), len(b.trap.Hosts), len(b.addrs), len(b.Table.addresses)) > content.MaxKept {
		return
	}
	clear(b.places)
	*b = builder{
		trap: Trap{Owners: b.trap.Owners[:0], Hosts: b.trap.Hosts[:0]}, dealer: b.dealer.released(), textsOf: b.textsOf,
		room: room{b.owners[:0], b.places, b.exchanges[:0], b.hosts[:0], b.addrs[:0], b.dealt[:0], b.texts[:0]},
	}
	builders.Put(b)
}

// Build puts the trap into the content: first names for all covers and decoys, so that they stay the same whether a look-up has
// answered or not, then covers, then decoys. It returns nil where something is wrong.
func (r *Table) Build(in Ground) *Trap {
	if in.Look == nil {
		in.Look = func(string) []netip.Addr { return nil }
	}
	b := builders.Get().(*builder)
	b.Table, b.Ground, b.c, b.faults = r, in, in.Content, in.Report.Faults()
	b.number, b.mentioned, b.existed = r.first, b.c.Mentioned(), len(b.c.Nodes)
	b.noteWildcards()
	b.dealer.take(r.addresses)
	if !b.build() {
		b.release()
		return nil
	}
	b.trap.builder = b
	return &b.trap
}

// build says whether the trap could be built.
func (b *builder) build() bool {
	b.readOwners()
	b.checkCovers()
	if b.faulty() {
		return false
	}
	b.rotation = b.rotationAt()
	exchanges := b.nameCovers()
	b.nameDecoys()
	if b.faulty() {
		return false
	}
	for _, host := range exchanges {
		b.addCover(host)
	}
	for i := range b.owners {
		t := &b.owners[i]
		records := b.appendDecoys(b.realMX(t), t)
		if len(records) > len(t.set.Records) {
			b.trap.Owners = append(b.trap.Owners, Owner{t.name, len(t.set.Records)})
		}
		b.c.Put(t.name, content.RRset{Typ: dns.TypeMX, Ttl: t.set.Ttl, Records: records})
	}
	b.checkAddresses()
	b.checkTLSA()
	b.checkSPF()
	b.checkHidden()
	b.checkWildcards()
	slices.Sort(b.trap.Lookups)
	b.trap.Lookups = slices.Compact(b.trap.Lookups)
	b.trap.Rotation = b.rotation
	return true
}

// faulty says whether something is wrong with the trap.
func (b *builder) faulty() bool { return b.Report.Faults() > b.faults }

// stepOf is the distance between the decoys of an owner.
func (b *builder) stepOf(t *trapped) int {
	if b.step > 0 {
		return b.step
	}
	if t.below >= 0 {
		return t.last - t.below
	}
	return 10
}

// preference is that of the n-th decoy, counted from 1: above every real one.
func (b *builder) preference(t *trapped, n int) int {
	return t.last + n*b.stepOf(t)
}

func (b *builder) checkPreferences(t *trapped) {
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
func (b *builder) nameDecoys() {
	if b.direct {
		return
	}
	if b.rotation != nil {
		b.nameTurns()
		return
	}
	for i := range b.owners {
		t := &b.owners[i]
		first := len(b.hosts)
		for range b.count {
			b.hosts = append(b.hosts, b.nextHost(t, b.nextNumber))
		}
		t.decoys = b.hosts[first:len(b.hosts):len(b.hosts)]
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
func (b *builder) hostTTLs(t *trapped) (ttl4, ttl6 uint32) {
	primary := &t.real[0]
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
	b.c.PutAddresses(owner, v4, ttl4, b.Arena)
	b.c.PutAddresses(owner, v6, ttl6, b.Arena)
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
