package load

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"
)

// Files are zones by the path of their file. There are very many, so paths are found by their hashes alone: in a map of strings the
// garbage collector would follow each key, all over memory, which took it more time than everything else.
type Files struct {
	list  []*File        // nil where one was taken out
	index map[uint64]int // in list; by the hash of a path, or where that is another's the next number that was free
	count int
}

var pathSeed = maphash.MakeSeed()

func newFiles(room int) *Files {
	return &Files{list: make([]*File, 0, room), index: make(map[uint64]int, room)}
}

// place is where a path stands in the index, and whether it does.
func (z *Files) place(path string) (key uint64, i int, ok bool) {
	for key = maphash.String(pathSeed, path); ; key++ {
		i, taken := z.index[key]
		if !taken || z.list[i] != nil && z.list[i].Path == path {
			return key, i, taken
		}
	}
}

// Get is the zone of a path; nil where there is none.
func (z *Files) Get(path string) *File {
	if z == nil {
		return nil
	}
	if _, i, ok := z.place(path); ok {
		return z.list[i]
	}
	return nil
}

// find is what there was of a path that is to be looked for in a load.
func (z *Files) find(path []byte) found {
	if z != nil {
		// Nearly all are found here, and no string is made of them.
		if i, ok := z.index[maphash.Bytes(pathSeed, path)]; ok && z.list[i] != nil && z.list[i].Path == string(path) {
			return found{z.list[i].Path, z.list[i]}
		}
	}
	text := string(path)
	return found{text, z.Get(text)}
}

// put adds a zone, in the place of one of the same path.
func (z *Files) put(f *File) {
	key, i, ok := z.place(f.Path)
	if ok {
		z.list[i] = f
		return
	}
	z.index[key] = len(z.list)
	z.list = append(z.list, f)
	z.count++
}

// remove takes a zone out.
func (z *Files) remove(path string) {
	if _, i, ok := z.place(path); ok {
		z.list[i] = nil
		z.count--
	}
}

// All are the zones, in the order in which they came.
func (z *Files) All() iter.Seq[*File] {
	return func(yield func(*File) bool) {
		if z == nil {
			return
		}
		for _, f := range z.list {
			if f != nil && !yield(f) {
				return
			}
		}
	}
}

// Len is how many zones there are.
func (z *Files) Len() int {
	if z == nil {
		return 0
	}
	return z.count
}

// clone is the same zones again. Where most of the places are of zones that are gone, they are left out.
func (z *Files) clone() *Files {
	if len(z.list) > 2*z.count {
		again := newFiles(z.count)
		for f := range z.All() {
			again.put(f)
		}
		return again
	}
	return &Files{slices.Clone(z.list), maps.Clone(z.index), z.count}
}
