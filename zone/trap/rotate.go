package trap

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
)

// Times of a rotation, in seconds.
const (
	shortestEpoch = 60
	longestEpoch  = 366 * 86400
	defaultRest   = 90 * 86400
	// mostEpochs is of how many epochs the hosts are in a zone together.
	mostEpochs = 16
	// MinSecret is how many octets the secret of a rotation has at least.
	MinSecret = 32
)

// turning is what a [trap] table says of rotation.
type turning struct {
	length uint32 // of an epoch, in seconds; 0: the trap never changes
	rest   uint32 // how long an address is to rest, in seconds
	secret []byte
	file   conf.Item // that holds it
}

// readRotation reads the keys of the table that are about rotation.
func (r *Table) readRotation(t *conf.Table) {
	t.Seconds("rotate", &r.turn.length)
	r.turn.rest = defaultRest
	t.Seconds("rest", &r.turn.rest)
	path := ""
	t.String("secret_file", &path)
	r.turn.file = t.Item("secret_file", path)
	switch on := t.Has("rotate"); {
	case !on && t.Has("rest"):
		t.Fault("rest", "", "is for decoys that change: set rotate too")
	case !on && t.Has("secret_file"):
		t.Fault("secret_file", path, "is for decoys that change: set rotate too")
	case !on:
	case r.turn.length < shortestEpoch || r.turn.length > longestEpoch:
		t.Fault("rotate", "", `must be from "1m" to "366d"`)
		r.turn.length = 0
	case r.direct:
		t.Fault("rotate", "", `decoys of style "direct" have no names of their own, so nothing can change`)
	case path == "":
		t.Fault("secret_file", "", fmt.Sprintf("missing: names and addresses follow from a secret that all servers of the zone have, a file with %d random octets or more; make one with: head -c %d /dev/urandom > rotate.secret", MinSecret, MinSecret))
	}
}

// SecretFile is the file whose secret the names and addresses follow from, where the operator names one.
func (r *Table) SecretFile() conf.Item { return r.turn.file }

// Use has names and addresses follow from a secret. Without one, the zone can be checked, but not served.
func (r *Table) Use(secret []byte) {
	r.turn.secret = secret
	if len(secret) < MinSecret {
		r.turn.file.Fault(fmt.Sprintf("holds %d octets, and a secret that cannot be guessed has %d random ones or more", len(secret), MinSecret))
	}
}

// Rotation is what the decoys of a zone are at a time, and were before: it follows from the secret, the zone's name and the clock alone, so
// that all servers with the secret have the same. It never changes.
type Rotation struct {
	Number     int64 // of the epoch since 1970; it adds to the serial number
	Begin, End int64 // of the epoch, in seconds since 1970: then the zone is another

	length      int64
	kept        int64 // for how many seconds somebody may have a name that is published no more
	past, ahead int64 // of how many epochs before and after this one the hosts are in the zone
	back        int64 // of how many epochs before it is told who had an address
	names       pattern
	count       int // decoys of an owner
	apex        dname.Name
	key         [sha256.Size]byte
	owners      []dname.Name // in the order of the table
	v4, v6      wheel
}

// rotationAt is the rotation of a zone at a time. A resolver may have an MX set of an earlier epoch for as long as its TTL after a secondary
// had it last, and then look a host up; and a secondary that is behind must have the hosts already that the others have in their MX sets. So
// the zone holds the hosts of some epochs around the one whose hosts are exchanges.
func (b *builder) rotationAt() *Rotation {
	turn := &b.turn
	if turn.length == 0 || len(b.owners) == 0 {
		return nil
	}
	// Without a secret, which is a fault, the rest is judged all the same.
	key, err := hkdf.Key(sha256.New, turn.secret, nil, "mxtrap trap "+string(b.c.Apex), sha256.Size)
	if err != nil {
		b.fault(turn.file, err.Error())
		return nil
	}
	names := pattern{strings.Clone(b.names.text), b.names.place} // the file's text may be gone before the rotation is
	r := &Rotation{names: names, count: b.count, apex: b.c.Apex, length: int64(turn.length), key: [sha256.Size]byte(key)}
	begins := r.hash("begin")
	r.Begin = b.Now - mod(b.Now-int64(binary.BigEndian.Uint64(begins[:])%uint64(r.length)), r.length)
	r.End = r.Begin + r.length
	r.Number = r.Begin / r.length
	cached := uint32(0)
	for i := range b.owners {
		t := &b.owners[i]
		ttl := max(b.hostTTLs(t))
		if slices.ContainsFunc(t.real, func(e exchange) bool { return e.lookedUp }) { // whether it is known now or not
			ttl = max(ttl, b.Ttl)
		}
		cached = max(cached, t.set.Ttl+ttl)
		r.owners = append(r.owners, t.name)
	}
	r.kept = int64(cached) + int64(b.Lag)
	late := min(turnsLate, r.length)
	r.past = upward(r.kept+late, r.length)
	r.ahead = upward(int64(b.Lag)+late, r.length)
	r.back = min(longestBack, upward(int64(turn.rest), r.length))
	if r.past+1+r.ahead > mostEpochs {
		shortest := upward(r.kept+int64(b.Lag)+2*turnsLate, mostEpochs-3)
		b.Report.Add(b.table.Problem("rotate", "", fmt.Sprintf("too short: a decoy must go on answering for %s after its time (TTLs of MX set and host, refresh and retry of the SOA record), and the zone holds the decoys of %d times at most; set %s or more, or lower those",
			spell(r.kept), mostEpochs, spell(upward(shortest, 60)*60))))
		r.past, r.ahead = 1, 1
	}
	if hosts := len(b.owners) * b.count * int(r.past+1+r.ahead); hosts > mostHosts {
		b.Report.Add(b.table.Problem("rotate", "", fmt.Sprintf("the decoys of %d times at %d owners are %d hosts, and a zone may have %d: lower count, or set a longer time", r.past+1+r.ahead, len(b.owners), hosts, mostHosts)))
		r.past, r.ahead = 0, 0
	}
	r.v4, r.v6 = newWheel(r, b.addresses, false), newWheel(r, b.addresses, true)
	b.checkRest(r)
	return r
}

// turnsLate is how many seconds servers may be apart when they take their turns: their clocks differ, and one with very many zones takes some turns
// together.
const turnsLate = 600

// mostHosts is how many hosts of the trap a zone may have.
const mostHosts = math.MaxUint16 - 1

// longestBack is of how many epochs before it is told who had an address.
const longestBack = 64

func mod(a, n int64) int64 { return ((a % n) + n) % n }

// upward is a quotient, rounded upward, and 1 at least.
func upward(a, n int64) int64 { return max(1, (a+n-1)/n) }

// spell is a time in words, such as "4h30m".
func spell(seconds int64) string {
	var b strings.Builder
	for _, unit := range []struct {
		seconds int64
		name    string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}} {
		if n := seconds / unit.seconds; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit.name)
			seconds -= n * unit.seconds
		}
	}
	return b.String()
}

// hash is a keyed hash of some numbers. No two uses have the same name. Nobody sees more than half of it, so that the key before the rest is as
// good as HMAC, and a fraction of the work.
func (r *Rotation) hash(use string, numbers ...int64) [sha256.Size]byte {
	var room [512]byte
	text := append(append(append(room[:0], r.key[:]...), use...), 0)
	for _, n := range numbers {
		text = binary.BigEndian.AppendUint64(text, uint64(n))
	}
	return sha256.Sum256(text)
}

// epochs are those whose hosts are in the zone: the present one first, for its hosts have the names that two epochs share.
func (r *Rotation) epochs() (list []int64) {
	for e := r.Number; e >= r.Number-r.past; e-- {
		list = append(list, e)
	}
	for e := r.Number + 1; e <= r.Number+r.ahead; e++ {
		list = append(list, e)
	}
	return list
}

// The letters of a word, in syllables of two. Those are left out with which words turn rude most easily.
const (
	consonants = "bdglmnrstvz"
	vowels     = "aeiou"
	syllables  = 4
)

// word is what stands for {r} in the name of the n-th decoy of an owner, counted from 1, or, with try above 0, another one where that is taken.
func (r *Rotation) word(epoch int64, owner dname.Name, n, try int) string {
	sum := r.hash("name "+string(owner), epoch, int64(n), int64(try))
	return wordOf(binary.BigEndian.Uint64(sum[:]))
}

// coverWord is the same of a cover, which never changes: it is a real exchange.
func (r *Rotation) coverWord(exchange dname.Name, try int) string {
	sum := r.hash("cover "+string(exchange), int64(try))
	return wordOf(binary.BigEndian.Uint64(sum[:]))
}

func wordOf(v uint64) string {
	var word [2 * syllables]byte
	for i := range syllables {
		word[2*i], v = consonants[v%uint64(len(consonants))], v/uint64(len(consonants))
		word[2*i+1], v = vowels[v%uint64(len(vowels))], v/uint64(len(vowels))
	}
	return string(word[:])
}

// isWord says whether a text may stand for {r}.
func isWord(text string) bool {
	if len(text) != 2*syllables {
		return false
	}
	for i := range text {
		if !strings.ContainsRune([]string{consonants, vowels}[i%2], rune(text[i])) {
			return false
		}
	}
	return true
}

// nameTurns names the decoys of every owner at all times whose hosts are in the zone. Nothing of one time hangs on another.
func (b *builder) nameTurns() {
	for _, epoch := range b.rotation.epochs() {
		taken := map[dname.Name]bool{}
		for i := range b.owners {
			t := &b.owners[i]
			hosts := make([]dname.Name, 0, b.count)
			for n := 1; n <= b.count; n++ {
				host, skip := dname.Name(""), 0
				for host == "" || taken[host] {
					host = b.nextHost(t, func(try int) string {
						skip++
						return b.rotation.word(epoch, t.name, n, skip-1)
					})
					if b.faulty() {
						return
					}
				}
				taken[host] = true
				hosts = append(hosts, host)
			}
			if epoch == b.rotation.Number {
				t.decoys = hosts
			} else {
				t.others = append(t.others, turnedDecoys{epoch, hosts})
			}
		}
	}
}

// addresses are those of an owner's n-th decoy in an epoch, counted from 1. The owner is told by its place.
func (r *Rotation) addresses(epoch int64, owner, n int) (v4, v6 netip.Addr) {
	all := len(r.owners) * r.count
	number := owner*r.count + n - 1
	return r.v4.at(epoch, number, all), r.v6.at(epoch, number, all)
}

// Addresses are those of an owner's decoy of a rank, counted from 1, at a time; not valid where it has none of a family.
func (r *Rotation) Addresses(owner string, rank int, at int64) (v4, v6 netip.Addr) {
	i := r.place(owner)
	if i < 0 || rank < 1 || rank > r.count {
		return v4, v6
	}
	return r.addresses(r.epochAt(at), i, rank)
}

// epochAt is the number of the epoch of a time.
func (r *Rotation) epochAt(at int64) int64 {
	return r.Number + (at-r.Begin-mod(at-r.Begin, r.length))/r.length
}

// place is which of the owners has a name without the final dot; -1: none.
func (r *Rotation) place(owner string) int {
	n, err := dname.Parse(owner, dname.Root)
	if err != nil {
		return -1
	}
	return slices.Index(r.owners, n)
}

// Name is the name of an owner's first decoy at a time, without the final dot; "": it has none.
func (r *Rotation) Name(owner string, at int64) string {
	i := r.place(owner)
	if i < 0 {
		return ""
	}
	name, err := r.names.name(r.word(r.epochAt(at), r.owners[i], 1, 0), r.apex, nil)
	if err != nil {
		return ""
	}
	return name.Bare()
}

// Pools are the addresses of each family that decoys have in turn: prefixes, and each of them where they are not too many. There are none where
// the decoys have no addresses of their own.
func (r *Rotation) Pools() (list []Pool) {
	for _, w := range []*wheel{&r.v4, &r.v6} {
		switch {
		case w.size == 0:
		case w.size <= mostListed:
			list = append(list, Pool{w.pool, w.all()})
		default:
			list = append(list, Pool{Prefixes: w.pool})
		}
	}
	return list
}

// Pool is addresses that decoys have in turn.
type Pool struct {
	Prefixes []netip.Prefix
	Each     []netip.Addr // nil where they are too many
}

// Has says whether an address is one of the pool's.
func (p *Pool) Has(a netip.Addr) bool {
	return slices.ContainsFunc(p.Prefixes, func(of netip.Prefix) bool { return of.Contains(a) })
}

// mostListed is how many addresses of a family are listed.
const mostListed = 1 << 12

// Had says of an address which decoy of an owner has it at a time, or had it last: its name, without the final dot, and how many seconds ago
// its name left the MX set; 0: it is there. It is stale where nobody can have it any more who keeps to TTLs.
func (r *Rotation) Had(owner string, a netip.Addr, now int64) (h Holder, ok bool) {
	i := r.place(owner)
	if i < 0 {
		return h, false
	}
	epoch := r.epochAt(now)
	for e := epoch; e >= epoch-r.back; e-- {
		for n := 1; n <= r.count; n++ {
			if v4, v6 := r.addresses(e, i, n); a != v4 && a != v6 {
				continue
			}
			name, err := r.names.name(r.word(e, r.owners[i], n, 0), r.apex, nil)
			if err != nil {
				return h, false
			}
			ago := max(0, now-(r.Begin+(e-r.Number+1)*r.length))
			return Holder{Host: name.Bare(), Rank: n, Ago: ago, Stale: ago > r.kept}, true
		}
	}
	return h, false
}

// Holder is a decoy that has an address, or had it last.
type Holder struct {
	Host  string
	Rank  int   // among the decoys of its owner, counted from 1
	Ago   int64 // for how many seconds it has been in no MX set any more
	Stale bool  // for longer than anybody can have it who keeps to TTLs
}

// Same says whether two zones of the same records change at the same time.
func (r *Rotation) Same(other *Rotation) bool {
	return r == other || r != nil && other != nil && r.Number == other.Number && r.End == other.End && r.back == other.back && r.kept == other.kept
}
