package server

import (
	"mxtrap/zone"
	"mxtrap/zone/rr"
)

// Bounds of what is kept for incremental transfers: beyond them a whole one is hardly dearer.
const (
	historySteps   = 20
	historyRecords = 10_000
)

// history is how a zone came to be what it is, for who has an earlier version (RFC 1995). It never changes.
type history []step

// step is what one version differs in from the one before it.
type step struct {
	from, to       rr.Record // the SOA records
	deleted, added []rr.Record
}

func (s *step) records() int { return 2 + len(s.deleted) + len(s.added) }

// then is the history with one more step. It begins anew where the step cannot be told in differences. Under one serial number there is
// one content, so that no step leads from a number to itself.
func (h history) then(older, newer *zone.Zone) history {
	if newer.Serial() == older.Serial() {
		return h
	}
	if !zone.Later(newer.Serial(), older.Serial()) {
		return nil
	}
	deleted, added, ok := zone.Differences(older, newer, historyRecords)
	if !ok {
		return nil
	}
	steps := append(h[:len(h):len(h)], step{older.SOA(), newer.SOA(), deleted, added})
	total := 0
	for i := len(steps) - 1; i >= 0; i-- {
		if total += steps[i].records(); total > historyRecords || len(steps)-i > historySteps {
			return steps[i+1:]
		}
	}
	return steps
}

// since are the steps from a version to the present one; none where that is not known any more.
func (h history) since(serial uint32) history {
	for i := range h {
		if zone.SerialOf(h[i].from) == serial {
			return h[i:]
		}
	}
	return nil
}
