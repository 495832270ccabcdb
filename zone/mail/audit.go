package mail

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/spf"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	Hazard   Severity = "hazard"   // honest mail may suffer
	Weakness Severity = "weakness" // a savvy sender sees the decoys
	Advice   Severity = "advice"   // to be done or considered outside of the zone
)

// Finding is what is to be known about a trap.
type Finding struct {
	Severity Severity `json:"severity"`
	About    []string `json:"about"`  // owners, hosts or addresses
	Sees     string   `json:"sees"`   // what a sender or an adversary sees
	Change   string   `json:"change"` // what to do
}

// auditor collects the findings on one domain.
type auditor struct {
	*Domain
	ask      Ask
	findings []Finding
}

func (a *auditor) find(s Severity, about, sees, change string) {
	a.findAll(s, []string{about}, sees, change)
}

func (a *auditor) findAll(s Severity, about []string, sees, change string) {
	if len(about) > 0 {
		a.findings = append(a.findings, Finding{s, about, sees, change})
	}
}

// decoysThat are the names of the decoys of which something is so.
func (a *auditor) decoysThat(is func(Exchange) bool) (hosts []string) {
	for _, e := range a.with(Decoy) {
		if is(e) && !slices.Contains(hosts, e.Host) {
			hosts = append(hosts, e.Host)
		}
	}
	return hosts
}

// Audit plays the savvy adversary and the careful postmaster on what a domain shows.
func (d *Domain) Audit(ask Ask) []Finding {
	a := &auditor{Domain: d, ask: ask}
	a.loneReal()
	a.covers()
	a.postfix()
	a.size()
	a.addresses()
	a.families()
	a.times()
	a.names()
	a.preferences()
	a.policies()
	a.judges()
	a.senders()
	return a.findings
}

// Hazards counts the findings by which honest mail may suffer.
func Hazards(findings []Finding) (n int) {
	for _, f := range findings {
		if f.Severity == Hazard {
			n++
		}
	}
	return n
}

func (a *auditor) loneReal() {
	real := a.with(Primary, Fallback)
	if slices.ContainsFunc(real, func(e Exchange) bool { return !e.shares(real[0]) }) {
		return
	}
	a.find(Hazard, a.Owner, "one real host alone: when that defers (greylisting, 421) honest senders go on to the decoys",
		"add a fallback of another address that takes mail, or do not greylist")
}

func (a *auditor) covers() {
	for _, e := range a.Exchanges {
		if e.CoverFor != "" {
			a.find(Advice, e.Host, "the mail host "+e.CoverFor+" under another name: it may take itself for another host and send mail on to the decoys, and its certificate may not have the name",
				"let it know the name and its address (Postfix: proxy_interfaces; Exim: local_interfaces; Sendmail: class w), or set cover = false")
		}
	}
}

func (a *auditor) postfix() {
	for _, lost := range a.displaced() {
		a.find(Hazard, lost.String(), fmt.Sprintf("Postfix tries %d addresses of a domain, and balances the families: with the decoys it no longer tries this real one", postfixKeeps),
			"take decoys or decoy addresses away until it does, or let the real hosts have fewer")
	}
}

func (a *auditor) size() {
	const flagDay, plain = 1232, 512 // DNS Flag Day 2020; RFC 1035 4.2.1
	switch decoys := len(a.with(Decoy)); {
	case a.octets > flagDay:
		a.find(Hazard, a.Owner, fmt.Sprintf("an MX answer of %d octets with %d decoys: above %d every resolver has to ask again over TCP", a.octets, decoys, flagDay), "lower count")
	case a.octets > plain:
		a.find(Weakness, a.Owner, fmt.Sprintf("an MX answer of %d octets with %d decoys: resolvers without EDNS have to ask again over TCP, and so many hosts are conspicuous", a.octets, decoys), "lower count")
	}
}

func (a *auditor) addresses() {
	real := a.with(Primary, Fallback)
	for _, r := range real {
		a.findAll(Weakness, a.decoysThat(r.shares), "the address of "+r.Host+": whoever looks both up sees through it, and Sendmail comes back to that host by each such name",
			"give the decoys addresses of their own: trap.addresses")
	}
	users := map[netip.Addr][]string{}
	for _, e := range a.with(Decoy) {
		for _, ip := range e.Addresses {
			if !e.sharesAny(real) {
				users[ip] = append(users[ip], e.Host)
			}
		}
	}
	for _, ip := range slices.SortedFunc(maps.Keys(users), netip.Addr.Compare) {
		if len(users[ip]) > 1 {
			a.findAll(Weakness, users[ip], "one address, "+ip.String(), "add addresses: trap.addresses")
		}
	}
}

func (a *auditor) families() {
	real := slices.DeleteFunc(a.with(Primary, Fallback), func(e Exchange) bool { return len(e.Addresses) == 0 })
	for _, six := range []bool{false, true} {
		has := func(e Exchange) bool {
			return slices.ContainsFunc(e.Addresses, func(ip netip.Addr) bool { return ip.Is6() == six })
		}
		hasNot := func(e Exchange) bool { return !has(e) }
		family := map[bool]string{false: "IPv4", true: "IPv6"}[six]
		if len(real) > 0 && !slices.ContainsFunc(real, hasNot) {
			a.findAll(Weakness, a.decoysThat(hasNot), "no "+family+" address, where every real host has one", "add "+family+" addresses to trap.addresses")
		}
		if len(real) > 0 && !slices.ContainsFunc(real, has) {
			a.findAll(Hazard, a.decoysThat(has), "an "+family+" address, where no real host has one: it can keep senders from a real one", "take it away")
		}
	}
}

func (a *auditor) times() {
	const short, long = 300, 86400
	switch {
	case a.ttl < short:
		a.find(Weakness, a.Owner, fmt.Sprintf("MX records that are kept for %d s only", a.ttl), "let them have an hour, as mail domains do")
	case a.ttl > long:
		a.find(Hazard, a.Owner, fmt.Sprintf("MX records that are kept for %d s: decoys that you take away are tried for so long", a.ttl), "let them have a day at most")
	}
	if primary := a.with(Primary)[0]; len(primary.Addresses) > 0 && !a.outside(primary.Host) {
		a.findAll(Weakness, a.decoysThat(func(e Exchange) bool { return e.ttl != primary.ttl }),
			fmt.Sprintf("addresses with another TTL than the primary's, which have %d", primary.ttl), "let the primary's A and AAAA records have one TTL")
	}
}

// numbered is a host's first label, its number aside.
var numbered = regexp.MustCompile(`^([^.]*?)[0-9]*(\..*)?$`)

func (a *auditor) names() {
	stem := func(e Exchange) string {
		return numbered.ReplaceAllString(strings.TrimSuffix(e.Host, "."+a.Owner), "$1")
	}
	real := map[string]bool{}
	for _, e := range a.with(Primary, Fallback) {
		real[stem(e)] = true
	}
	change := `let trap.names go on where they end, such as "mx{n}" behind mx1`
	if a.turns {
		change = `let trap.names look like them, such as "mx{r}"`
	}
	if slices.ContainsFunc(a.with(Primary, Fallback), func(e Exchange) bool { return a.outside(e.Host) }) {
		change += ", or set cover = true"
	}
	a.findAll(Weakness, a.decoysThat(func(e Exchange) bool { return !real[stem(e)] }), "names unlike those of the real hosts", change)
}

func (a *auditor) preferences() {
	ranks := a.ranks()
	var steps []int
	for i := 1; i < len(ranks); i++ {
		steps = append(steps, int(ranks[i][0].Preference)-int(ranks[i-1][0].Preference))
	}
	real := len((&Domain{Exchanges: a.with(Primary, Fallback)}).ranks())
	if real > 1 && slices.ContainsFunc(steps[real-1:], func(s int) bool { return s != steps[real-2] }) {
		a.find(Weakness, a.Owner, fmt.Sprintf("preferences in steps of %v: those of the decoys differ", steps), "leave trap.step out: it goes on as the real ones do")
	}
	if n := len(a.with(Decoy)); n > 4 {
		a.find(Weakness, a.Owner, fmt.Sprintf("%d decoys: few domains have so many hosts", n), "two or three do")
	}
}

// policies are what names the exchanges elsewhere: MTA-STS (RFC 8461) and DANE (RFC 7672).
func (a *auditor) policies() {
	if answer, _ := a.ask("_mta-sts."+a.Owner, dns.TypeTXT); len(answer.Answer) > 0 {
		a.find(Advice, "mta-sts."+a.Owner, "an MTA-STS policy: senders that heed it connect to no host that it leaves out",
			"name every real host and cover in it under the name that the MX record has; leave the decoys out")
	}
	has := func(e Exchange) bool {
		answer, _ := a.ask("_25._tcp."+e.Host, dns.TypeTLSA)
		return slices.ContainsFunc(answer.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeTLSA })
	}
	if !slices.ContainsFunc(a.with(Primary, Fallback), has) {
		return
	}
	for _, e := range a.Exchanges {
		if e.CoverFor != "" && !has(e) {
			a.find(Advice, e.Host, "no TLSA record, where other real hosts have one: mail to it is not protected by DANE", "add one under the cover's name")
		}
	}
	a.findAll(Weakness, a.decoysThat(func(e Exchange) bool { return !has(e) }), "no TLSA record, where a real host has one",
		"set trap.tlsa to that of the host behind the decoys; one that gives senders 421 at once needs no certificate")
	a.findAll(Advice, a.decoysThat(has), "a TLSA record: senders that heed it want that certificate from the decoy", "let the decoy have it, or answer 421 before TLS begins")
}

// firstJudged is how many exchanges, by their names, Internet.nl tests of a domain.
const firstJudged = 10

// judges tells which real hosts the decoys keep from being tested by Internet.nl, which judges the decoys in their place.
func (a *auditor) judges() {
	var hosts []string
	for _, e := range a.Exchanges {
		hosts = append(hosts, e.Host)
	}
	slices.Sort(hosts)
	if hosts = slices.Compact(hosts); len(hosts) <= firstJudged {
		return
	}
	var left []string
	for _, e := range a.with(Primary, Fallback) {
		if !slices.Contains(hosts[:firstJudged], e.Host) {
			left = append(left, e.Host)
		}
	}
	a.findAll(Advice, left, fmt.Sprintf("a host that Internet.nl does not test: it takes the first %d of the %d exchanges by their names, and judges decoys in its place", firstJudged, len(hosts)),
		"lower count, or choose trap.names that come behind it")
}

// senders holds the limits of RFC 7208 4.6.4 where the domain's SPF record names its exchanges, and tells whom that lets send.
func (a *auditor) senders() {
	texts := func(name string) (texts []string) {
		answer, _ := a.ask(name, dns.TypeTXT)
		for _, rr := range answer.Answer {
			if txt, ok := rr.(*dns.TXT); ok {
				texts = append(texts, strings.Join(txt.Txt, ""))
			}
		}
		return texts
	}
	reach := spf.Follow(a.Owner, texts)
	i := slices.IndexFunc(reach.Uses, func(u spf.Use) bool { return u.Owner == a.Owner })
	if i < 0 {
		return
	}
	by := fmt.Sprintf("reached by the SPF record of %s (%s)", reach.Uses[i].Domain, reach.Uses[i].Term)
	if n := len(a.Exchanges); n > spf.MostExchanges {
		a.find(Hazard, a.Owner, fmt.Sprintf("%d exchanges, %s: SPF allows %d, and mail of this domain fails with permerror", n, by, spf.MostExchanges), "lower count, or name the senders by ip4, ip6 or a")
	}
	for _, six := range []bool{false, true} {
		has := func(e Exchange) bool {
			return slices.ContainsFunc(e.Addresses, func(ip netip.Addr) bool { return ip.Is6() == six })
		}
		void, used := 0, six && reach.IPv6 || !six && reach.IPv4
		for _, e := range a.Exchanges {
			switch {
			case has(e):
				used = true
			case !a.outside(e.Host):
				void++
			}
		}
		family := map[bool]string{false: "IPv4", true: "IPv6"}[six]
		if used && void > spf.MostVoid {
			a.find(Hazard, a.Owner, fmt.Sprintf("%d exchanges without an %s address, %s: SPF allows %d such look-ups, and mail of this domain over %s fails with permerror", void, family, by, spf.MostVoid, family),
				"add "+family+" addresses to trap.addresses, lower count, or name the senders by ip4, ip6 or a")
		}
	}
	var own []string
	for _, e := range a.with(Decoy) {
		if !e.sharesAny(a.with(Primary, Fallback)) {
			for _, ip := range e.Addresses {
				own = append(own, ip.String())
			}
		}
	}
	slices.Sort(own)
	a.findAll(Advice, slices.Compact(own), "an address that SPF lets send mail of "+a.Owner+", as it is a decoy's and "+by, "let nobody else have the address, or name the senders by ip4, ip6 or a")
}
