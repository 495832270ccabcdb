package state

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/server/fake"
	"mxtrap/zone/dname"
	"mxtrap/zone/source"
)

// someUpdates are RRsets of the zone x, one of them gone.
func someUpdates() (sets []source.RRset) {
	for _, r := range fake.Wired("a.x. 60 IN TXT \"tab\tand \\\"quotes\\\"\"", "b.x. 60 IN TLSA 3 1 1 ABCD", `c\009d.x. 0 IN A 192.0.2.1`) {
		sets = append(sets, source.RRset{Owner: dname.Name(r.Owner), Type: r.Type, Records: fake.Wired()})
		sets[len(sets)-1].Records = append(sets[len(sets)-1].Records, r)
	}
	return append(sets, source.RRset{Owner: "\x04gone\x01x\x00", Type: dns.TypeAAAA})
}

func TestUpdatesOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	u, sets := NewUpdates(dir), someUpdates()
	if err := u.Write("x", sets); err != nil {
		t.Fatal(err)
	}
	wants := func(zone string, want []source.RRset) {
		t.Helper()
		for name, u := range map[string]*Updates{"this process": u, "the next one": NewUpdates(dir)} {
			if got, err := u.Of(zone); err != nil || !slices.EqualFunc(got, want, source.Same) {
				t.Errorf("%s: %s has %v, %v", name, zone, got, err)
			}
		}
	}
	wants("x", sets)
	wants("y", nil)
	if err := u.Write("x", nil); err != nil {
		t.Fatal(err)
	}
	wants("x", nil)
	if left, _ := os.ReadDir(filepath.Join(dir, "updates")); len(left) > 0 {
		t.Error(left)
	}
	if err := NewUpdates("").Write("x", sets); err == nil {
		t.Error("kept nowhere")
	}
}

func TestDamagedUpdatesAreNotUsedInPart(t *testing.T) {
	dir := t.TempDir()
	u := NewUpdates(dir)
	u.Write("x", someUpdates())
	whole, _ := os.ReadFile(u.File("x"))
	for name, text := range map[string]string{
		"no head":            strings.TrimPrefix(string(whole), updatesHead),
		"a record elsewhere": updatesHead + "a.y.\t60\tIN\tA\t192.0.2.1\n",
		"a cut line":         string(whole[:len(whole)-6]),
		"a broken record":    updatesHead + "a.x.\t60\tIN\tA\t192.0.2\n",
		"another class":      updatesHead + "a.x.\t60\tCH\tA\t192.0.2.1\n",
	} {
		os.WriteFile(u.File("x"), []byte(text), 0o600)
		if sets, err := NewUpdates(dir).Of("x"); err == nil || sets != nil {
			t.Errorf("%s: %v", name, sets)
		}
	}
	os.RemoveAll(filepath.Join(dir, "updates"))
	os.WriteFile(filepath.Join(dir, "updates"), nil, 0o600)
	if _, err := NewUpdates(dir).Of("x"); err == nil {
		t.Error("a folder that cannot be read has no updates")
	}
}

// FuzzUpdates: what can be read is written as it was read.
func FuzzUpdates(f *testing.F) {
	var text strings.Builder
	w := bufio.NewWriter(&text)
	writeUpdates(w, someUpdates())
	w.Flush()
	f.Add(text.String())
	f.Fuzz(func(t *testing.T, text string) {
		sets, err := parseUpdates(text, "\x01x\x00")
		if err != nil {
			return
		}
		var again strings.Builder
		w := bufio.NewWriter(&again)
		writeUpdates(w, sets)
		w.Flush()
		if got, err := parseUpdates(again.String(), "\x01x\x00"); err != nil || !slices.EqualFunc(got, sets, source.Same) {
			t.Fatalf("%q became %q: %v", text, again.String(), err)
		}
	})
}
