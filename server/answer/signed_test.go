package answer

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
	"mxtrap/zone/source"
)

// signedAt is when the zones of these tests are signed.
var signedAt = time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)

// testKey is the key of a zone, which its name and a constant decide.
func testKey(t testing.TB, zone dname.Name) *sign.Key {
	k, err := sign.Derive([]byte("a secret of these tests, and of no use elsewhere"), zone, dns.ECDSAP256SHA256, 0)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signedZones are zones that are signed, and the same ones that are not. Nil: they are refused.
func signedZones(t testing.TB, texts []string) (signed, plain []*zone.Zone, keys map[string]*dns.DNSKEY) {
	keys = map[string]*dns.DNSKEY{}
	for i, text := range texts {
		var report conf.Report
		s := source.Parse(fmt.Sprintf("%d.toml", i), []byte(text), &report)
		if s == nil {
			return nil, nil, nil
		}
		p := s.Compile(nil, &report)
		k := testKey(t, s.Apex())
		s.At(signedAt)
		s.SignWith(&source.Signing{Keys: []*sign.Key{k}})
		z := s.Compile(nil, &report)
		if p == nil || z == nil {
			return nil, nil, nil
		}
		signed, plain = append(signed, z), append(plain, p)
		record, err := dns.NewRR(s.Apex().String() + " IN DNSKEY " + publicText(k))
		if err != nil {
			t.Fatal(err)
		}
		keys[s.Apex().String()] = record.(*dns.DNSKEY)
	}
	return signed, plain, keys
}

func publicText(k *sign.Key) string {
	text := string(k.Public())
	return text[strings.Index(text, "DNSKEY ")+len("DNSKEY "):]
}

func responderOf(zones []*zone.Zone) *Responder {
	return NewResponder(NewState(zone.NewSet(zones, func() {})), metrics.New(1, "", "").Worker(0))
}

// FuzzSigned makes zones and queries out of octets, and signs the zones. An answer without DO is that of the unsigned zone; one with DO
// has the same records too, and a validator that knows nothing but the zone's key finds all of it proved.
func FuzzSigned(f *testing.F) {
	seeds := rand.NewChaCha8([32]byte{2})
	for i := range 40 {
		seed := make([]byte, 700)
		seeds.Read(seed)
		f.Add(seed, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, octets []byte, nsec3 bool) {
		c := choices(octets)
		apexes := [][]string{{"example."}, {"example.", "a.example."}}[c.of(2)]
		var texts []string
		var ref reference
		for _, apex := range apexes {
			text, z := c.zone(apex)
			if nsec3 {
				text = "dnssec = { nsec3 = true }\n" + text
			}
			texts, ref.zones = append(texts, text), append(ref.zones, z)
		}
		signed, plain, keys := signedZones(t, texts)
		if signed == nil {
			return // refused, as other tests want it
		}
		secure, insecure := responderOf(signed), responderOf(plain)
		v := validator{keys, chainsOf(plain, nsec3)}
		for range 25 {
			query := c.query(ref.zones)
			if tooLong(query.Question[0].Name) || query.Question[0].Qtype == dns.TypeANY || query.Question[0].Qclass != dns.ClassINET {
				continue
			}
			if opt := query.IsEdns0(); opt != nil && opt.Version() != 0 {
				continue
			}
			query.Extra = nil
			want := ask(t, insecure, query)
			if got := ask(t, secure, query); bare(got) != bare(want) {
				t.Fatalf("%s\n%v\nwithout DO\n%v\nunsigned\n%v", strings.Join(texts, "\n"), query, got, want)
			}
			query.SetEdns0(1232, true)
			got := ask(t, secure, query)
			if bare(got) != bare(want) {
				t.Fatalf("%s\n%v\nwith DO\n%v\nunsigned\n%v", strings.Join(texts, "\n"), query, got, want)
			}
			if want.Rcode == dns.RcodeRefused {
				continue
			}
			if err := v.validate(got); err != nil {
				t.Fatalf("%s\n%v\n%v", strings.Join(texts, "\n"), got, err)
			}
			checkSignedUDP(t, secure, query)
		}
	})
}

// checkSignedUDP holds a response over UDP to be a beginning of the one over TCP, by whole RRsets with their signatures.
func checkSignedUDP(t *testing.T, r *Responder, query *dns.Msg) {
	t.Helper()
	packet, _ := query.Pack()
	whole := bytes.Clone(r.Respond(packet, make([]byte, 0, dns.MaxMsgSize), Client{Transport: metrics.TCP}))
	for _, size := range []int{512, len(whole) - 1, len(whole)} {
		query.IsEdns0().SetUDPSize(uint16(size))
		compareUDP(t, r, query, whole, min(max(size, dns.MinMsgSize), zone.MaxUDP))
	}
}

func ask(t *testing.T, r *Responder, query *dns.Msg) *dns.Msg {
	t.Helper()
	packet, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	octets := bytes.Clone(r.Respond(packet, make([]byte, 0, dns.MaxMsgSize), Client{Transport: metrics.TCP}))
	m := new(dns.Msg)
	if err := m.Unpack(octets); err != nil {
		t.Fatalf("%v: %v\n%x", query, err, octets)
	}
	return m
}

// bare is a message without what DNSSEC adds to it, and without the serial number.
func bare(m *dns.Msg) string {
	text := fmt.Sprintf("%d %v", m.Rcode, m.Authoritative)
	for i, section := range [][]dns.RR{m.Answer, m.Ns, withoutOPT(m.Extra)} {
		text += "\n--"
		for _, r := range section {
			if soa, ok := r.(*dns.SOA); ok {
				soa = dns.Copy(soa).(*dns.SOA)
				soa.Serial, r = 0, soa
			}
			switch r.Header().Rrtype {
			case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3:
			case dns.TypeDS:
				if i == 0 {
					text += "\n" + r.String()
				}
			default:
				text += "\n" + r.String()
			}
		}
	}
	return text
}

// validator judges answers by RFC 4035 5 and RFC 5155 8, from the zones' keys alone. It knows too which links there must be.
type validator struct {
	keys  map[string]*dns.DNSKEY
	links map[string]string // by zone and owner
}

// chainsOf are the links that zones must have once they are signed, made by the library, out of their records alone.
func chainsOf(plain []*zone.Zone, nsec3 bool) map[string]string {
	links := map[string]string{}
	for _, z := range plain {
		apex := z.Name() + "."
		ttl := uint32(0)
		types := map[string][]uint16{apex: {dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY}}
		if nsec3 {
			types[apex] = append(types[apex], dns.TypeNSEC3PARAM)
		}
		var cuts []string
		for r := range z.Records() {
			rr, err := dns.NewRR(r.String())
			if err != nil {
				panic(err)
			}
			if soa, ok := rr.(*dns.SOA); ok {
				ttl = min(soa.Hdr.Ttl, soa.Minttl)
			}
			name := rr.Header().Name
			if types[name] = append(types[name], r.Type); r.Type == dns.TypeNS && name != apex {
				cuts = append(cuts, name)
			}
		}
		for name, list := range types {
			for _, cut := range cuts {
				switch {
				case name == cut:
					list = slices.DeleteFunc(list, func(typ uint16) bool { return typ != dns.TypeNS && typ != dns.TypeDS })
				case dns.IsSubDomain(cut, name):
					list = nil
				}
			}
			if types[name] = list; list == nil {
				delete(types, name)
			}
		}
		for _, name := range slices.Collect(maps.Keys(types)) {
			for parent := name; nsec3 && parent != apex; { // those that exist only for others below them
				_, parent, _ = strings.Cut(parent, ".")
				if _, ok := types[parent]; !ok {
					types[parent] = []uint16{}
				}
			}
		}
		var names []string
		owners := map[string]string{}
		for name := range types {
			owners[name] = name
			if nsec3 {
				owners[name] = strings.ToLower(dns.HashName(name, dns.SHA1, 0, ""))
			}
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int {
			if nsec3 {
				return strings.Compare(owners[a], owners[b])
			}
			return map[bool]int{true: -1, false: 1}[before(a, b)]
		})
		for i, name := range names {
			list := slices.Clone(types[name])
			next := owners[names[(i+1)%len(names)]]
			if cut := slices.Contains(cuts, name); !nsec3 || len(list) > 0 && (!cut || slices.Contains(list, dns.TypeDS)) {
				list = append(list, dns.TypeRRSIG)
			}
			owner := owners[name]
			if nsec3 {
				owner += "." + apex
			} else {
				list = append(list, dns.TypeNSEC)
			}
			slices.Sort(list)
			links[apex+" "+owner] = fmt.Sprint(ttl, next, slices.Compact(list))
		}
	}
	return links
}

// right says whether a link is the one that there must be in the zone that has signed it.
func (v validator) right(section []dns.RR, r dns.RR) error {
	signer := ""
	for _, other := range section {
		if sig, ok := other.(*dns.RRSIG); ok && sig.TypeCovered == r.Header().Rrtype && strings.EqualFold(sig.Hdr.Name, r.Header().Name) {
			signer = strings.ToLower(sig.SignerName)
		}
	}
	got := ""
	switch r := r.(type) {
	case *dns.NSEC:
		got = fmt.Sprint(r.Hdr.Ttl, r.NextDomain, r.TypeBitMap)
	case *dns.NSEC3:
		got = fmt.Sprint(r.Hdr.Ttl, strings.ToLower(r.NextDomain), r.TypeBitMap)
	}
	if want := v.links[signer+" "+strings.ToLower(r.Header().Name)]; got != want {
		return fmt.Errorf("%v: it must say %s", r, want)
	}
	return nil
}

// sets are the RRsets of a section, signatures left out.
func sets(section []dns.RR) (list [][]dns.RR) {
	for _, r := range section {
		if r.Header().Rrtype == dns.TypeRRSIG {
			continue
		}
		if i := slices.IndexFunc(list, func(set []dns.RR) bool { return sameSet(set[0], r) }); i >= 0 {
			list[i] = append(list[i], r)
		} else {
			list = append(list, []dns.RR{r})
		}
	}
	return list
}

func (v validator) validate(m *dns.Msg) error {
	denials := &denials{}
	var expanded []string // names that a wildcard stands in for: the next closer ones must be proved away
	secure := func(section []dns.RR, set []dns.RR) error {
		labels, err := v.signed(section, set)
		if err != nil {
			return err
		}
		if name := set[0].Header().Name; labels < dns.CountLabel(name) && !strings.HasPrefix(name, "*.") {
			parts := dns.SplitDomainName(name)
			expanded = append(expanded, dns.Fqdn(strings.Join(parts[len(parts)-labels-1:], ".")))
		}
		return nil
	}
	for _, set := range sets(m.Ns) {
		switch set[0].Header().Rrtype {
		case dns.TypeNSEC, dns.TypeNSEC3:
			if err := secure(m.Ns, set); err != nil {
				return err
			}
			if err := v.right(m.Ns, set[0]); err != nil {
				return err
			}
			denials.add(set[0])
		}
	}
	for i, section := range [][]dns.RR{m.Answer, m.Ns} {
		for _, set := range sets(section) {
			switch h := set[0].Header(); {
			case h.Rrtype == dns.TypeNSEC, h.Rrtype == dns.TypeNSEC3:
			case h.Rrtype == dns.TypeCNAME && fromDNAME(m.Answer, set[0].(*dns.CNAME)):
			case h.Rrtype == dns.TypeNS && i == 1:
				if _, err := v.signed(section, set); err == nil {
					return fmt.Errorf("the NS set of a cut is signed")
				}
				if err := v.delegation(m, h.Name, denials); err != nil {
					return err
				}
			default:
				if err := secure(section, set); err != nil {
					return err
				}
			}
		}
	}
	for _, name := range expanded {
		if !denials.denies(name) {
			return fmt.Errorf("nothing proves that %s does not exist, for which a wildcard stands in", name)
		}
	}
	return v.negative(m, denials)
}

// negative demands the proof of an answer that says that there is nothing (RFC 4035 5.4).
func (v validator) negative(m *dns.Msg, d *denials) error {
	if !slices.ContainsFunc(m.Ns, func(r dns.RR) bool { return r.Header().Rrtype == dns.TypeSOA }) {
		return nil
	}
	name, typ := strings.ToLower(m.Question[0].Name), m.Question[0].Qtype
	for again := true; again; {
		again = false
		for _, r := range m.Answer {
			if c, ok := r.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, name) && c.Target != name {
				name, again = strings.ToLower(c.Target), true
				break
			}
		}
	}
	if m.Rcode == dns.RcodeNameError {
		encloser := d.encloser(name)
		if encloser == "" || !d.denies(nextCloser(name, encloser)) || !d.denies("*."+encloser) {
			return fmt.Errorf("nothing proves that %s does not exist (closest encloser %q)", name, encloser)
		}
		return nil
	}
	if d.lacks(name, typ) || d.emptyNonTerminal(name) {
		return nil
	}
	encloser := d.encloser(name)
	if wildcard := "*." + encloser; encloser == "" || !d.denies(nextCloser(name, encloser)) || !d.lacks(wildcard, typ) && !d.emptyNonTerminal(wildcard) {
		return fmt.Errorf("nothing proves that %s has no %s (closest encloser %q)", name, dns.Type(typ), encloser)
	}
	return nil
}

// delegation demands a DS set or the proof that there is none, beside NS (RFC 4035 5.2).
func (v validator) delegation(m *dns.Msg, name string, d *denials) error {
	for _, r := range m.Ns {
		if r.Header().Rrtype == dns.TypeDS && strings.EqualFold(r.Header().Name, name) {
			return nil
		}
	}
	if types, ok := d.types(name); ok && !slices.Contains(types, dns.TypeDS) && slices.Contains(types, dns.TypeNS) {
		return nil
	}
	return fmt.Errorf("nothing proves that %s is delegated without DS", name)
}

// signed checks the signature of an RRset, and returns how many labels it states.
func (v validator) signed(section, set []dns.RR) (labels int, err error) {
	h := set[0].Header()
	for _, r := range section {
		sig, ok := r.(*dns.RRSIG)
		if !ok || sig.TypeCovered != h.Rrtype || !strings.EqualFold(sig.Hdr.Name, h.Name) {
			continue
		}
		key := v.keys[strings.ToLower(sig.SignerName)]
		switch {
		case key == nil:
			return 0, fmt.Errorf("%v: no such zone", sig)
		case !sig.ValidityPeriod(signedAt), !sig.ValidityPeriod(signedAt.Add(14 * 24 * time.Hour)):
			return 0, fmt.Errorf("%v: not valid for two weeks", sig)
		case sig.Hdr.Ttl != h.Ttl:
			return 0, fmt.Errorf("%v: its TTL is not that of the set", sig)
		}
		low := make([]dns.RR, len(set))
		for i := range set {
			low[i] = dns.Copy(set[i])
		}
		if err := sig.Verify(key, low); err != nil {
			return 0, fmt.Errorf("%v: %w", sig, err)
		}
		return int(sig.Labels), nil
	}
	return 0, fmt.Errorf("%s %s is not signed", h.Name, dns.Type(h.Rrtype))
}

// fromDNAME says whether a CNAME follows from a DNAME of the answer.
func fromDNAME(answer []dns.RR, c *dns.CNAME) bool {
	return slices.ContainsFunc(answer, func(r dns.RR) bool {
		d, ok := r.(*dns.DNAME)
		return ok && dns.IsSubDomain(strings.ToLower(d.Hdr.Name), strings.ToLower(c.Hdr.Name)) && !strings.EqualFold(d.Hdr.Name, c.Hdr.Name)
	})
}

// nextCloser is the ancestor of a name, or itself, that is one label longer than its closest encloser.
func nextCloser(name, encloser string) string {
	parts := dns.SplitDomainName(name)
	return dns.Fqdn(strings.Join(parts[len(parts)-dns.CountLabel(encloser)-1:], "."))
}

// denials are the links of the chain that an answer has.
type denials struct {
	nsec  []*dns.NSEC
	nsec3 []*dns.NSEC3
}

func (d *denials) add(r dns.RR) {
	switch r := r.(type) {
	case *dns.NSEC:
		d.nsec = append(d.nsec, r)
	case *dns.NSEC3:
		d.nsec3 = append(d.nsec3, r)
	}
}

// before says whether a name stands before another one in canonical order.
func before(a, b string) bool {
	x, _ := dname.Parse(strings.ToLower(a), dname.Root)
	y, _ := dname.Parse(strings.ToLower(b), dname.Root)
	return slices.Compare(reversed(x), reversed(y)) < 0
}

func reversed(n dname.Name) (labels []string) {
	for ; !n.IsRoot(); n = n.Parent() {
		labels = append(labels, n.Label())
	}
	slices.Reverse(labels)
	return labels
}

// denies says whether a link covers a name: it does not exist.
func (d *denials) denies(name string) bool {
	for _, n := range d.nsec {
		owner, next := n.Hdr.Name, n.NextDomain
		below := dns.IsSubDomain(strings.ToLower(owner), strings.ToLower(name))
		cut := slices.Contains(n.TypeBitMap, dns.TypeNS) && !slices.Contains(n.TypeBitMap, dns.TypeSOA) || slices.Contains(n.TypeBitMap, dns.TypeDNAME)
		covers := before(owner, name) && (before(name, next) || !before(owner, next))
		if covers && !(below && cut) && !dns.IsSubDomain(strings.ToLower(name), strings.ToLower(next)) { // the next below it: an empty non-terminal
			return true
		}
	}
	return slices.ContainsFunc(d.nsec3, func(n *dns.NSEC3) bool { return n.Cover(strings.ToLower(name)) })
}

// emptyNonTerminal says whether a link leads from before a name to below it, so that it exists without types.
func (d *denials) emptyNonTerminal(name string) bool {
	return slices.ContainsFunc(d.nsec, func(n *dns.NSEC) bool {
		return before(n.Hdr.Name, name) && dns.IsSubDomain(name, strings.ToLower(n.NextDomain)) && !strings.EqualFold(name, n.NextDomain)
	})
}

// types are those of a name that a link lists.
func (d *denials) types(name string) (types []uint16, ok bool) {
	for _, n := range d.nsec {
		if strings.EqualFold(n.Hdr.Name, name) {
			return n.TypeBitMap, true
		}
	}
	for _, n := range d.nsec3 {
		if n.Match(strings.ToLower(name)) {
			return n.TypeBitMap, true
		}
	}
	return nil, false
}

// lacks says whether a link shows that a name exists without a type, and is no alias.
func (d *denials) lacks(name string, typ uint16) bool {
	types, ok := d.types(name)
	if slices.Contains(types, dns.TypeNS) && !slices.Contains(types, dns.TypeSOA) && typ != dns.TypeDS {
		return false // what is behind a cut is not said here
	}
	return ok && !slices.Contains(types, typ) && !slices.Contains(types, dns.TypeCNAME)
}

// encloser is the closest ancestor of a name that is proved to exist; "" where none is.
func (d *denials) encloser(name string) string {
	for at := name; ; {
		_, rest, ok := strings.Cut(at, ".")
		if !ok || rest == "" {
			return ""
		}
		at = rest
		if _, exists := d.types(at); exists {
			return at
		}
		for _, n := range d.nsec { // each name above one that exists does so too
			if dns.IsSubDomain(at, strings.ToLower(n.Hdr.Name)) || dns.IsSubDomain(at, strings.ToLower(n.NextDomain)) {
				return at
			}
		}
	}
}

// TestWhatLiesBelowACutIsNotSigned: neither glue nor another cut, whatever it has.
func TestWhatLiesBelowACutIsNotSigned(t *testing.T) {
	signed, _, _ := signedZones(t, []string{`name = "example.com"
[records]
"@" = ["NS ns"]
ns = ["A 192.0.2.1"]
cut = ["NS ns.cut", "DS 1 13 2 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
"ns.cut" = ["A 192.0.2.2"]
"deeper.cut" = ["NS ns.cut", "DS 1 13 2 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
`})
	var got []string
	for r := range signed[0].Records() {
		if rr, err := dns.NewRR(r.String()); err == nil && strings.Contains(rr.Header().Name, "cut") {
			if sig, ok := rr.(*dns.RRSIG); ok {
				got = append(got, sig.Hdr.Name+" "+dns.Type(sig.TypeCovered).String())
			}
		}
	}
	if want := "cut.example.com. DS, cut.example.com. NSEC"; strings.Join(got, ", ") != want {
		t.Errorf("signed are %v, want %s", got, want)
	}
}

// TestAChainOfAliasesEndsWhereNoPointerLeads: signed by many keys, it is longer than a pointer reaches (RFC 1035 4.1.4).
func TestAChainOfAliasesEndsWhereNoPointerLeads(t *testing.T) {
	text := "name = \"example.com\"\n[records]\n\"@\" = [\"NS ns\"]\nns = [\"A 192.0.2.1\"]\n"
	for i := range 20 {
		text += fmt.Sprintf("c%d = [\"CNAME c%d\"]\n", i, i+1)
	}
	for last, typ := range map[string]uint16{"c20 = [\"A 192.0.2.2\"]\n": dns.TypeA, "": dns.TypeA, "c20 = [\"NS ns.example.net.\"]\n": dns.TypeMX} {
		var report conf.Report
		s := source.Parse("zone.toml", []byte(text+last), &report)
		s.At(signedAt)
		with := &source.Signing{}
		for i := range uint32(10) {
			k, err := sign.Derive([]byte("a secret of these tests, and of no use elsewhere"), s.Apex(), dns.ECDSAP256SHA256, i)
			if err != nil {
				t.Fatal(err)
			}
			with.Keys = append(with.Keys, k)
		}
		s.SignWith(with)
		z := s.Compile(nil, &report)
		query := new(dns.Msg).SetQuestion("c0.example.com.", typ)
		query.SetEdns0(1232, true)
		m := ask(t, responderOf([]*zone.Zone{z}), query)
		aliases := 0
		for _, r := range m.Answer {
			if r.Header().Rrtype == dns.TypeCNAME {
				aliases++
			}
		}
		hasMore := slices.ContainsFunc(m.Ns, func(r dns.RR) bool { typ := r.Header().Rrtype; return typ == dns.TypeSOA || typ == dns.TypeNS })
		if m.Truncated || m.Rcode != dns.RcodeSuccess || aliases < 10 || aliases > 19 || len(m.Answer) != 11*aliases || hasMore {
			t.Errorf("%q: %d aliases in %d records, %d in the authority section, %s", last, aliases, len(m.Answer), len(m.Ns), dns.RcodeToString[m.Rcode])
		}
	}
}
