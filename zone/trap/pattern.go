package trap

import (
	"fmt"
	"strconv"
	"strings"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
)

// pattern is how covers and decoys are named: something stands in for a part of it.
type pattern struct {
	text  string
	place place
}

// place is the part that something stands in for.
type place string

const (
	numbered place = "{n}" // a number
	worded   place = "{r}" // a word; of decoys that change another one in each epoch
)

// defaultNames are those where the operator wants no others.
func defaultNames(turning bool) pattern {
	if turning {
		return pattern{"mx-" + string(worded), worded}
	}
	return pattern{"mx" + string(numbered), numbered}
}

// longest is the longest that stands in, or as long.
func (p place) longest() string {
	if p == worded {
		return wordOf(0)
	}
	return strconv.Itoa(maxFirst)
}

// fits says whether a text may stand in.
func (p place) fits(text string) bool {
	if p == worded {
		return isWord(text)
	}
	n, err := strconv.Atoi(text)
	return err == nil && strconv.Itoa(n) == text
}

func (p place) String() string {
	if p == worded {
		return "a word that changes"
	}
	return "the number"
}

// check judges the pattern.
func (p pattern) check(t *conf.Table, apex dname.Name, a *content.Arena) bool {
	other := defaultNames(p.place == worded).text
	if strings.Count(p.text, string(numbered))+strings.Count(p.text, string(worded)) != 1 || !strings.Contains(p.text, string(p.place)) {
		t.Fault("names", p.text, fmt.Sprintf("must contain %s once, for %s: %q", string(p.place), p.place, other))
		return false
	}
	n, err := p.name(p.place.longest(), apex, a)
	switch {
	case err != nil:
		t.Fault("names", p.text, err.Error())
		return false
	case !n.Within(apex):
		t.Fault("names", p.text, "is outside the zone "+apex.Bare())
		return false
	case !isHostName(n, apex):
		t.Fault("names", p.text, fmt.Sprintf("gives names that no host has: letters, digits and hyphens, none at an end (RFC 1123 2.1); %q is one", other))
		return false
	}
	return true
}

// isHostName says whether the labels of a name below the apex are those of a host (RFC 1123 2.1).
func isHostName(n, apex dname.Name) bool {
	for ; n != apex; n = n.Parent() {
		label := n.Label()
		if label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
				return false
			}
		}
	}
	return true
}

// cut is what stands before and behind the place.
func (p pattern) cut() (before, after string) {
	before, after, _ = strings.Cut(p.text, string(p.place))
	return before, after
}

// name is one of the pattern.
func (p pattern) name(standIn string, apex dname.Name, a *content.Arena) (dname.Name, error) {
	before, after := p.cut()
	return a.ParseName(a.Join(before, standIn, after), apex)
}

// Claims says whether the trap may name a host so, whatever stands in.
func (r *Table) Claims(n, apex dname.Name) bool {
	before, after := r.names.cut()
	before, after = strings.ToLower(before), strings.ToLower(after)
	for _, text := range []string{n.Relative(apex), n.String()} {
		standIn, begins := strings.CutPrefix(text, before)
		standIn, ends := strings.CutSuffix(standIn, after)
		if !begins || !ends || !r.names.place.fits(standIn) {
			continue
		}
		if name, err := r.names.name(standIn, apex, nil); err == nil && name == n {
			return true
		}
	}
	return false
}
