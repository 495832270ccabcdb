package load

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mxtrap/server/state"
	"mxtrap/zone/conf"
)

// sourcesIn are the zone files of a folder.
func sourcesIn(dir string) Sources {
	t := conf.Parse("", []byte("[server]\nzones = [\"*.toml\"]\n"), &conf.Report{})
	return SourcesOf(filepath.Join(dir, "mxtrap.toml"), t.Table("server"), t.Table("catalog"))
}

// simpleZone is a zone file of one host.
func simpleZone(name string, n int) string {
	return fmt.Sprintf("name = %q\n[records]\n\"@\" = [\"NS ns\"]\nns = [\"A 192.0.2.53\"]\nwww = [\"A 192.0.2.%d\"]\n", name, n)
}

// TestALoadEndsWithItsContext: it reads no further file.
func TestALoadEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		os.WriteFile(filepath.Join(dir, fmt.Sprintf("z%d.toml", i)), []byte(simpleZone(fmt.Sprintf("z%d.test", i), 1)), 0o644)
	}
	sources := sourcesIn(dir)
	ctx, cancel := context.WithCancel(t.Context())
	read := 0
	Loader{Threads: 1}.each(ctx, 100, func(int) {
		if read++; read == 10 {
			cancel()
		}
	})
	if read != 10 {
		t.Errorf("%d of 100 files were read", read)
	}
	if l := (Loader{Sources: sources, Numbers: state.NewNumbering("")}).Load(t.Context(), nil); l.Files.Len() != 100 {
		t.Errorf("%d zones", l.Files.Len())
	}
}

// BenchmarkGrowth loads once, twice and four times as many zones.
func BenchmarkGrowth(b *testing.B) {
	for _, n := range []int{500, 1000, 2000} {
		b.Run(fmt.Sprint("zones/", n), func(b *testing.B) {
			dir := b.TempDir()
			for i := range n {
				os.WriteFile(filepath.Join(dir, fmt.Sprintf("z%d.toml", i)), []byte(simpleZone(fmt.Sprintf("z%d.test", i), 1)), 0o644)
			}
			sources := sourcesIn(dir)
			for b.Loop() {
				if l := (Loader{Sources: sources, Numbers: state.NewNumbering(""), Quiet: true, Alone: true}).Load(b.Context(), nil); l.Files.Len() != n {
					b.Fatal(l.Files.Len())
				}
			}
		})
	}
}

func TestAPatternMatchesNoLeadingDot(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.toml", ".a.toml", ".#a.toml", "sub/b.toml", "sub/.b.toml"} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		os.WriteFile(filepath.Join(dir, name), nil, 0o644)
	}
	for pattern, want := range map[string]string{"*.toml": "a.toml", ".*.toml": ".#a.toml .a.toml", "*/*.toml": "sub/b.toml", "*/.*": "sub/.b.toml", "[.a]*.toml": "a.toml"} {
		all, err := glob(nil, filepath.Join(dir, pattern), nil)
		var got []string
		for _, f := range all {
			got = append(got, strings.TrimPrefix(f.path, dir+"/"))
		}
		slices.Sort(got)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s: %v", pattern, got, want, err)
		}
	}
}

func TestUnchangedZonesAreReused(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, age time.Duration) {
		path := filepath.Join(dir, name)
		os.WriteFile(path, []byte(text), 0o644)
		at := time.Now().Add(-age)
		os.Chtimes(path, at, at)
	}
	write("a.zone.toml", simpleZone("a.test", 1), time.Hour)
	write("b.zone.toml", simpleZone("b.test", 1), time.Hour)
	write("touched.zone.toml", simpleZone("touched.test", 1), time.Hour)
	write("fresh.zone.toml", simpleZone("fresh.test", 1), 0)
	write("rewritten.zone.toml", simpleZone("rewritten.test", 1), 0)
	sources := sourcesIn(dir)
	before := Loader{Sources: sources, Numbers: state.NewNumbering("")}.Load(t.Context(), nil)
	write("b.zone.toml", simpleZone("b.test", 2), time.Minute)
	write("touched.zone.toml", simpleZone("touched.test", 1), time.Minute)
	fresh, _ := os.Stat(filepath.Join(dir, "rewritten.zone.toml"))
	write("rewritten.zone.toml", simpleZone("rewritten.test", 2), 0) // of the same size, and within a tick of the file system's clock
	os.Chtimes(filepath.Join(dir, "rewritten.zone.toml"), fresh.ModTime(), fresh.ModTime())
	after := Loader{Sources: sources, Numbers: state.NewNumbering("")}.Load(t.Context(), before.Files)
	for name, reused := range map[string]bool{"a": true, "b": false, "touched": false, "fresh": true, "rewritten": false} {
		path := filepath.Join(dir, name+".zone.toml")
		if (before.Files.Get(path).Zone == after.Files.Get(path).Zone) != reused {
			t.Errorf("%s: reused %v, want %v", name, !reused, reused)
		}
	}
}
