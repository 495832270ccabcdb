package trap_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
	"mxtrap/zone/trap"
)

var update = flag.Bool("update", false, "write what came out into the golden files")

// TestZones loads every case below testdata: an archive of zone.toml, other files beside it, what is known of hosts outside the
// zone ("lookups", a host and its addresses a line), and what must come out: the problems, and the zone as it is served.
func TestZones(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range cases {
		name := strings.TrimSuffix(path[len("testdata/"):], ".txtar")
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			archive, want, look := unpack(t, path, dir)
			z, problems := loadFile(filepath.Join(dir, "zone.toml"), look)
			got := map[string]string{"problems": strings.ReplaceAll(problems, dir+"/", "")}
			if z != nil {
				got["zone"] = printed(t, z)
			}
			if *update {
				rewrite(t, path, archive, got)
				return
			}
			for _, part := range []string{"problems", "zone"} {
				if got[part] != want[part] {
					t.Errorf("%s: %s\ngot:\n%s\nwant:\n%s", archive.Comment, part, got[part], want[part])
				}
			}
			refused := strings.HasPrefix(name, "refused/")
			if refused != (z == nil) {
				t.Errorf("refused: %v, want %v", z == nil, refused)
			}
		})
	}
}

// TestAZoneStaysAsItIsWhileOthersAreLoaded into the memory that it was made in: of all that it tells.
func TestAZoneStaysAsItIsWhileOthersAreLoaded(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	zones, told := map[string]*zone.Zone{}, map[string]string{}
	for range 3 {
		for _, path := range cases {
			dir := t.TempDir()
			_, _, look := unpack(t, path, dir)
			report := conf.Report{Quiet: true}
			s := source.Load(filepath.Join(dir, "zone.toml"), &report)
			if s == nil {
				continue
			}
			s.At(noon)
			if z := s.Compile(look, &report); z != nil && !report.Keeps() {
				zones[dir], told[dir] = z, tell(t, z)
				s.Release()
			}
		}
	}
	if len(zones) < 100 {
		t.Errorf("%d zones only", len(zones))
	}
	for dir, z := range zones {
		if got := tell(t, z); got != told[dir] {
			t.Errorf("got\n%s\nwant\n%s", got, told[dir])
		}
	}
}

// tell is all that a zone tells of itself.
func tell(t *testing.T, z *zone.Zone) string {
	all := printed(t, z) + fmt.Sprint(z.Name(), z.Lookups(), z.Traps(), z.Hosts(), z.MailHosts())
	if turn := z.Rotation(); turn != nil {
		for _, owner := range z.Traps() {
			v4, v6 := turn.Addresses(owner.Owner, 1, noon.Unix())
			all += fmt.Sprint(turn.Name(owner.Owner, noon.Unix()), v4, v6)
		}
		all += fmt.Sprint(turn.Pools())
	}
	return all
}

// unpack puts the files of a case into a folder. It returns what is wanted, and what is known of hosts outside the zone.
func unpack(t *testing.T, path, dir string) (archive *txtar.Archive, want map[string]string, look trap.Lookups) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want = map[string]string{}
	for _, f := range archive.Files {
		switch f.Name {
		case "problems", "zone":
			want[f.Name] = string(f.Data)
		case "lookups":
			look = readLookups(t, string(f.Data))
		default:
			file := filepath.Join(dir, f.Name)
			os.MkdirAll(filepath.Dir(file), 0o755)
			mode := os.FileMode(0o644)
			if strings.HasSuffix(f.Name, ".secret") {
				mode = 0o600
			}
			if err := os.WriteFile(file, f.Data, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	return archive, want, look
}

func readLookups(t *testing.T, text string) trap.Lookups {
	known := map[string][]netip.Addr{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		for _, f := range fields[1:] {
			known[fields[0]] = append(known[fields[0]], netip.MustParseAddr(f))
		}
	}
	return func(host string) []netip.Addr { return known[host] }
}

func rewrite(t *testing.T, path string, archive *txtar.Archive, got map[string]string) {
	var files []txtar.File
	for _, f := range archive.Files {
		if f.Name != "problems" && f.Name != "zone" {
			files = append(files, f)
		}
	}
	for _, part := range []string{"problems", "zone"} {
		if got[part] != "" {
			files = append(files, txtar.File{Name: part, Data: []byte(got[part])})
		}
	}
	archive.Files = files
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// noon is the time at which zones are compiled here.
var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// loadFile loads a zone file and tells its problems, a line each. An automatic serial number is the time of a temporary file, and would differ
// in each run: it is 1.
func loadFile(path string, look trap.Lookups) (*zone.Zone, string) {
	var report conf.Report
	var z *zone.Zone
	if s := source.Load(path, &report); s != nil {
		s.At(noon)
		files := s.Files()
		if z = s.Compile(look, &report); z != nil && (z.Serial() == files.Modified() || z.Rotation() != nil) {
			z = z.Numbered(1)
		}
	}
	var b strings.Builder
	for _, p := range report.Problems() {
		b.WriteString(p.String() + "\n")
	}
	return z, b.String()
}

func printed(t *testing.T, z *zone.Zone) string {
	t.Helper()
	var b strings.Builder
	if err := z.Print(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
