package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong, or doubtful, with the operator's files.
type Problem struct {
	File    string // as the operator named it
	Line    int    // 0: not known
	Key     string // the TOML key, or owner and type of a record of a master file
	Text    string // what stands there
	Reason  string // why that cannot be, and what to do
	Warning bool   // doubtful only: the zone is served all the same
}

// String is a sentence for the operator: place, text, reason.
//
//	zones/example.com.toml:14: trap.addresses[1]: "192.0.2.256": not an IP address or prefix
func (p Problem) String() string {
	var b strings.Builder
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	if p.Text != "" {
		fmt.Fprintf(&b, "%q: ", p.Text)
	}
	b.WriteString(p.Reason)
	return b.String()
}

// Report collects problems.
type Report struct {
	problems []Problem
}

// Add takes problems in.
func (r *Report) Add(problems ...Problem) { r.problems = append(r.problems, problems...) }

// Faulty says whether something is wrong, not only doubtful.
func (r *Report) Faulty() bool {
	return slices.ContainsFunc(r.problems, func(p Problem) bool { return !p.Warning })
}

// Problems are all of them by place, none twice.
func (r *Report) Problems() []Problem {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Key, b.Key))
	})
	r.problems = slices.Compact(r.problems)
	return r.problems
}

// Faults are the problems that are no warnings, and Warnings the others.
func (r *Report) Faults() []Problem { return r.only(false) }

// Warnings are the problems that do not keep a zone from being served.
func (r *Report) Warnings() []Problem { return r.only(true) }

func (r *Report) only(warning bool) []Problem {
	var out []Problem
	for _, p := range r.Problems() {
		if p.Warning == warning {
			out = append(out, p)
		}
	}
	return out
}
