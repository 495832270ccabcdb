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

// comes is a copy that has come for a zone.
func (s *Server) comes(path string, lines ...string) newCopy {
	u := newCopy{secondary: *s.files.get(path).secondary}
	if len(lines) > 0 {
		u.records = wired(lines...)
		u.unwritten = s.copies.prepare(u.name, u.records)
	}
	return u
}

// TestWhatComesTogetherIsServedTogether: copies, look-ups and expiries wait for each other, and none undoes another.
func TestWhatComesTogetherIsServedTogether(t *testing.T) {
	s := still(t, map[string]string{
		"mxtrap.toml":            "[server]\nstate = \"state\"\nzones = [\"z.toml\"]\n",
		"z.toml":                 "name = \"example.com\"\n[primary]\naddress = [\"192.0.2.1\"]\n[trap]\ncover = true\n",
		"state/example.com.zone": "",
	})
	path := filepath.Join(filepath.Dir(s.config.Path), "z.toml")
	lines := func(serial uint32, text string) []string {
		return append(zoneLines(serial, text)[:8], "example.com. 3600 MX 30 away.other.test.")
	}
	served := func(want string) {
		t.Helper()
		f := s.files.get(path)
		got := fmt.Sprintf("%q %d", f.down, f.zone.Serial())
		for _, h := range f.zone.Hosts() {
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
	s.resolver.learn("away.other.test", []netip.Addr{netip.MustParseAddr("198.51.100.7")}, time.Hour, nil)
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
	if f := s.files.get(path); f.down != expired {
		t.Errorf("%q", f.down)
	}
	if records, _, err := s.copies.read("example.com"); err != nil || !strings.Contains(fmt.Sprint(records), "third") {
		t.Error(records, err)
	}
}

// TestWhatComesFromAPrimaryGivesWayToWhatIsServed: a trap on it would have a host in another zone. A start serves the same.
func TestWhatComesFromAPrimaryGivesWayToWhatIsServed(t *testing.T) {
	s := still(t, map[string]string{
		"mxtrap.toml":     "[server]\nstate = \"state\"\nzones = [\"zones/*.toml\"]\n",
		"zones/z.toml":    "name = \"example.com\"\n[primary]\naddress = [\"192.0.2.1\"]\n[trap]\n",
		"zones/deep.toml": simpleZone("mx2.example.com", 9),
	})
	path := filepath.Join(filepath.Dir(s.config.Path), "zones/z.toml")
	taken := func(serial uint32, text string) string {
		s.arrive(s.comes(path, zoneLines(serial, text)[:8]...))
		s.takeArrivals(t.Context())
		again, err := New(t.Context(), s.config, s.Options)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, server := range []*Server{s, again} {
			var zones []string
			for f := range server.files.all() {
				zones = append(zones, fmt.Sprint(f.zone.Name(), " ", f.down == ""))
			}
			slices.Sort(zones)
			all = append(all, strings.Join(zones, ", "))
		}
		if all[0] != all[1] {
			t.Errorf("served: %s; after a start: %s", all[0], all[1])
		}
		return all[0]
	}
	if got, want := taken(1, "first"), "example.com false, mx2.example.com true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	os.WriteFile(path, []byte("name = \"example.com\"\n[primary]\naddress = [\"192.0.2.1\"]\n[trap]\nnames = \"in{n}\"\n"), 0o600)
	if got, want := taken(2, "second"), "example.com true, mx2.example.com true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
