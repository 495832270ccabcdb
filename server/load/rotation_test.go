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
