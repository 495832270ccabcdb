package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/control"
	"mxtrap/server/fake"
	"mxtrap/server/peer"
	"mxtrap/server/state"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
	"mxtrap/zone/source"
)

const updated = `name = "example.com"
[records]
"@"  = ["NS ns1", "MX 10 mail", "MX 20 backup"]
ns1    = ["A 192.0.2.53"]
mail   = ["A 192.0.2.25"]
backup = ["A 198.51.100.25"]
"_acme-challenge" = ['TXT "file"']
[trap]
count     = 2
addresses = ["192.0.2.26", "192.0.2.27"]
`

// updating are the files of a server that takes updates, with its state in a folder.
func updating(state string) map[string]string {
	return map[string]string{
		"mxtrap.toml": serverFile + "state = \"" + state + "\"\ncontrol = \"control.sock\"\n[keys]\nacme = \"hmac-sha256 " + fake.Secret + "\"\nother = \"hmac-sha256 " + fake.Secret + "\"\n" +
			"[transfer]\nallow = [\"127.0.0.1\"]\n[update]\nallow = [\"key acme _acme-challenge.* TXT\", \"key acme _25._tcp.* *.example.com TLSA A\"]\n",
		"zones/example.com.toml": updated,
	}
}

// update sends an update, signed with a key, and returns the RCODE. A line is a record to add, or behind "-" one to delete.
func (r *running) update(network, key string, lines ...string) string {
	r.t.Helper()
	m := new(dns.Msg).SetUpdate("example.com.")
	for _, line := range lines {
		text, gone := strings.CutPrefix(line, "-")
		record, err := dns.NewRR(text)
		if err != nil {
			r.t.Fatal(err)
		}
		if gone {
			m.Remove([]dns.RR{record})
		} else {
			m.Insert([]dns.RR{record})
		}
	}
	client := &dns.Client{Net: network, Timeout: patience}
	if key != "" {
		m.SetTsig(key+".", dns.HmacSHA256, peer.Fudge, time.Now().Unix())
		client.TsigSecret = map[string]string{key + ".": fake.Secret}
	}
	reply, _, err := client.Exchange(m, r.addr)
	if err != nil && (reply == nil || key != "unknown") { // to a key that is not known nothing is signed
		r.t.Fatal(err)
	}
	return dns.RcodeToString[reply.Rcode]
}

const (
	challenge = "_acme-challenge.example.com."
	elsewhere = "_acme-challenge.www.example.com."
)

func TestAnUpdateIsServedAtOnceAndOutlivesReloadsAndRestarts(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := start(t, updating(state))
	serial := r.metric(`mxtrap_zone_serial{zone="example.com"}`)
	for _, network := range []string{"udp", "tcp"} {
		r.want(network, r.update(network, "acme", elsewhere+` 60 TXT "`+network+`"`), "NOERROR")
	}
	r.want("both", r.ask(elsewhere, dns.TypeTXT), `"udp", "tcp"`)
	r.want("one more beside that of the file", r.update("udp", "acme", challenge+` 60 TXT "more"`), "NOERROR")
	r.want("three", r.ask(challenge, dns.TypeTXT), `"file", "more"`)
	if now := r.metric(`mxtrap_zone_serial{zone="example.com"}`); now == serial {
		t.Error("the serial number is the same")
	}
	var kinds []string
	for _, record := range r.transferred(t, new(dns.Msg).SetIxfr("example.com.", r.serial("example.com.")-1, ".", ".")) {
		kinds = append(kinds, dns.TypeToString[record.Header().Rrtype])
	}
	if !slices.Equal(kinds, []string{"SOA", "SOA", "TXT", "SOA", "TXT", "TXT", "SOA"}) { // its TTL has changed
		t.Error("the last update as a difference:", kinds)
	}

	// The operator's half-done change waits for his reload.
	r.write("zones/example.com.toml", strings.Replace(updated, "192.0.2.53", "192.0.2.54", 1))
	r.want("beside a change of the file", r.update("udp", "acme", "-"+elsewhere+` 0 TXT "udp"`), "NOERROR")
	r.want("what the file has now", r.ask("ns1.example.com.", dns.TypeA), "192.0.2.53")
	r.reload()
	r.want("what the file has, reloaded", r.ask("ns1.example.com.", dns.TypeA), "192.0.2.54")
	r.want("what the update made, reloaded", r.ask(elsewhere, dns.TypeTXT), `"tcp"`)
	r.stop()

	again := start(t, updating(state))
	again.want("after a restart", again.ask(elsewhere, dns.TypeTXT), `"tcp"`)
	again.want("the RRset of both", again.ask(challenge, dns.TypeTXT), `"file", "more"`)
	client := control.NewClient(filepath.Join(again.dir, "control.sock"))
	z, err := client.Zone(t.Context(), "example.com")
	if err != nil || len(z.Updates) != 2 || z.Updates[0].Name != challenge || z.Updates[0].Records[1] != `"more"` {
		t.Error(z.Updates, err)
	}
	if err := client.Drop(t.Context(), "example.com", "_acme-challenge"); err != nil {
		t.Error(err)
	}
	again.want("dropped", again.ask(challenge, dns.TypeTXT), `"file"`)
	if err := client.Drop(t.Context(), "example.com", "_acme-challenge"); err == nil {
		t.Error("dropped twice")
	}
	again.want("what is as in the file is no update", again.update("tcp", "acme", "-"+elsewhere+` 0 TXT "tcp"`), "NOERROR")
	if left, _ := os.ReadDir(filepath.Join(state, "updates")); len(left) > 0 {
		t.Error("left:", left)
	}
	again.want("taken", again.metric(`mxtrap_updates_total{outcome="taken"}`), "1")
}

// updatingZone is a server that takes updates of another zone file.
func updatingZone(t *testing.T, text string, more map[string]string) *running {
	t.Helper()
	files := updating(t.TempDir())
	files["zones/example.com.toml"] = text
	for name, text := range more {
		files[name] = text
	}
	return start(t, files)
}

func TestAnUpdateHidesNoWildcard(t *testing.T) {
	t.Parallel()
	r := updatingZone(t, strings.Replace(updated, "[trap]", "\"*\" = [\"MX 10 mail\"]\n\"*.only\" = ['TXT \"any\"']\n\"made.only\" = ['TXT \"own\"']\n[trap]", 1), nil)
	for _, c := range []struct{ line, want string }{
		{`_acme-challenge.foo.example.com. 60 TXT "x"`, "REFUSED"}, // foo would exist, and have no MX
		{`foo.example.com. 60 A 192.0.2.1`, "REFUSED"},
		{`_acme-challenge.*.example.com. 60 TXT "x"`, "REFUSED"},
		{`_acme-challenge.mail.example.com. 60 TXT "x"`, "NOERROR"}, // mail exists
	} {
		r.want(c.line, r.update("udp", "acme", c.line), c.want)
	}
	r.want("what the wildcard answers", r.ask("foo.example.com.", dns.TypeMX), "10 mail.example.com.")
}

func TestAnUpdateTakesInNoEditedFile(t *testing.T) {
	t.Parallel()
	master := "@ SOA ns1 hostmaster 1 3600 600 86400 300\n@ NS ns1\nns1 A 192.0.2.53\n$INCLUDE more.zone\n"
	r := updatingZone(t, "name = \"example.com\"\nfile = \"z.zone\"\n", map[string]string{"zones/z.zone": master, "zones/more.zone": "www A 192.0.2.80\n"})
	r.want("as it was loaded", r.update("udp", "acme", challenge+` 60 TXT "x"`), "NOERROR")
	r.write("zones/more.zone", "www A 192.0.2.81\n")
	r.want("beside an edited file", r.update("udp", "acme", challenge+` 60 TXT "y"`), "SERVFAIL")
	r.want("what was loaded", r.ask("www.example.com.", dns.TypeA), "192.0.2.80")
	r.reload()
	r.want("reloaded", r.update("udp", "acme", challenge+` 60 TXT "y"`), "NOERROR")
	r.want("what was reloaded", r.ask("www.example.com.", dns.TypeA), "192.0.2.81")
	r.want("both", r.ask(challenge, dns.TypeTXT), `"x", "y"`)
}

func TestWhatIsAsTheFileHasItFollowsTheFile(t *testing.T) {
	t.Parallel()
	text := strings.Replace(updated, "[trap]", "dyn = [\"A 192.0.2.1\", \"A 192.0.2.2\"]\n[trap]", 1)
	r := updatingZone(t, text, nil)
	for _, line := range []string{
		`-dyn.example.com. 0 A 192.0.2.1`, `dyn.example.com. 3600 A 192.0.2.1`, // another order
		challenge + ` 120 TXT "token"`, `-` + challenge + ` 0 TXT "token"`, // another TTL for a while
	} {
		r.want(line, r.update("udp", "acme", line), "NOERROR")
	}
	r.write("zones/example.com.toml", strings.NewReplacer("192.0.2.1\"", "192.0.2.9\"", `"file"`, `"new"`).Replace(text))
	r.reload()
	r.want("addresses of the file", r.ask("dyn.example.com.", dns.TypeA), "192.0.2.9, 192.0.2.2")
	r.want("text of the file", r.ask(challenge, dns.TypeTXT), `"new"`)
}

func TestDamagedUpdatesAreReadAgainWhenTheyAreMended(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := start(t, updating(state))
	r.want("update", r.update("udp", "acme", challenge+` 60 TXT "x"`), "NOERROR")
	r.stop()
	file := filepath.Join(state, "updates", "example.com.updates")
	whole, _ := os.ReadFile(file)
	os.WriteFile(file, []byte(strings.Replace(string(whole), "TXT", "TXXT", 1)), 0o600)
	r = start(t, updating(state))
	r.want("without them", r.ask(challenge, dns.TypeTXT), `"file"`)
	r.want("an update that would write over them", r.update("udp", "acme", challenge+` 60 TXT "y"`), "SERVFAIL")
	os.WriteFile(file, whole, 0o600)
	r.reload()
	r.want("mended", r.ask(challenge, dns.TypeTXT), `"file", "x"`)
	os.Remove(file)
	r.reload()
	r.want("removed", r.ask(challenge, dns.TypeTXT), `"file"`)
	r.want("an update", r.update("udp", "acme", challenge+` 60 TXT "y"`), "NOERROR")
}

func TestUpdatesAreBounded(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var kept []source.RRset
	for i := range 260 { // nearly all that may be kept
		owner, _ := dname.Parse(fmt.Sprintf("_acme-challenge.n%d.example.com", i), dname.Root)
		kept = append(kept, source.RRset{Owner: owner, Type: 65280, Records: []rr.Record{{Owner: string(owner), Type: 65280, TTL: 60, Data: make([]byte, 4000-len(owner))}}})
	}
	if err := state.NewUpdates(folder).Write("example.com", kept); err != nil {
		t.Fatal(err)
	}
	r := start(t, updating(folder))
	r.want("a TTL beyond the zone's", r.update("udp", "acme", challenge+` 2147483647 TXT "x"`), "NOERROR")
	reply, err := dns.Exchange(new(dns.Msg).SetQuestion(challenge, dns.TypeTXT), r.addr)
	if err != nil || len(reply.Answer) != 2 || reply.Answer[0].Header().Ttl != 3600 {
		t.Error(reply, err)
	}
	long := strings.Repeat(` "`+strings.Repeat("x", 250)+`"`, 14)
	for i, want := range []string{"NOERROR", "NOERROR", "REFUSED"} {
		r.want(fmt.Sprint("3.5 KB, ", i), r.update("tcp", "acme", fmt.Sprintf("_acme-challenge.m%d.example.com. 60 TXT%s", i, long)), want)
	}
}

func TestNamesOfDeeperZonesAndOfATrapToComeAreNotTaken(t *testing.T) {
	t.Parallel()
	text := strings.Replace(updated, "MX 20 backup", "MX 20 mx.elsewhere.test.", 1)
	r := updatingZone(t, text, map[string]string{"zones/child.toml": "name = \"child.example.com\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\n"})
	r.want("a name of a deeper zone", r.update("udp", "acme", `_acme-challenge.child.example.com. 60 TXT "x"`), "NOTZONE")
	for _, name := range []string{"mx1", "mx9", "x.mx9"} { // whatever is known of mx.elsewhere.test
		r.want(name, r.update("udp", "acme", name+`.example.com. 60 A 192.0.2.1`), "REFUSED")
	}
	r.want("a real host of such a name", r.update("udp", "acme", `www.example.com. 60 A 192.0.2.1`), "NOERROR")
}

func TestAnUpdateLeavesTheNoteOfWhatHadToGiveWay(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	files := updating(state)
	files["zones/a.toml"] = simpleZone("other.org", 1)
	r := start(t, files)
	r.write("zones/a.toml", simpleZone("example.com", 66))
	r.reload()
	before, _ := os.ReadFile(filepath.Join(state, "waiting"))
	m := new(dns.Msg).SetUpdate("other.org.")
	record, _ := dns.NewRR(`_acme-challenge.other.org. 60 TXT "x"`)
	m.Insert([]dns.RR{record})
	m.SetTsig("acme.", dns.HmacSHA256, peer.Fudge, time.Now().Unix())
	reply, _, err := (&dns.Client{TsigSecret: map[string]string{"acme.": fake.Secret}}).Exchange(m, r.addr)
	if err != nil || reply.Rcode != dns.RcodeSuccess {
		t.Fatal(reply, err)
	}
	if after, _ := os.ReadFile(filepath.Join(state, "waiting")); len(before) == 0 || string(after) != string(before) {
		t.Errorf("%q became %q", before, after)
	}
}

// serial is the serial number of a zone as it is served.
func (r *running) serial(zone string) uint32 {
	r.t.Helper()
	reply, err := dns.Exchange(new(dns.Msg).SetQuestion(zone, dns.TypeSOA), r.addr)
	if err != nil || len(reply.Answer) == 0 {
		r.t.Fatal(reply, err)
	}
	return reply.Answer[0].(*dns.SOA).Serial
}

func TestWhatNoKeyMayChangeStaysAsItIs(t *testing.T) {
	t.Parallel()
	r := start(t, updating(t.TempDir()))
	mx := r.ask("example.com.", dns.TypeMX)
	for _, c := range []struct{ name, key, line, want string }{
		{"no key", "", challenge + ` 60 TXT "x"`, "REFUSED"},
		{"a key of no rule", "other", challenge + ` 60 TXT "x"`, "REFUSED"},
		{"a key that nobody knows", "unknown", challenge + ` 60 TXT "x"`, "NOTAUTH"},
		{"another name", "acme", `example.com. 60 TXT "x"`, "REFUSED"},
		{"another type", "acme", `www.example.com. 60 AAAA 2001:db8::1`, "REFUSED"},
		{"an exchange", "acme", `example.com. 60 MX 5 www.example.com.`, "REFUSED"},
		{"the address of a decoy", "acme", `mx1.example.com. 60 A 192.0.2.99`, "REFUSED"},
		{"a decoy's TLSA record", "acme", `_25._tcp.mx1.example.com. 60 TLSA 3 1 1 ABCD`, "REFUSED"},
		{"the TTL that decoys have too", "acme", `mail.example.com. 60 A 192.0.2.99`, "REFUSED"},
		{"an address that no decoy depends on", "acme", `mail.example.com. 3600 A 192.0.2.99`, "NOERROR"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			r.want(c.name+" over "+network, r.update(network, c.key, c.line), c.want)
		}
		r.want("MX after "+c.name, r.ask("example.com.", dns.TypeMX), mx)
		r.want("decoy after "+c.name, r.ask("mx1.example.com.", dns.TypeA), "192.0.2.26")
	}
	m := new(dns.Msg).SetUpdate("example.org.")
	m.SetTsig("acme.", dns.HmacSHA256, peer.Fudge, time.Now().Unix())
	reply, _, err := (&dns.Client{TsigSecret: map[string]string{"acme.": fake.Secret}}).Exchange(m, r.addr)
	if reply == nil || reply.Rcode != dns.RcodeNotAuth { // which the library takes for a bad signature
		t.Error("a zone that is not served:", reply, err)
	}
}

func TestWhoTakesNoUpdatesSaysSo(t *testing.T) {
	t.Parallel()
	files := updating(t.TempDir())
	files["mxtrap.toml"], _, _ = strings.Cut(files["mxtrap.toml"], "[update]")
	r := start(t, files)
	for _, network := range []string{"udp", "tcp"} {
		r.want(network, r.update(network, "acme", challenge+` 60 TXT "x"`), "NOTIMP")
	}
	files = updating("")
	r = start(t, files)
	r.want("a server without state", r.update("udp", "acme", challenge+` 60 TXT "x"`), "SERVFAIL")
	r.want("nothing", r.ask(challenge, dns.TypeTXT), `"file"`)
}

func TestUpdatesThatDoNotGoWithTheFileAreNotServed(t *testing.T) {
	t.Parallel()
	r := start(t, updating(t.TempDir()))
	r.want("update", r.update("udp", "acme", `www.example.com. 60 A 192.0.2.80`), "NOERROR")
	for _, other := range []string{elsewhere + ` 60 TXT "x"`, `_25._tcp.mail.example.com. 60 TLSA 3 1 1 ABCD`, challenge + ` 60 TXT "y"`} {
		r.want(other, r.update("udp", "acme", other), "NOERROR")
	}
	r.write("zones/example.com.toml", strings.Replace(updated, "[trap]", "www = [\"CNAME mail\"]\n[trap]", 1))
	r.reload()
	r.want("another update", r.ask("_25._tcp.mail.example.com.", dns.TypeTLSA), "3 1 1 abcd")
	r.want("an update after that", r.update("udp", "acme", challenge+` 60 TXT "z"`), "NOERROR")
	r.want("which is served", r.ask(challenge, dns.TypeTXT), `"file", "y", "z"`)
	r.want("the file's alias", r.ask("www.example.com.", dns.TypeCNAME), "mail.example.com.")
	if !strings.Contains(r.log.String(), "mxtrap update drop example.com NAME") {
		t.Error(r.log)
	}
	r.want("the load", r.metric("mxtrap_config_last_reload_successful"), "0")
	client := control.NewClient(filepath.Join(r.dir, "control.sock"))
	if err := client.Drop(t.Context(), "example.com", "www.example.com"); err != nil {
		t.Error(err)
	}
	r.reload()
	r.want("the load", r.metric("mxtrap_config_last_reload_successful"), "1")
}

func TestAnUpdateIsToldToSecondariesAtOnce(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan uint32, 10)
	secondary := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		told <- m.Answer[0].(*dns.SOA).Serial
		w.WriteMsg(new(dns.Msg).SetReply(m))
	})}
	go secondary.ActivateAndServe()
	t.Cleanup(func() { secondary.Shutdown() })
	files := updating(t.TempDir())
	files["mxtrap.toml"] = strings.Replace(files["mxtrap.toml"], "[transfer]\n", "[transfer]\nnotify = [\""+conn.LocalAddr().String()+"\"]\n", 1)
	r := start(t, files)
	first := <-told
	r.want("update", r.update("udp", "acme", challenge+` 60 TXT "x"`), "NOERROR")
	if second := <-told; second != first+1 {
		t.Errorf("told of %d, then of %d", first, second)
	}
}
