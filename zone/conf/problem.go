package conf

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
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

// Error makes a problem an error.
func (p Problem) Error() string { return p.String() }

// Report collects problems.
type Report struct {
	// Quiet keeps no warnings: a server that starts with very many zones says only how many there are.
	Quiet bool

	problems []Problem
	faults   int
	warnings int
}

// Add takes problems in.
func (r *Report) Add(problems ...Problem) {
	for _, p := range problems {
		if p.Warning {
			r.Warn(func() Problem { return p })
			continue
		}
		r.faults++
		r.problems = append(r.problems, p)
	}
}

// Warn is Add for a warning that is put in words only where it is kept.
func (r *Report) Warn(words func() Problem) {
	r.warnings++
	if !r.Quiet {
		r.problems = append(r.problems, words())
	}
}

// Join takes another report in.
func (r *Report) Join(other *Report) {
	r.faults, r.warnings, r.problems = r.faults+other.faults, r.warnings+other.warnings, append(r.problems, other.problems...)
}

// Doubtful is the report with its faults turned into warnings.
func (r *Report) Doubtful() *Report {
	for i := range r.problems {
		r.problems[i].Warning = true
	}
	return &Report{Quiet: r.Quiet, problems: r.problems, warnings: r.faults + r.warnings}
}

// Faults is how many things are wrong, and Warnings how many are only doubtful.
func (r *Report) Faults() int { return r.faults }

// Warnings is how many problems do not keep a zone from being served.
func (r *Report) Warnings() int { return r.warnings }

// Problems are all that were kept, by place, none twice.
func (r *Report) Problems() []Problem {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Key, b.Key))
	})
	r.problems = slices.Compact(r.problems)
	return r.problems
}

// Plain takes the operation and the path off an error that is told with its place.
func Plain(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
