//go:build interop

package interop

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server"
	"mxtrap/server/keyring"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/sign"
)

// signedZone has all that denial can go wrong with: wildcards, names that exist only for others, cuts with and without DS, aliases, a DNAME.
const signedZone = `name = "example.com"
dnssec = %s
[soa]
serial = 7
[records]
"@" = ["NS ns1", "MX 10 mail", "MX 20 bob.fallback.host.", 'TXT "v=spf1 mx -all"']
ns1 = ["A 192.0.2.53"]
mail = ["A 192.0.2.25", "AAAA 2001:db8::25"]
"_25._tcp.mail" = ["TLSA 3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
"*.wild" = ["A 192.0.2.1"]
"a.b.ent" = ["TXT x"]
alias = ["CNAME mail"]
chain = ["CNAME alias"]
"*.cw" = ["CNAME mail"]
sub = ["NS ns.sub"]
"ns.sub" = ["A 192.0.2.9"]
sec = ["NS ns.sec", "DS 1 13 2 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
"ns.sec" = ["A 192.0.2.9"]
dn = ["DNAME mail"]
'UPPER\.dot' = ["TXT y"]
"_odd_.*.star" = ["TXT z"]
[trap]
count = 2
cover = true
addresses = ["192.0.2.26", "192.0.2.27"]
[trap.covers]
"bob.fallback.host" = ["198.51.100.7"]
`

// signedQuestions are what a validator is asked; all of the answers must be secure.
const signedQuestions = `@ SOA NS MX TXT DNSKEY CDS CDNSKEY SRV TYPE65280
mail A AAAA TXT
MaIl A TXT
mx1 A AAAA
mx2 A AAAA MX TXT
mx3 A
_25._tcp.mail TLSA A
_25._tcp.mx1 TLSA
_25._tcp.mx2 TLSA
_25._tcp.mx3 TLSA
_tcp.mail TLSA
_tcp.mx2 TLSA
nx A
a.b.c.nx A
zzz A
0 A
x.wild A TXT
x.y.wild A
wild A
*.wild A TXT
ent TXT
b.ent A
a.b.ent TXT A
z.b.ent A
alias A TXT CNAME AAAA
chain A TXT
x.cw A TXT AAAA
sec DS
sub DS
dn DNAME A
_25._tcp.dn A
x.dn A
UPPER\.dot TXT A
star TXT
`

// starQuestions are of names for which a wildcard would stand in that exists only for a name below it. What BIND 9.18 and Knot 3.2 answer to them
// as secondaries, unbound does not take, whoever has signed the zone.
const starQuestions = "x.star TXT\n_odd_.x.star TXT\n"

// validatesAll asks a validating resolver and demands that each answer is secure.
func validatesAll(t *testing.T, resolver, questions string) (asked int) {
	t.Helper()
	for line := range strings.Lines(questions) {
		words := strings.Fields(line)
		name := strings.TrimPrefix(words[0]+".example.com.", "@.")
		for _, word := range words[1:] {
			qtype, ok := dns.StringToType[word]
			if !ok {
				fmt.Sscanf(word, "TYPE%d", &qtype)
			}
			m := new(dns.Msg).SetQuestion(name, qtype)
			m.SetEdns0(1232, true)
			reply, _, err := (&dns.Client{Net: "tcp", Timeout: 10 * time.Second}).Exchange(m, resolver)
			asked++
			if err != nil {
				t.Errorf("%s %s: %v", name, word, err)
			} else if !reply.AuthenticatedData || reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
				t.Errorf("%s %s: not secure\n%v", name, word, reply)
			}
		}
	}
	return asked
}

// validator starts unbound as a validator of example.com, which it asks a server for.
func validator(t *testing.T, anchor, server string) (resolver string) {
	t.Helper()
	path := write(t, openFolder(t), "anchor", anchor)
	return startUnbound(t, fmt.Sprintf("stub-zone:\n name: example.com\n stub-addr: 127.0.0.1@%s\n", server),
		fmt.Sprintf(" module-config: \"validator iterator\"\n trust-anchor-file: %q\n aggressive-nsec: yes\n val-log-level: 2\n", path))
}

// clocked is a server of this process, with a clock of its own.
type clocked struct {
	*instance
	offset atomic.Int64 // seconds that the clock is ahead of the real one
	anchor string
	keys   keyring.Config
	reload chan os.Signal
}

// newClocked serves signedZone, with a key, by a clock that is off by so many days.
func newClocked(t *testing.T, extra, dnssec string, days int64) *clocked {
	t.Helper()
	c := &clocked{instance: &instance{port: freePort(t), metricsPort: freePort(t), dir: t.TempDir()}}
	c.offset.Store(days * 86400)
	os.Mkdir(filepath.Join(c.dir, "zones"), 0o755)
	write(t, c.dir, "zones/a.toml", fmt.Sprintf(signedZone, map[string]string{"NSEC": "true", "NSEC3": "{ nsec3 = true }"}[dnssec]))
	write(t, c.dir, "mxtrap.toml", fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:%s\"]\nmetrics = \"127.0.0.1:%s\"\n%s", c.port, c.metricsPort, extra))
	output(t, "sh", "-c", "cd "+keysOf(t, c.dir)+" && ldns-keygen -a ECDSAP256SHA256 -k example.com") // states no times, for clocks that are behind
	c.anchor = output(t, buildOnce(t), "key", "ds", "--config", c.config(), "example.com")
	ctx, stop := context.WithCancel(context.Background())
	var report conf.Report
	config := server.ReadConfig(c.config(), &report)
	if config == nil {
		t.Fatal(report.Problems())
	}
	s, err := server.New(ctx, config, server.Options{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Notify: func(server.Event) {},
		Clock: func() time.Time { return time.Now().Add(time.Duration(c.offset.Load()) * time.Second) },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.keys, c.reload = config.DNSSEC, make(chan os.Signal)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, c.reload) }()
	t.Cleanup(func() {
		stop()
		<-done
	})
	eventually(t, "mxtrap serves", func() bool {
		_, err := dns.Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), "127.0.0.1:"+c.port)
		return err == nil
	})
	return c
}

func keysOf(t *testing.T, dir string) string {
	t.Helper()
	keys := filepath.Join(dir, "keys")
	os.Mkdir(keys, 0o755)
	return keys
}

func serialAt(t *testing.T, port string) uint32 {
	t.Helper()
	reply, _, err := (&dns.Client{Net: "tcp"}).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), "127.0.0.1:"+port)
	if err != nil || len(reply.Answer) == 0 {
		return 0
	}
	return reply.Answer[0].(*dns.SOA).Serial
}

func TestInteropUnboundValidatesEveryAnswer(t *testing.T) {
	for _, dnssec := range []string{"NSEC", "NSEC3"} {
		t.Run(dnssec, func(t *testing.T) {
			c := newClocked(t, "", dnssec, 0)
			t.Logf("%d questions", validatesAll(t, validator(t, c.anchor, c.port), signedQuestions+starQuestions))
			wantLines(t, "delv", said(t, "delv", "@127.0.0.1", "-p", c.port, "-a", trustAnchors(t, c.anchor), "+root=example.com", "example.com", "MX"), "fully validated")
		})
	}
}

// trustAnchors is a file of them as BIND has it.
func trustAnchors(t *testing.T, ds string) string {
	t.Helper()
	words := strings.Fields(ds)
	return write(t, openFolder(t), "anchors", fmt.Sprintf("trust-anchors { example.com. static-ds %s %s %s \"%s\"; };\n", words[3], words[4], words[5], words[6]))
}

// TestInteropSecondariesServeASignedZone has each name server get the signed zone, and the signatures of the next window by their differences;
// unbound finds all of it secure, before and after.
func TestInteropSecondariesServeASignedZone(t *testing.T) {
	buildOnce(t)
	starts := map[string]func(t *testing.T, dir, port, primary, algorithm string){
		"NSD": startNSD, "BIND": startBIND, "PowerDNS": startPowerDNS,
		"Knot": func(t *testing.T, dir, port, primary, algorithm string) {
			background(t, "knotd", "-c", write(t, dir, "knot.conf", knotHead(dir, port, primary, algorithm, "notify")+fmt.Sprintf(`
zone:
  - domain: example.com
    storage: %s
    master: mxtrap
    acl: mxtrap
    dnssec-validation: on
`, dir)))
		},
	}
	for name, start := range starts {
		for _, dnssec := range []string{"NSEC", "NSEC3"} {
			t.Run(name+" "+dnssec, func(t *testing.T) {
				t.Parallel()
				port, dir := freePort(t), openFolder(t)
				c := newClocked(t, fmt.Sprintf("[keys]\nns2 = \"hmac-sha256 %s\"\n[transfer]\nallow = [\"key ns2\"]\nnotify = [\"127.0.0.1:%s key ns2\"]\n", transferSecret, port), dnssec, -7)
				start(t, dir, port, c.port, "hmac-sha256")
				first := serialAt(t, c.port)
				eventually(t, "the secondary has the zone", func() bool { return serialAt(t, port) == first })
				validatesAll(t, validator(t, c.anchor, port), signedQuestions)
				c.offset.Store(0)
				eventually(t, "mxtrap has the next window", func() bool { return serialAt(t, c.port) == first+1 })
				eventually(t, "the secondary has it too", func() bool { return serialAt(t, port) == first+1 })
				validatesAll(t, validator(t, c.anchor, port), signedQuestions)
				if n := c.sum(t, `mxtrap_transfers_total{outcome="ixfr"`); n < 1 && name != "PowerDNS" {
					t.Error("the signatures were not transferred by their differences")
				}
			})
		}
	}
}

// TestInteropShowSignedIsWhatATransferHas, and the tools that check signed zones find no fault with it.
func TestInteropShowSignedIsWhatATransferHas(t *testing.T) {
	for _, dnssec := range []string{"NSEC", "NSEC3"} {
		t.Run(dnssec, func(t *testing.T) {
			c := newClocked(t, "[transfer]\nallow = [\"127.0.0.1\"]\n", dnssec, 0)
			shown := recordLines(output(t, buildOnce(t), "show", "--config", c.config(), "--signed", "example.com"))
			sent := recordLines(output(t, "dig", "@127.0.0.1", "-p", c.port, "example.com", "AXFR", "+noall", "+answer", "+onesoa", "+nocrypto", "+nosplit"))
			if len(shown) != len(sent) {
				t.Errorf("%d records are shown, %d sent", len(shown), len(sent))
			}
			verifies(t, strings.Join(shown, "\n")+"\n")
		})
	}
}

// recordLines are the lines of a text that hold records.
func recordLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "\t; ")
		if line = strings.TrimSpace(line); line != "" && line[0] != ';' {
			lines = append(lines, line)
		}
	}
	return lines
}

// verifies has each tool check a signed zone.
func verifies(t *testing.T, text string) {
	t.Helper()
	path := write(t, t.TempDir(), "zone", text)
	for _, tool := range [][]string{
		{"ldns-verify-zone", path}, {"dnssec-verify", "-z", "-o", "example.com", path}, {"kzonecheck", "-d", "on", "-o", "example.com", path},
	} {
		output(t, tool[0], tool[1:]...)
	}
}

// TestInteropTheChainIsThatOfOtherSigners signs the same zone with BIND's signer, and with ldns': the chains are equal, and Ed25519's signatures
// are so octet by octet.
func TestInteropTheChainIsThatOfOtherSigners(t *testing.T) {
	dir := t.TempDir()
	keys := keysOf(t, dir)
	os.Mkdir(filepath.Join(dir, "zones"), 0o755)
	write(t, dir, "zones/a.toml", fmt.Sprintf(signedZone, "true"))
	config := write(t, dir, "mxtrap.toml", "[server]\nzones = [\"zones/*.toml\"]\n")
	key := strings.TrimSpace(output(t, "sh", "-c", "cd "+keys+" && ldns-keygen -a ED25519 -k -r /dev/urandom example.com"))
	os.Remove(filepath.Join(keys, key+".ds"))
	run := func(args ...string) string { return output(t, buildOnce(t), append(args, "--config", config)...) }
	mine := recordLines(run("show", "--signed", "example.com"))
	times := strings.Fields(pick(mine, "RRSIG\tSOA"))
	plain := write(t, dir, "plain", strings.Join(slices.DeleteFunc(slices.Clone(mine), func(line string) bool {
		return strings.Contains(line, "\tRRSIG\t") || strings.Contains(line, "\tNSEC\t")
	}), "\n")+"\n")
	output(t, "ldns-signzone", "-A", "-e", times[8], "-i", times[9], "-o", "example.com", "-f", plain+".ldns", plain, filepath.Join(keys, key))
	output(t, "dnssec-signzone", "-d", t.TempDir(), "-z", "-P", "-O", "full", "-o", "example.com", "-f", plain+".bind", "-e", times[8], "-s", times[9], plain, filepath.Join(keys, key))
	for _, other := range []string{".ldns", ".bind"} {
		theirs := canonicalRecords(t, readFile(t, plain+other))
		for _, line := range mine {
			r, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			typ := r.Header().Rrtype
			if typ != dns.TypeNSEC && typ != dns.TypeRRSIG {
				continue
			}
			if !theirs[strings.ToLower(r.String())] {
				t.Errorf("%s has not\n%s", other, r)
			}
			delete(theirs, strings.ToLower(r.String()))
		}
		for left := range theirs {
			if strings.Contains(left, "\tnsec\t") {
				t.Errorf("only %s has\n%s", other, left)
			}
		}
	}
}

func pick(lines []string, what string) string {
	return lines[slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, what) })]
}

// canonicalRecords are the records of a master file, each as one line.
func canonicalRecords(t *testing.T, text string) map[string]bool {
	t.Helper()
	records := map[string]bool{}
	p := dns.NewZoneParser(strings.NewReader(text), "example.com.", "")
	for r, ok := p.Next(); ok; r, ok = p.Next() {
		records[strings.ToLower(r.String())] = true
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return records
}

// TestInteropKeysComeFromOthersAndGoToThem imports the keys of each program, and has each take mxtrap's.
func TestInteropKeysComeFromOthersAndGoToThem(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "zones"), 0o755)
	config := write(t, dir, "mxtrap.toml", "[server]\nzones = [\"zones/*.toml\"]\n")
	write(t, dir, "zones/a.toml", fmt.Sprintf(signedZone, "true"))
	run := func(args ...string) string { return output(t, buildOnce(t), append(args, "--config", config)...) }
	fresh := func() string {
		os.RemoveAll(filepath.Join(dir, "keys"))
		return keysOf(t, dir)
	}
	signs := func(t *testing.T, from string) {
		t.Helper()
		verifies(t, strings.Join(recordLines(run("show", "--signed", "example.com")), "\n")+"\n")
		wantLines(t, from, run("key", "list", "example.com"), `\bsigns$`)
	}
	for _, algorithm := range []string{"8", "10", "13", "14", "15"} {
		t.Run("dnssec-keygen "+algorithm, func(t *testing.T) {
			output(t, "dnssec-keygen", "-K", fresh(), "-a", algorithm, "-f", "KSK", "example.com")
			signs(t, "dnssec-keygen")
		})
	}
	t.Run("a pair of dnssec-keygen", func(t *testing.T) {
		keys := fresh()
		output(t, "dnssec-keygen", "-K", keys, "-a", "13", "-f", "KSK", "example.com")
		output(t, "dnssec-keygen", "-K", keys, "-a", "13", "example.com")
		signs(t, "dnssec-keygen")
	})
	t.Run("ldns-keygen", func(t *testing.T) {
		output(t, "sh", "-c", "cd "+fresh()+" && ldns-keygen -a ECDSAP256SHA256 -k example.com")
		signs(t, "ldns-keygen")
	})
	t.Run("PowerDNS", func(t *testing.T) {
		peer := t.TempDir()
		powerDNSFolder(t, peer, freePort(t), "")
		pdnsutil := func(args ...string) string {
			return output(t, "pdnsutil", append([]string{"--config-dir=" + peer}, args...)...)
		}
		pdnsutil("create-zone", "example.com")
		pdnsutil("add-zone-key", "example.com", "ksk", "active", "ecdsa256")
		fresh()
		run("key", "import", "example.com", write(t, dir, "exported", pdnsutil("export-zone-key", "example.com", "1")))
		signs(t, "pdnsutil")
		wantLines(t, "pdnsutil", pdnsutil("show-zone", "example.com"), `(?i)`+strings.Fields(run("key", "ds", "example.com"))[6])
	})
	t.Run("Knot", func(t *testing.T) {
		peer := t.TempDir()
		keymgr := func(args ...string) string { return output(t, "keymgr", append([]string{"-D", peer}, args...)...) }
		id := strings.TrimSpace(keymgr("example.com", "generate", "algorithm=13", "ksk=yes", "zsk=yes"))
		fresh()
		run("key", "import", "example.com", filepath.Join(peer, "keys", id+".pem"))
		signs(t, "keymgr")
		wantLines(t, "keymgr", keymgr("example.com", "ds"), `(?i)`+strings.Fields(run("key", "ds", "example.com"))[6])
	})
	for _, algorithm := range []string{"13", "15"} {
		t.Run("mxtrap "+algorithm, func(t *testing.T) {
			fresh()
			path := strings.TrimSpace(run("key", "generate", "example.com", "--algorithm", algorithm))
			signs(t, "mxtrap")
			wantLines(t, "dnssec-dsfromkey", output(t, "dnssec-dsfromkey", "-2", path+".key"), strings.Fields(run("key", "ds", "example.com"))[6])
			wantLines(t, "dnssec-settime", output(t, "dnssec-settime", "-p", "all", path), `^Activate: `, `^SYNC Publish: `)
			peer := t.TempDir()
			output(t, "keymgr", "-D", peer, "example.com", "import-bind", path+".key")
			wantLines(t, "keymgr", output(t, "keymgr", "-D", peer, "example.com", "ds"), `(?i)`+strings.Fields(run("key", "ds", "example.com"))[6])
		})
	}
}

// TestInteropUnboundValidatesThroughARollover rolls the key as the commands say, another algorithm too, with a parent that is late. At each
// step unbound, whose clock goes with it, finds every answer secure by the DS record that the parent has then.
func TestInteropUnboundValidatesThroughARollover(t *testing.T) {
	buildOnce(t)
	for _, algorithm := range []uint8{dns.ECDSAP256SHA256, dns.ED25519} {
		t.Run(dns.AlgorithmToString[algorithm], func(t *testing.T) {
			t.Parallel()
			c := newClocked(t, "", "NSEC", 0)
			apex := dname.Name("\x07example\x03com\x00")
			keys, err := keyring.New(c.keys, nil).Of(apex)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now().Unix()
			parent := sign.Parent{DS: [][]byte{keys[0].DS(sign.SHA256)}, TTL: time.Hour}
			anchor := c.anchor
			rolls := 0
			for _, hours := range []int64{0, 1, 2, 4, 6, 30, 31, 33, 34, 40, 200} {
				now := start + hours*3600
				c.offset.Store(now - time.Now().Unix())
				keys, err := keyring.New(c.keys, nil).Of(apex)
				if err != nil {
					t.Fatal(err)
				}
				s, err := sign.StatusOf(keys, parent, now)
				if err != nil {
					t.Fatal(err)
				}
				if s.Stage == sign.Swapping && hours >= 30 { // the parent is late
					parent.DS = s.Wants
					anchor = fmt.Sprintf("example.com. IN DS %s\n", rdata.Append(nil, dns.TypeDS, s.Wants[0]))
				}
				if rolls == 0 || s.Stage == sign.Swapping && hours >= 31 {
					write, _, err := sign.Roll(keys, parent, time.Hour, algorithm, func(algorithm uint8) (*sign.Key, error) { return sign.Generate(apex, algorithm) }, now)
					if err != nil {
						t.Fatal(err)
					}
					for _, k := range write {
						if err := c.keys.Replace(k); err != nil {
							t.Fatal(err)
						}
					}
					rolls++
					c.reload <- syscall.SIGHUP
				}
				time.Sleep(2500 * time.Millisecond) // the server looks at its clock each second
				path := write(t, openFolder(t), "anchor", anchor)
				resolver := startUnbound(t, fmt.Sprintf("stub-zone:\n name: example.com\n stub-addr: 127.0.0.1@%s\n", c.port), fmt.Sprintf(
					" module-config: \"validator iterator\"\n trust-anchor-file: %q\n aggressive-nsec: yes\n val-override-date: %q\n",
					path, time.Unix(now, 0).UTC().Format("20060102150405")))
				if validatesAll(t, resolver, signedQuestions); t.Failed() {
					t.Fatalf("after %d hours, at stage %d: %s", hours, s.Stage, s.Says)
				}
			}
			if rolls != 2 {
				t.Errorf("%d steps were taken", rolls)
			}
		})
	}
}

// plainFile is signedZone without its trap, as a master file for other signers. It has the decoys as records.
func plainFile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "zones"), 0o755)
	write(t, dir, "zones/a.toml", fmt.Sprintf(signedZone, "false"))
	config := write(t, dir, "mxtrap.toml", "[server]\nzones = [\"zones/*.toml\"]\n")
	return write(t, dir, "plain", output(t, buildOnce(t), "show", "--config", config, "example.com"))
}

// TestInteropAZoneThatAnotherHasSignedIsServedWithItsProofs, from a file and from a primary, whatever chain it has.
func TestInteropAZoneThatAnotherHasSignedIsServedWithItsProofs(t *testing.T) {
	buildOnce(t)
	for name, options := range map[string][]string{
		"NSEC": nil, "NSEC3": {"-3", "-", "-H", "0"}, "NSEC3 with salt": {"-3", "AABBCC", "-H", "5"}, "NSEC3 with opt-out": {"-3", "-", "-H", "0", "-A"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			plain := plainFile(t)
			keys := keysOf(t, filepath.Dir(plain))
			key := strings.TrimSpace(output(t, "dnssec-keygen", "-K", keys, "-a", "13", "-f", "KSK", "example.com"))
			output(t, "dnssec-signzone", append(append([]string{"-d", t.TempDir(), "-S", "-K", keys, "-z", "-P", "-O", "full", "-o", "example.com", "-f", plain + ".signed"}, options...), plain)...)
			anchor := output(t, "dnssec-dsfromkey", "-2", filepath.Join(keys, key+".key"))
			first := serveInstance(t, "[transfer]\nallow = [\"127.0.0.1\"]\n", map[string]string{
				"a.toml": "name = \"example.com\"\nfile = \"a.zone\"\n", "a.zone": readFile(t, plain+".signed"),
			})
			second := serveInstance(t, "", map[string]string{"a.toml": fmt.Sprintf("name = \"example.com\"\n[primary]\naddress = [\"127.0.0.1:%s\"]\n", first.port)})
			eventually(t, "the copy has come", func() bool { return serialAt(t, second.port) == serialAt(t, first.port) })
			questions := signedQuestions
			if strings.Contains(name, "opt-out") {
				questions = "@ SOA NS MX TXT SRV\nmail A TXT\nmx2 A TXT\nalias A\nsec DS\n" // what is proved by gaps is not secure (RFC 5155 9.2)
			}
			questions = strings.NewReplacer(" CDS", "", " CDNSKEY", "").Replace(questions)
			for _, m := range []*instance{first, second} {
				validatesAll(t, validator(t, anchor, m.port), questions)
			}
			wantLines(t, "dig", output(t, "dig", "@127.0.0.1", "-p", second.port, "x.sub.example.com", "+dnssec", "+norec"), `NSEC3?\s`)
		})
	}
}

// TestInteropAZoneThatAnotherHasSignedIsSignedAnewUnderATrap.
func TestInteropAZoneThatAnotherHasSignedIsSignedAnewUnderATrap(t *testing.T) {
	first := newClocked(t, "[transfer]\nallow = [\"127.0.0.1\"]\n", "NSEC3", 0)
	dir := t.TempDir()
	key := strings.TrimSpace(output(t, "dnssec-keygen", "-K", keysOf(t, dir), "-a", "15", "-f", "KSK", "example.com"))
	zone := fmt.Sprintf("name = \"example.com\"\n%%s[primary]\naddress = [\"127.0.0.1:%s\"]\n[trap]\nnames = \"relay{n}\"\naddresses = [\"192.0.2.28\", \"192.0.2.29\"]\n", first.port)
	extra := fmt.Sprintf("[dnssec]\nkeys = %q\n", filepath.Join(dir, "keys"))
	refused := serveInstance(t, extra, map[string]string{"a.toml": fmt.Sprintf(zone, "")})
	eventually(t, "the log says why", func() bool {
		return strings.Contains(refused.out.String(), "the zone is signed already, and a trap would change it")
	})
	m := serveInstance(t, extra, map[string]string{"a.toml": fmt.Sprintf(zone, "dnssec = true\n")})
	eventually(t, "the copy has come", func() bool { return serialAt(t, m.port) != 0 })
	anchor := output(t, "dnssec-dsfromkey", "-2", filepath.Join(dir, "keys", key+".key"))
	validatesAll(t, validator(t, anchor, m.port), signedQuestions+"relay1 A TXT\n_25._tcp.relay2 TLSA\n")
}

// TestInteropDrawnZonesAreSignedWithoutAFault has each tool check zones that chance has made.
func TestInteropDrawnZonesAreSignedWithoutAFault(t *testing.T) {
	const zones = 360 // of which some break a rule, and are left out
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "zones"), 0o755)
	var shown []string
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range zones {
		name := fmt.Sprintf("z%d.example", i)
		write(t, dir, "zones/"+name+".toml", drawnZone(r, name, i%2 == 0))
	}
	config := write(t, dir, "mxtrap.toml", "[server]\nzones = [\"zones/*.toml\"]\n[dnssec]\ndefault = true\nsecret = \"secret\"\n")
	os.WriteFile(filepath.Join(dir, "secret"), []byte(strings.Repeat("s", 32)), 0o600)
	out, _ := exec.Command(buildOnce(t), "show", "--signed", "--config", config).Output() // zones that break a rule are left out
	for _, line := range recordLines(string(out)) {
		if strings.Fields(line)[3] == "SOA" {
			shown = append(shown, "")
		}
		shown[len(shown)-1] += line + "\n"
	}
	if len(shown) < zones/2 {
		t.Fatalf("seed %d: only %d zones\n%s", seed, len(shown), said(t, buildOnce(t), "check", "--config", config))
	}
	for _, text := range shown {
		name, _, _ := strings.Cut(text, ".\t")
		path := write(t, dir, "zone", text)
		for _, tool := range [][]string{{"ldns-verify-zone", path}, {"dnssec-verify", "-z", "-o", name, path}, {"kzonecheck", "-d", "on", "-o", name, path}} {
			if out, err := exec.Command(tool[0], tool[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("seed %d: %v: %v\n%s\n%s", seed, tool, err, out, text)
			}
		}
	}
	t.Logf("%d zones", len(shown))
}

// drawnZone is a zone of names that meet: wildcards, names that exist only for others, cuts, aliases, a DNAME, odd octets.
func drawnZone(r *rand.Rand, name string, nsec3 bool) string {
	records := map[string][]string{"@": {"NS ns", "MX 10 mail"}, "ns": {"A 192.0.2.53"}, "mail": {"A 192.0.2.25"}}
	for range r.IntN(20) {
		var labels []string
		for range 1 + r.IntN(3) {
			labels = append(labels, []string{"a", "b", "c", "*", "_x", `\000`, `x\.y`, "A-B", `\255`}[r.IntN(9)])
		}
		owner := strings.Join(labels, ".")
		for other, list := range records {
			if strings.EqualFold(other, owner) {
				owner = other
				_ = list
			}
		}
		if len(records[owner]) > 0 && (strings.HasPrefix(records[owner][0], "CNAME") || strings.HasPrefix(records[owner][0], "DNAME")) {
			continue
		}
		record := []string{"A 192.0.2.1", "TXT hello", "MX 5 MAIL", "SRV 1 2 3 mail", "TYPE65280 \\# 2 abcd", "CAA 0 issue x", "NS ns.other.", "DS 1 13 2 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}[r.IntN(8)]
		switch {
		case len(records[owner]) == 0 && r.IntN(6) == 0:
			record = "CNAME mail"
		case len(records[owner]) == 0 && r.IntN(8) == 0 && len(labels) == 1 && labels[0] != "*":
			record = "DNAME other."
		case labels[0] == "*" && (strings.HasPrefix(record, "DS") || strings.HasPrefix(record, "NS")):
			continue // BIND refuses it
		case strings.HasPrefix(record, "DS"):
			records[owner] = append(records[owner], "NS ns.other.")
		}
		records[owner] = append(records[owner], record)
	}
	text := fmt.Sprintf("name = %q\n", name)
	if nsec3 {
		text += "dnssec = { nsec3 = true }\n"
	}
	text += "[soa]\nserial = 1\n[records]\n"
	for owner, list := range records {
		text += fmt.Sprintf("%q = [", owner)
		for _, record := range list {
			text += fmt.Sprintf("%q, ", record)
		}
		text += "]\n"
	}
	return text + "[trap]\naddresses = [\"192.0.2.26\", \"192.0.2.27\"]\n"
}
