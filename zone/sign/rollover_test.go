package sign

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
)

// history is what a zone and its parent had at each step of a test's time.
type history struct {
	published, signing [][]*Key // of the zone, by step
	parent             [][]*Key // whose DS the parent has, by step
}

const (
	step  = 600 // seconds
	ttl   = 3600
	dsTTL = 2 * 3600
)

// check demands that a validator finds a chain of trust at each step, whatever it remembers: the DS set, the DNSKEY set and an RRset are each as
// they were at some time within their TTLs, and the zone's servers may be as old as propagation takes.
func (h *history) check(t *testing.T, zone string) {
	t.Helper()
	within := func(at, seconds int) (steps []int) {
		for i := max(0, at-seconds/step); i <= at; i++ {
			steps = append(steps, i)
		}
		return steps
	}
	lag := int(propagation.Seconds())
	for now := range h.parent {
		for _, k := range within(now, ttl+lag) {
			for _, d := range within(now, dsTTL+lag) {
				secure := func(x *Key) bool {
					return slices.ContainsFunc(h.parent[d], func(y *Key) bool { return y.Tag == x.Tag })
				}
				for _, x := range h.parent[d] {
					if !slices.ContainsFunc(h.published[k], func(y *Key) bool { return x.Algorithm == y.Algorithm }) {
						t.Fatalf("%s: at step %d, keys of step %d lack algorithm %d of the DS set of step %d", zone, now, k, x.Algorithm, d)
					}
				}
				if len(h.parent[d]) > 0 && !slices.ContainsFunc(h.published[k], func(x *Key) bool { return secure(x) && has(h.signing[k], x) }) {
					t.Fatalf("%s: at step %d, a DS set of step %d fits no key of step %d", zone, now, d, k)
				}
			}
			for _, s := range within(now, ttl+lag) {
				if !slices.ContainsFunc(h.signing[s], func(x *Key) bool { return has(h.published[k], x) }) {
					t.Fatalf("%s: at step %d, signatures of step %d are by no key of step %d", zone, now, s, k)
				}
				for _, x := range h.published[k] { // RFC 4035 2.2, which strict validators demand
					if !slices.ContainsFunc(h.signing[s], func(y *Key) bool { return x.Algorithm == y.Algorithm }) {
						t.Fatalf("%s: at step %d, signatures of step %d lack algorithm %d of step %d", zone, now, s, x.Algorithm, k)
					}
				}
			}
		}
	}
}

func has(keys []*Key, k *Key) bool {
	return slices.ContainsFunc(keys, func(other *Key) bool { return other.Tag == k.Tag })
}

// note adds a step.
func (h *history) note(t *testing.T, zone dname.Name, keys, parent []*Key, now int64) {
	t.Helper()
	p, err := Policy{Keys: keys}.Plan(zone, time.Unix(now, 0))
	if err != nil {
		t.Fatalf("at %d: %v", now, err)
	}
	h.published, h.signing, h.parent = append(h.published, p.keys), append(h.signing, p.zone), append(h.parent, slices.Clone(parent))
}

// files are the keys of a zone, as commands write them.
type files []*Key

func (f *files) write(keys []*Key) {
	for _, k := range keys {
		if i := slices.IndexFunc(*f, func(old *Key) bool { return old.File() == k.File() }); i >= 0 {
			(*f)[i] = k
		} else {
			*f = append(*f, k)
		}
	}
	slices.SortFunc(*f, func(a, b *Key) int { return strings.Compare(a.File(), b.File()) }) // as a folder lists them
}

// TestARolloverIsSafeWhateverResolversRemember lets an operator roll a key as mxtrap key says, with a parent that takes its time.
func TestARolloverIsSafeWhateverResolversRemember(t *testing.T) {
	zone := name(t, "example.com")
	for what, c := range map[string]struct {
		from, to uint8
		lateness int // steps that the parent takes
		timeless bool
	}{
		"a parent that is quick":          {dns.ECDSAP256SHA256, dns.ECDSAP256SHA256, 1, false},
		"a parent that takes three days":  {dns.ECDSAP256SHA256, dns.ECDSAP256SHA256, 3 * 86400 / step, false},
		"another algorithm":               {dns.ECDSAP256SHA256, dns.ED25519, 20, false},
		"a smaller algorithm":             {dns.ED25519, dns.ECDSAP256SHA256, 20, false},
		"a key that stated no times":      {dns.ED25519, dns.ED25519, 20, true},
		"and is replaced by a larger tag": {dns.ED25519, dns.ED25519, 20, true},
	} {
		first, err := Generate(zone, c.from)
		if err != nil {
			t.Fatal(err)
		}
		second, err := Generate(zone, c.to)
		if err != nil {
			t.Fatal(err)
		}
		if larger := strings.Contains(what, "larger"); c.timeless && larger != (second.Tag > first.Tag) {
			first, second = second, first
		}
		now := int64(1_800_000_000)
		if !c.timeless {
			first.Times = Times{Created: now, Publish: now, Activate: now, SyncPublish: now}
		}
		keys, parent := files{first}, []*Key{first}
		var h history
		var asked []*Key // whose DS CDS asks for
		waited := 0
		stages := []string{}
		for n := 0; n < 40*24*3600/step; n++ {
			p := Parent{TTL: dsTTL * time.Second}
			for _, k := range parent {
				p.DS = append(p.DS, k.DS(SHA256))
			}
			s, err := StatusOf(keys, p, now)
			if err != nil {
				t.Fatal(what, err)
			}
			if name := stageNames[s.Stage]; len(stages) == 0 || stages[len(stages)-1] != name {
				stages = append(stages, name)
			}
			if n == 200 || s.Stage == Swapping && strings.Contains(s.Says, "key roll once more") && n%50 == 0 {
				write, _, err := Roll(keys, p, ttl*time.Second, c.to, func(uint8) (*Key, error) { return second, nil }, now)
				if err != nil {
					t.Fatal(what, err)
				}
				keys.write(write)
			}
			plan, err := Policy{Keys: keys}.Plan(zone, time.Unix(now, 0))
			if err != nil {
				t.Fatal(what, err)
			}
			if !slices.EqualFunc(plan.synced, asked, func(a, b *Key) bool { return a.Tag == b.Tag }) {
				asked, waited = plan.synced, 0
			}
			if waited++; waited == c.lateness {
				parent = asked
			}
			h.note(t, zone, keys, parent, now)
			now += step
		}
		if got := strings.Join(stages, " "); got != "settled introducing swapping retiring settled" {
			t.Errorf("%s: the stages are %s", what, got)
		}
		h.check(t, what)
		if last := h.signing[len(h.signing)-1]; len(last) != 1 || last[0].Tag == first.Tag || last[0].Algorithm != c.to {
			t.Errorf("%s: in the end %v sign", what, last)
		}
	}
}

var stageNames = map[Stage]string{Unlinked: "unlinked", Settled: "settled", Introducing: "introducing", Swapping: "swapping", Retiring: "retiring", Withdrawing: "withdrawing", Broken: "broken"}

func TestARolloverWaitsForTheParent(t *testing.T) {
	zone := name(t, "example.com")
	old, _ := Generate(zone, dns.ED25519)
	old.Times = Times{Created: 1, Publish: 1, Activate: 1, SyncPublish: 1}
	keys := files{old}
	at := Parent{DS: [][]byte{old.DS(SHA256)}, TTL: time.Hour}
	roll := func(p Parent, now int64) error {
		write, _, err := Roll(keys, p, time.Hour, 0, func(algorithm uint8) (*Key, error) { return Generate(zone, algorithm) }, now)
		keys.write(write)
		return err
	}
	if err := roll(Parent{Err: errors.New("no answer")}, 10); err == nil || len(keys) != 1 {
		t.Error("a rollover begins though the parent is not known")
	}
	if err := roll(at, 10); err != nil {
		t.Fatal(err)
	}
	next := keys[slices.IndexFunc(keys, func(k *Key) bool { return !k.same(old) })]
	if err := roll(at, 20); err == nil || !strings.Contains(err.Error(), "leave the parent as it is until") {
		t.Errorf("at once again: %v", err)
	}
	late := int64(10 + 3*3600)
	if err := roll(at, late); err == nil || !strings.Contains(err.Error(), "have the parent replace the DS record") {
		t.Errorf("while the parent has the old DS: %v", err)
	}
	both := Parent{DS: [][]byte{old.DS(SHA256), next.DS(SHA256)}}
	if err := roll(both, late); err == nil {
		t.Error("the old key goes while the parent has its DS")
	}
	if err := roll(Parent{DS: [][]byte{next.DS(sha384)}, TTL: time.Hour}, late); err != nil {
		t.Error(err)
	}
}

func TestStatusTellsWhatIsWrongAtTheParent(t *testing.T) {
	zone := name(t, "example.com")
	k, _ := Generate(zone, dns.ED25519)
	other, _ := Generate(zone, dns.ED25519)
	for _, c := range []struct {
		parent Parent
		want   Stage
	}{
		{Parent{}, Unlinked}, {Parent{DS: [][]byte{k.DS(SHA256)}}, Settled}, {Parent{DS: [][]byte{other.DS(SHA256)}}, Broken}, {Parent{Err: errors.New("x")}, Settled},
	} {
		if s, err := StatusOf([]*Key{k}, c.parent, 100); err != nil || s.Stage != c.want {
			t.Errorf("%v: %s, %v", c.parent, stageNames[s.Stage], err)
		}
	}
	gone := Withdraw([]*Key{k}, 100)
	if len(gone) != 1 || len(Withdraw(gone, 200)) != 0 {
		t.Error("a key is withdrawn once")
	}
	for _, p := range []Parent{{}, {DS: [][]byte{k.DS(SHA256)}}} {
		if s, err := StatusOf(gone, p, 200); err != nil || s.Stage != Withdrawing {
			t.Errorf("%v: %s, %v", p, stageNames[s.Stage], err)
		}
	}
	if p, err := (Policy{Keys: gone}).Plan(zone, time.Unix(200, 0)); err != nil || !p.gone || len(p.zone) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := StatusOf(nil, Parent{}, 1); err == nil {
		t.Error("no keys have a status")
	}
}

// TestARolloverTakesTheAlgorithmOfTheKeyThatGoes, though the files of an earlier one are still there.
func TestARolloverTakesTheAlgorithmOfTheKeyThatGoes(t *testing.T) {
	zone := name(t, "example.com")
	gone, _ := Generate(zone, dns.ED25519)
	gone.Times = Times{Created: 1, Publish: 1, Activate: 1, SyncPublish: 1, SyncDelete: 2, Inactive: 3, Delete: 3}
	k, _ := Generate(zone, dns.ECDSAP256SHA256)
	k.Times = Times{Created: 1, Publish: 1, Activate: 1, SyncPublish: 1}
	for _, keys := range [][]*Key{{gone, k}, {k, gone}} {
		write, _, err := Roll(keys, Parent{DS: [][]byte{k.DS(SHA256)}}, time.Hour, 0, func(algorithm uint8) (*Key, error) { return Generate(zone, algorithm) }, 100)
		if err != nil || write[0].Algorithm != dns.ECDSAP256SHA256 || !write[1].same(k) {
			t.Errorf("%v, %v", write, err)
		}
	}
}

// TestAZoneIsWithdrawnInTheMiddleOfARollover: then CDS asks for the end of DNSSEC, and status says so.
func TestAZoneIsWithdrawnInTheMiddleOfARollover(t *testing.T) {
	zone := name(t, "example.com")
	k, _ := Generate(zone, dns.ED25519)
	k.Times = Times{Created: 1, Publish: 1, Activate: 1, SyncPublish: 1}
	keys := files{k}
	parent := Parent{DS: [][]byte{k.DS(SHA256)}}
	write, _, err := Roll(keys, parent, time.Hour, 0, func(algorithm uint8) (*Key, error) { return Generate(zone, algorithm) }, 100)
	if err != nil {
		t.Fatal(err)
	}
	keys.write(write)
	keys.write(Withdraw(keys, 200))
	plan, err := Policy{Keys: keys}.Plan(zone, time.Unix(201, 0))
	if err != nil || !plan.gone {
		t.Fatalf("%+v, %v", plan, err)
	}
	if s, err := StatusOf(keys, parent, 201); err != nil || s.Stage != Withdrawing || len(s.Wants) > 0 {
		t.Errorf("%s: %s, %v", stageNames[s.Stage], s.Says, err)
	}
}

// TestAKeyThatIsNotPublishedSignsNothingAlone: a validator could not find it.
func TestAKeyThatIsNotPublishedSignsNothingAlone(t *testing.T) {
	zone := name(t, "example.com")
	ksk, _ := Generate(zone, dns.ED25519)
	zsk, _ := Generate(zone, dns.ED25519)
	zsk.Flags = ZSK
	zsk.complete()
	zsk.Times = Times{Activate: 1, Publish: 100}
	plan, err := Policy{Keys: []*Key{ksk, zsk}}.Plan(zone, time.Unix(50, 0))
	if err != nil || !slices.Contains(plan.zone, ksk) {
		t.Errorf("%+v, %v", plan, err)
	}
	ksk.Times = Times{Activate: 1, Publish: 100}
	if plan, err := (Policy{Keys: []*Key{ksk, zsk}}).Plan(zone, time.Unix(50, 0)); err == nil {
		t.Errorf("%+v", plan)
	}
}
