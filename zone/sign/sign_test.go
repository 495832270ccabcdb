package sign

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
)

func name(t testing.TB, text string) dname.Name {
	t.Helper()
	n, err := dname.Parse(text, dname.Root)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustParse(t testing.TB, public, private string) *Key {
	t.Helper()
	k, err := ParseKey([]byte(public), []byte(private), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The keys of RFC 6605 6.1 and RFC 8080 6.1.
const (
	public13  = "example.net. 3600 IN DNSKEY 257 3 13 (\n GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edb\n krSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA== )\n"
	private13 = "Private-key-format: v1.2\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=\n"
	public15  = "example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n"
	private15 = "Private-key-format: v1.2\nAlgorithm: 15 (ED25519)\nPrivateKey: ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=\n"
)

func TestTheKeysOfTheRFCsHaveTheirTagsAndDS(t *testing.T) {
	for _, c := range []struct{ public, private, ds string }{
		{public13, private13, "55648 13 2 B4C8C1FE2E7477127B27115656AD6256F424625BF5C1E2770CE6D6E37DF61D17"},
		{public15, private15, "3613 15 2 3AA5AB37EFCE57F737FC1627013FEE07BDF241BD10F3B1964AB55C78E79A304B"},
	} {
		k := mustParse(t, c.public, c.private)
		if got := string(rdata.Append(nil, dns.TypeDS, k.DS(SHA256))); got != c.ds {
			t.Errorf("DS %s, want %s", got, c.ds)
		}
		for _, digest := range []uint8{dns.SHA1, SHA256, sha384} {
			if !k.Is(k.DS(digest)) {
				t.Errorf("a DS of digest %d is not the key's own", digest)
			}
		}
		if k.Is([]byte{1, 2, 13, 2, 5}) || k.Is(nil) {
			t.Error("any DS is the key's")
		}
	}
}

func TestASignatureIsThatOfRFC8080(t *testing.T) {
	k := mustParse(t, public15, private15)
	mx, err := rdata.Parse(dns.TypeMX, "10 mail.example.com.", "\x00")
	if err != nil {
		t.Fatal(err)
	}
	w := Window{Inception: 1438207200, Expiration: 1440021600}
	got, err := AppendSignature(nil, k, w, RRset{Owner: name(t, "example.com"), Type: dns.TypeMX, TTL: 3600, Data: [][]byte{mx}})
	if want := "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg=="; err != nil || base64.StdEncoding.EncodeToString(got) != want {
		t.Errorf("%s, %v", base64.StdEncoding.EncodeToString(got), err)
	}
}

func TestLettersOfNamesDoNotMatterToASignature(t *testing.T) {
	k := mustParse(t, public15, private15)
	signature := func(typ uint16, data ...string) string {
		set := RRset{Owner: name(t, "example.com"), Type: typ, TTL: 60}
		for _, text := range data {
			d, err := rdata.Parse(typ, text, "\x00")
			if err != nil {
				t.Fatal(err)
			}
			set.Data = append(set.Data, d)
		}
		s, err := AppendSignature(nil, k, Window{}, set)
		if err != nil {
			t.Fatal(err)
		}
		return string(s)
	}
	for typ, data := range map[uint16]string{dns.TypeMX: "10 mail.example.com.", dns.TypeNS: "ns.example.com.", dns.TypeSOA: "a.b. c.d. 1 2 3 4 5", dns.TypeSRV: "1 2 3 host.a."} {
		if signature(typ, data) != signature(typ, strings.ToUpper(data)) {
			t.Errorf("%s: the letters of names are signed as they are written", dns.Type(typ))
		}
	}
	if signature(dns.TypeTXT, "a") == signature(dns.TypeTXT, "A") || signature(dns.TypeHTTPS, "1 a.b.") == signature(dns.TypeHTTPS, "1 A.B.") {
		t.Error("letters that matter are not signed as they are")
	}
	if signature(dns.TypeTXT, "a", "b") != signature(dns.TypeTXT, "b", "a") {
		t.Error("the order of records is signed")
	}
}

func TestECDSAIsDeterministicAsRFC6979HasIt(t *testing.T) {
	private, err := hex.DecodeString("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
	if err != nil {
		t.Fatal(err)
	}
	k, err := Import(name(t, "example."), CSK, fmt.Appendf(nil, "Private-key-format: v1.3\nAlgorithm: 13\nPrivateKey: %s\n", base64.StdEncoding.EncodeToString(private)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.sign(nil, []byte("sample"))
	want := "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
	if err != nil || strings.ToUpper(hex.EncodeToString(got)) != want {
		t.Errorf("%X, %v", got, err)
	}
}

func TestAKeyThatIsWrittenIsReadAgain(t *testing.T) {
	for _, algorithm := range []uint8{dns.ECDSAP256SHA256, dns.ED25519} {
		k, err := Generate(name(t, "a/b.example.com"), algorithm)
		if err != nil {
			t.Fatal(err)
		}
		k.Times = Times{Created: 1, Publish: 1700000000, Activate: 1700000000, SyncDelete: 1800000000}
		private, err := k.Private()
		if err != nil {
			t.Fatal(err)
		}
		again := mustParse(t, string(k.Public()), string(private))
		if again.Times != k.Times || again.File() != k.File() || again.Flags != CSK || !strings.HasPrefix(k.File(), "Ka%2Fb.example.com.+0") {
			t.Errorf("%+v is read as %+v, file %s", k, again, k.File())
		}
	}
}

func TestKeyFilesThatAreWrongAreRefusedWithTheReason(t *testing.T) {
	for _, c := range []struct{ public, private, why string }{
		{"", private13, "has no DNSKEY record"},
		{"example.net. IN A 192.0.2.1", private13, `no DNSKEY record`},
		{"example.net. IN DNSKEY 1 3 13 AAAA", private13, "not the key of a zone"},
		{public13, "", "no private key"},
		{public13, private15, "one of algorithm 15"},
		{public13, strings.Replace(private13, "GU6S", "GU6T", 1), "not of one pair"},
		{public13, strings.Replace(private13, "GU6S", "GU*S", 1), "not what base64 makes"},
		{public13, strings.Replace(private13, "Algorithm: 13 (", "Algorithm: x (", 1), "is no number"},
		{public13, private13 + "Publish: yesterday\n", "Publish: \"yesterday\" is no time"},
		{public13, "Private-key-format: v1.3\nAlgorithm: 13\nPrivateKey: AAAA\n", "ecdsa"},
		{public13, "Private-key-format: v1.3\nAlgorithm: 13\nPrivateKey: " + strings.Repeat("AAAA", 12) + "\n", "longer than 32"},
		{"e. IN DNSKEY 257 3 5 AAAA", "Private-key-format: v1.3\nAlgorithm: 5\nPrivateKey: AAAA\n", "mxtrap signs with 8, 10, 13, 14 and 15"},
	} {
		k, err := ParseKey([]byte(c.public), []byte(c.private), nil)
		if err == nil {
			err = k.Check()
		}
		if err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q, %q: %v, want %q", c.public, c.private, err, c.why)
		}
	}
}

func TestWhatAKeyDoesWhen(t *testing.T) {
	k := Times{Publish: 10, Activate: 20, SyncPublish: 30, SyncDelete: 40, Inactive: 50, Delete: 60}
	for at, want := range map[int64]string{9: "---0", 10: "P--1", 19: "P--1", 20: "PA-2", 30: "PAS3", 40: "PA-4", 50: "P--5", 60: "---6"} {
		got := []byte("---")
		for i, does := range []bool{k.Published(at), k.Active(at), k.Synced(at)} {
			if does {
				got[i] = "PAS"[i]
			}
		}
		if got := fmt.Sprintf("%s%d", got, k.passed(at)); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
	if k.next(0) != 10 || k.next(10) != 20 || k.next(60) != 0 {
		t.Error("the next event")
	}
	// Keys of ldns-keygen state no times, those of older programs no more than some.
	if none := (Times{Created: 5}); !none.Published(1) || !none.Active(1) || !none.Synced(1) {
		t.Error("a key without times does nothing")
	}
	if part := (Times{Activate: 20}); part.Published(19) || !part.Published(20) || !part.Synced(20) {
		t.Error("a key that only says when it signs is published then")
	}
}

func TestWindowsFollowEachOtherWithoutAGap(t *testing.T) {
	for _, zone := range []string{"example.com", "example.org", "."} {
		apex := name(t, zone)
		now := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC).Unix()
		w := windowAt(apex, now, 14*86400, 0)
		next := windowAt(apex, w.End, 14*86400, 0)
		if w.Begin > now || w.End <= now || w.End-w.Begin != week || next.Begin != w.End || next.Number != w.Number+1 || windowAt(apex, w.End-1, 14*86400, 0) != w {
			t.Errorf("%s: %+v, %+v", zone, w, next)
		}
		if w.Inception != w.Begin-3*3600 || w.Expiration != w.Begin+21*86400 {
			t.Errorf("%s: %+v", zone, w)
		}
		if long := windowAt(apex, now, 14*86400, 3600); long.Expiration != w.Expiration+86400 {
			t.Errorf("%s: expire and TTL outlast the signatures: %+v", zone, long)
		}
		if before := windowAt(apex, 0, 0, 0); before.Begin > 0 || before.End <= 0 {
			t.Errorf("%s: at the beginning of time %+v", zone, before)
		}
	}
	if windowAt(name(t, "example.com"), 1e9, 0, 0).Begin == windowAt(name(t, "example.org"), 1e9, 0, 0).Begin {
		t.Error("all zones begin at the same time")
	}
}

func TestAPlanSaysWhichKeysSignWhat(t *testing.T) {
	zone := name(t, "example.com")
	key := func(flags uint16, secret string, times Times) *Key {
		k, err := Derive([]byte(secret), zone, dns.ECDSAP256SHA256, 0)
		if err != nil {
			t.Fatal(err)
		}
		k.Flags, k.Times = flags, times
		k.complete()
		return k
	}
	csk, ksk, zsk := key(CSK, "1", Times{Publish: 1, Activate: 1, SyncPublish: 1}), key(CSK, "2", Times{}), key(ZSK, "3", Times{})
	later := key(CSK, "4", Times{Publish: 100, Activate: 100, SyncPublish: 200})
	withdrawn := key(CSK, "5", Times{Publish: 1, Activate: 1, SyncDelete: 50})
	for _, c := range []struct {
		name string
		keys []*Key
		at   int64
		want string
	}{
		{"one key signs everything", []*Key{csk}, 60, "keys 1, apex 1, zone 1, synced 1, gone false"},
		{"a pair shares the work", []*Key{ksk, zsk}, 60, "keys 2, apex 1, zone 1, synced 1, gone false"},
		{"a new key is not there yet", []*Key{csk, later}, 99, "keys 1, apex 1, zone 1, synced 1, gone false"},
		{"both keys sign in a rollover", []*Key{csk, later}, 100, "keys 2, apex 2, zone 2, synced 1, gone false"},
		{"both DS are asked for when the new one is due", []*Key{csk, later}, 200, "keys 2, apex 2, zone 2, synced 2, gone false"},
		{"a withdrawn key asks for the end of DNSSEC", []*Key{withdrawn}, 60, "keys 1, apex 1, zone 1, synced 0, gone true"},
	} {
		p, err := Policy{Keys: c.keys}.Plan(zone, time.Unix(c.at, 0))
		if err != nil {
			t.Fatal(c.name, err)
		}
		if got := fmt.Sprintf("keys %d, apex %d, zone %d, synced %d, gone %v", len(p.keys), len(p.apex), len(p.zone), len(p.synced), p.gone); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := (Policy{Keys: []*Key{later}}).Plan(zone, time.Unix(99, 0)); err == nil {
		t.Error("a zone is signed without a key")
	}
	early, _ := Policy{Keys: []*Key{csk, later}}.Plan(zone, time.Unix(99, 0))
	late, _ := early.At(time.Unix(200, 0))
	if early.Until != 100 || late.Offset != early.Offset+3 || !early.Rolls() || late.Rolls() || early.SameRecords(late) || early.Same(late) {
		t.Errorf("%+v, %+v", early, late)
	}
}

func TestKeysThatAreDerivedDifferByZoneAlgorithmAndRollover(t *testing.T) {
	seen := map[uint16]bool{}
	secret := []byte(strings.Repeat("x", MinSecret))
	for _, zone := range []string{"example.com", "example.org"} {
		for _, algorithm := range []uint8{dns.ECDSAP256SHA256, dns.ED25519} {
			for rollover := range uint32(2) {
				k, err := Derive(secret, name(t, zone), algorithm, rollover)
				if err != nil || seen[k.Tag] {
					t.Errorf("%s %d: tag %d again, %v", zone, rollover, k.Tag, err)
				}
				seen[k.Tag] = true
				again, _ := Derive(secret, name(t, zone), algorithm, rollover)
				if string(again.Data()) != string(k.Data()) {
					t.Errorf("%s %d is another key each time", zone, rollover)
				}
				if next := NextDerived([]*Key{k}); next != rollover+1 {
					t.Errorf("after number %d comes %d", rollover, next)
				}
			}
		}
	}
	if _, err := Derive(secret, name(t, "example.com"), dns.RSASHA256, 0); err == nil {
		t.Error("an RSA key is derived")
	}
}

func TestTheFilesOfADerivedKeyHaveItsNumberAndNoPrivateKey(t *testing.T) {
	secret := []byte(strings.Repeat("x", MinSecret))
	k, err := Derive(secret, name(t, "example.com"), dns.ED25519, 7)
	if err != nil {
		t.Fatal(err)
	}
	k.Times.Publish = 100
	private, err := k.Private()
	if want := "Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\nDerived: 7\nPublish: 19700101000140\n"; err != nil || string(private) != want {
		t.Fatalf("%v, %s", err, private)
	}
	again, err := ParseKey(k.Public(), private, secret)
	if err != nil || again.Times != k.Times || NextDerived([]*Key{again}) != 8 {
		t.Fatalf("%+v, %v", again, err)
	}
	for what, read := range map[string]func() error{
		"names none":                  func() error { _, err := ParseKey(k.Public(), private, nil); return err },
		"derived from another secret": func() error { _, err := ParseKey(k.Public(), private, secret[1:]); return err },
		"no number of rollovers": func() error {
			_, err := ParseKey(k.Public(), bytes.Replace(private, []byte("7"), []byte("-7"), 1), secret)
			return err
		},
		"has no private key": func() error { _, err := Import(k.Zone, CSK, private); return err },
	} {
		if err := read(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %q", err, what)
		}
	}
}

// FuzzKey reads key files: whatever they hold, the outcome is a key that can be written and read again, or an error.
func FuzzKey(f *testing.F) {
	f.Add([]byte(public13), []byte(private13))
	f.Add([]byte(public15), []byte(private15))
	secret := []byte(strings.Repeat("x", MinSecret))
	if k, err := Derive(secret, "\x07example\x03com\x00", dns.ECDSAP256SHA256, 1); err == nil {
		private, _ := k.Private()
		f.Add(k.Public(), private)
	}
	f.Fuzz(func(t *testing.T, public, private []byte) {
		Import(dname.Root, CSK, private)
		k, err := ParseKey(public, private, secret)
		if err != nil || k.Check() != nil {
			return
		}
		text, err := k.Private()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKey(k.Public(), text, secret)
		if err != nil || again.File() != k.File() || again.Times != k.Times {
			t.Fatalf("%v: %+v is read as %+v", err, k, again)
		}
		if _, err := k.sign(nil, public); err != nil {
			t.Fatal(err)
		}
	})
}
