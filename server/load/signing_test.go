package load

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/server/keyring"
	"mxtrap/server/state"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
)

// signedFolder has so many zones that are to be signed, each with a key.
func signedFolder(t testing.TB, n int) (Sources, keyring.Config) {
	t.Helper()
	dir := t.TempDir()
	var report conf.Report
	table := conf.Parse("mxtrap.toml", []byte("[dnssec]\nkeys = \"keys\""), &report)
	config := keyring.ConfigOf(table.Table("dnssec"), func(path string) string { return filepath.Join(dir, path) }, "")
	for i := range n {
		name := fmt.Sprintf("z%d.test", i)
		os.WriteFile(filepath.Join(dir, name+".toml"), []byte(simpleZone(name, 1)), 0o644)
		apex, _ := dname.Parse(name, dname.Root)
		k, err := sign.Generate(apex, dns.ECDSAP256SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Write(k); err != nil {
			t.Fatal(err)
		}
	}
	return sourcesIn(dir), config
}

// BenchmarkSignedLoad loads zones that are to be signed, and unsigned ones beside them.
func BenchmarkSignedLoad(b *testing.B) {
	const n = 1000
	sources, config := signedFolder(b, n)
	for _, signed := range []bool{false, true} {
		b.Run(fmt.Sprint("signed/", signed), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				config.Default = signed
				o := Loader{Sources: sources, Numbers: state.NewNumbering(""), Quiet: true, Alone: true, Signs: config, Ring: keyring.New(config, nil).Trust()}
				l := o.Load(b.Context(), nil)
				if l.Files.Len() != n || l.Report.Faults() > 0 {
					b.Fatal(l.Report.Problems())
				}
			}
		})
	}
}
