package source

import (
	"strings"
	"testing"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/trap"
)

// loadFile loads a zone file and tells its problems, a line each.
func loadFile(path string, look trap.Lookups) (*zone.Zone, string) {
	var report conf.Report
	var z *zone.Zone
	if s := Load(path, &report); s != nil {
		if s.soa.serial == nil && s.master == "" {
			one := uint32(1)
			s.soa.serial = &one // the time of a temporary file would differ in each run
		}
		z = s.Compile(look, &report)
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
