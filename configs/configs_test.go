package configs_test

import (
	"context"
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
