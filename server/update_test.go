package server

import (
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
	r.write("zones/example.com.toml", strings.Replace(updated, "[trap]", "www = [\"CNAME mail\"]\n[trap]", 1))
	r.reload()
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
