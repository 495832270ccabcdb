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

	"github.com/BurntSushi/toml"
	"github.com/miekg/dns"

	"mxtrap/server/answer"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
	"mxtrap/zone/source"
	"mxtrap/zone/trap"
)

// TestInvariants holds the safety promise over random zones and traps: whatever is accepted keeps all of it. Each invariant is a
// function of its own, so that a failure tells which one broke.
func TestInvariants(t *testing.T) {
	accepted, withDecoys, withOwn, withCovers, withTurns := 0, 0, 0, 0, 0
	secret := secretFile(t)
	for n := range 3000 {
		r := rand.New(rand.NewPCG(1, uint64(n)))
		text, look := randomZone(r, secret)
		var report conf.Report
		s := source.Parse("random.toml", []byte(text), &report)
		if s == nil {
			t.Fatalf("%s\n%v", text, report.Problems())
		}
		s.At(noon)
		var plain *zone.Zone // what the operator wrote, without the trap
		written, _, _ := strings.Cut(text, "[trap]")
		if plain = source.Parse("random.toml", []byte(written), &report).Compile(nil, &conf.Report{}); plain == nil {
			continue
		}
		z := s.Compile(look, &report)
		if z == nil {
			continue
		}
		accepted++
		view := trapView{t: t, text: text, z: z, plain: plain, s: s, look: look}
		view.readTrap()
		for _, invariant := range []func(*trapView){
			everyDecoyIsAboveEveryReal, noDecoysWithoutRealExchanges, everyDecoyResolvesAndIsNoAlias, noDecoyTakesAnExistingName,
			whatWasWrittenIsServed, tooLargeAnswersAreWarnedOf, decoysLookLikeTheRealOnes, noFamilyThatTheRealOnesLack, equalFilesGiveEqualAnswers,
		} {
			invariant(&view)
		}
		decoys, covers := z.Decoys()
		withDecoys, withCovers, withOwn = withDecoys+min(1, decoys), withCovers+min(1, covers), withOwn+min(1, view.own)
		if decoys > 0 && z.Rotation() != nil {
			withTurns++
		}
		if t.Failed() {
			t.Fatalf("seed %d:\n%s\n%s\n%v", n, text, printed(t, z), report.Problems())
		}
	}
	t.Logf("%d accepted, %d with decoys, %d with addresses of their own, %d with covers, %d with decoys that change", accepted, withDecoys, withOwn, withCovers, withTurns)
	if withDecoys < 400 || withOwn < 200 || withCovers < 100 || withTurns < 100 {
		t.Error("the random zones reach too little")
	}
}

// secretFile is a file that names and addresses of decoys may follow from.
func secretFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "rotate.secret")
	if err := os.WriteFile(path, []byte(strings.Repeat("secret", 8)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// randomZone writes a zone file and what look-ups would tell.
func randomZone(r *rand.Rand, secret string) (string, trap.Lookups) {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	var b strings.Builder
	b.WriteString("name = \"example.com\"\nttl = " + pick(`"1h"`, "60", `"2d"`) + "\n[soa]\nserial = 1\n[records]\n")
	hosts := []string{"mail", "bob.fallback.host.", "mail2", "eve.fallback.host.", "ns1", "any.wild", "deep.mx3", "x.sub", "mx2", "none", "alias"}
	mxSet := func() string {
		var out []string
		for range 1 + r.IntN(4) {
			out = append(out, fmt.Sprintf(`"%sMX %d %s"`, pick("", "", "5m "), number(r, 0, 10, 10, 20, 30, 40, 50, 60, 65400, 65535), hosts[min(r.IntN(3*len(hosts)), r.IntN(3*len(hosts)))%len(hosts)]))
		}
		if r.IntN(40) == 0 {
			out = []string{`"MX 0 ."`}
		}
		return strings.Join(out, ", ")
	}
	fmt.Fprintf(&b, "\"@\" = [\"NS ns1\", %s]\n", mxSet())
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "sales = [%s]\n", mxSet())
	}
	b.WriteString("ns1 = [\"A 192.0.2.53\"]\n")
	address := func(host string) {
		var out []string
		if r.IntN(9) > 0 {
			out = append(out, fmt.Sprintf(`"%sA 192.0.2.%d"`, pick("", "10m "), 1+r.IntN(200)))
		}
		if r.IntN(2) == 0 {
			out = append(out, fmt.Sprintf(`"%sAAAA 2001:db8::%d"`, pick("", "20m "), 1+r.IntN(200)))
		}
		fmt.Fprintf(&b, "%s = [%s]\n", host, strings.Join(out, ", "))
	}
	address("mail")
	address("mail2")
	address(`"deep.mx3"`)
	address(`"*.wild"`)
	if r.IntN(2) == 0 {
		address("mx2")
	}
	b.WriteString("alias = [\"CNAME mail\"]\nsub = [\"NS ns.sub\"]\n\"ns.sub\" = [\"A 192.0.2.60\"]\n[trap]\n")
	fmt.Fprintf(&b, "at = [%s]\n", pick(`"@"`, `"@"`, `"@"`, `"@", "sales"`))
	turns := r.IntN(3) == 0
	style := pick("hosts", "hosts", "hosts", "hosts", "direct")
	if turns {
		style = "hosts"
	}
	fmt.Fprintf(&b, "style = %q\ncount = %d\ncover = %v\n", style, 1+r.IntN(number(r, 3, 3, 3, 3, 3, 3, 80)), r.IntN(2) == 0)
	if r.IntN(3) == 0 {
		fmt.Fprintf(&b, "step = %d\n", 1+r.IntN(100))
	}
	if names := pick("mx{n}", "mx{n}", "{n}.in", "mail{n}", "mx{n}.sub"); turns {
		fmt.Fprintf(&b, "names = %q\nrotate = %q\nsecret_file = %q\n", strings.Replace(names, "{n}", "{r}", 1), pick("12h", "1d", "7d"), secret)
	} else {
		fmt.Fprintf(&b, "names = %q\nfirst = %d\n", names, r.IntN(4))
	}
	if r.IntN(5) == 0 {
		fmt.Fprintf(&b, "target = %q\n", pick("mail", "mail2", "bob.fallback.host.", "any.wild", "alias"))
	}
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "addresses = [%s]\n", pick(`"192.0.2.26"`, `"192.0.2.26", "192.0.2.32/29"`, `"2001:db8:25::/64"`, `"192.0.2.26", "2001:db8:25::/64"`))
	}
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "[trap.covers]\n\"bob.fallback.host\" = [%s]\n", pick(`"198.51.100.7"`, `"198.51.100.7", "2001:db8:7::7"`))
	}
	known := map[string][]netip.Addr{}
	for _, host := range []string{"bob.fallback.host", "eve.fallback.host", "x.sub.example.com"} {
		if r.IntN(2) == 0 {
			known[host] = []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(200))})}
		}
	}
	return b.String(), func(host string) []netip.Addr { return known[host] }
}

func number(r *rand.Rand, list ...int) int { return list[r.IntN(len(list))] }

// trapView is a zone with a trap, and the same without.
type trapView struct {
	t        *testing.T
	text     string
	z, plain *zone.Zone
	s        *source.Zone
	look     trap.Lookups

	// What the file says of the trap.
	direct, cover bool
	own           int                     // addresses of the decoys' own
	covers        map[string][]netip.Addr // fixed addresses of exchanges
}

// readTrap reads the table [trap] without the package that is tested.
func (v *trapView) readTrap() {
	var file struct {
		Trap struct {
			Style     string
			Cover     bool
			Addresses []string
			Covers    map[string][]netip.Addr
		}
	}
	if err := toml.Unmarshal([]byte(v.text), &file); err != nil {
		v.t.Fatal(err)
	}
	t := file.Trap
	v.direct, v.cover, v.own, v.covers = t.Style == "direct", t.Cover, len(t.Addresses), t.Covers
}

// askers are the servers of the zones that were asked last.
var askers = map[*zone.Zone]*answer.Asker{}

// ask asks a server of the zone, and returns the records of the answer section.
func ask(z *zone.Zone, n dname.Name, typ uint16) (rcode int, rrs []dns.RR, m *dns.Msg) {
	if askers[z] == nil {
		if len(askers) > 2 {
			clear(askers)
		}
		askers[z] = answer.NewAsker([]*zone.Zone{z})
	}
	m, _ = askers[z].Ask(n.String(), typ)
	return m.Rcode, m.Answer, m
}

// library makes records of the DNS library out of ours.
func library(records []rr.Record) (rrs []dns.RR) {
	for _, r := range records {
		one, _, err := dns.UnpackRR(r.AppendWire(nil), 0)
		if err != nil {
			panic(err)
		}
		rrs = append(rrs, one)
	}
	return rrs
}

// mustName is a name that the DNS library has.
func mustName(text string) dname.Name {
	n, err := dname.Parse(text, dname.Root)
	if err != nil {
		panic(err)
	}
	return n
}

// owners calls do for each owner with decoys: its MX set as written, as served, and the decoys of that.
func (v *trapView) owners(do func(owner dname.Name, written, served []*dns.MX, decoys []*dns.MX)) {
	for _, t := range v.z.Traps() {
		owner := mustName(t.Owner + ".")
		written, served := mxSet(v.plain, owner), mxSet(v.z, owner)
		do(owner, written, served, served[t.Real:])
	}
}

func mxSet(z *zone.Zone, owner dname.Name) (out []*dns.MX) {
	_, rrs, _ := ask(z, owner, dns.TypeMX)
	for _, rr := range rrs {
		out = append(out, rr.(*dns.MX))
	}
	return out
}

// addressesAt are the addresses that a name of the zone has in the answers.
func addressesAt(z *zone.Zone, n dname.Name) (out []netip.Addr) {
	for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
		_, rrs, _ := ask(z, n, typ)
		for _, rr := range rrs {
			switch rr := rr.(type) {
			case *dns.A:
				a, _ := netip.AddrFromSlice(rr.A.To4())
				out = append(out, a)
			case *dns.AAAA:
				a, _ := netip.AddrFromSlice(rr.AAAA)
				out = append(out, a)
			}
		}
	}
	return out
}

// Invariant 1.
func everyDecoyIsAboveEveryReal(v *trapView) {
	v.owners(func(owner dname.Name, written, served, decoys []*dns.MX) {
		for _, d := range decoys {
			for _, w := range written {
				if d.Preference <= w.Preference {
					v.t.Errorf("decoy %v is not above %v", d, w)
				}
			}
		}
	})
}

// Invariant 2.
func noDecoysWithoutRealExchanges(v *trapView) {
	v.owners(func(owner dname.Name, written, served, decoys []*dns.MX) {
		if len(written) == 0 || slices.ContainsFunc(written, func(mx *dns.MX) bool { return mx.Mx == "." }) {
			v.t.Errorf("%s has decoys beside %v", owner, written)
		}
	})
}

// Invariant 3: every decoy exchange has an address here, and is no alias.
func everyDecoyResolvesAndIsNoAlias(v *trapView) {
	v.owners(func(owner dname.Name, written, served, decoys []*dns.MX) {
		for _, d := range decoys {
			host := mustName(d.Mx)
			if len(addressesAt(v.z, host)) == 0 {
				v.t.Errorf("decoy %s has no address", d.Mx)
			}
			if _, rrs, _ := ask(v.z, host, dns.TypeCNAME); len(rrs) > 0 {
				v.t.Errorf("decoy %s is an alias", d.Mx)
			}
		}
	})
}

// Invariant 3: a decoy never takes a name that exists.
func noDecoyTakesAnExistingName(v *trapView) {
	existed := map[dname.Name]bool{}
	for r := range v.plain.Records() {
		for n := dname.Name(r.Owner); !existed[n] && !n.IsRoot(); n = n.Parent() {
			existed[n] = true
		}
	}
	for _, h := range v.z.Hosts() {
		host, _ := dname.Parse(h.Name, v.apex())
		if existed[host] {
			v.t.Errorf("%s existed before", h.Name)
		}
		v.owners(func(owner dname.Name, written, served, decoys []*dns.MX) {
			for _, mx := range written {
				if mustName(mx.Mx) == host {
					v.t.Errorf("%s is a real exchange", h.Name)
				}
			}
		})
	}
}

// rrsets are the records of a zone by owner and type.
func rrsets(z *zone.Zone) map[string][]dns.RR {
	sets := map[string][]dns.RR{}
	for r := range z.Records() {
		key := fmt.Sprintf("%s %d", r.Owner, r.Type)
		sets[key] = append(sets[key], library([]rr.Record{r})...)
	}
	return sets
}

// Invariant 5: all that was written is served, but for the exchanges that got a cover, and the number of the epoch that the serial number has
// on top.
func whatWasWrittenIsServed(v *trapView) {
	served, covers := rrsets(v.z), map[string]string{}
	for _, h := range v.z.Hosts() {
		if !h.Decoy {
			host, _ := dname.Parse(h.Name, v.apex())
			covers[host.String()] = h.For + "."
		}
	}
	for key, want := range rrsets(v.plain) {
		have := served[key]
		for j, rr := range want {
			if mx, ok := rr.(*dns.MX); ok && mx.Mx != have[j].(*dns.MX).Mx {
				if cover, ok := covers[have[j].(*dns.MX).Mx]; !ok || !v.cover || mustName(mx.Mx) != mustName(cover) {
					v.t.Errorf("%v is served as %v", rr, have[j])
				}
				continue
			}
			if soa, ok := have[j].(*dns.SOA); ok && v.z.Rotation() != nil {
				soa.Serial -= uint32(v.z.Rotation().Number)
			}
			if rr.String() != have[j].String() {
				v.t.Errorf("%v is served as %v", rr, have[j])
			}
		}
	}
}

// Invariant 6: an MX answer with decoys that UDP cannot carry is warned of.
func tooLargeAnswersAreWarnedOf(v *trapView) {
	v.owners(func(owner dname.Name, written, served, decoys []*dns.MX) {
		m := new(dns.Msg).SetQuestion(owner.String(), dns.TypeMX)
		m.SetEdns0(zone.MaxUDP, false)
		m.Compress = true
		for _, mx := range served {
			m.Answer = append(m.Answer, mx)
		}
		var report conf.Report
		v.s.Compile(v.look, &report)
		warned := slices.ContainsFunc(report.Problems(), func(p conf.Problem) bool {
			return strings.Contains(p.Reason, "the answer to "+owner.Bare()+" MX has")
		})
		if m.Len() > zone.MaxUDP && !warned {
			v.t.Errorf("%d octets without a warning", m.Len())
		}
		if warned && m.Len() < zone.MaxUDP/2 {
			v.t.Errorf("a warning of %d octets", m.Len())
		}
	})
}

// Invariant 7: TTL, order, additional data, and what is answered for other types and for names below are as for a real exchange.
func decoysLookLikeTheRealOnes(v *trapView) {
	if v.direct {
		return
	}
	v.owners(func(owner dname.Name, written, served, decoys []*dns.MX) {
		for _, mx := range served {
			if mx.Hdr.Ttl != served[0].Hdr.Ttl {
				v.t.Errorf("TTLs of the MX set differ: %v", served)
			}
		}
		primary := slices.MinFunc(written, func(a, b *dns.MX) int { return int(a.Preference) - int(b.Preference) })
		real := mustName(primary.Mx)
		for _, d := range decoys {
			host := mustName(d.Mx)
			for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
				_, rrs, a := ask(v.z, host, typ)
				_, like, _ := ask(v.z, real, typ)
				if len(a.Extra) > 1 || len(rrs) > 0 && len(a.Ns) > 0 {
					v.t.Errorf("%s %s has other sections", d.Mx, dns.Type(typ))
				}
				if len(rrs) > 0 && len(like) > 0 && rrs[0].Header().Ttl != like[0].Header().Ttl {
					v.t.Errorf("the TTLs of %v and %v differ", rrs[0], like[0])
				}
			}
			rcode, rrs, a := ask(v.z, host, dns.TypeTXT)
			if rcode != dns.RcodeSuccess || len(rrs) > 0 || len(a.Ns) != 1 || a.Ns[0].Header().Rrtype != dns.TypeSOA {
				v.t.Errorf("%s TXT is no plain NODATA", d.Mx)
			}
			rcode, _, a = ask(v.z, "\x01x"+host, dns.TypeA)
			if rcode != dns.RcodeNameError || len(a.Ns) != 1 || a.Ns[0].Header().Rrtype != dns.TypeSOA {
				v.t.Errorf("x.%s is no plain NXDOMAIN", d.Mx)
			}
		}
	})
}

// Invariant 8.
func noFamilyThatTheRealOnesLack(v *trapView) {
	is6 := func(a netip.Addr) bool { return a.Is6() }
	is4 := func(a netip.Addr) bool { return a.Is4() }
	v.owners(func(owner dname.Name, written, served, decoys []*dns.MX) {
		var real []netip.Addr
		for i, mx := range written {
			host := mustName(mx.Mx)
			real = append(real, addressesAt(v.plain, host)...)
			if fixed, ok := v.covers[host.Bare()]; ok {
				real = append(real, fixed...)
			} else if v.elsewhere(host) {
				real = append(real, v.look(host.Bare())...)
			}
			real = append(real, addressesAt(v.z, mustName(served[i].Mx))...)
		}
		for _, d := range decoys {
			have := addressesAt(v.z, mustName(d.Mx))
			if slices.ContainsFunc(have, is6) && !slices.ContainsFunc(real, is6) || slices.ContainsFunc(have, is4) && !slices.ContainsFunc(real, is4) {
				v.t.Errorf("decoy %s has %v, the real exchanges have %v", d.Mx, have, real)
			}
		}
	})
}

// apex is the zone's name.
func (v *trapView) apex() dname.Name { return dname.Name(v.z.Apex()) }

// elsewhere says whether a host is outside the zone, or delegated.
func (v *trapView) elsewhere(host dname.Name) bool {
	_, _, m := ask(v.plain, host, dns.TypeA)
	return m.Rcode == dns.RcodeRefused || !m.Authoritative
}

// Invariant 9: another server with the same file gives the same answers.
func equalFilesGiveEqualAnswers(v *trapView) {
	var report conf.Report
	s := source.Parse("random.toml", []byte(v.text), &report)
	s.At(noon)
	other := s.Compile(v.look, &report)
	if printed(v.t, other) != printed(v.t, v.z) {
		v.t.Error("two loads differ")
	}
}
