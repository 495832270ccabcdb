package zone

import (
	"strings"

	"mxtrap/zone/dname"
)

// maxName is the length of the longest name on the wire, its root label included (RFC 1035 2.3.4).
const maxName = 255

// name is a domain name while a zone is loaded: lower-case wire format. Lower case makes names that are equal in DNS equal in Go.
type name string

// parseName reads presentation format; a name without a final dot is relative to origin.
func parseName(s string, origin name) (name, error) { return (*arena)(nil).parseName(s, origin) }

// parseName is the same with the name in the arena.
func (a *arena) parseName(s string, origin name) (name, error) {
	if s == "@" {
		return origin, nil
	}
	var room [maxName]byte
	wire, ok := appendName(room[:0], s, origin)
	if !ok {
		var err error
		if wire, err = dname.Append(room[:0], s, string(origin)); err != nil {
			return "", err
		}
	}
	lower(wire)
	return a.name(wire), nil
}

// appendName appends the wire format of a name whose characters stand for themselves, its letters as written. It says whether it
// was one: all others, and what is no name, are left to package rr.
func appendName(to []byte, s string, origin name) ([]byte, bool) {
	if s == "@" {
		return append(to, origin...), true
	}
	begin := len(to)
	for s != "" {
		label, rest, dotted := strings.Cut(s, ".")
		if label == "" || len(label) > 63 {
			return to, false
		}
		for i := range len(label) {
			if c := label[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '*') {
				return to, false
			}
		}
		to = append(append(to, byte(len(label))), label...)
		if s = rest; dotted && rest == "" {
			origin = root
		}
	}
	to = append(to, origin...)
	return to, len(to)-begin <= maxName && len(to)-begin > len(origin)
}

// root is the root of all names.
const root = name("\x00")

// lower folds the letters of a wire name.
func lower(wire []byte) { dname.Lower(wire) }

// String is the name in presentation format, with its final dot.
func (n name) String() string {
	var room [2 * maxName]byte
	return string(dname.AppendText(room[:0], []byte(n)))
}

// parent is the name without its first label; the root has none.
func (n name) parent() name { return n[1+n[0]:] }

// without is the name without its first labels.
func (n name) without(labels int) name {
	for range labels {
		n = n.parent()
	}
	return n
}

// label is the first label, without its length.
func (n name) label() string { return string(n[1 : 1+n[0]]) }

// isRoot says whether this is the root, as in a null MX (RFC 7505).
func (n name) isRoot() bool { return len(n) == 1 }

// within says whether n is the other name or below it.
func (n name) within(other name) bool {
	for len(n) > len(other) {
		n = n.parent()
	}
	return n == other
}

// wildcard is the wildcard name right below n.
func (n name) wildcard() name { return "\x01*" + n }

// relative is the name as it is written in the zone: without the apex, "@" for the apex itself.
func (n name) relative(apex name) string {
	switch {
	case n == apex:
		return "@"
	case apex.isRoot() || !n.within(apex):
		return n.String()
	}
	return strings.TrimSuffix(n.String(), "."+apex.String())
}

// compare orders names as RFC 4034 6.1 does: by labels, the last first.
func (n name) compare(other name) int {
	a, b := n.labels(), other.labels()
	for i := 1; i <= min(len(a), len(b)); i++ {
		if c := strings.Compare(a[len(a)-i], b[len(b)-i]); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}

func (n name) labels() []string {
	var out []string
	for ; !n.isRoot(); n = n.parent() {
		out = append(out, n.label())
	}
	return out
}

// countLabels is how many labels the name has, without the root.
func (n name) countLabels() (count int) {
	for ; !n.isRoot(); n = n.parent() {
		count++
	}
	return count
}
