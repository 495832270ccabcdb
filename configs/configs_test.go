package configs_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mxtrap/server"
	"mxtrap/server/load"
	"mxtrap/zone/conf"
)

// TestTheExamplesLoad: what ships is right, and all that it is warned of is that its addresses are reserved for documentation.
func TestTheExamplesLoad(t *testing.T) {
	var report conf.Report
	c := server.ReadConfig("mxtrap.toml", &report)
	if c == nil {
		t.Fatal(report.Problems())
	}
	in := server.Inspect(context.Background(), c, false, load.Progress{})
	for _, p := range in.Problems {
		if !p.Warning || !strings.Contains(p.Reason, "not globally routable") {
			t.Error(p)
		}
	}
	files, _ := filepath.Glob("zones/*.toml")
	if len(in.Zones) != len(files) {
		t.Errorf("%d zones of %d files", len(in.Zones), len(files))
	}
}

// TestTheServerFileShowsTheDefaults: each key that the example sets has the value that it would have without.
func TestTheServerFileShowsTheDefaults(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "mxtrap.toml")
	os.WriteFile(empty, nil, 0o644)
	text, err := os.ReadFile("mxtrap.toml")
	if err != nil {
		t.Fatal(err)
	}
	full := filepath.Join(dir, "full.toml")
	os.WriteFile(full, text, 0o644)
	var report conf.Report
	one, two := server.ReadConfig(empty, &report), server.ReadConfig(full, &report)
	one.Path, two.Path = "", ""
	a, _ := json.Marshal(one)
	b, _ := json.Marshal(two)
	if string(a) != string(b) {
		t.Errorf("defaults\n%s\nthe example\n%s", a, b)
	}
}
