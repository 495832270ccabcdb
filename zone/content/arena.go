package content

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"unsafe"

	"mxtrap/zone/dname"
)

// Arena is memory for the names and data of a zone that is loaded: one piece in the place of very many. Nobody changes what was given out.
type Arena struct{ room []byte }

// arenaPiece is how much memory an arena takes at a time.
const arenaPiece = 2 << 10

// arenaPieces are those that were given back.
var arenaPieces = sync.Pool{New: func() any { return new([arenaPiece]byte) }}

// Release gives the arena's memory back: no name or data of it may be used any more.
func (a *Arena) Release() {
	if cap(a.room) == arenaPiece {
		arenaPieces.Put((*[arenaPiece]byte)(a.room[:arenaPiece]))
	}
	a.room = nil
}

// reserve is empty memory for so many octets. A nil arena takes it from the heap.
func (a *Arena) reserve(octets int) []byte {
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

// ParseName is [dname.Parse] with the name in the arena.
func (a *Arena) ParseName(s string, origin dname.Name) (dname.Name, error) {
	if s == "@" {
		return origin, nil
	}
	wire, err := dname.AppendLower(a.reserve(len(s)+1+len(origin)), s, origin) // unless octets are escaped, there are no more
	if err != nil {
		return "", err
	}
	return dname.Name(unsafe.String(unsafe.SliceData(wire), len(wire))), nil
}

// Join keeps two texts with a third between them.
func (a *Arena) Join(before, between, after string) string {
	text := a.reserve(len(before) + len(between) + len(after))
	text = append(append(append(text, before...), between...), after...)
	return unsafe.String(unsafe.SliceData(text), len(text))
}

// Octets are those of a name.
func (a *Arena) Octets(n dname.Name) []byte { return append(a.reserve(len(n)), n...) }

// address is the data of an address's record; that of no address is empty.
func (a *Arena) address(addr netip.Addr) []byte {
	switch {
	case addr.Is4():
		data := addr.As4()
		return append(a.reserve(len(data)), data[:]...)
	case addr.IsValid():
		data := addr.As16()
		return append(a.reserve(len(data)), data[:]...)
	}
	return nil
}

// MxData is the data of an MX record.
func (a *Arena) MxData(preference uint16, exchange dname.Name) []byte {
	return append(binary.BigEndian.AppendUint16(a.reserve(2+len(exchange)), preference), exchange...)
}
