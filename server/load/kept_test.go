package load

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/keyring"
	"mxtrap/server/state"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
	"mxtrap/zone/source"
)

// othersComeAndGo loads zones into memory that others have given back.
func othersComeAndGo() {
	for i := range 200 {
		report := conf.Report{Quiet: true}
		s := source.Parse("other.toml", []byte(simpleZone(fmt.Sprintf("zzzzzzzzzz%d.example", i), 1)), &report)
		if s.Compile(nil, &report); i%2 == 0 {
			s.Release()
		}
	}
}

// TestTheSourceOfWhatIsServedIsNotReleased, though a version of it was made and thrown away.
func TestTheSourceOfWhatIsServedIsNotReleased(t *testing.T) {
	sources, config := signedFolder(t, 1)
	config.Default = true
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	apex := dname.Name("\x02z0\x04test\x00")
	loader := func(ring *keyring.Ring) Loader {
		return Loader{Sources: sources, Numbers: state.NewNumbering(""), Signs: config, Ring: ring, Quiet: true, Now: func() time.Time { return now }}
	}
	ring := keyring.New(config, nil)
	keys, err := ring.Of(apex)
	if err != nil {
		t.Fatal(err)
	}
	k := keys[0]
	k.Times.Publish, k.Times.Activate = now.Add(-time.Hour).Unix(), now.Add(-time.Hour).Unix()
	k.Times.Inactive, k.Times.Delete = now.Add(48*time.Hour).Unix(), now.Add(48*time.Hour).Unix()
	if err := config.Replace(k); err != nil {
		t.Fatal(err)
	}
	ring = keyring.New(config, nil)
	running := loader(ring).Load(t.Context(), nil)
	path := filepath.Join(filepath.Dir(config.Keys), "z0.test.toml")
	if running.Report.Faults() > 0 || running.Files.Get(path).source == nil {
		t.Fatal(running.Report.Problems())
	}
	// The zone gets another key, and its file a fault: it stays as it was, and its key's time comes to an end.
	old, _ := filepath.Glob(filepath.Join(config.Keys, "Kz0.*"))
	for _, f := range old {
		os.Remove(f)
	}
	other, err := sign.Generate(apex, dns.ECDSAP256SHA256)
	if err != nil {
		t.Fatal(err)
	}
	other.Times.Publish, other.Times.Activate, other.Times.SyncPublish = now.Add(-3*time.Hour).Unix(), now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
	if _, err := config.Write(other); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(path, []byte("name = \"z0.test\"\n[records]\n\"@\" = [\"NX ns\"]\n"), 0o644)
	ring = keyring.New(config, ring)
	running = loader(ring).Load(t.Context(), running.Files)
	f := running.Files.Get(path)
	now = now.Add(72 * time.Hour)
	for range 3 {
		if running = loader(ring).Renew([]string{path}, nil, running.Files, nil); running.Files.Get(path) != f {
			t.Fatal("it was renewed")
		}
		othersComeAndGo()
		if f.source.Path != path || f.source.Name() != "z0.test" {
			t.Fatalf("the source of what is served is that of %q", f.source.Path)
		}
	}
}
