package answer

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// choices are octets that decide what a test makes; when they have run out every choice is the first.
type choices []byte

func (c *choices) of(n int) int {
	if len(*c) == 0 {
		return 0
	}
	v := int((*c)[0]) % n
	*c = (*c)[1:]
	return v
}

func pick[T any](c *choices, from ...T) T { return from[c.of(len(from))] }

// name is a name of few labels, so that names meet.
func (c *choices) name(apex string) string {
	n := apex
	for range c.of(4) {
		n = pick(c, "a", "b", "c", "*") + "." + n
	}
	return n
}

// zone makes a zone: its text for the server, and its records for the reference.
func (c *choices) zone(apex string) (text string, z referenceZone) {
	z.apex = apex
	table := map[string][]string{}
	add := func(owner, record string) {
		rr, err := dns.NewRR(owner + " " + record)
		if err != nil || slices.ContainsFunc(z.records, func(other dns.RR) bool { return dns.IsDuplicate(rr, other) }) {
			return
		}
		for _, other := range z.get(owner, rr.Header().Rrtype) {
			rr.Header().Ttl = other.Header().Ttl // an RRset has one
		}
		z.records = append(z.records, rr)
		table[owner] = append(table[owner], strings.TrimPrefix(strings.TrimPrefix(record, "3600 "), "IN "))
	}
	ttl := pick(c, 3600, 60, 7200)
	minimum := pick(c, 300, 5000)
	z.records = append(z.records, &dns.SOA{
		Hdr: dns.RR_Header{Name: apex, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: uint32(ttl)},
		Ns:  "ns." + apex, Mbox: "hostmaster." + apex, Serial: 7, Refresh: 7200, Retry: 1800, Expire: 1209600, Minttl: uint32(minimum),
	})
	text = fmt.Sprintf("name = %q\nttl = %d\n[soa]\nserial = 7\nmname = \"ns\"\nminimum = %d\n", apex, ttl, minimum)
	plain := func(record string) string { return fmt.Sprintf("%d IN %s", ttl, record) }
	add(apex, plain("NS ns."+apex))
	add("ns."+apex, plain("A 192.0.2.53"))
	add("mail."+apex, plain("A 192.0.2.25"))
	for i := range 2 + c.of(12) {
		owner, target := c.name(apex), c.name(pick(c, apex, "out.test."))
		switch c.of(12) {
		case 0:
			add(owner, plain(fmt.Sprintf("A 192.0.2.%d", i)))
		case 1:
			add(owner, plain(fmt.Sprintf("AAAA 2001:db8::%d", i)))
		case 2:
			add(owner, plain(fmt.Sprintf("MX %d %s", i, target)))
		case 3, 4:
			if len(table[owner]) == 0 {
				add(owner, plain("CNAME "+target))
			}
		case 5:
			if !strings.HasPrefix(owner, "*") && owner != apex {
				add(owner, plain("DNAME "+target))
			}
		case 6, 7:
			if !strings.Contains(owner, "*") && owner != apex {
				for j := range 1 + c.of(14) {
					host := fmt.Sprintf("ns%d.%s", j, pick(c, owner, owner, apex, "b."+apex))
					add(owner, plain("NS "+host))
					if dns.IsSubDomain(owner, host) {
						add(host, plain(fmt.Sprintf("A 198.51.100.%d", j)))
						add(host, plain(fmt.Sprintf("AAAA 2001:db8:1::%d", j)))
					}
				}
			}
		case 8:
			add(owner, plain(`DS 1 13 2 ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB`))
		case 9:
			for j := range 1 + c.of(30) {
				add(owner, plain(fmt.Sprintf(`TXT "%d %s"`, j, strings.Repeat("x", c.of(250)))))
			}
		case 10:
			add(owner, plain(fmt.Sprintf("SRV %d 0 25 %s", i, target)))
		case 11:
			add(owner, plain(`TYPE65280 \# 4 0a0000ff`))
		}
	}
	trapText := c.trap(apex, ttl, add, &z)
	text += "[records]\n"
	for _, owner := range slices.Sorted(maps.Keys(table)) {
		var list []string
		for _, record := range table[owner] {
			list = append(list, "'"+strings.Replace(record, " IN ", " ", 1)+"'")
		}
		text += fmt.Sprintf("%q = [%s]\n", owner, strings.Join(list, ", "))
	}
	return text + trapText, z
}

// trap puts a trap onto the apex: the reference gets its decoys written out, the server has to make them.
func (c *choices) trap(apex string, ttl int, add func(owner, record string), z *referenceZone) (text string) {
	if c.of(2) == 0 {
		return ""
	}
	add(apex, fmt.Sprintf("%d IN MX 40 mail.%s", ttl, apex))
	last := uint16(0)
	for _, rr := range z.get(apex, dns.TypeMX) {
		last = max(last, rr.(*dns.MX).Preference)
	}
	count, step := 1+c.of(5), 1+c.of(100)
	var addresses []string
	for n := 1; n <= count; n++ {
		host, address := fmt.Sprintf("decoy%d.%s", n, apex), fmt.Sprintf("203.0.113.%d", n)
		addresses = append(addresses, fmt.Sprintf("%q", address))
		for _, record := range []string{
			fmt.Sprintf("%s %d IN MX %d %s", apex, ttl, int(last)+n*step, host),
			fmt.Sprintf("%s %d IN A %s", host, ttl, address),
		} {
			rr, err := dns.NewRR(record)
			if err != nil {
				panic(err)
			}
			z.records = append(z.records, rr)
		}
	}
	return fmt.Sprintf("[trap]\ncount = %d\nstep = %d\nnames = \"decoy{n}\"\naddresses = [%s]\n", count, step, strings.Join(addresses, ", "))
}

// query makes a query about one of the zones: for a name that it has, one below that, or any other.
func (c *choices) query(zones []referenceZone) *dns.Msg {
	z := pick(c, zones...)
	name := z.records[c.of(len(z.records))].Header().Name
	switch c.of(4) {
	case 1:
		name = pick(c, "a", "b", "x.y", "*") + "." + name
	case 2:
		name = c.name(pick(c, z.apex, "other.test."))
	case 3:
		if rr := z.records[c.of(len(z.records))]; rr.Header().Rrtype == dns.TypeDNAME { // the longest that it can lead to, and more
			name = strings.Repeat("0123456.", c.of(32)) + rr.Header().Name
		}
	}
	if c.of(3) == 0 {
		name = strings.ToUpper(name)
	}
	m := new(dns.Msg)
	m.SetQuestion(name, pick(c, dns.TypeA, dns.TypeMX, dns.TypeAAAA, dns.TypeTXT, dns.TypeNS, dns.TypeSOA, dns.TypeCNAME, dns.TypeDNAME, dns.TypeDS, dns.TypeANY, dns.TypeSRV, 65280))
	m.Id, m.RecursionDesired = uint16(c.of(256)), c.of(2) == 0
	if c.of(20) == 19 {
		m.Question[0].Qclass = dns.ClassANY
	}
	if c.of(4) > 0 {
		m.SetEdns0(pick[uint16](c, 1232, 512, 0, 4096, 700, 900), c.of(2) == 0)
		opt := m.IsEdns0()
		if c.of(20) == 19 {
			opt.SetVersion(1)
		}
		if c.of(4) == 3 {
			opt.Option = append(opt.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
		}
	}
	return m
}

// FuzzAnswers makes zones and queries out of octets. Each answer over TCP must be the reference's; that over UDP must be the same
// octets where they fit, and else a beginning of them that says so.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{})
	seeds := rand.NewChaCha8([32]byte{1})
	for range 100 {
		seed := make([]byte, 1000)
		seeds.Read(seed)
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		c := choices(octets)
		apexes := [][]string{{"example."}, {"example.", "a.example."}, {"b.a.example.", "example."}}[c.of(3)]
		var texts []string
		var ref reference
		for _, apex := range apexes {
			text, z := c.zone(apex)
			var report conf.Report
			if s := source.Parse("zone.toml", []byte(text), &report); s == nil || s.Compile(nil, &report) == nil {
				return // refused, as other tests want it
			}
			texts, ref.zones = append(texts, text), append(ref.zones, z)
		}
		r := responderFor(t, texts...)
		for range 60 {
			compareAnswers(t, r, ref, c.query(ref.zones), texts)
		}
	})
}

func compareAnswers(t *testing.T, r *Responder, ref reference, query *dns.Msg, texts []string) {
	t.Helper()
	if tooLong(query.Question[0].Name) {
		return // the library packs it all the same
	}
	packet, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	whole := bytes.Clone(r.Respond(packet, make([]byte, 0, dns.MaxMsgSize), Client{Transport: metrics.TCP}))
	got, want := new(dns.Msg), new(dns.Msg)
	if err := got.Unpack(whole); err != nil {
		t.Fatalf("%v: %v\n%x", query.Question, err, whole)
	}
	answer := ref.answer(query)
	answer.Compress = true
	wire, err := answer.Pack()
	if err != nil {
		t.Fatal(err)
	}
	want.Unpack(wire)
	if g, w := strings.ToLower(got.String()), strings.ToLower(want.String()); g != w {
		t.Fatalf("%s\nquery:\n%v\ngot:\n%s\nwant:\n%s", strings.Join(texts, "\n"), query, g, w)
	}
	if got.Question[0].Name != query.Question[0].Name {
		t.Fatalf("question %v came back as %v", query.Question, got.Question)
	}
	opt := query.IsEdns0()
	if opt == nil {
		compareUDP(t, r, query, whole, dns.MinMsgSize)
		return
	}
	for _, size := range []int{int(opt.UDPSize()), len(whole), len(whole) - 1} {
		opt.SetUDPSize(uint16(size))
		compareUDP(t, r, query, whole, min(max(size, dns.MinMsgSize), zone.MaxUDP))
	}
}

// compareUDP asks again over UDP, where a response has at most so many octets.
func compareUDP(t *testing.T, r *Responder, query *dns.Msg, whole []byte, limit int) {
	t.Helper()
	packet, _ := query.Pack()
	got := bytes.Clone(r.Respond(packet, make([]byte, 0, zone.MaxUDP), Client{}))
	if len(whole) <= limit {
		if !bytes.Equal(got, whole) {
			t.Fatalf("%v: over UDP %x, over TCP %x", query.Question, got, whole)
		}
		return
	}
	short, complete := new(dns.Msg), new(dns.Msg)
	if err := short.Unpack(got); err != nil || len(got) > limit {
		t.Fatalf("%v: %d octets of at most %d, %v", query.Question, len(got), limit, err)
	}
	complete.Unpack(whole)
	checkShort(t, query, short, complete)
}

// checkShort: a response that could not be whole has whole RRsets from its beginning on, and says so unless all that is missing is glue
// that is not below the cut itself; of such glue it has what fits.
func checkShort(t *testing.T, query, short, whole *dns.Msg) {
	t.Helper()
	complete := true
	for _, section := range []struct{ short, whole []dns.RR }{{short.Answer, whole.Answer}, {short.Ns, whole.Ns}} {
		n := len(section.short)
		if n > 0 && !complete || n > len(section.whole) {
			t.Fatalf("%v: too much in\n%v", query.Question, short)
		}
		for i, rr := range section.short {
			if rr.String() != section.whole[i].String() {
				t.Fatalf("%v: %v instead of %v", query.Question, rr, section.whole[i])
			}
		}
		complete = complete && n == len(section.whole)
		if n > 0 && n < len(section.whole) && sameSet(section.short[n-1], section.whole[n]) {
			t.Fatalf("%v: half an RRset in\n%v", query.Question, short)
		}
	}
	missing, left := !complete, withoutOPT(short.Extra)
	for _, rr := range withoutOPT(whole.Extra) {
		if len(left) > 0 && rr.String() == left[0].String() {
			left = left[1:]
		} else if dns.IsSubDomain(strings.ToLower(whole.Ns[0].Header().Name), strings.ToLower(rr.Header().Name)) {
			missing = true
		}
	}
	if len(left) > 0 {
		t.Fatalf("%v: %v does not belong there:\n%v\n%v", query.Question, left[0], short, whole)
	}
	if short.Truncated != missing {
		t.Fatalf("%v: TC is %v, but missing is %v:\n%v\n%v", query.Question, short.Truncated, missing, short, whole)
	}
}

func sameSet(a, b dns.RR) bool {
	return a.Header().Rrtype == b.Header().Rrtype && strings.EqualFold(a.Header().Name, b.Header().Name)
}

func withoutOPT(extra []dns.RR) []dns.RR { return extra[:len(extra)-optCount(extra)] }
