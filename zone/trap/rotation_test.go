package trap_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// turningZone is a zone whose decoys change, as its servers have it at different times.
type turningZone struct {
	t        *testing.T
	s        *source.Zone
	versions map[int64]*zone.Zone // by the number of the epoch
}

func newTurning(t *testing.T, text string) *turningZone {
	t.Helper()
	var report conf.Report
	s := source.Parse("turning.toml", []byte(text), &report)
	if s == nil {
		t.Fatalf("%s\n%v", text, report.Problems())
	}
	return &turningZone{t, s, map[int64]*zone.Zone{}}
}

// at is the zone at a time, in seconds since 1970; nil: it cannot be served.
func (z *turningZone) at(now int64) *zone.Zone {
	for _, v := range z.versions {
		if r := v.Rotation(); r.Begin <= now && now < r.End {
			return v
		}
	}
	var report conf.Report
	z.s.At(time.Unix(now, 0))
	v := z.s.Compile(nil, &report)
	if v == nil {
		return nil
	}
	r := v.Rotation()
	if r.Begin > now || r.End <= now {
		z.t.Fatalf("at %d the epoch is from %d to %d", now, r.Begin, r.End)
	}
	z.versions[r.Number] = v
	return v
}

// TestNamesResolveAsLongAsAnybodyMayHaveThem: a resolver asks a server for the MX set, keeps it for as long as it may, and asks another server
// for the addresses of its hosts. Each server is behind by as much as a secondary may be that has missed a NOTIFY.
func TestNamesResolveAsLongAsAnybodyMayHaveThem(t *testing.T) {
	secret := secretFile(t)
	refused, asked, turned, behind := 0, 0, 0, 0
	for n := range 200 {
		r := rand.New(rand.NewPCG(21, uint64(n)))
		pick := func(list ...string) string { return list[r.IntN(len(list))] }
		mxTTL, refresh, retry := []int64{60, 300, 3600, 43200, 86400}[r.IntN(5)], []int64{60, 900, 7200, 43200}[r.IntN(4)], []int64{30, 600, 1800}[r.IntN(3)]
		length := []int64{600, 3600, 21600, 86400, 604800}[r.IntN(5)]
		text := fmt.Sprintf(`name = "example.com"
ttl = %d
[soa]
refresh = %d
retry = %d
[records]
"@" = ["NS ns1", "%d MX 10 mail", "MX 20 backup"]
sales = ["MX 10 mail", "MX 20 backup"]
ns1 = ["A 8.8.4.53"]
mail = ["%s A 8.8.4.25"]
backup = ["A 8.8.4.26", "AAAA 2620:fe::26"]
[trap]
at = [%s]
count = %d
rotate = %d
addresses = [%s]
secret_file = %q
`, []int64{60, 3600, 86400}[r.IntN(3)], refresh, retry, mxTTL, pick("60", "3600", "86400"), pick(`"@"`, `"@", "sales"`), 1+r.IntN(4), length,
			pick(``, `"8.8.8.0/28"`, `"8.8.8.8", "2620:fe::/64"`, `"2620:fe::/120"`), secret)
		z := newTurning(t, text)
		start := int64(1_700_000_000) + r.Int64N(1e8)
		if z.at(start) == nil {
			refused++
			continue
		}
		lag := func() int64 { return []int64{0, 0, refresh, refresh + retry, r.Int64N(refresh + retry + 1)}[r.IntN(5)] }
		for range 40 {
			now := start + r.Int64N(6*length)
			first := z.at(now - lag())
			owner := mustName(pick("example.com.", "example.com.", "sales.example.com."))
			set := mxSet(first, owner)
			later := now + r.Int64N(int64(set[0].Hdr.Ttl)+1)
			second := z.at(later - lag())
			if asked++; first != second {
				turned++
			}
			if second.Rotation().Number < first.Rotation().Number {
				behind++
			}
			for _, mx := range set {
				if len(addressesAt(second, mustName(mx.Mx))) == 0 {
					t.Fatalf("seed %d: %s\nthe MX set of %d has %s, which has no address at a server that is as of %d", n, text, first.Rotation().Begin, mx.Mx, second.Rotation().Begin)
				}
			}
		}
	}
	t.Logf("%d zones refused, %d sets asked for, %d of them looked up in another epoch, %d in an earlier one", refused, asked, turned, behind)
	if asked < 3000 || turned < 500 || behind < 50 {
		t.Error("the random zones and times reach too little")
	}
}

// weekly is a zone whose decoys change each week, and have addresses of their own.
func weekly(secret, more string) string {
	return fmt.Sprintf("name = \"example.com\"\n[soa]\nserial = 7\n[records]\n\"@\" = [\"NS ns1\", \"MX 10 mail\", \"MX 20 backup\"]\nns1 = [\"A 8.8.4.53\"]\nmail = [\"A 8.8.4.25\", \"AAAA 2620:fe::25\"]\nbackup = [\"A 8.8.4.26\"]\n[trap]\nrotate = \"7d\"\nsecret_file = %q\n%s", secret, more)
}

const week = 7 * 86400

// decoysAt are the decoys that are exchanges, and their addresses.
func decoysAt(z *zone.Zone) map[string][]netip.Addr {
	found := map[string][]netip.Addr{}
	for _, mx := range mxSet(z, mustName("example.com."))[z.Traps()[0].Real:] {
		found[mx.Mx] = addressesAt(z, mustName(mx.Mx))
	}
	return found
}

func TestAnAddressRestsUntilAllOthersHaveHadTheirTurn(t *testing.T) {
	secret := secretFile(t)
	for name, c := range map[string]struct {
		pool  string
		count int
		rest  int // epochs
	}{
		"a prefix":                         {`"8.8.8.0/27"`, 2, 14},
		"single addresses and a prefix":    {`"8.8.8.8", "8.8.8.9", "8.8.8.32/29"`, 2, 3},
		"an address that stands in it too": {`"8.8.8.33", "8.8.8.32/29"`, 3, 1},
		"a count that does not divide":     {`"8.8.8.32/28"`, 4, 2},
		"IPv6":                             {`"2620:fe:1::/124"`, 2, 6},
		"a vast prefix":                    {`"2620:fe:1::/64"`, 2, 100},
	} {
		t.Run(name, func(t *testing.T) {
			z := newTurning(t, weekly(secret, fmt.Sprintf("count = %d\naddresses = [%s]\n", c.count, c.pool)))
			last, least := map[netip.Addr]int{}, 1000
			for epoch := range 60 {
				taken := map[netip.Addr]bool{}
				for _, list := range decoysAt(z.at(1_790_000_000 + int64(epoch)*week)) {
					for _, a := range list {
						if taken[a] {
							t.Errorf("two decoys have %s in epoch %d", a, epoch)
						}
						taken[a] = true
						if before, ok := last[a]; ok {
							least = min(least, epoch-before-1)
						}
						last[a] = epoch
					}
				}
			}
			if least < c.rest || least < 100 && len(last) == 0 {
				t.Errorf("an address rests for %d epochs, want %d", least, c.rest)
			}
		})
	}
}

func TestDecoysFollowFromSecretZoneAndTimeAlone(t *testing.T) {
	secret := secretFile(t)
	other := filepath.Join(t.TempDir(), "other.secret")
	os.WriteFile(other, []byte(strings.Repeat("others", 8)), 0o600)
	text := weekly(secret, "addresses = [\"8.8.8.0/24\"]\n")
	const now = 1_790_000_000
	seen := map[string]bool{}
	for epoch := range int64(200) {
		z := newTurning(t, text).at(now + epoch*week)
		if again := newTurning(t, text).at(z.Rotation().End - 1); printed(t, again) != printed(t, z) {
			t.Fatal("another server has another zone in the same epoch")
		}
		if z.Serial() != 7+uint32(z.Rotation().Number) {
			t.Errorf("serial %d in epoch %d", z.Serial(), z.Rotation().Number)
		}
		for name := range decoysAt(z) {
			if seen[name] {
				t.Errorf("%s comes again in epoch %d", name, epoch)
			}
			seen[name] = true
		}
	}
	for what, changed := range map[string]string{
		"secret": strings.Replace(text, secret, other, 1),
		"zone":   strings.Replace(text, `"example.com"`, `"example.net"`, 1),
	} {
		for n := range newTurning(t, changed).at(now).Hosts() {
			if h := newTurning(t, changed).at(now).Hosts()[n]; h.Decoy && seen[h.Name+".example.com."] {
				t.Errorf("with another %s there is %s too", what, h.Name)
			}
		}
	}
}

func TestAnEpochChangesFewRecords(t *testing.T) {
	z := newTurning(t, weekly(secretFile(t), "count = 3\naddresses = [\"8.8.8.0/24\"]\n"))
	before, after := z.at(1_790_000_000), z.at(1_790_000_000+week)
	changed := zone.Changed(before, after)
	if len(changed) != 1+3+3 { // the MX set, the hosts that come, those that go
		t.Errorf("%d RRsets change: %v", len(changed), changed)
	}
}

func TestZonesChangeAtDifferentTimes(t *testing.T) {
	secret := secretFile(t)
	hours := map[int64]int{}
	for n := range 1000 {
		z := newTurning(t, strings.Replace(weekly(secret, ""), "example.com", fmt.Sprintf("z%d.test", n), 1)).at(1_790_000_000)
		hours[z.Rotation().End%week/3600]++
	}
	if len(hours) < 160 {
		t.Errorf("1000 zones change in %d of the 168 hours of a week", len(hours))
	}
	for hour, n := range hours {
		if n > 25 {
			t.Errorf("%d zones change in hour %d", n, hour)
		}
	}
}

func TestTheAgeOfAListIsTold(t *testing.T) {
	z := newTurning(t, weekly(secretFile(t), "count = 2\naddresses = [\"8.8.8.0/24\", \"2620:fe:1::/64\"]\n"))
	const now = 1_790_000_000
	r := z.at(now).Rotation()
	for back := range int64(14) {
		past := z.at(now - back*week)
		ended := past.Rotation().End
		for name, list := range decoysAt(past) {
			for _, a := range list {
				h, ok := r.Had("example.com", a, now)
				if want := max(0, now-ended); !ok || h.Host+"." != name || h.Ago != want || h.Stale != (want > 2*3600+2*3600+1800) || h.Rank < 1 || h.Rank > 2 {
					t.Errorf("%s of %d weeks ago: %v %+v; want %s, %d", a, back, ok, h, name, want)
				}
			}
		}
	}
	pools := r.Pools()
	if len(pools) != 2 || len(pools[0].Each) != 254 || pools[1].Each != nil {
		t.Errorf("the pools are %v", pools)
	}
	for _, c := range []struct{ owner, address string }{{"example.com", "8.8.4.25"}, {"example.org", pools[0].Each[0].String()}} {
		if h, ok := r.Had(c.owner, netip.MustParseAddr(c.address), now); ok {
			t.Errorf("%s at %s had %s", c.owner, c.address, h.Host)
		}
	}
	coming := slices.Collect(func(yield func(netip.Addr) bool) {
		for _, list := range decoysAt(z.at(now + week)) {
			for _, a := range list {
				if !yield(a) {
					return
				}
			}
		}
	})
	for _, a := range coming {
		if h, ok := r.Had("example.com", a, now); ok {
			t.Errorf("%s, which nobody knows yet, had %s", a, h.Host)
		}
	}
}
