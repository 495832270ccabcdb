package load

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mxtrap/server/keyring"
	"mxtrap/server/state"
	"mxtrap/zone"
)

// rotatingZone is a zone whose decoys change every three days, and have addresses of their own.
const rotatingZone = `name = "z0.test"
[records]
"@" = ["NS ns", "MX 10 mail", "MX 20 backup"]
ns = ["A 8.8.4.53"]
mail = ["A 8.8.4.25"]
backup = ["A 8.8.4.26"]
[trap]
addresses = ["8.8.8.0/24"]
rotate = "3d"
secret_file = "rotate.secret"
`

// TestDecoysChangeAlikeOnServersThatRunAndThoseThatStart for a hundred days in which windows of signatures begin too. What has not changed
// keeps its signatures.
func TestDecoysChangeAlikeOnServersThatRunAndThoseThatStart(t *testing.T) {
	sources, config := signedFolder(t, 1)
	config.Default = true
	dir := filepath.Dir(config.Keys)
	path := filepath.Join(dir, "z0.test.toml")
	os.WriteFile(path, []byte(rotatingZone), 0o644)
	os.WriteFile(filepath.Join(dir, "rotate.secret"), []byte(strings.Repeat("x", 32)), 0o600)
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	ring := keyring.New(config, nil)
	loader := Loader{Sources: sources, Numbers: state.NewNumbering(""), Signs: config, Ring: ring, History: true, Now: func() time.Time { return now }}
	running := loader.Load(t.Context(), nil)
	if running.Report.Faults() > 0 {
		t.Fatal(running.Report.Problems())
	}
	goOn := func() bool { return true }
	turns := 0
	for end := now.Add(100 * 24 * time.Hour); now.Before(end); now = now.Add(20 * time.Minute) {
		before := running.Files.Get(path)
		if before.Until() > now.Unix() {
			continue
		}
		before.Zone.Sign(goOn)
		signed := zone.Work.Signatures.Load()
		running = loader.Renew([]string{path}, nil, running.Files, nil) // which makes the signatures, for the differences tell them
		signed = zone.Work.Signatures.Load() - signed
		after := running.Files.Get(path)
		if got, want := records(running), records(loader.Load(t.Context(), nil)); !slices.Equal(got, want) {
			t.Fatalf("%v: the running server has\n%s\none that starts has\n%s", now, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if !zone.Later(after.Zone.Serial(), before.Zone.Serial()) || after.Until() <= now.Unix() {
			t.Fatalf("%v: serial %d follows on %d, until %d", now, after.Zone.Serial(), before.Zone.Serial(), after.Until())
		}
		if before.Zone.Plan().Window != after.Zone.Plan().Window {
			continue // all is signed anew
		}
		turns++
		// SOA, the MX set, two hosts that have come, and the NSEC records beside these and those that have gone.
		all, _ := after.Zone.Signatures()
		if most := uint64(1 + 1 + 2 + 2 + 2 + 2); signed > most || signed == 0 {
			t.Errorf("%v: %d of %d signatures are made anew, want %d at most", now, signed, all, most)
		}
		if steps := after.History.Since(before.Zone.Serial()); len(steps) != 1 {
			t.Errorf("%v: %d steps lead from the version before", now, len(steps))
		} else if n := len(steps[0].Deleted) + len(steps[0].Added); n > 60 {
			t.Errorf("%v: %d records change", now, n)
		}
	}
	if turns < 25 {
		t.Errorf("the decoys have changed %d times", turns)
	}
}

// turningLoader loads [rotatingZone], unsigned, by a clock of the test.
func turningLoader(t *testing.T) (o Loader, dir, path string, now *time.Time) {
	dir = t.TempDir()
	path = filepath.Join(dir, "z0.test.toml")
	os.WriteFile(path, []byte(rotatingZone), 0o644)
	os.WriteFile(filepath.Join(dir, "rotate.secret"), []byte(strings.Repeat("x", 32)), 0o600)
	now = new(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	return Loader{Sources: sourcesIn(dir), Numbers: state.NewNumbering(""), Ring: keyring.New(keyring.Config{}, nil), Now: func() time.Time { return *now }}, dir, path, now
}

// withoutSerial are records but the SOA record.
func withoutSerial(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(l, "SOA") })
}

// fresh is what a server has that starts now, with the secret as it was.
func fresh(t *testing.T, o Loader) []string {
	l := o.Load(t.Context(), nil)
	if l.Report.Faults() > 0 {
		t.Fatal(l.Report.Problems())
	}
	return records(l)
}

func TestDecoysGoOnWithTheSecretThatWasRead(t *testing.T) {
	for name, spoil := range map[string]func(secret string) error{
		"gone":    os.Remove,
		"short":   func(secret string) error { return os.WriteFile(secret, []byte("short"), 0o600) },
		"another": func(secret string) error { return os.WriteFile(secret, []byte(strings.Repeat("y", 32)), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			o, dir, path, now := turningLoader(t)
			running := o.Load(t.Context(), nil)
			*now = now.Add(30 * 24 * time.Hour)
			want := fresh(t, o)
			if err := spoil(filepath.Join(dir, "rotate.secret")); err != nil {
				t.Fatal(err)
			}
			if running = o.Renew([]string{path}, nil, running.Files, nil); !slices.Equal(records(running), want) {
				t.Errorf("without a reload:\n%s\nwant\n%s", strings.Join(records(running), "\n"), strings.Join(want, "\n"))
			}
			running = o.Load(t.Context(), running.Files)
			if same := slices.Equal(records(running), want); same != (name != "another") {
				t.Errorf("after a reload, the same: %v\n%v", same, running.Report.Problems())
			}
		})
	}
}

func TestDecoysComeBackWithTheClock(t *testing.T) {
	o, _, path, now := turningLoader(t)
	running := o.Load(t.Context(), nil)
	want := fresh(t, o)
	*now = now.Add(365 * 24 * time.Hour)
	running = o.Renew([]string{path}, nil, running.Files, nil)
	ahead := records(running)
	*now = now.Add(-365 * 24 * time.Hour)
	if !running.Files.Get(path).Due(now.Unix()) {
		t.Error("a zone of the future is not due")
	}
	for name, back := range map[string]*Loading{"renewed": o.Renew([]string{path}, nil, running.Files, nil), "reloaded": o.Load(t.Context(), running.Files)} {
		if got := withoutSerial(records(back)); !slices.Equal(got, withoutSerial(want)) || slices.Equal(got, withoutSerial(ahead)) {
			t.Errorf("%s:\n%s", name, strings.Join(got, "\n"))
		}
	}
}

func TestDecoysGoOnOfAZoneWhoseNewFileHasAFault(t *testing.T) {
	o, dir, path, now := turningLoader(t)
	running := o.Load(t.Context(), nil)
	*now = now.Add(30 * 24 * time.Hour)
	want := fresh(t, o)
	os.Remove(path)
	other := filepath.Join(dir, "other.toml")
	os.WriteFile(other, []byte("nonsense = 1\n"+rotatingZone), 0o644)
	*now = now.Add(-30 * 24 * time.Hour)
	running = o.Load(t.Context(), running.Files)
	*now = now.Add(30 * 24 * time.Hour)
	if running = o.Renew([]string{other}, nil, running.Files, nil); !slices.Equal(withoutSerial(records(running)), withoutSerial(want)) {
		t.Errorf("%s\nwant\n%s", strings.Join(records(running), "\n"), strings.Join(want, "\n"))
	}
}

// TestTheSecretSaysNothingOfTheSerialNumber: it is copied from server to server, at any time.
func TestTheSecretSaysNothingOfTheSerialNumber(t *testing.T) {
	o, dir, _, _ := turningLoader(t)
	want := fresh(t, o)
	later := time.Now().Add(time.Hour)
	os.Chtimes(filepath.Join(dir, "rotate.secret"), later, later)
	if got := fresh(t, o); !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
