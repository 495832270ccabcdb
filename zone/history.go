package zone

import "mxtrap/zone/rr"

// Bounds of what is kept for incremental transfers: beyond them a whole one is hardly dearer.
const (
	historySteps   = 20
	signedSteps    = 3 // of a signed zone: each week all of its signatures change
	historyRecords = 10_000
)

// History is how a zone became what it is, version by version, for clients that have an earlier one (RFC 1995). It never changes.
type History []Step

// Step is what one version differs in from the one before it.
type Step struct {
	From, To       rr.Record // the SOA records
	Deleted, Added []rr.Record
}

func (s *Step) records() int { return 2 + len(s.Deleted) + len(s.Added) }

// Then is the history with one more step. It begins anew where the step cannot be told in differences. Under one serial number there is
// one content, so that no step leads from a number to itself.
func (h History) Then(older, newer *Zone) History {
	if newer.Serial() == older.Serial() {
		return h
	}
	if !Later(newer.Serial(), older.Serial()) {
		return nil
	}
	deleted, added, ok := differences(older, newer, historyRecords)
	if !ok {
		return nil
	}
	steps := append(h[:len(h):len(h)], Step{older.SOA(), newer.SOA(), deleted, added})
	total, most := 0, historySteps
	if newer.signatures != nil {
		most = signedSteps
	}
	for i := len(steps) - 1; i >= 0; i-- {
		if total += steps[i].records(); total > historyRecords || len(steps)-i > most {
			return steps[i+1:]
		}
	}
	return steps
}

// Since are the steps from a version to the present one; none where that is not known any more.
func (h History) Since(serial uint32) History {
	for i := range h {
		if SerialOf(h[i].From) == serial {
			return h[i:]
		}
	}
	return nil
}
