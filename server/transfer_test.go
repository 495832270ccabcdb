package server

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/answer"
	"mxtrap/server/fake"
	"mxtrap/server/peer"
	"mxtrap/zone/conf"
)

func TestTransferConfiguration(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	for name, text := range map[string]string{
		"good.key": "# shared with ns2\nhmac-sha256 " + fake.Secret + "\n", "open.key": "hmac-sha256 " + fake.Secret, "bad.key": fake.Secret, "empty.key": "\n",
		"cookies": "445536bcd2513298075a5d379663c962\n8d2b3f9c1a7e4d6f5c0b9a8e7d6c5b4a\n",
	} {
		os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600)
	}
	os.Chmod(filepath.Join(folder, "open.key"), 0o644)
	keys := "[keys]\nns2 = \"hmac-sha256 " + fake.Secret + "\"\n"
	for _, c := range []struct{ name, text, want string }{
		{"addresses, prefixes and keys", keys + "[transfer]\nallow = [\"192.0.2.2\", \"2001:db8::/32 key ns2\", \"key NS2.\"]\nnotify = [\"192.0.2.2\", \"[2001:db8::2]:5353 key ns2\"]", ""},
		{"a key that is not there", "[transfer]\nallow = [\"key ns3\"]", `m.toml:2: transfer.allow[0]: "key ns3": no key "ns3"; add it to [keys]`},
		{"no address", "[transfer]\nallow = [\"ns2.example.com\"]", `"ns2.example.com": not a server`},
		{"a prefix with more bits", "[transfer]\nallow = [\"192.0.2.2/24\"]", "write 192.0.2.0/24"},
		{"a port to ask from", "[transfer]\nallow = [\"192.0.2.2:53\"]", "leave it out"},
		{"a prefix to tell", "[transfer]\nnotify = [\"192.0.2.0/24\"]", "not a single address"},
		{"a key alone to tell", keys + "[transfer]\nnotify = [\"key ns2\"]", "not a single address"},
		{"an algorithm of the past", "[keys]\nns2 = \"hmac-md5 " + fake.Secret + "\"", "not a key: write"},
		{"a secret that is no base64", "[keys]\nns2 = \"hmac-sha256 secret!\"", "not base64"},
		{"a secret that can be guessed", "[keys]\nns2 = \"hmac-sha256 c2VjcmV0\"", "the secret has 6 octets"},
		{"an unknown key", "[transfer]\npermit = []", "permit"},
		{"addresses to send from", "[transfer]\nsource = [\"192.0.2.53\", \"2001:db8::53\"]", ""},
		{"two addresses of a family", "[transfer]\nsource = [\"192.0.2.53\", \"192.0.2.54\"]", `transfer.source[1]: "192.0.2.54": there is one of this family`},
		{"all addresses to send from", "[transfer]\nsource = [\"::\"]", "not an address of this host"},
		{"a key in a file", "keys.ns2 = { file = \"good.key\" }\n[transfer]\nallow = [\"key ns2\"]", ""},
		{"a key that is a credential", "keys.ns2 = { credential = \"good.key\" }\n[transfer]\nallow = [\"key ns2\"]", ""},
		{"a credential elsewhere", "keys.ns2 = { credential = \"../good.key\" }", "not the name of a credential"},
		{"a key in two places", "keys.ns2 = { file = \"good.key\", credential = \"ns2\" }", "name one place"},
		{"a key nowhere", "keys.ns2 = {}", "name one place"},
		{"a file that is not there", "keys.ns2 = { file = \"none.key\" }", "none.key cannot be read: no such file"},
		{"a file that is empty", "keys.ns2 = { file = \"empty.key\" }", "empty.key holds nothing"},
		{"a file that holds no key", "keys.ns2 = { file = \"bad.key\" }", "keys.ns2: not a key: write"},
		{"a file that everybody can read", "keys.ns2 = { file = \"open.key\" }", "warning: " + folder + "/m.toml:1: keys.ns2: everybody on this host can read the secret in " + folder + "/open.key"},
		{"cookies in a file", "cookies.secrets = { file = \"cookies\" }", ""},
		{"no cookies in a file", "cookies.secrets = { file = \"good.key\" }", "cookies.secrets: a secret is 32 hexadecimal digits"},
		{"a secret in the place of a list", "cookies.secrets = \"" + fake.Secret + "\"", "cookies.secrets: a string where a list of strings is wanted"},
		{"a secret of DNSSEC that is a credential", "dnssec.secret = { credential = \"dnssec\" }", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var report conf.Report
			got := ""
			parseConfig(filepath.Join(folder, "m.toml"), []byte(c.text), &report)
			for _, p := range report.Problems() {
				got += p.String() + "\n"
			}
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if strings.Contains(got, fake.Secret) {
				t.Error("the error tells the secret")
			}
		})
	}
}

// version is a zone of the transfer tests.
func version(serial int) string {
	return fmt.Sprintf("name = \"example.com\"\n[soa]\nserial = %d\n[records]\n\"@\" = [\"NS ns1\", \"MX 10 mail\"]\nns1 = [\"A 192.0.2.53\"]\nmail = [\"A 192.0.2.%d\"]\n[trap]\n", serial, serial%250+1)
}

func TestIncrementalTransfersGoBackAsFarAsIsKept(t *testing.T) {
	t.Parallel()
	const steps = 20 // of a history
	r := start(t, map[string]string{"mxtrap.toml": serverFile + "[transfer]\nallow = [\"127.0.0.1\"]\n", "zones/z.toml": version(1)})
	newest := steps + 5
	for serial := 2; serial <= newest; serial++ {
		r.write("zones/z.toml", version(serial))
		r.hup <- nil
		r.await(Reloading)
		r.await(Ready)
	}
	for _, c := range []struct {
		name   string
		serial uint32
		want   []string // the types of the records in short
	}{
		{"a client that is up to date", uint32(newest), []string{"SOA"}},
		{"a client that is ahead", uint32(newest + 1), []string{"SOA"}},
		{"one version behind", uint32(newest - 1), strings.Fields("SOA SOA A A A SOA A A A SOA")},
		{"a version that nobody knows", 0, strings.Fields("SOA MX MX MX NS A A A A SOA")},
		{"a version that is not kept any more", 2, strings.Fields("SOA MX MX MX NS A A A A SOA")},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := []string{}
			for _, rr := range r.transferred(t, new(dns.Msg).SetIxfr("example.com.", c.serial, ".", ".")) {
				got = append(got, dns.TypeToString[rr.Header().Rrtype])
			}
			if len(c.want) > 1 && c.want[1] == "MX" { // whole: the order of owners says nothing
				slices.SortStableFunc(got[1:len(got)-1], func(a, b string) int { return len(b) - len(a) })
				slices.Sort(got[1:5])
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	all := r.transferred(t, new(dns.Msg).SetIxfr("example.com.", uint32(newest-steps), ".", "."))
	if n := len(all); n != 2+steps*8 {
		t.Errorf("%d records for %d versions", n, steps)
	}
}

// transferred are the records that a request brings.
func (r *running) transferred(t *testing.T, request *dns.Msg) (records []dns.RR) {
	t.Helper()
	envelopes, err := new(dns.Transfer).In(request, r.addr)
	if err != nil {
		t.Fatal(err)
	}
	for e := range envelopes {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		records = append(records, e.RR...)
	}
	return records
}

func TestALargeZoneIsTransferredInManySignedMessages(t *testing.T) {
	t.Parallel()
	const hosts = 20_000
	var text strings.Builder
	text.WriteString("name = \"example.com\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\n")
	for i := range hosts {
		fmt.Fprintf(&text, "h%d = [\"A 192.0.2.1\"]\n", i)
	}
	r := start(t, map[string]string{
		"mxtrap.toml":  serverFile + "[keys]\nns2 = \"hmac-sha512 " + fake.Secret + "\"\n[transfer]\nallow = [\"key ns2\"]\n",
		"zones/z.toml": text.String(),
	})
	request := new(dns.Msg).SetAxfr("example.com.")
	request.SetTsig("ns2.", dns.HmacSHA512, peer.Fudge, time.Now().Unix())
	transfer := &dns.Transfer{TsigSecret: map[string]string{"ns2.": fake.Secret}}
	envelopes, err := transfer.In(request, r.addr)
	if err != nil {
		t.Fatal(err)
	}
	records, messages := 0, 0
	for e := range envelopes {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		records, messages = records+len(e.RR), messages+1
	}
	if records != hosts+4 || messages < 10 {
		t.Errorf("%d records in %d messages", records, messages)
	}
}

func TestOthersAreToldOfChanges(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	k, _ := peer.ParseKey("ns2", "hmac-sha256 "+fake.Secret)
	next := func(answered bool) *dns.Msg {
		t.Helper()
		buf := make([]byte, 1500)
		conn.SetReadDeadline(time.Now().Add(patience))
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		var q answer.Query
		q.Parse(buf[:n])
		sig, err := peer.Verify(buf[:n], q.Signed, map[string]*peer.Key{k.Name: k})
		if err != nil || sig.Verified() != k {
			t.Fatal(err, sig)
		}
		if answered {
			reply, _ := new(dns.Msg).SetReply(m).Pack()
			conn.WriteTo(sig.Sign(reply), from)
		}
		if m.Opcode != dns.OpcodeNotify || !m.Authoritative || m.Question[0].Name != "example.com." || m.Question[0].Qtype != dns.TypeSOA {
			t.Error(m)
		}
		return m
	}
	r := start(t, map[string]string{
		"mxtrap.toml":  serverFile + "[keys]\nns2 = \"hmac-sha256 " + fake.Secret + "\"\n[transfer]\nnotify = [\"" + conn.LocalAddr().String() + " key ns2\"]\n",
		"zones/z.toml": version(1),
	})
	// The first is lost on its way.
	for _, answered := range []bool{false, true} {
		if got := next(answered).Answer[0].(*dns.SOA).Serial; got != 1 {
			t.Errorf("serial %d", got)
		}
	}
	r.hup <- nil // nothing has changed: nobody is told
	r.await(Reloading)
	r.await(Ready)
	r.write("zones/z.toml", version(2))
	r.hup <- nil
	if got := next(true).Answer[0].(*dns.SOA).Serial; got != 2 {
		t.Errorf("serial %d", got)
	}
}

func TestASignedQueryGetsASignedAnswer(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"mxtrap.toml": serverFile + "[keys]\nns2 = \"hmac-sha256 " + fake.Secret + "\"\n", "zones/z.toml": exampleZone})
	for _, c := range []struct {
		name   string
		secret string
		key    string
		skew   int64
		want   int
		fault  uint16
	}{
		{"by a key that is known", fake.Secret, "ns2.", 0, dns.RcodeSuccess, dns.RcodeSuccess},
		{"by a key that is not known", fake.Secret, "ns3.", 0, dns.RcodeNotAuth, dns.RcodeBadKey},
		{"by a wrong secret", "AAAA" + fake.Secret[4:], "ns2.", 0, dns.RcodeNotAuth, dns.RcodeBadSig},
		{"long ago", fake.Secret, "ns2.", -1000, dns.RcodeNotAuth, dns.RcodeBadTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := new(dns.Msg).SetQuestion("example.com.", dns.TypeMX)
			m.SetTsig(c.key, dns.HmacSHA256, peer.Fudge, time.Now().Unix()+c.skew)
			packet, mac, err := dns.TsigGenerate(m, c.secret, "", false)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("udp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.Write(packet)
			conn.SetReadDeadline(time.Now().Add(patience))
			buf := make([]byte, 1500)
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			reply := new(dns.Msg)
			if err := reply.Unpack(buf[:n]); err != nil || reply.IsTsig() == nil {
				t.Fatal(err, reply)
			}
			if reply.Rcode != c.want || reply.IsTsig().Error != c.fault || n > dns.MinMsgSize {
				t.Errorf("%d octets: %v", n, reply)
			}
			if c.fault == dns.RcodeSuccess || c.fault == dns.RcodeBadTime {
				if err := dns.TsigVerify(bytes.Clone(buf[:n]), fake.Secret, mac, false); err != nil && c.fault != dns.RcodeBadTime {
					t.Error(err)
				}
			}
			if (c.want == dns.RcodeSuccess) != (len(reply.Answer) > 0) {
				t.Error(reply)
			}
		})
	}
}

func TestAZoneSaysItselfWhoMayTransferItAndWhoIsTold(t *testing.T) {
	t.Parallel()
	told := make(chan string, 10)
	listen := func() string {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
			host, _, _ := net.SplitHostPort(w.RemoteAddr().String())
			told <- m.Question[0].Name + " at " + conn.LocalAddr().String() + " from " + host
			w.WriteMsg(new(dns.Msg).SetReply(m))
		})}
		go server.ActivateAndServe()
		t.Cleanup(func() { server.Shutdown() })
		return conn.LocalAddr().String()
	}
	all, one := listen(), listen()
	plain := func(name, more string) string {
		return "name = \"" + name + "\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\n" + more
	}
	primary, asked := fake.NewPrimary(t), make(chan string, 10)
	primary.Plays(func(conn net.Conn, _ *dns.Msg) {
		select {
		case asked <- conn.RemoteAddr().(*net.TCPAddr).IP.String():
		default:
		}
	})
	open, closed, other := plain("open.test", ""), plain("closed.test", "[transfer]\nallow = []\n"), plain("other.test", "[transfer]\nnotify = [\""+one+"\"]\n")
	r := start(t, map[string]string{
		"mxtrap.toml":     serverFile + "[transfer]\nallow = [\"127.0.0.1\"]\nnotify = [\"" + all + "\"]\nsource = [\"127.0.0.9\"]\n",
		"zones/open.toml": open, "zones/closed.toml": closed, "zones/other.toml": other,
		"zones/elsewhere.toml": "name = \"elsewhere.test\"\n[primary]\naddress = [\"" + primary.Address() + "\"]\n",
	})
	if from := <-asked; from != "127.0.0.9" {
		t.Error("the primary was asked from", from)
	}
	heard := map[string]bool{}
	for range 3 {
		heard[<-told] = true
	}
	for _, want := range []string{"open.test. at " + all + " from 127.0.0.9", "closed.test. at " + all + " from 127.0.0.9", "other.test. at " + one + " from 127.0.0.9"} {
		if !heard[want] {
			t.Errorf("nobody heard of %s, but of %v", want, heard)
		}
	}
	outcome := func(zone string, qtype uint16) string {
		conn, err := dns.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		m := new(dns.Msg).SetAxfr(zone)
		if qtype == dns.TypeIXFR {
			m.SetIxfr(zone, 0, ".", ".")
		}
		conn.WriteMsg(m)
		reply, err := conn.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		return dns.RcodeToString[reply.Rcode]
	}
	wants := func(zone, want string) {
		t.Helper()
		for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
			if got := outcome(zone, qtype); got != want {
				t.Errorf("%s of %s: %s, want %s", dns.TypeToString[qtype], zone, got, want)
			}
		}
	}
	wants("open.test.", "NOERROR")
	wants("other.test.", "NOERROR")
	wants("closed.test.", "REFUSED")
	r.write("zones/closed.toml", open[:len("name = \"")]+"closed"+open[len("name = \"open"):])
	r.write("zones/open.toml", open+"[transfer]\nallow = [\"192.0.2.1\"]\n")
	r.reload()
	wants("open.test.", "REFUSED")
	wants("closed.test.", "NOERROR")
	r.write("mxtrap.toml", serverFile) // what stands in no zone file is the server file's word
	r.reload()
	wants("other.test.", "REFUSED")
	r.write("zones/other.toml", plain("other.test", "[transfer]\nallow = [\"key none\"]\n"))
	r.reload()
	if !strings.Contains(r.log.String(), `transfer.allow[0]`) {
		t.Error(r.log)
	}
}

// TestAnAnswerToATransferKnowsTheTime, of which its cookie is made (RFC 9018 4.3).
func TestAnAnswerToATransferKnowsTheTime(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"mxtrap.toml": serverFile + "[transfer]\nallow = [\"127.0.0.1\"]\n", "zones/z.toml": version(1)})
	conn, err := dns.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m := new(dns.Msg).SetAxfr("example.com.")
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"})
	conn.WriteMsg(m)
	reply, err := conn.ReadMsg()
	if err != nil || reply.IsEdns0() == nil || len(reply.IsEdns0().Option) != 1 {
		t.Fatal(reply, err)
	}
	cookie, err := hex.DecodeString(reply.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie)
	if err != nil || len(cookie) != 24 {
		t.Fatal(cookie, err)
	}
	if age := time.Since(time.Unix(int64(binary.BigEndian.Uint32(cookie[12:])), 0)); age < -time.Minute || age > time.Minute {
		t.Errorf("the cookie was made %v ago", age)
	}
}
