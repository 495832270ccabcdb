package judge

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// TestExports prints a list in each form, as the files under testdata have it.
func TestExports(t *testing.T) {
	now := time.Unix(noon, 0)
	entries := []Entry{
		{netip.MustParsePrefix("203.0.113.9/32"), Listing{Grade: Deaf, From: noon - 10, End: noon + day}},
		{netip.MustParsePrefix("203.0.113.10/32"), Listing{Grade: NoSMTP, From: noon - 10, End: noon + 100}},
		{netip.MustParsePrefix("2001:db8:0:7::/64"), Listing{Grade: Passed2, From: noon - 10, End: noon + day}},
	}
	for _, x := range Exports {
		for what, list := range map[string][]Entry{"": entries, "-empty": nil} {
			file := "testdata/" + x.Name + what
			got := x.Print(list, now)
			if os.Getenv("UPDATE") != "" {
				os.WriteFile(file, []byte(got), 0o644)
			}
			if want, err := os.ReadFile(file); err != nil || string(want) != got {
				t.Errorf("%s: %v, got\n%s\nwant\n%s", file, err, got, want)
			}
			if strings.Contains(got, "127.0.0.1\n") {
				t.Errorf("%s lists 127.0.0.1", file)
			}
		}
	}
}
