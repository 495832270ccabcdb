package server

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"mxtrap/zone/conf"
)

// TestTheExampleOfAServerFileShowsTheDefaults: each key that it sets has the value that it would have without.
func TestTheExampleOfAServerFileShowsTheDefaults(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../configs/mxtrap.toml")
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) *Config {
		path := filepath.Join(t.TempDir(), "mxtrap.toml")
		os.WriteFile(path, []byte(text), 0o644)
		var report conf.Report
		c := ReadConfig(path, &report)
		if c == nil {
			t.Fatal(report.Problems())
		}
		c.path, c.transfers.Keys = "", nil
		return c
	}
	defaults, example := read(""), read(string(text))
	example.sources, example.DNSSEC.Keys = defaults.sources, defaults.DNSSEC.Keys // those lie beside each
	if !reflect.DeepEqual(defaults, example) {
		t.Errorf("defaults\n%+v\nthe example\n%+v", defaults, example)
	}
}

// TestTheReferenceNamesEveryMetricAndKey: those of a server in use, and those of the example of a server file.
func TestTheReferenceNamesEveryMetricAndKey(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile("../configs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	reference := read("REFERENCE.md")
	r := start(t, map[string]string{"zones/z.toml": exampleZone})
	r.ask("mx2.example.com.", 1)
	for line := range strings.Lines(r.get("/metrics")) {
		words := strings.Fields(line)
		if words[1] == "HELP" && strings.HasPrefix(words[2], "mxtrap_") && !strings.Contains(reference, "`"+words[2]) {
			t.Errorf("the reference does not name %s", words[2])
		}
	}
	for line := range strings.Lines(read("mxtrap.toml")) {
		key, _, ok := strings.Cut(line, " = ")
		key = strings.TrimSpace(key)
		if ok && !strings.ContainsAny(key, "#") && !strings.Contains(reference, "**`"+key+"`**") && !strings.Contains(reference, "."+key+"`**") {
			t.Errorf("the reference does not name the key %s", key)
		}
	}
}
