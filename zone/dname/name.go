package dname

import (
	"slices"
	"strings"
	"unsafe"
)

// Name is a domain name while a zone is loaded: lower-case wire format. Lower case makes names that are equal in DNS equal in Go.
type Name string

// Parse reads a name as text has it; one without a final dot is relative to origin.
func Parse(s string, origin Name) (Name, error) {
	if s == "@" {
		return origin, nil
	}
	var room [MaxName]byte
	wire, err := AppendLower(room[:0], s, origin)
	return Name(wire), err
}

// AppendLower appends the wire format of a name as text has it, in lower case.
func AppendLower(to []byte, s string, origin Name) ([]byte, error) {
	wire, ok := AppendPlain(to, s, origin)
	if !ok {
		var err error
		if wire, err = Append(to, s, string(origin)); err != nil {
			return nil, err
		}
	}
	Lower(wire[len(to):])
	return wire, nil
}

// AppendPlain appends the wire format of a name whose characters stand for themselves, its letters as written. It says whether it
// was one: all others, and what is no name, are left to [Append].
func AppendPlain(to []byte, s string, origin Name) ([]byte, bool) {
	if s == "@" {
		return append(to, origin...), true
	}
	begin := len(to)
	for s != "" {
		n := 0
		for n < len(s) && ofHost[s[n]] {
			n++
		}
		if n == 0 || n > MaxLabel || n < len(s) && s[n] != '.' {
			return to, false
		}
		to = append(append(to, byte(n)), s[:n]...)
		if s = s[n:]; s == "." {
			origin = Root
		}
		s = strings.TrimPrefix(s, ".")
	}
	to = append(to, origin...)
	return to, len(to)-begin <= MaxName && len(to)-begin > len(origin)
}

// ofHost are the characters that names of hosts and of services are made of, and that of wildcards.
var ofHost = func() (of [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*") {
		of[c] = true
	}
	return of
}()

// Root is the root of all names.
const Root = Name("\x00")

// String is the name in presentation format, with its final dot.
func (n Name) String() string {
	var room [2 * MaxName]byte
	return string(AppendText(room[:0], []byte(n)))
}

// Parent is the name without its first label; the root has none.
func (n Name) Parent() Name { return n[1+n[0]:] }

// Without is the name without its first labels.
func (n Name) Without(labels int) Name {
	for range labels {
		n = n.Parent()
	}
	return n
}

// Label is the first label, without its length.
func (n Name) Label() string { return string(n[1 : 1+n[0]]) }

// IsRoot says whether this is the root, as in a null MX (RFC 7505).
func (n Name) IsRoot() bool { return len(n) == 1 }

// Within says whether n is the other name or below it.
func (n Name) Within(other Name) bool {
	for len(n) > len(other) {
		n = n.Parent()
	}
	return n == other
}

// Wildcard is the wildcard name right below n.
func (n Name) Wildcard() Name { return "\x01*" + n }

// Relative is the name as it is written in the zone: without the apex, "@" for the apex itself.
func (n Name) Relative(apex Name) string {
	switch {
	case n == apex:
		return "@"
	case apex.IsRoot() || !n.Within(apex):
		return n.String()
	}
	return strings.TrimSuffix(n.String(), "."+apex.String())
}

// Compare orders names as RFC 4034 6.1 does: by labels, the last first.
func (n Name) Compare(other Name) int { return Canonical(n, other) }

// Canonical is [Name.Compare] of names in lower-case wire format, with the root's label or both without. It allocates nothing.
func Canonical[A, B ~string | ~[]byte](a A, b B) int {
	var startsA, startsB [MaxLabels]uint8
	n, m := starts(a, &startsA), starts(b, &startsB)
	for n > 0 && m > 0 {
		n, m = n-1, m-1
		i, j := int(startsA[n]), int(startsB[m])
		sizeA, sizeB := int(a[i]), int(b[j])
		for k := 1; k <= min(sizeA, sizeB); k++ {
			if c := int(a[i+k]) - int(b[j+k]); c != 0 {
				return c
			}
		}
		if sizeA != sizeB {
			return sizeA - sizeB
		}
	}
	return n - m
}

// MaxLabels is the number of labels of the longest name, without the root.
const MaxLabels = MaxName / 2

// starts finds where the labels of a name begin, and how many there are without the root.
func starts[N ~string | ~[]byte](name N, to *[MaxLabels]uint8) (labels int) {
	for at := 0; at < len(name) && name[at] != 0; at += 1 + int(name[at]) {
		to[labels] = uint8(at)
		labels++
	}
	return labels
}

// CountLabels is how many labels the name has, without the root.
func (n Name) CountLabels() (count int) {
	for ; !n.IsRoot(); n = n.Parent() {
		count++
	}
	return count
}

// Lowered makes a name of wire format in any letters. One that is in lower case, as nearly all are, is not copied: nobody changes a
// record's data.
func Lowered(wire []byte) Name {
	if !slices.ContainsFunc(wire, func(c byte) bool { return 'A' <= c && c <= 'Z' }) {
		return Name(unsafe.String(unsafe.SliceData(wire), len(wire)))
	}
	var room [MaxName]byte
	low := append(room[:0], wire...)
	Lower(low)
	return Name(low)
}

// Length is the length of the uncompressed name that wire begins with.
func Length(wire []byte) int {
	n := 0
	for wire[n] != 0 {
		n += int(wire[n]) + 1
	}
	return n + 1
}

// Bare is the name as text, without its final dot; the root is ".".
func (n Name) Bare() string {
	if n.IsRoot() {
		return "."
	}
	return strings.TrimSuffix(n.String(), ".")
}
