//go:build interop

package rr

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mxtrap/zone/rdata"
)

// zoneHead is what a zone needs beside the record that is tried.
const zoneHead = "$ORIGIN example.com.\n$TTL 3600\n@ IN SOA ns1 hostmaster 1 7200 1800 1209600 300\n@ IN NS ns1\nns1 IN A 192.0.2.53\n"

// TestInteropTypes has BIND and NSD read each record as it is written, as we print it and in the notation of RFC 3597: all three are
// one record to them, and the same as to us.
func TestInteropTypes(t *testing.T) {
	var table strings.Builder
	for _, c := range samples {
		if c.name == "SOA" {
			continue // stands at the apex alone, and does so in every try
		}
		data, err := rdata.Parse(c.typ(), c.text, exampleCom)
		if err != nil {
			t.Errorf("%s %s: %v", c.name, c.text, err)
			continue
		}
		generic := "x IN TYPE" + fmt.Sprint(c.typ()) + " " + fmt.Sprintf(`\# %d %X`, len(data), data)
		printed := Record{Owner: "\x01x" + exampleCom, Type: c.typ(), TTL: 3600, Data: data}.String()
		verdicts := []string{}
		for _, peer := range []struct {
			name string
			read func(*testing.T, string) (string, error)
		}{{"BIND", compiledByBIND}, {"NSD", compiledByNSD}} {
			want, err := peer.read(t, generic)
			if err != nil && peer.name == "BIND" && (c.name == "MD" || c.name == "MF") {
				verdicts = append(verdicts, "refuses the type")
				continue
			}
			if err != nil {
				t.Errorf("%s %s: %s does not read %s: %v", c.name, c.text, peer.name, generic, err)
			}
			verdict := "same"
			for _, line := range []string{"x IN " + c.name + " " + c.text, printed} {
				got, err := peer.read(t, line)
				switch {
				case err != nil && line != printed: // it does not know the mnemonic, or reads another text
					verdict = "not as text"
				case err != nil || got != want:
					t.Errorf("%s reads %s as\n%s\nwant\n%s\n%v", peer.name, line, got, want, err)
					verdict = "DIFFERS"
				}
			}
			verdicts = append(verdicts, verdict)
		}
		fmt.Fprintf(&table, "| %s | %s | %s | printed as %s |\n", c.name, verdicts[0], verdicts[1], rdata.TypeText(c.typ()))
	}
	t.Log("\n" + table.String())
}

func compiledByBIND(t *testing.T, line string) (string, error) {
	return compiled(t, line, func(file string) *exec.Cmd {
		return exec.Command("named-compilezone", "-q", "-i", "none", "-k", "ignore", "-o", "-", "example.com", file)
	})
}

func compiledByNSD(t *testing.T, line string) (string, error) {
	return compiled(t, line, func(file string) *exec.Cmd { return exec.Command("nsd-checkzone", "-p", "example.com", file) })
}

func compiled(t *testing.T, line string, command func(file string) *exec.Cmd) (string, error) {
	file := filepath.Join(t.TempDir(), "z")
	if err := os.WriteFile(file, []byte(zoneHead+line+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := command(file).CombinedOutput()
	var records []string
	for l := range strings.Lines(string(out)) {
		if f := strings.Fields(l); len(f) > 0 && (f[0] == "x" || f[0] == "x.example.com.") {
			records = append(records, strings.Join(f, " "))
		}
	}
	if err == nil && len(records) != 1 {
		err = fmt.Errorf("%d records: %s", len(records), out)
	} else if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return strings.Join(records, "\n"), err
}
