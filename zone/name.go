package zone

import (
	"strings"

	"mxtrap/zone/dname"
)

// maxName is the length of the longest name on the wire, its root label included (RFC 1035 2.3.4).
const MaxName = 255

// name is a domain name while a zone is loaded: lower-case wire format. Lower case makes names that are equal in DNS equal in Go.
type Name string

// parseName reads presentation format; a name without a final dot is relative to origin.
func parseName(s string, origin Name) (Name, error) { return (*Arena)(nil).ParseName(s, origin) }

// parseName is the same with the name in the arena.
func (a *Arena) ParseName(s string, origin Name) (Name, error) {
	if s == "@" {
		return origin, nil
	}
	var room [MaxName]byte
	wire, ok := AppendPlain(room[:0], s, origin)
	if !ok {
		var err error
		if wire, err = dname.Append(room[:0], s, string(origin)); err != nil {
			return "", err
		}
	}
	Lower(wire)
	return a.Name(wire), nil
}

// appendName appends the wire format of a name whose characters stand for themselves, its letters as written. It says whether it
// was one: all others, and what is no name, are left to package rr.
func AppendPlain(to []byte, s string, origin Name) ([]byte, bool) {
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
			origin = Root
		}
	}
	to = append(to, origin...)
	return to, len(to)-begin <= MaxName && len(to)-begin > len(origin)
}

// root is the root of all names.
const Root = Name("\x00")

// lower folds the letters of a wire name.
func Lower(wire []byte) { dname.Lower(wire) }

// String is the name in presentation format, with its final dot.
func (n Name) String() string {
	var room [2 * MaxName]byte
	return string(dname.AppendText(room[:0], []byte(n)))
}

// parent is the name without its first label; the root has none.
func (n Name) Parent() Name { return n[1+n[0]:] }

// without is the name without its first labels.
func (n Name) Without(labels int) Name {
	for range labels {
		n = n.Parent()
	}
	return n
}

// label is the first label, without its length.
func (n Name) Label() string { return string(n[1 : 1+n[0]]) }

// isRoot says whether this is the root, as in a null MX (RFC 7505).
func (n Name) IsRoot() bool { return len(n) == 1 }

// within says whether n is the other name or below it.
func (n Name) Within(other Name) bool {
	for len(n) > len(other) {
		n = n.Parent()
	}
	return n == other
}

// wildcard is the wildcard name right below n.
func (n Name) Wildcard() Name { return "\x01*" + n }

// relative is the name as it is written in the zone: without the apex, "@" for the apex itself.
func (n Name) Relative(apex Name) string {
	switch {
	case n == apex:
		return "@"
	case apex.IsRoot() || !n.Within(apex):
		return n.String()
	}
	return strings.TrimSuffix(n.String(), "."+apex.String())
}

// compare orders names as RFC 4034 6.1 does: by labels, the last first.
func (n Name) Compare(other Name) int {
	a, b := n.labels(), other.labels()
	for i := 1; i <= min(len(a), len(b)); i++ {
		if c := strings.Compare(a[len(a)-i], b[len(b)-i]); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}

func (n Name) labels() []string {
	var out []string
	for ; !n.IsRoot(); n = n.Parent() {
		out = append(out, n.Label())
	}
	return out
}

// countLabels is how many labels the name has, without the root.
func (n Name) CountLabels() (count int) {
	for ; !n.IsRoot(); n = n.Parent() {
		count++
	}
	return count
}
