package load

import (
	"hash/maphash"
	"slices"
	"testing"
)

func TestZoneFilesAreFoundByTheirPaths(t *testing.T) {
	a, b := &File{Path: "a"}, &File{Path: "b"}
	z := newFiles(0)
	z.put(a)
	z.index[maphash.String(pathSeed, "b")] = 0 // as if both had one hash
	want := func(what string, path string, f *File) {
		t.Helper()
		if got := z.Get(path); got != f {
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
	again := &File{Path: "a"}
	z.put(again)
	want("put in again", "a", again)
	replaced := &File{Path: "b"}
	z.put(replaced)
	want("replaced", "b", replaced)
	if got := slices.Collect(z.All()); z.Len() != 2 || !slices.Equal(got, []*File{replaced, again}) {
		t.Errorf("%d zones: %v", z.Len(), got)
	}
	if got := slices.Collect(copied.All()); copied.Len() != 2 || !slices.Equal(got, []*File{a, b}) {
		t.Errorf("the copy has %d zones: %v", copied.Len(), got)
	}
}
