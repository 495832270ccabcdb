package server

import (
	"hash/maphash"
	"slices"
	"testing"
)

func TestZoneFilesAreFoundByTheirPaths(t *testing.T) {
	a, b := &zoneFile{path: "a"}, &zoneFile{path: "b"}
	z := newZoneFiles(0)
	z.put(a)
	z.index[maphash.String(pathSeed, "b")] = 0 // as if both had one hash
	want := func(what string, path string, f *zoneFile) {
		t.Helper()
		if got := z.get(path); got != f {
			t.Errorf("%s: %v, want %v", what, got, f)
		}
		if got := z.find([]byte(path)); got.path != path || got.before != f {
			t.Errorf("%s: found %v, want %v", what, got, f)
		}
	}
	want("the hash is another's", "b", nil)
	z.put(b)
	want("beside one of the same hash", "b", b)
	want("the other of the hash", "a", a)
	copied := z.clone()
	z.remove("a")
	want("taken out", "a", nil)
	want("behind one that was taken out", "b", b)
	again := &zoneFile{path: "a"}
	z.put(again)
	want("put in again", "a", again)
	replaced := &zoneFile{path: "b"}
	z.put(replaced)
	want("replaced", "b", replaced)
	if got := slices.Collect(z.all()); z.len() != 2 || !slices.Equal(got, []*zoneFile{replaced, again}) {
		t.Errorf("%d zones: %v", z.len(), got)
	}
	if got := slices.Collect(copied.all()); copied.len() != 2 || !slices.Equal(got, []*zoneFile{a, b}) {
		t.Errorf("the copy has %d zones: %v", copied.len(), got)
	}
}
