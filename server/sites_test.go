package server

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mxtrap/server/answer"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/mail"
	"mxtrap/zone/source"
)

// turningZones are zones whose decoys change, each with its trap.addresses.
func turningZones(t *testing.T, addresses ...string) (zones []*zone.Zone) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600)
	for i, list := range addresses {
		var report conf.Report
		turns := ""
		if !strings.HasPrefix(list, "still ") {
			turns = fmt.Sprintf("rotate = \"7d\"\nsecret_file = %q\n", secret)
		}
		s := source.Parse("z.toml", fmt.Appendf(nil, "name = \"z%d.test\"\n[records]\n\"@\" = [\"NS ns\", \"MX 10 mail\", \"MX 20 backup\"]\nns = [\"A 8.8.4.53\"]\nmail = [\"A 8.8.4.25\"]\nbackup = [\"A 8.8.4.26\"]\n[trap]\ncount = 1\naddresses = [%s]\n%s", i, strings.TrimPrefix(list, "still "), turns), &report)
		s.At(time.Now())
		z := s.Compile(nil, &report)
		if z == nil {
			t.Fatal(report.Problems())
		}
		zones = append(zones, z)
	}
	return zones
}

// TestEachOwnerIsMetAtItsDecoysAddress, whatever pools other zones have.
func TestEachOwnerIsMetAtItsDecoysAddress(t *testing.T) {
	for name, addresses := range map[string][]string{
		"pools within others":        {`"8.8.8.0/28"`, `"8.8.8.0/27"`, `"8.8.8.0/26", "8.8.9.0/28"`, `"8.8.9.0/29"`},
		"the same in another order":  {`"8.8.8.0/28", "8.8.9.0/28"`, `"8.8.9.0/28", "8.8.8.0/28"`},
		"beside one that never does": {`"8.8.8.0/29"`, `still "8.8.8.1", "8.8.8.2", "8.8.8.3"`, `"8.8.8.0/29"`},
		"pools apart":                {`"8.8.8.0/28"`, `"8.8.9.0/28"`},
	} {
		t.Run(name, func(t *testing.T) {
			zones := turningZones(t, addresses...)
			found := sitesOf(t.Context(), zones, func(string) []netip.Addr { return nil })
			ask := answer.NewAsker(zones).Ask
			for i, z := range zones {
				domains, err := mail.Domains(z, ask, func(string) []netip.Addr { return nil })
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range domains[0].Exchanges {
					if e.Role != mail.Decoy {
						continue
					}
					site := found.Of(e.Addresses[0])
					if site == nil {
						t.Fatalf("%s of %d has no site", e.Addresses[0], i)
					}
					owners := map[string]bool{}
					for _, d := range site.Decoys {
						owners[d.Owner] = true
					}
					if !owners[z.Name()] {
						t.Errorf("%s, of a decoy of %s, is known as that of %v", e.Addresses[0], z.Name(), owners)
					}
				}
			}
			if name == "pools apart" && len(found.Pools) != 2 {
				t.Errorf("%d pools", len(found.Pools))
			}
		})
	}
}
