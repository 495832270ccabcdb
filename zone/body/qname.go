package body

import "mxtrap/zone/dname"

// QName is a name that is looked up: lower-case wire format and where each label begins. It is made to be used again and again
// without allocation.
type QName struct {
	wire   [dname.MaxName]byte
	starts [dname.MaxLabels + 1]uint8 // of label i, counted from the left; the last is the root's
	size   int                        // of the name in wire, root label included
	Labels int                        // without the root
}

// Read takes the uncompressed name that begins at msg[off] and returns the offset behind it, or -1 where there is none
// (RFC 1035 4.1.2; there is nothing that a compressed question could point back to).
func (q *QName) Read(msg []byte, off int) int {
	q.Labels = 0
	for at := off; at < len(msg); {
		n := int(msg[at])
		if at-off+n+1 > dname.MaxName || n > 63 {
			return -1
		}
		q.starts[q.Labels] = uint8(at - off)
		if n == 0 {
			q.size = at - off + 1
			copy(q.wire[:], msg[off:at+1])
			dname.Lower(q.wire[:q.size])
			return at + 1
		}
		q.Labels++
		at += n + 1
	}
	return -1
}

// Wire is the name in lower-case wire format.
func (q *QName) Wire() []byte { return q.wire[:q.size] }

// suffix is the name without its first labels.
func (q *QName) Suffix(labels int) []byte { return q.wire[q.starts[labels]:q.size] }

// label is a label with its length octet.
func (q *QName) label(i int) []byte { return q.wire[q.starts[i]:q.starts[i+1]] }

// equal compares two names.
func (q *QName) equal(other *QName) bool { return string(q.Wire()) == string(other.Wire()) }

// join makes the name of the first labels of another name and a tail in wire format. It fails where that is too long.
func (q *QName) join(first *QName, labels int, tail []byte) bool {
	head := int(first.starts[labels])
	if head+len(tail) > dname.MaxName {
		return false
	}
	var wire [dname.MaxName]byte
	copy(wire[:], first.wire[:head])
	copy(wire[head:], tail)
	return q.Read(wire[:head+len(tail)], 0) >= 0
}
