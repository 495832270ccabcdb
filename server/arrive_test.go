package server

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mxtrap/server/fake"
	"mxtrap/server/transfer"
	"mxtrap/zone/conf"
)

// still is a server that is loaded and does not run: a test has it do what comes.
func still(t *testing.T, files map[string]string) *Server {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var report conf.Report
	c := ReadConfig(filepath.Join(dir, "mxtrap.toml"), &report)
	if c == nil {
		t.Fatal(report.Problems())
	}
	s, err := New(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// load reads all files again.
func (s *Server) load(t *testing.T) {
	t.Helper()
	s.publish(s.config, s.loader(s.config).Load(t.Context(), s.files))
}

// serves tells which zones there are, and whether they are answered.
func (s *Server) serves() string {
	var zones []string
	for f := range s.files.All() {
		zones = append(zones, fmt.Sprint(f.Zone.Name(), " ", f.Down == ""))
	}
	slices.Sort(zones)
	return strings.Join(zones, ", ")
}

// restarted is what a server serves that is started with the same files.
func (s *Server) restarted(t *testing.T) string {
	t.Helper()
	again, err := New(t.Context(), s.config, s.Options)
	if err != nil {
		t.Fatal(err)
	}
	return again.serves()
}

// comes is a copy that has come for a zone.
func (s *Server) comes(path string, lines ...string) transfer.Update {
	u := transfer.Update{Secondary: *s.files.Get(path).Secondary}
	if len(lines) > 0 {
		u.Records = fake.Wired(lines...)
		u.Prepared, u.Unwritten = s.copies.Prepare(u.Name, u.Records)
	}
	return u
}

// TestWhatComesTogetherIsServedTogether: copies, look-ups and expiries wait for each other, and none undoes another.
func TestWhatComesTogetherIsServedTogether(t *testing.T) {
	t.Parallel()
	s := still(t, map[string]string{
		"mxtrap.toml":            "[server]\nstate = \"state\"\nzones = [\"z.toml\"]\n",
		"z.toml":                 "name = \"example.com\"\n[primary]\naddress = [\"192.0.2.1\"]\n[trap]\ncover = true\n",
		"state/example.com.zone": "",
	})
	path := filepath.Join(filepath.Dir(s.config.path), "z.toml")
	lines := func(serial uint32, text string) []string {
		return append(fake.ZoneLines(serial, text)[:8], "example.com. 3600 MX 30 away.other.test.")
	}
	served := func(want string) {
		t.Helper()
		f := s.files.Get(path)
		got := fmt.Sprintf("%q %d", f.Down, f.Zone.Serial())
		for _, h := range f.Zone.Hosts() {
			if !h.Decoy {
				got += " covered"
			}
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	s.arrive(s.comes(path, lines(7, "first")...))
	served(`"there is no copy of it yet" 1`)
	s.takeArrivals(t.Context())
	served(`"" 7`)
	// A look-up answers while a new version waits.
	s.arrive(s.comes(path, lines(8, "second")...))
	s.resolver.Learn("away.other.test", []netip.Addr{netip.MustParseAddr("198.51.100.7")}, time.Hour, nil)
	s.arrivals.looked = true
	s.takeArrivals(t.Context())
	served(`"" 8 covered`)
	// The version before expires while a new one waits.
	s.arrive(s.comes(path, lines(9, "third")...))
	s.arrive(s.comes(path))
	s.takeArrivals(t.Context())
	served(`"" 9 covered`)
	s.arrive(s.comes(path))
	s.takeArrivals(t.Context())
	if f := s.files.Get(path); f.Down != "its copy has expired" {
		t.Errorf("%q", f.Down)
	}
	if records, _, err := s.copies.Read("example.com"); err != nil || !strings.Contains(fmt.Sprint(records), "third") {
		t.Error(records, err)
	}
}

// TestWhatComesFromAPrimaryGivesWayToWhatIsServed: a trap on it would have a host in another zone. A start serves the same.
func TestWhatComesFromAPrimaryGivesWayToWhatIsServed(t *testing.T) {
	t.Parallel()
	s := still(t, map[string]string{
		"mxtrap.toml":     "[server]\nstate = \"state\"\nzones = [\"zones/*.toml\"]\n",
		"zones/z.toml":    "name = \"example.com\"\n[primary]\naddress = [\"192.0.2.1\"]\n[trap]\n",
		"zones/deep.toml": simpleZone("mx2.example.com", 9),
	})
	path := filepath.Join(filepath.Dir(s.config.path), "zones/z.toml")
	taken := func(serial uint32, text string) string {
		s.arrive(s.comes(path, fake.ZoneLines(serial, text)[:8]...))
		s.takeArrivals(t.Context())
		all := []string{s.serves(), s.restarted(t)}
		if all[0] != all[1] {
			t.Errorf("served: %s; after a start: %s", all[0], all[1])
		}
		return all[0]
	}
	if got, want := taken(1, "first"), "example.com false, mx2.example.com true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	os.WriteFile(path, []byte("name = \"example.com\"\n[primary]\naddress = [\"192.0.2.1\"]\n[trap]\nnames = \"in{n}\"\n"), 0o600)
	s.load(t)
	if got, want := taken(2, "second"), "example.com true, mx2.example.com true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

const fromPrimary = "[primary]\naddress = [\"192.0.2.1\"]\n"

// TestWhatIsEditedWaitsForAReload: a copy or an expiry that comes before finds the zone as it was loaded.
func TestWhatIsEditedWaitsForAReload(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"another name":   "name = \"example.org\"\n" + fromPrimary,
		"no primary":     simpleZone("example.com", 1),
		"a broken file":  "name = \"example.com\"\n" + fromPrimary + "count = oops\n",
		"no file at all": "",
	} {
		t.Run(name, func(t *testing.T) {
			s := still(t, map[string]string{"mxtrap.toml": "[server]\nstate = \"state\"\nzones = [\"z.toml\"]\n", "z.toml": "name = \"example.com\"\n" + fromPrimary})
			path := filepath.Join(filepath.Dir(s.config.path), "z.toml")
			s.arrive(s.comes(path, fake.ZoneLines(1, "first")[:8]...))
			s.takeArrivals(t.Context())
			if os.WriteFile(path, []byte(text), 0o600); text == "" {
				os.Remove(path)
			}
			s.arrive(s.comes(path, fake.ZoneLines(2, "second")[:8]...))
			s.takeArrivals(t.Context())
			if f := s.files.Get(path); s.serves() != "example.com true" || f.Zone.Serial() != 2 {
				t.Errorf("%s, serial %d", s.serves(), f.Zone.Serial())
			}
			s.arrive(s.comes(path))
			s.takeArrivals(t.Context())
			if got := s.serves(); got != "example.com false" {
				t.Errorf("after it has expired: %s", got)
			}
		})
	}
}

// TestAnExpiryThatComesTooLateIsNone: the version that it is of is served no more.
func TestAnExpiryThatComesTooLateIsNone(t *testing.T) {
	t.Parallel()
	s := still(t, map[string]string{"mxtrap.toml": "[server]\nzones = [\"z.toml\"]\n", "z.toml": "name = \"example.com\"\n" + fromPrimary})
	path := filepath.Join(filepath.Dir(s.config.path), "z.toml")
	s.arrive(s.comes(path, fake.ZoneLines(1, "first")[:8]...))
	s.takeArrivals(t.Context())
	late := s.comes(path)
	s.arrive(s.comes(path, fake.ZoneLines(2, "second")[:8]...))
	s.takeArrivals(t.Context())
	s.arrive(late)
	s.takeArrivals(t.Context())
	if got := s.serves(); got != "example.com true" {
		t.Error(got)
	}
}

// listed is a catalog of any name that lists zones.
func listed(catalog string, serial int, members []string) []string {
	lines := catalogLines(serial, "2", members...)
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], "catalog.test", catalog)
	}
	return lines
}

// TestAZoneThatTwoCatalogsListIsServedWhileOneOfThemDoes.
func TestAZoneThatTwoCatalogsListIsServedWhileOneOfThemDoes(t *testing.T) {
	t.Parallel()
	catalog := func(n int) string {
		return fmt.Sprintf("name = \"c%d.test\"\n%s[catalog]\ntemplate = \"../member.toml\"\n", n, fromPrimary)
	}
	s := still(t, map[string]string{
		"mxtrap.toml": "[server]\nstate = \"state\"\nzones = [\"zones/*.toml\"]\n", "zones/c1.toml": catalog(1), "zones/c2.toml": catalog(2),
		"member.toml": "[records]\n\"@\" = [\"NS ns.example.\"]\n",
	})
	lists := func(n, serial int, members ...string) {
		s.arrive(s.comes(filepath.Join(filepath.Dir(s.config.path), fmt.Sprintf("zones/c%d.toml", n)), listed(fmt.Sprintf("c%d.test", n), serial, members)...))
		s.takeArrivals(t.Context())
	}
	want := func(zones string) {
		t.Helper()
		if got := s.serves(); got != zones {
			t.Errorf("got %s, want %s", got, zones)
		}
		if got := s.restarted(t); got != zones {
			t.Errorf("after a start %s, want %s", got, zones)
		}
	}
	lists(1, 1, "m.test.", "x.test.")
	want("c1.test true, c2.test false, m.test true, x.test true")
	lists(2, 1, "m.test.", "y.test.")
	want("c1.test true, c2.test true, m.test true, x.test true, y.test true")
	lists(1, 2, "m.test.", "x.test.", "w.test.")
	lists(1, 3, "x.test.", "w.test.")
	want("c1.test true, c2.test true, m.test true, w.test true, x.test true, y.test true")
	lists(2, 2, "y.test.")
	want("c1.test true, c2.test true, w.test true, x.test true, y.test true")
}

// TestAZoneThatIsLetInIsMadeOfTheCopyThatThereIs, and not of what there was when it had to give way.
func TestAZoneThatIsLetInIsMadeOfTheCopyThatThereIs(t *testing.T) {
	t.Parallel()
	s := still(t, map[string]string{
		"mxtrap.toml":  "[server]\nstate = \"state\"\nzones = [\"zones/*.toml\"]\n",
		"zones/a.toml": "name = \"a.test\"\n" + fromPrimary + "[catalog]\ntemplate = \"../member.toml\"\n", "zones/b.toml": "name = \"b.test\"\n" + fromPrimary + "[catalog]\ntemplate = \"../member.toml\"\n",
		"member.toml": fromPrimary,
	})
	dir := filepath.Dir(s.config.path)
	lists := func(name string, serial int, members ...string) {
		s.arrive(s.comes(filepath.Join(dir, "zones", name[:1]+".toml"), listed(name, serial, members)...))
		s.takeArrivals(t.Context())
	}
	lists("a.test", 1, "example.com.")
	lists("b.test", 1, "example.com.")
	s.arrive(s.comes(filepath.Join(dir, "member.toml")+" (example.com of a.test)", fake.ZoneLines(1, "first")[:8]...))
	s.takeArrivals(t.Context())
	lists("a.test", 2)
	if got := s.serves(); got != "a.test true, b.test true, example.com true" {
		t.Error(got)
	}
}

// TestACopyThatDoesNotFitAtAStartIsAskedForAgain: the primary may have another by now.
func TestACopyThatDoesNotFitAtAStartIsAskedForAgain(t *testing.T) {
	t.Parallel()
	files := map[string]string{"mxtrap.toml": "[server]\nstate = \"state\"\nzones = [\"zones/*.toml\"]\n", "zones/z.toml": "name = \"example.com\"\n" + fromPrimary + "[trap]\n", "zones/o.toml": simpleZone("other.test", 1)}
	for name, change := range map[string]func(dir string){
		"its trap is for an owner that is not there": func(dir string) {
			os.WriteFile(filepath.Join(dir, "zones/z.toml"), []byte("name = \"example.com\"\n"+fromPrimary+"[trap]\nat = [\"@\", \"new\"]\n"), 0o600)
		},
		"its trap has a host in a zone that is there already": func(dir string) {
			os.Remove(filepath.Join(dir, "state/serials")) // by which it would be known to have been served before
			os.WriteFile(filepath.Join(dir, "zones/deep.toml"), []byte(simpleZone("mx2.example.com", 9)), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := still(t, files)
			dir := filepath.Dir(s.config.path)
			path := filepath.Join(dir, "zones/z.toml")
			s.arrive(s.comes(path, fake.ZoneLines(1, "first")[:8]...))
			s.takeArrivals(t.Context())
			change(dir)
			again, err := New(t.Context(), s.config, s.Options)
			if err != nil {
				t.Fatal(err)
			}
			if got := again.serves(); !strings.HasPrefix(got, "example.com false") {
				t.Fatal(got)
			}
			if f := again.files.Get(path); f == nil || f.Secondary.Soa != nil {
				t.Fatal("nobody looks at its primary")
			}
			again.arrive(again.comes(path, append(fake.ZoneLines(2, "second")[:8], "new.example.com. 60 MX 10 mail.example.com.", "mx2.example.com. 60 A 192.0.2.9", "mx3.example.com. 60 A 192.0.2.9")...))
			again.takeArrivals(t.Context())
			if got := again.serves(); !strings.HasPrefix(got, "example.com true") {
				t.Error(got)
			}
		})
	}
}

// TestAServedZoneStaysOverAStartWithOneBelowIt that has come while nobody served.
func TestAServedZoneStaysOverAStartWithOneBelowIt(t *testing.T) {
	t.Parallel()
	s := still(t, map[string]string{"mxtrap.toml": "[server]\nstate = \"state\"\nzones = [\"zones/*.toml\"]\n", "zones/a.toml": exampleZone})
	os.WriteFile(filepath.Join(filepath.Dir(s.config.path), "zones/deep.toml"), []byte(simpleZone("mx2.example.com", 9)), 0o600)
	if got := s.restarted(t); got != "example.com true" {
		t.Error(got)
	}
}
