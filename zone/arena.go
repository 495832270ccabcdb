package zone

import (
	"sync"
	"unsafe"
)

// arena is memory for the names and data of a zone that is loaded: one piece in the place of very many. Nobody changes what was given out.
type Arena struct{ room []byte }

// arenaPiece is how much memory an arena takes at a time.
const arenaPiece = 2 << 10

// arenaPieces are those that were given back.
var arenaPieces = sync.Pool{New: func() any { return new([arenaPiece]byte) }}

// release gives the arena's memory back: no name or data of it may be used any more.
func (a *Arena) Release() {
	if cap(a.room) == arenaPiece {
		arenaPieces.Put((*[arenaPiece]byte)(a.room[:arenaPiece]))
	}
	a.room = nil
}

// reserve is empty memory for so many octets. A nil arena takes it from the heap.
func (a *Arena) Reserve(octets int) []byte {
	if a == nil {
		return make([]byte, 0, octets)
	}
	at := len(a.room)
	if at+octets > cap(a.room) {
		if a.room, at = nil, 0; octets <= arenaPiece {
			a.room = arenaPieces.Get().(*[arenaPiece]byte)[:0]
		} else {
			a.room = make([]byte, 0, octets)
		}
	}
	a.room = a.room[:at+octets]
	return a.room[at : at : at+octets]
}

// name keeps a name.
func (a *Arena) Name(wire []byte) Name {
	kept := append(a.Reserve(len(wire)), wire...)
	return Name(unsafe.String(unsafe.SliceData(kept), len(kept)))
}
