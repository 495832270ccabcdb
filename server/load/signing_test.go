package load

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/keyring"
	"mxtrap/server/state"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
)

// signedFolder has so many zones that are to be signed, each with a key.
func signedFolder(t testing.TB, n int) (Sources, keyring.Config) {
	t.Helper()
	dir := t.TempDir()
	var report conf.Report
	table := conf.Parse("mxtrap.toml", []byte("[dnssec]\nkeys = \"keys\""), &report)
	config := keyring.ConfigOf(table.Table("dnssec"), func(path string) string { return filepath.Join(dir, path) }, "")
	for i := range n {
		name := fmt.Sprintf("z%d.test", i)
		os.WriteFile(filepath.Join(dir, name+".toml"), []byte(simpleZone(name, 1)), 0o644)
		apex, _ := dname.Parse(name, dname.Root)
		k, err := sign.Generate(apex, dns.ECDSAP256SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Write(k); err != nil {
			t.Fatal(err)
		}
	}
	return sourcesIn(dir), config
}

// BenchmarkSignedLoad loads zones that are to be signed, and unsigned ones beside them.
func BenchmarkSignedLoad(b *testing.B) {
	const n = 1000
	sources, config := signedFolder(b, n)
	for _, signed := range []bool{false, true} {
		b.Run(fmt.Sprint("signed/", signed), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				config.Default = signed
				o := Loader{Sources: sources, Numbers: state.NewNumbering(""), Quiet: true, Alone: true, Signs: config, Ring: keyring.New(config, nil).Trust()}
				l := o.Load(b.Context(), nil)
				if l.Files.Len() != n || l.Report.Faults() > 0 {
					b.Fatal(l.Report.Problems())
				}
			}
		})
	}
}

// records are those of the only zone, as a transfer has them.
func records(l *Loading) (lines []string) {
	for f := range l.Files.All() {
		for r := range f.Zone.Records() {
			lines = append(lines, r.String())
		}
	}
	slices.Sort(lines)
	return lines
}

// TestServersThatRunAndThoseThatStartAreTheSameThroughoutAYear lets a server go through a year of windows and a rollover. Whenever something
// changes, another one starts: both have the same records. At every hour the signatures are valid, and stay so for as long as secondaries
// and resolvers may keep them.
func TestServersThatRunAndThoseThatStartAreTheSameThroughoutAYear(t *testing.T) {
	sources, config := signedFolder(t, 1)
	config.Default = true
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	loader := func(ring *keyring.Ring) Loader {
		return Loader{Sources: sources, Numbers: state.NewNumbering(""), Signs: config, Ring: ring, History: true, Now: func() time.Time { return now }}
	}
	ring := keyring.New(config, nil)
	running := loader(ring).Load(t.Context(), nil)
	apex := dname.Name("\x02z0\x04test\x00")
	versions, last := 0, uint32(0)
	roll := now.Add(100 * 24 * time.Hour)
	for end := now.Add(365 * 24 * time.Hour); now.Before(end); now = now.Add(time.Hour) {
		f := running.Files.Get(filepath.Join(filepath.Dir(config.Keys), "z0.test.toml"))
		changed := false
		if now.Equal(roll) || now.Equal(roll.Add(48*time.Hour)) { // the operator runs mxtrap key roll, and reloads
			keys, err := ring.Of(apex)
			if err != nil {
				t.Fatal(err)
			}
			parent := sign.Parent{DS: [][]byte{keys[0].DS(sign.SHA256)}, TTL: time.Hour}
			if now.After(roll) {
				s, err := sign.StatusOf(keys, parent, now.Unix())
				if err != nil {
					t.Fatal(err)
				}
				parent.DS = s.Wants
			}
			write, _, err := sign.Roll(keys, parent, time.Hour, 0, func(algorithm uint8) (*sign.Key, error) { return ring.Successor(apex, keys, algorithm) }, now.Unix())
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range write {
				if err := config.Replace(k); err != nil {
					t.Fatal(err)
				}
			}
			ring = keyring.New(config, ring)
			was := records(running)
			running = loader(ring).Load(t.Context(), running.Files)
			changed = !slices.Equal(records(running), was)
		} else if f.Zone.Plan().Until <= now.Unix() {
			running, changed = loader(ring).Renew([]string{f.Path}, nil, running.Files, nil), true
		}
		f = running.Files.Get(f.Path)
		w := f.Zone.Plan().Window
		if w.Inception > now.Unix()-3*3600 || w.Expiration < now.Unix()+14*86400+3600 {
			t.Fatalf("%v: signatures are valid from %v to %v", now, time.Unix(w.Inception, 0), time.Unix(w.Expiration, 0))
		}
		if serial := f.Zone.Serial(); changed && !zone.Later(serial, last) {
			t.Fatalf("%v: the serial number goes from %d to %d", now, last, serial)
		}
		if changed || versions == 0 {
			last = f.Zone.Serial()
			versions++
			started := loader(keyring.New(config, nil)).Load(t.Context(), nil)
			if a, b := records(running), records(started); !slices.Equal(a, b) {
				t.Fatalf("%v: the server that runs has\n%s\nthe one that starts\n%s", now, strings.Join(a, "\n"), strings.Join(b, "\n"))
			}
			if len(started.Files.Get(f.Path).Zone.Apex()) == 0 || changed && len(f.History) == 0 {
				t.Fatalf("%v: nothing is kept for incremental transfers", now)
			}
		}
	}
	if versions != 53+3 && versions != 54+3 {
		t.Errorf("%d versions, where a year has 53 or 54 windows, and a rollover three steps", versions)
	}
	keys, err := ring.Of(apex)
	if p := running.Files.Get(filepath.Join(filepath.Dir(config.Keys), "z0.test.toml")).Zone.Plan(); err != nil || len(keys) != 2 || len(p.Signers(dns.TypeSOA)) != 1 || p.Rolls() {
		t.Errorf("after a rollover: %d keys, %v", len(keys), err)
	}
}

func TestAKeyThatIsLostKeepsTheLastGoodVersion(t *testing.T) {
	sources, config := signedFolder(t, 2)
	config.Default = true
	now := time.Now()
	load := func(before *Files, ring *keyring.Ring) *Loading {
		return Loader{Sources: sources, Numbers: state.NewNumbering(""), Signs: config, Ring: ring, Now: func() time.Time { return now }}.Load(t.Context(), before)
	}
	ring := keyring.New(config, nil)
	first := load(nil, ring)
	files, _ := filepath.Glob(filepath.Join(config.Keys, "Kz0.*.private"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	text, _ := os.ReadFile(files[0])
	os.Remove(files[0])
	ring = keyring.New(config, ring)
	second := load(first.Files, ring)
	at := filepath.Join(filepath.Dir(config.Keys), "z0.test.toml")
	lost := second.Files.Get(at)
	if second.Report.Faults() != 1 || lost == nil || lost.Zone != first.Files.Get(at).Zone || !strings.Contains(lost.Lost, ".private: no such file") {
		t.Fatalf("%v, %+v", second.Report.Problems(), lost)
	}
	if other := filepath.Join(filepath.Dir(config.Keys), "z1.test.toml"); second.Files.Get(other) != first.Files.Get(other) {
		t.Error("another zone is loaded anew")
	}
	now = now.Add(8 * 24 * time.Hour)
	if l := (Loader{Numbers: state.NewNumbering(""), Signs: config, Ring: ring, Now: func() time.Time { return now }}).Renew([]string{at}, nil, second.Files, nil); l.Files.Get(at).Zone != lost.Zone {
		t.Error("the signatures of a lost key are renewed")
	}
	os.WriteFile(files[0], text, 0o600)
	if third := load(second.Files, keyring.New(config, ring)); third.Report.Faults() > 0 || third.Files.Get(at).Lost != "" || third.Files.Get(at).Zone.Plan().Until <= now.Unix() {
		t.Errorf("%v, %+v", third.Report.Problems(), third.Files.Get(at))
	}
	if started := load(nil, keyring.New(config, nil)); started.Report.Faults() > 0 {
		t.Error(started.Report.Problems())
	}
	os.Remove(files[0])
	if started := load(nil, keyring.New(config, nil)); started.Files.Get(at).Down != Unloaded {
		t.Errorf("a zone without its key is served after a start: %+v", started.Files.Get(at))
	}
}

func TestAClockThatIsBehindSignsNothing(t *testing.T) {
	sources, config := signedFolder(t, 1)
	config.Default = true
	o := Loader{Sources: sources, Numbers: state.NewNumbering(""), Signs: config, Ring: keyring.New(config, nil), Built: time.Now(), Now: func() time.Time { return time.Unix(86400, 0) }}
	l := o.Load(t.Context(), nil)
	if p := l.Report.Problems(); l.Report.Faults() != 1 || !strings.Contains(p[0].Reason, "the clock says 1970-01-02 00:00:00, which is before") {
		t.Error(p)
	}
}
