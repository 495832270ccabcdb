package keyring

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
)

const apex = dname.Name("\x07example\x03com\x00")

func generated(t *testing.T, c Config, zone dname.Name) *sign.Key {
	t.Helper()
	k, err := sign.Generate(zone, dns.ED25519)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(k); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeysAreTheSameUntilTheirFilesChange(t *testing.T) {
	c := Config{Keys: filepath.Join(t.TempDir(), "keys")}
	k := generated(t, c, apex)
	first := New(c, nil)
	keys, err := first.Of(apex)
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	second := New(c, first)
	if again, err := second.Of(apex); err != nil || again[0] != keys[0] {
		t.Errorf("unchanged files are read anew: %v", err)
	}
	k.Times.SyncDelete = time.Now().Unix()
	if err := c.Replace(k); err != nil {
		t.Fatal(err)
	}
	if again, err := New(c, second).Of(apex); err != nil || again[0] == keys[0] || again[0].Times != k.Times {
		t.Errorf("changed files are not read anew: %v", err)
	}
	if info, _ := os.Stat(c.Path(k) + sign.PrivateFile); info.Mode().Perm() != 0o600 {
		t.Errorf("the private file has the rights %v", info.Mode())
	}
	generated(t, c, apex)
	if again, err := New(c, second).Of(apex); err != nil || len(again) != 2 {
		t.Errorf("%d keys, %v", len(again), err)
	}
	if left, _ := filepath.Glob(filepath.Join(c.Keys, ".key-*")); len(left) > 0 {
		t.Errorf("files are left over: %v", left)
	}
}

func TestWhyAZoneHasNoKeys(t *testing.T) {
	c := Config{Keys: filepath.Join(t.TempDir(), "keys")}
	wants := func(why string) {
		t.Helper()
		r := New(c, nil)
		if _, err := r.Of(apex); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	wants("no key of the zone in")
	r := New(c, nil)
	r.Of(apex)
	if none := r.Keyless(); len(none) != 1 || none[0] != apex {
		t.Error(none)
	}
	other := generated(t, c, "\x05other\x00")
	wants("no key of the zone in")
	foreign := filepath.Join(c.Keys, "Kexample.com.+015+00001")
	for _, ending := range []string{sign.PublicFile, sign.PrivateFile} {
		text, _ := os.ReadFile(c.Path(other) + ending)
		os.WriteFile(foreign+ending, text, 0o600)
	}
	wants("the key is one of other.")
	os.Remove(foreign + sign.PrivateFile)
	wants("the user that mxtrap runs as must be able to read it")
	os.Remove(foreign + sign.PublicFile)
	os.RemoveAll(c.Keys)
	os.WriteFile(c.Keys, nil, 0o600)
	wants("not a directory")
	c.secret = c.Keys
	wants("a secret has 32 octets or more")
	c.secret = c.Keys + "-missing"
	wants("no such file")
	if _, err := (*Ring)(nil).Of(apex); err == nil {
		t.Error("no ring has keys")
	}
}

func TestKeysThatOthersCanReadAreTold(t *testing.T) {
	c := Config{Keys: filepath.Join(t.TempDir(), "keys")}
	k := generated(t, c, apex)
	r := New(c, nil)
	r.Of(apex)
	if paths := r.Exposed(); len(paths) > 0 {
		t.Error(paths)
	}
	os.Chmod(c.Path(k)+sign.PrivateFile, 0o644)
	r = New(c, nil)
	r.Of(apex)
	if paths := r.Exposed(); len(paths) != 1 || paths[0] != c.Path(k)+sign.PrivateFile {
		t.Error(paths)
	}
	c.secret = filepath.Join(t.TempDir(), "secret")
	os.WriteFile(c.secret, []byte(strings.Repeat("s", 32)), 0o644)
	if paths := New(c, nil).Exposed(); len(paths) != 1 || paths[0] != c.secret {
		t.Error(paths)
	}
}

func TestAKeyIsTrustedUntilItSigns(t *testing.T) {
	c := Config{Keys: filepath.Join(t.TempDir(), "keys")}
	for range 2 {
		k, err := sign.Generate(apex, dns.ECDSAP256SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(k); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(c.Keys, "*"+sign.PrivateFile))
	text, _ := os.ReadFile(files[0])
	os.WriteFile(files[1], text, 0o600)
	if _, err := New(c, nil).Of(apex); err == nil || !strings.Contains(err.Error(), "not of one pair") {
		t.Error(err)
	}
	keys, err := New(c, nil).Trust().Of(apex)
	if err != nil || len(keys) != 2 || (keys[0].Check() == nil) == (keys[1].Check() == nil) {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func TestADerivedKeyIsRolledByFilesWithoutASecret(t *testing.T) {
	c := Config{Keys: filepath.Join(t.TempDir(), "keys"), secret: filepath.Join(t.TempDir(), "secret")}
	os.WriteFile(c.secret, []byte(strings.Repeat("s", sign.MinSecret)), 0o600)
	ring := New(c, nil)
	of := func(want int) []*sign.Key {
		t.Helper()
		ring = New(c, ring)
		keys, err := ring.Of(apex)
		if err != nil || len(keys) != want {
			t.Fatalf("%d keys, want %d; %v", len(keys), want, err)
		}
		return keys
	}
	first := of(1)
	if again := of(1); again[0] != first[0] {
		t.Error("a key is derived twice")
	}
	now := time.Now().Unix()
	roll := func(parent sign.Parent, keys []*sign.Key) {
		t.Helper()
		write, _, err := sign.Roll(keys, parent, time.Hour, dns.ED25519, func(algorithm uint8) (*sign.Key, error) { return ring.Successor(apex, keys, algorithm) }, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range write {
			if err := c.Replace(k); err != nil {
				t.Fatal(err)
			}
		}
	}
	roll(sign.Parent{DS: [][]byte{first[0].DS(sign.SHA256)}}, first)
	both := of(2)
	if sign.NextDerived(both) != 2 {
		t.Errorf("the next key has the number %d", sign.NextDerived(both))
	}
	files, _ := filepath.Glob(filepath.Join(c.Keys, "*"+sign.PrivateFile))
	for _, file := range files {
		if text, _ := os.ReadFile(file); strings.Contains(string(text), "PrivateKey") {
			t.Errorf("%s has a private key", file)
		}
	}
	now += 100 * 3600
	s, err := sign.StatusOf(both, sign.Parent{}, now)
	if err != nil {
		t.Fatal(err)
	}
	roll(sign.Parent{DS: s.Wants, TTL: time.Hour}, both)
	after := of(2)
	if s, err := sign.StatusOf(after, sign.Parent{DS: s.Wants}, now+1); err != nil || s.Stage != sign.Retiring || s.New.Algorithm != dns.ED25519 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := c.Write(first[0]); err == nil || !strings.Contains(err.Error(), "there is such a key already") {
		t.Error(err)
	}
	other, _ := sign.Generate(apex, dns.ED25519)
	if _, err := c.Write(other); err == nil || !strings.Contains(err.Error(), "all keys are derived from dnssec.secret") {
		t.Error(err)
	}
}

func TestTheFolderOfKeysBelongsToWhomTheStateBelongs(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("root alone writes for others")
	}
	state := t.TempDir()
	os.Chown(state, 12345, 12346)
	c := Config{Keys: filepath.Join(state, "keys")}
	k, err := sign.Generate("\x01x\x00", dns.ECDSAP256SHA256)
	if err != nil {
		t.Fatal(err)
	}
	path, err := c.Write(k)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{c.Keys, path + sign.PrivateFile} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if s := info.Sys().(*syscall.Stat_t); s.Uid != 12345 || s.Gid != 12346 {
			t.Errorf("%s belongs to %d:%d", file, s.Uid, s.Gid)
		}
	}
}
