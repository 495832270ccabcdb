package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone/sign"
)

// signedServer signs all zones with keys that are derived from a secret.
var signedServer = map[string]string{
	"mxtrap.toml": serverFile + "[dnssec]\ndefault = true\nsecret = \"secret\"\n", "secret": strings.Repeat("s", 32),
}

// askSecure asks with DO.
func (r *running) askSecure(name string, qtype uint16) *dns.Msg {
	r.t.Helper()
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.SetEdns0(4096, true)
	reply, _, err := (&dns.Client{Net: "tcp", Timeout: patience}).Exchange(m, r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	return reply
}

// TestASignedReloadUnderLoad reloads while clients ask for signed answers, negative ones too: no query is lost, and each signature is that of
// the RRset beside it.
func TestASignedReloadUnderLoad(t *testing.T) {
	t.Parallel()
	const reloads = 20
	version := func(n int) string {
		return fmt.Sprintf("name = \"a.test\"\n[soa]\nserial = %d\n[records]\n\"@\" = [\"NS ns1\", \"TXT v%d\"]\nns1 = [\"A 192.0.2.53\"]\n", 1000+n, n)
	}
	files := map[string]string{"zones/a.toml": version(0)}
	for name, text := range signedServer {
		files[name] = text
	}
	r := start(t, files)
	key := r.askSecure("a.test.", dns.TypeDNSKEY).Answer[0].(*dns.DNSKEY)
	var stop atomic.Bool
	var asked, newest atomic.Int64
	var clients sync.WaitGroup
	for i := range 3 {
		clients.Go(func() {
			c := &dns.Client{Net: []string{"udp", "udp", "tcp"}[i], Timeout: patience, UDPSize: 4096}
			conn, err := c.Dial(r.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for !stop.Load() {
				least := newest.Load()
				for _, q := range []struct {
					name  string
					qtype uint16
				}{{"a.test.", dns.TypeTXT}, {"nothing.a.test.", dns.TypeA}} {
					m := new(dns.Msg).SetQuestion(q.name, q.qtype)
					m.SetEdns0(4096, true)
					reply, _, err := c.ExchangeWithConn(m, conn)
					if err != nil {
						t.Errorf("lost: %v", err)
						return
					}
					asked.Add(1)
					section := append(reply.Answer, reply.Ns...)
					for i, rr := range section {
						sig, ok := rr.(*dns.RRSIG)
						if !ok {
							continue
						}
						if err := sig.Verify(key, section[i-1:i]); err != nil {
							t.Errorf("%v in\n%v", err, reply)
							return
						}
					}
					var n int64
					if txt, ok := section[0].(*dns.TXT); ok {
						fmt.Sscanf(txt.Txt[0], "v%d", &n)
						if n < least {
							t.Errorf("version %d after version %d was published", n, least)
							return
						}
					}
				}
			}
		})
	}
	for n := 1; n <= reloads || asked.Load() < reloads && !t.Failed(); n++ { // however few the clients ask beside other tests
		r.write("zones/a.toml", version(n))
		r.reload()
		newest.Store(int64(n))
	}
	stop.Store(true)
	clients.Wait()
}

// TestALostKeyIsToldOf in the log and in a metric, until it is back.
func TestALostKeyIsToldOf(t *testing.T) {
	t.Parallel()
	files := map[string]string{"zones/a.toml": simpleZone("a.test", 1)}
	for name, text := range signedServer {
		files[name] = text
	}
	r := start(t, files)
	r.want("no key is lost", r.metric("mxtrap_dnssec_keys_lost"), "0")
	secret := filepath.Join(r.dir, "secret")
	os.Rename(secret, secret+".gone")
	r.reload()
	r.want("a key is lost", r.metric("mxtrap_dnssec_keys_lost"), "1")
	if reply := r.askSecure("www.a.test.", dns.TypeA); len(reply.Answer) != 2 {
		t.Errorf("the last good version is not served:\n%v", reply)
	}
	deadline := time.Now().Add(patience)
	for !strings.Contains(r.log.String(), "the key of a zone is lost") {
		if time.Now().After(deadline) {
			t.Fatalf("log:\n%s", r.log)
		}
		time.Sleep(10 * time.Millisecond)
	}
	os.Rename(secret+".gone", secret)
	r.reload()
	r.want("the key is back", r.metric("mxtrap_dnssec_keys_lost"), "0")
}

// TestAKeyWhosePrivateFileIsAnothersSignsNothing: a start leaves it to the first signature to find that out, and then says so. No secondary
// gets a zone without signatures.
func TestAKeyWhosePrivateFileIsAnothersSignsNothing(t *testing.T) {
	t.Parallel()
	files := map[string]string{"mxtrap.toml": serverFile + "[transfer]\nallow = [\"127.0.0.1\"]\n[dnssec]\ndefault = true\nkeys = \"keys\"\n", "zones/a.toml": simpleSigned}
	k, other := generatedKey(t), generatedKey(t)
	private, err := other.Private()
	if err != nil {
		t.Fatal(err)
	}
	files["keys/"+k.File()+sign.PublicFile], files["keys/"+k.File()+sign.PrivateFile] = string(k.Public()), string(private)
	r := start(t, files)
	if reply := r.askSecure("a.test.", dns.TypeSOA); reply.Rcode != dns.RcodeServerFailure {
		t.Error(reply)
	}
	if envelopes, err := new(dns.Transfer).In(new(dns.Msg).SetAxfr("a.test."), r.addr); err == nil {
		for e := range envelopes {
			if e.Error == nil {
				t.Errorf("%d records are transferred", len(e.RR))
			}
		}
	}
	r.soon("the log, which the sweep writes", func() string {
		return fmt.Sprint(strings.Contains(r.log.String(), "cannot sign a zone") && strings.Contains(r.log.String(), "not of one pair"))
	}, "true")
}

const simpleSigned = "name = \"a.test\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\n"

func generatedKey(t *testing.T) *sign.Key {
	t.Helper()
	k, err := sign.Generate("\x01a\x04test\x00", dns.ECDSAP256SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestAnotherSecretChangesNoKeyOfARunningServer: the parent has the DS records of the keys that there are.
func TestAnotherSecretChangesNoKeyOfARunningServer(t *testing.T) {
	t.Parallel()
	files := map[string]string{"zones/a.toml": simpleSigned}
	for name, text := range signedServer {
		files[name] = text
	}
	r := start(t, files)
	key := func() string { return r.askSecure("a.test.", dns.TypeDNSKEY).Answer[0].String() }
	before := key()
	for range 2 {
		r.write("secret", strings.Repeat("t", 32))
		r.reload()
		r.want("the key", key(), before)
	}
	r.want("what is told", fmt.Sprint(strings.Contains(r.log.String(), "the secret has changed")), "true")
	r.want("keys lost", r.metric("mxtrap_dnssec_keys_lost"), "1")
	r.write("secret", strings.Repeat("s", 32))
	r.reload()
	r.want("keys lost", r.metric("mxtrap_dnssec_keys_lost"), "0")
	r.want("the key", key(), before)
}
