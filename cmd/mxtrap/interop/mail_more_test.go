//go:build interop && linux

package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/smtp"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/probe"
	"mxtrap/zone/mail"
)

// keptCases are the families of addresses, and which of them Postfix keeps, as the model of the audit has it.
func keptCases(t *testing.T) (cases [][2]string) {
	for _, line := range strings.Split(strings.TrimSpace(readFile(t, "../../../zone/mail/testdata/postfix.txt")), "\n") {
		if f := strings.Fields(line); f[0] != "#" {
			cases = append(cases, [2]string{f[0], f[1]})
		}
	}
	return cases
}

// keptAddress is the i-th address where Postfix is asked which it tries; nobody listens there.
func keptAddress(family byte, i int) string {
	if family == '4' {
		return fmt.Sprintf("192.0.2.%d", 200+i)
	}
	return fmt.Sprintf("2001:db8:5::%d", i+1)
}

func keptZones(t *testing.T) map[string]string {
	zones := map[string]string{}
	for n, c := range keptCases(t) {
		var mx []string
		hosts := ""
		for i, family := range []byte(c[0]) {
			typ := map[byte]string{'4': "A", '6': "AAAA"}[family]
			mx = append(mx, fmt.Sprintf("MX %d h%d", i+1, i))
			hosts += fmt.Sprintf("h%d = [\"%s %s\"]\n", i, typ, keptAddress(family, i))
		}
		zones[fmt.Sprintf("kept%d.toml", n)] = zoneFor(fmt.Sprintf("kept%d", n), strings.Join(mx, ", "), "", hosts)
	}
	return zones
}

// keeps holds a real Postfix to the table to which the model of the audit is held.
func (h *mailHost) keeps(t *testing.T, p *postfix) {
	for n, c := range keptCases(t) {
		domain := fmt.Sprintf("kept%d.test", n)
		if err := smtp.SendMail("127.0.0.1:"+p.port(), nil, "a@sender.test", []string{"b@" + domain}, []byte("Subject: x\r\n\r\nx\r\n")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "Postfix has tried", func() bool { return p.deferred(domain) })
		log, got := readFile(t, p.log), ""
		for i := range c[0] {
			kept := "-"
			if strings.Contains(log, fmt.Sprintf("connect to h%d.%s[%s]:25", i, domain, keptAddress(c[0][i], i))) {
				kept = c[0][i : i+1]
			}
			got += kept
		}
		if got != c[1] {
			t.Errorf("of %s Postfix keeps %s, want %s", c[0], got, c[1])
		}
	}
	output(t, "postsuper", "-c", p.conf, "-d", "ALL")
}

// mailbot is a spam sender: it chooses among the MX records of a domain.
type mailbot struct {
	simulated string // its name to simulate
	order     bool   // it goes by the order of the answer, and so asks the server itself: a resolver may turn that round
	choose    func(mx []*dns.MX, address func(host string) string) *dns.MX
}

// byNumber are the records, the lowest number first.
func byNumber(mx []*dns.MX) []*dns.MX {
	return slices.SortedFunc(slices.Values(mx), func(a, b *dns.MX) int { return int(a.Preference) - int(b.Preference) })
}

func last(mx []*dns.MX) *dns.MX { return mx[len(mx)-1] }

func anyOf(mx []*dns.MX) *dns.MX { return mx[rand.IntN(len(mx))] }

// unlike leaves out what looks like the primary.
func unlike(mx []*dns.MX, looks func(host string) string) []*dns.MX {
	sorted := byNumber(mx)
	primary := looks(sorted[0].Mx)
	return slices.DeleteFunc(sorted, func(r *dns.MX) bool { return looks(r.Mx) == primary })
}

var mailbots = []mailbot{
	{"bot: highest number", false, func(mx []*dns.MX, _ func(string) string) *dns.MX { return last(byNumber(mx)) }},
	{"bot: last in the answer", true, func(mx []*dns.MX, _ func(string) string) *dns.MX { return last(mx) }},
	{"bot: any host", false, func(mx []*dns.MX, _ func(string) string) *dns.MX { return anyOf(mx) }},
	{"bot: lowest number only", false, func(mx []*dns.MX, _ func(string) string) *dns.MX { return byNumber(mx)[0] }},
	{"bot: second host", false, func(mx []*dns.MX, _ func(string) string) *dns.MX { return byNumber(mx)[1] }},
	{"bot: any but the lowest", false, func(mx []*dns.MX, _ func(string) string) *dns.MX { return anyOf(byNumber(mx)[1:]) }},
	{"savvy bot: highest name but the primary's", false, func(mx []*dns.MX, _ func(string) string) *dns.MX {
		return last(unlike(mx, func(host string) string { return host }))
	}},
	{"savvy bot: highest address but the primary's", false, func(mx []*dns.MX, address func(string) string) *dns.MX { return last(unlike(mx, address)) }},
}

// bots connects as each bot does, and holds the shares that come to each kind of host to those that simulate tells.
func (h *mailHost) bots(t *testing.T) {
	for _, sink := range h.sinks {
		sink.be(t, busy)
	}
	for _, name := range []string{"all up", "S2", "S3"} { // all up is S4
		s := scenarios[slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })]
		domain := s.domain() + ".test"
		var told []struct {
			Style   string
			Senders []struct {
				Sender                    string
				Primary, Fallback, Decoys float64
			}
		}
		if err := json.Unmarshal([]byte(output(t, binary, "simulate", "--json", "--config", h.config(), domain)), &told); err != nil {
			t.Fatal(err)
		}
		for _, b := range mailbots {
			const tries = 300
			got := map[uint16]float64{} // by number: 10 is the primary's, 20 the fallback's
			for range tries {
				got[h.connectAs(t, b, domain)] += 1.0 / tries
			}
			i := slices.IndexFunc(told[0].Senders, func(s struct {
				Sender                    string
				Primary, Fallback, Decoys float64
			}) bool {
				return s.Sender == b.simulated
			})
			want := told[0].Senders[i]
			t.Logf("%s %-45s primary %3.0f%%, fallback %3.0f%%, decoys %3.0f%%", told[0].Style, b.simulated, 100*got[10], 100*got[20], 100*(1-got[10]-got[20]))
			// A share of a half has a deviation of 3 points here: one of five deviations never comes.
			if math.Abs(got[10]-want.Primary) > 0.15 || math.Abs(got[20]-want.Fallback) > 0.15 || math.Abs(1-got[10]-got[20]-want.Decoys) > 0.15 {
				t.Errorf("simulate tells %+v", want)
			}
		}
	}
}

// botsUnlimited lets bots ask the server itself as often as the test wants.
const botsUnlimited = "[rate_limit]\nexempt = [\"127.0.0.0/8\", \"192.0.2.53\"]\n"

// connectAs connects as a bot does and returns the number of the record that it went by.
func (h *mailHost) connectAs(t *testing.T, b mailbot, domain string) uint16 {
	t.Helper()
	server := "127.0.0.1:53"
	if b.order {
		server = "192.0.2.53:53"
	}
	var mx []*dns.MX
	for _, rr := range resolve(t, server, domain+".", dns.TypeMX) {
		mx = append(mx, rr.(*dns.MX))
	}
	address := func(host string) string { return resolve(t, server, host, dns.TypeA)[0].(*dns.A).A.String() }
	chosen := b.choose(mx, address)
	ip := address(chosen.Mx)
	before, _ := h.sinks[ip].came()
	conn, err := net.Dial("tcp", net.JoinHostPort(ip, sinkPort))
	if err != nil {
		t.Fatal(err)
	}
	bufio.NewReader(conn).ReadString('\n')
	conn.Close()
	if after, _ := h.sinks[ip].came(); after != before+1 {
		t.Errorf("%d connections at %s after %d", after, ip, before)
	}
	return chosen.Preference
}

// clientIP is a client of postscreen.
const clientIP = "203.0.113.7"

// postscreen receives on the primary's address and the decoys', with the setting that export prints: who talks to decoys alone never gets
// onto the allow list.
func (h *mailHost) postscreen(t *testing.T) {
	setting := output(t, binary, "export", "postscreen", "--config", h.config(), scenarios[0].domain()+".test")
	more := setting + "postscreen_greet_wait = 1s\npostscreen_access_list =\npostscreen_greet_action = enforce\npostscreen_cache_map = internal:x\n"
	guide := regexp.MustCompile("(?s)```master.cf\n192.0.2.26:smtp (.*?)```").FindStringSubmatch(readFile(t, "../../../configs/DECOYS.md"))
	p := newPostfix(t, "2530", fmt.Sprintf(", %s, %s, %s", primaryIP, decoyIP1, decoyIP2), more,
		"2531 inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n"+decoyIP1+":2532 "+guide[1])
	decoy := &mail.Domain{Owner: "example.com", Exchanges: []mail.Exchange{{Host: "mx2", Role: mail.Decoy, Addresses: []netip.Addr{netip.MustParseAddr(decoyIP1)}}}}
	if found := probe.UnfitDecoys(t.Context(), "2532", decoy); len(found) > 0 {
		t.Errorf("the guide's decoy does not do: %+v", found)
	}
	if got := output(t, "postconf", "-c", p.conf, "-n", "postscreen_allowlist_interfaces"); !strings.Contains(got, "!"+decoyIP1) || !strings.Contains(got, "static:all") {
		t.Errorf("postconf reads %s", got)
	}
	talk := func(ip string) {
		t.Helper()
		from := &net.TCPAddr{IP: net.ParseIP(clientIP)}
		conn, err := (&net.Dialer{LocalAddr: from, Timeout: 5 * time.Second}).Dial("tcp", net.JoinHostPort(ip, "2531"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		in := bufio.NewReader(conn)
		for line := ""; !strings.HasPrefix(line, "220 ") && !strings.HasPrefix(line, "4"); {
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprint(conn, "QUIT\r\n")
		in.ReadString('\n')
	}
	count := func(what string) int {
		text, _ := os.ReadFile(p.log)
		return len(regexp.MustCompile(what+` \[`+regexp.QuoteMeta(clientIP)).FindAll(text, -1))
	}
	for i, ip := range []string{decoyIP1, decoyIP2, decoyIP1} {
		talk(ip)
		eventually(t, "postscreen has seen the decoy's client", func() bool { return count("(ALLOWLIST|WHITELIST) VETO") > i })
	}
	if n := count("PASS"); n > 0 {
		t.Errorf("who talks to decoys alone has passed %d times", n)
	}
	talk(primaryIP)
	eventually(t, "who talks to the primary passes", func() bool { return count("PASS NEW") == 1 })
	talk(decoyIP1)
	eventually(t, "and is known from then on", func() bool { return count("PASS OLD") == 1 })
}
