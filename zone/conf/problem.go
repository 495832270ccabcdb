package conf

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
)

// Problem is one thing wrong, or doubtful, with the operator's files.
type Problem struct {
	File    string `json:"file,omitempty"` // as the operator named it
	Line    int    `json:"line,omitempty"` // 0: not known
	Key     string `json:"key,omitempty"`  // the TOML key, or owner and type of a record of a master file
	Text    string `json:"text,omitempty"` // what stands there
	Reason  string `json:"reason"`         // why that cannot be, and what to do
	Warning bool   `json:"warning"`        // doubtful only: the zone is served all the same
}

// String is a sentence for the operator: place, text, reason.
//
//	zones/example.com.toml:14: trap.addresses[1]: "192.0.2.256": not an IP address or prefix
func (p Problem) String() string {
	var b strings.Builder
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	if p.Text != "" {
		fmt.Fprintf(&b, "%q: ", p.Text)
	}
	b.WriteString(p.Reason)
	return b.String()
}

// AsWarning is the problem as one that is doubtful only.
func (p Problem) AsWarning() Problem {
	p.Warning = true
	return p
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
	kept     [2]int // of the problems: faults and warnings, but for those of other reports
	lost     int    // that were not kept
}

// maxKept is how many faults, and how many warnings, a report keeps of its own: a file may have more than anybody reads, or than memory has
// room for.
const maxKept = 1000

// Add takes problems in.
func (r *Report) Add(problems ...Problem) {
	for _, p := range problems {
		if p.Warning {
			r.Warn(func() Problem { return p })
			continue
		}
		r.faults++
		r.keep(0, func() Problem { return p })
	}
}

// Warn is Add for a warning that is put in words only where it is kept.
func (r *Report) Warn(words func() Problem) {
	r.warnings++
	if !r.Quiet {
		r.keep(1, words)
	}
}

func (r *Report) keep(kind int, words func() Problem) {
	if r.kept[kind]++; r.kept[kind] > maxKept {
		r.lost++
		return
	}
	r.problems = append(r.problems, words())
}

// Join takes another report in.
func (r *Report) Join(other *Report) {
	r.faults, r.warnings, r.lost = r.faults+other.faults, r.warnings+other.warnings, r.lost+other.lost
	r.problems = append(r.problems, other.problems...)
}

// Doubtful is the report with its faults turned into warnings.
func (r *Report) Doubtful() *Report {
	for i := range r.problems {
		r.problems[i].Warning = true
	}
	return &Report{Quiet: r.Quiet, problems: r.problems, warnings: r.faults + r.warnings, lost: r.lost}
}

// Keeps says whether a problem was kept.
func (r *Report) Keeps() bool { return len(r.problems) > 0 }

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
	if r.lost > 0 {
		return append(slices.Clip(r.problems), Problem{Reason: fmt.Sprintf("%d more problems, of files with more than %d", r.lost, maxKept), Warning: r.faults == 0})
	}
	return r.problems
}

// errTooManyFiles is the fault of no file.
var errTooManyFiles = errors.New("too many open files and connections; raise the process's limit (LimitNOFILE in systemd, ulimit -n in a shell)")

// Plain takes the operation and the path off an error, because its place is reported beside it.
func Plain(err error) error {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return errTooManyFiles
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
