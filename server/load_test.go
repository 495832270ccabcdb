package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"mxtrap/zone/conf"
)

// TestALoadEndsWithItsContext: it reads no further file, and who waits for it waits no longer.
func TestALoadEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "mxtrap.toml"), []byte("[server]\nzones = [\"z*.toml\"]\n"), 0o644)
	for i := range 100 {
		os.WriteFile(filepath.Join(dir, fmt.Sprintf("z%d.toml", i)), []byte(simpleZone(fmt.Sprintf("z%d.test", i), 1)), 0o644)
	}
	config := ReadConfig(filepath.Join(dir, "mxtrap.toml"), &conf.Report{})
	ctx, cancel := context.WithCancel(t.Context())
	read := 0
	loader{threads: 1}.each(ctx, 100, func(int) {
		if read++; read == 10 {
			cancel()
		}
	})
	if read != 10 {
		t.Errorf("%d of 100 files were read", read)
	}
	release := make(chan struct{})
	if l := whileServing(ctx, func() *loading { <-release; return &loading{} }); l != nil {
		t.Error("a load that nobody waits for has an outcome")
	}
	close(release)
	if l := (loader{sources: config.sources, numbers: newNumbering("")}).load(t.Context(), nil); l.files.len() != 100 {
		t.Errorf("%d zones", l.files.len())
	}
}

// BenchmarkGrowth loads once, twice and four times as many zones.
func BenchmarkGrowth(b *testing.B) {
	for _, n := range []int{500, 1000, 2000} {
		b.Run(fmt.Sprint("zones/", n), func(b *testing.B) {
			dir := b.TempDir()
			os.WriteFile(filepath.Join(dir, "mxtrap.toml"), []byte("[server]\nzones = [\"z*.toml\"]\n"), 0o644)
			for i := range n {
				os.WriteFile(filepath.Join(dir, fmt.Sprintf("z%d.toml", i)), []byte(simpleZone(fmt.Sprintf("z%d.test", i), 1)), 0o644)
			}
			config := ReadConfig(filepath.Join(dir, "mxtrap.toml"), &conf.Report{})
			for b.Loop() {
				if l := (loader{sources: config.sources, numbers: newNumbering(""), quiet: true, alone: true}).load(b.Context(), nil); l.files.len() != n {
					b.Fatal(l.files.len())
				}
			}
		})
	}
}
